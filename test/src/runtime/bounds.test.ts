/** Compiled code that checks its bounds names the access that went out, and goes on living. */
import { afterAll, expect, test } from "vitest";
import { emitEntry } from "../../../codegen/llvm/entry.ts";
import { emitLlvm } from "../../../codegen/llvm/index.ts";
import { binary, broadcast, buffer, compare, index, load, ramp, variable } from "../../../ir/expr/build.ts";
import { dtype } from "../../../ir/expr/dtype.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { forLoop, primFunc, program, seq, store } from "../../../ir/loop/build.ts";
import type { Program, Stmt } from "../../../ir/loop/program.ts";
import { BoundsError, UsageError } from "../../../ir/support/errors.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { allocAligned } from "../../../native/addon.ts";
import { definePass, pipelineOf } from "../../../passes/core/index.ts";
import { checkBounds } from "../../../passes/lower/check-bounds.ts";
import { loweringPipeline, withBoundsChecks } from "../../../passes/lower/index.ts";
import {
  build,
  compute,
  type NativeFunction,
  placeholder,
  reduceAxis,
  type Schedule,
  schedule,
  sum,
  Tensor,
  where,
} from "../../../src/index.ts";
import { decodeArtifact, encodeArtifact } from "../../../src/runtime/artifact.ts";
import { boundsRecordIr, checksOf } from "../../../src/runtime/bounds.ts";
import { Executable } from "../../../src/runtime/executable.ts";
import { resolveTarget, sharedPool } from "../../../src/runtime/host.ts";
import { codegenTarget, nativeOptions } from "../../../src/runtime/kernels.ts";
import { describeNative } from "../../codegen/native-run.ts";
import { check } from "../../e2e/fuzz/check.ts";
import { randomCase } from "../../e2e/fuzz/generate.ts";
import { writeClassifier } from "../cli/models.ts";
import { cli, temporaryFolder } from "../cli/run-cli.ts";

const open: NativeFunction[] = [];
afterAll(() => {
  for (const f of open) f.dispose();
});
async function checked(what: Schedule | Program, threads = 1): Promise<NativeFunction> {
  const f = await build(what, { checks: "bounds", threads });
  open.push(f);
  return f;
}
function failureOf(run: () => void): BoundsError {
  try {
    run();
  } catch (error) {
    if (error instanceof BoundsError) return error;
    throw error;
  }
  throw new Error("no access was out of bounds");
}

/** B[i] = A[N[i]]: an index from data. */
function gather(): Schedule {
  const A = placeholder("A", [10]);
  const N = placeholder("N", [40], "int64");
  return schedule(compute("B", [40], (i) => A.at(N.at(i))));
}
const gatherArguments = (wrong: Readonly<Record<number, bigint>> = {}) => ({
  A: Float32Array.from({ length: 10 }, (_, i) => i),
  N: BigInt64Array.from({ length: 40 }, (_, i) => wrong[i] ?? BigInt(i % 10)),
  B: new Float32Array(40),
});

describeNative("an index from data", () => {
  test("is named with its block, line and values", async () => {
    const f = await checked(gather());
    const good = gatherArguments();
    f.run(good);
    expect([...good.B.subarray(0, 3), good.B[39]]).toEqual([0, 1, 2, 9]);
    const error = failureOf(() => f.run(gatherArguments({ 7: 12n })));
    expect(error.code).toBe("bounds/load");
    expect(error.details).toEqual({
      access: "load",
      buffer: "A",
      dtype: "float32",
      indices: [12],
      extents: [10],
      dimension: 0,
      function: "B",
      block: "B",
      line: 6,
      text: "B[vi0] = A[N[vi0]]",
    });
    expect(error.message).toBe(
      [
        "load of A[12] is outside of A: float32[10]; index 0 is 12, not in 0..10",
        "  in block B of function B, line 6 of the scheduled program",
        "   6 │ B[vi0] = A[N[vi0]]",
        "     │          ^",
      ].join("\n"),
    );
    // The function is as good as before, timed or run.
    f.run(gatherArguments());
    expect(() => f.time(gatherArguments({ 7: 12n }), { repeats: 1 })).toThrow(BoundsError);
    f.run(gatherArguments());
  });
  test("may be negative, or near the ends of int64", async () => {
    const f = await checked(gather());
    for (const wrong of [-1n, 2n ** 62n, -(2n ** 63n)])
      expect(failureOf(() => f.run(gatherArguments({ 39: wrong }))).details).toMatchObject({
        indices: [Number(wrong)],
      });
  });
  test("is found in a vector, in its lane", async () => {
    const s = gather();
    s.vectorize(s.split(s.loopAt("B", 0), { factor: 16, tail: "guard" })[1]);
    const f = await checked(s);
    f.run(gatherArguments());
    expect(failureOf(() => f.run(gatherArguments({ 21: 10n, 22: -7n }))).details).toMatchObject({ indices: [10] });
  });
  test("is found in parallel regions, once, whoever comes first", async () => {
    const s = gather();
    s.parallel(s.loopAt("B", 0));
    const f = await checked(s, 2);
    f.run(gatherArguments());
    for (let k = 0; k < 50; k++) {
      const wrong = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [i, BigInt(100 + i)]));
      const { indices, extents } = failureOf(() => f.run(gatherArguments(wrong))).details;
      expect(extents).toEqual([10]);
      expect((indices as number[])[0]).toBeGreaterThanOrEqual(100);
    }
  });
});

describeNative("what is not accessed", () => {
  test("is no failure: arms that are not chosen, lanes that are masked off", async () => {
    const A = placeholder("A", [30]);
    const N = placeholder("N", [40], "int64");
    const B = compute("B", [40], (i) => where(N.at(i).lt(30), A.at(N.at(i)), 0));
    for (const vectorized of [false, true]) {
      const s = schedule(B);
      if (vectorized) s.vectorize(s.split(s.loopAt("B", 0), { factor: 16, tail: "guard" })[1]);
      const f = await checked(s);
      const args = { A: new Float32Array(30).fill(2), N: new BigInt64Array(40).fill(1000n), B: new Float32Array(40) };
      args.N[5] = 29n;
      f.run(args);
      expect(args.B[5]).toBe(2);
      args.N[6] = -1n;
      expect(failureOf(() => f.run(args)).details).toMatchObject({ buffer: "A", indices: [-1] });
    }
  });
  test("nothing of a schedule that divides nothing evenly is checked away from its values", async () => {
    const [m, n, k] = [7, 13, 11];
    const [A, B] = [placeholder("A", [m, k]), placeholder("B", [k, n])];
    const r = reduceAxis("k", k);
    const s = schedule(compute("C", [m, n], (i, j) => sum(A.at(i, r).mul(B.at(r, j)), r)));
    const [, ji] = s.split(s.loop("j"), { factor: 8, tail: "guard" });
    s.reorder(s.loop("k"), ji);
    s.vectorize(ji);
    s.parallel(s.loop("i"));
    const f = await checked(s, 2);
    const c = new Float32Array(m * n);
    f.run({ A: new Float32Array(m * k).fill(1), B: new Float32Array(k * n).fill(2), C: c });
    expect(c.every((x) => x === 2 * k)).toBe(true);
  });
});

/** Hand-built: `for i in 0..extent: B[i + shift] = A[i]` over 32 elements. */
function shifted(extent: number, shift: number, statement?: (a: Buffer, b: Buffer, i: Expr) => Stmt): Program {
  const ids = new IdSource();
  const [a, b] = [buffer(ids, "A", "float32", [4, 8]), buffer(ids, "B", "float32", [4, 8])];
  const [i, j] = [variable(ids, "i"), variable(ids, "j")];
  const body = statement?.(a, b, i) ?? store(b, [i, binary("add", j, shift)], load(a, [i, j]));
  const params = [
    { buffer: a, role: "input" as const },
    { buffer: b, role: "output" as const },
  ];
  return program([primFunc({ name: "shifted", params, body: forLoop(i, extent, forLoop(j, 8, body)) })], ids);
}
const arrays = () => ({ A: new Float32Array(32).fill(3), B: new Float32Array(32) });

describeNative("a program that a wrong schedule might make", () => {
  test("that leaves a row is out although the element exists", async () => {
    const f = await checked(shifted(4, 1));
    expect(failureOf(() => f.run(arrays())).details).toMatchObject({
      access: "store",
      buffer: "B",
      indices: [0, 8],
      extents: [4, 8],
      dimension: 1,
      line: 4,
      text: "B[i, j + 1] = A[i, j]",
    });
  });
  test("that runs too far stops before it reads", async () => {
    const f = await checked(shifted(5, 0));
    expect(failureOf(() => f.run(arrays())).details).toMatchObject({ buffer: "A", indices: [4, 0], dimension: 0 });
  });
  test("that is right runs clean", async () => {
    const f = await checked(shifted(4, 0));
    const args = arrays();
    f.run(args);
    expect(args.B.every((x) => x === 3)).toBe(true);
  });
  test("that is lowered already, with vectors and masks", async () => {
    const vectors = (lanes: number, masked: number) => {
      const ids = new IdSource();
      const [a, b] = [buffer(ids, "A", "float32", [20]), buffer(ids, "B", "float32", [20])];
      const i = variable(ids, "i");
      const at = ramp(binary("mul", i, lanes), 1, lanes);
      const predicate = compare("lt", at, broadcast(index(masked), lanes));
      const value: Expr = { kind: "load", buffer: a, indices: [at], predicate, dtype: dtype("float32", lanes) };
      const body: Stmt = { kind: "store", buffer: b, indices: [at], value, predicate };
      const params = [
        { buffer: a, role: "input" as const },
        { buffer: b, role: "output" as const },
      ];
      return program([primFunc({ name: "vectors", params, body: seq([forLoop(i, 3, body)]) })], ids);
    };
    const checking = definePass<"loops", "tasks">({
      name: "compact-buffers",
      doc: "Checks what is flat already.",
      run: (p) => {
        const ids = new IdSource(p.nextId);
        const functions = p.functions.map((f) => checkBounds(f, ids));
        return { ...p, functions, nextId: ids.next };
      },
    });
    const buildFlat = async (p: Program) => {
      const f = await build(p, { pipeline: pipelineOf<"loops", "tasks">([checking]) });
      open.push(f);
      return f;
    };
    const args = () => ({ A: new Float32Array(20).fill(5), B: new Float32Array(20) });
    const whole = args();
    (await buildFlat(vectors(8, 20))).run(whole);
    expect(whole.B.every((x) => x === 5)).toBe(true);
    const f = await buildFlat(vectors(8, 23));
    expect(failureOf(() => f.run(args())).details).toMatchObject({ buffer: "A", indices: [20], extents: [20] });
  });
});

describeNative("networks", () => {
  for (const family of ["images", "tokens", "tensors", "operators"] as const)
    test.each([0, 1, 2, 3])(`of ${family} run clean with checks, seed %i`, async (seed) => {
      const { graph, feeds } = randomCase(seed, family);
      const outcome = await check(graph, feeds, { checks: "bounds", threads: 2 });
      expect(outcome.failure).toBe(undefined);
    });
  test("say which kernel failed, from a file too", async () => {
    const target = resolveTarget("host");
    const wrong = shifted(4, 1);
    const flat = withBoundsChecks(loweringPipeline(target)).run(wrong);
    const { text, functions } = emitLlvm(flat, codegenTarget(target));
    const [signature] = functions;
    const step = { symbol: signature!.symbol, args: [0, 1].map((i) => ({ base: "io", index: i }) as const) };
    const texts = [text, emitEntry([step], { checked: true }), boundsRecordIr()];
    const objects = await Promise.all(
      texts.map((irText) => sharedPool().compile({ irText, options: nativeOptions(target) })),
    );
    const port = (name: string) => ({ name, type: "float32" as const, dims: [4, 8] });
    const parts = {
      objects,
      entry: "tw_main",
      inputs: [port("A")],
      outputs: [port("B")],
      arenaBytes: 0,
      constants: allocAligned(64),
      steps: [{ name: "Shift", symbol: signature!.symbol, flops: 0, bytes: 0 }],
      threads: 1,
      checks: [signature!.checks],
    };
    const file = decodeArtifact(encodeArtifact(parts, { name: "wrong", target, compiler: "test" }));
    const net = new Executable(file.parts);
    const feeds = { A: new Tensor("float32", new Float32Array(32), [4, 8]) };
    for (let k = 0; k < 2; k++) {
      const error = failureOf(() => net.runSync(feeds));
      expect(error.message).toContain(`in kernel 1 (Shift, ${signature!.symbol}), line 4 of the scheduled program`);
      expect(error.details).toMatchObject({ buffer: "B", indices: [0, 8] });
    }
    net.dispose();
  });
});

const folder = temporaryFolder();
describeNative("the command line", () => {
  test("takes --check-bounds", async () => {
    const { status, stderr } = await cli("run", writeClassifier(folder), "--check-bounds", "--fill", "ones");
    expect(stderr).toContain("compiled in");
    expect(status).toBe(0);
  });
});

test("the variable and the option agree on words", () => {
  expect(checksOf(undefined, {})).toBe("none");
  expect(checksOf(undefined, { TILEWRIGHT_CHECK_BOUNDS: "1" })).toBe("bounds");
  expect(checksOf("none", { TILEWRIGHT_CHECK_BOUNDS: "1" })).toBe("none");
  expect(() => checksOf("all" as "bounds", {})).toThrow(UsageError);
});
