/** bind and atomic: what is accepted, values in any order of threads, machine code; refusals stand in `must-fail/`. */
import { describe, expect, test } from "vitest";
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import { ComputeBuilder, type ReduceOp, reduce } from "../../../ir/loop/compute.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { poolCreate, poolDispose } from "../../../native/addon.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { describeNative, runNative, textOf } from "../../codegen/native-run.ts";
import { difference, randomInputs, run } from "../../property/support/judge.ts";
import { Random } from "../../property/support/random.ts";
import { keepsValues } from "./fixtures.ts";
import { matmul } from "./loop-programs.ts";
import { bindAll, histogram, pairs } from "./must-fail/kernels.ts";

describe("bind", () => {
  test("makes a tiled matmul with shared tiles a kernel", () => {
    const program = matmul(32, 32, 16);
    const s = new Schedule(program);
    const { outer, inner } = s.tile(s.loops("C").slice(0, 2), [8, 8], "exact");
    const k = s.loopAt("C", 4);
    const [ko, ki] = s.split(k, { factor: 4, tail: "exact" });
    s.reorder(...outer, ...inner, ko, ki);
    s.bind(outer[0]!, "blockIdx.y");
    s.bind(outer[1]!, "blockIdx.x");
    const copy = s.cacheReadAt(outer[1]!, s.block("C"), "A", "shared");
    s.bind(inner[0]!, "threadIdx.y");
    s.bind(inner[1]!, "threadIdx.x");
    s.bind(s.loops(copy).at(-2)!, "threadIdx.y");
    const [, wide] = s.split(s.loops(copy).at(-1)!, { factor: 8, tail: "exact" });
    s.bind(wide, "threadIdx.x");
    keepsValues(program, s, 16);
    expect(s.print()).toMatchSnapshot();
  });
  test("gives blocks and threads buffers of their own", () => {
    const program = matmul(8, 8, 6);
    const s = new Schedule(program);
    s.cacheWriteAt(s.loopAt("C", 1), s.block("C"), "C", "local");
    s.bind(s.loopAt("C", 0), "blockIdx.x");
    s.bind(s.loopAt("C", 1), "threadIdx.x");
    keepsValues(program, s, 6);
  });
  test("lets threads exchange through shared memory between two loops, and vthreads too", () => {
    const program = parseProgram(pairs("shared"));
    const s = new Schedule(program);
    bindAll(s);
    keepsValues(program, s);
    const virtual = new Schedule(program);
    for (const name of ["s", "t"]) {
      const [o, i] = virtual.split(virtual.loop(name), { factor: 8, tail: "exact" });
      virtual.bind(o, "vthread");
      virtual.bind(i, "threadIdx.x");
    }
    keepsValues(program, virtual);
  });
  test("lets each thread keep what it made for itself", () => {
    const program = parseProgram(
      pairs("local").replaceAll("T[max(wt - 1, 0)..+2]", "T[wt]").replace("T[max(wt - 1, 0)]", "1i32"),
    );
    const s = new Schedule(program);
    bindAll(s);
    keepsValues(program, s);
  });
  test("keeps a step from breaking a kernel", () => {
    const s = new Schedule(matmul(8, 8, 6));
    s.bind(s.loopAt("C", 0), "threadIdx.x");
    expect(s.why("bind", { loop: s.loopAt("C", 2), axis: "threadIdx.y" }).text).toContain("  loop may be: j");
    expect(s.why("bind", { loop: s.loopAt("C", 1), axis: "threadIdx.x" }).text).toContain("axis may be: threadIdx.y");
  });
});

function reduction(op: ReduceOp, type: ScalarType, n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", type, [n, 4], "input");
  const k = b.reduceAxis("k", n);
  const C = b.compute("C", type, [4], (i) => reduce(op, A.at(k.var, i!), [k]));
  return b.finish("reduction", [C]);
}
/** The reduction over all threads at once. */
function shared(program: Program): Schedule {
  const s = new Schedule(program);
  s.reorder(s.loopAt("C", 1), s.loopAt("C", 0));
  s.decomposeReduction(s.block("C"), s.loopAt("C", 0));
  s.atomic(s.block("C"));
  s.parallel(s.loopAt("C", 0));
  return s;
}
describe("atomic", () => {
  test("lets threads accumulate into the same elements", () => {
    const program = histogram(40, 5);
    const s = new Schedule(program);
    s.atomic(s.block("B"));
    s.parallel(s.loop("k"));
    keepsValues(program, s, 40);
    expect(s.print()).toMatchSnapshot();
    const bound = new Schedule(program);
    bound.atomic(bound.block("B"));
    bound.bind(bound.loop("k"), "threadIdx.x");
    keepsValues(program, bound, 40);
  });
});
describeNative("code of atomic updates", () => {
  test("is an instruction for integers, a loop for others", () => {
    const text = (op: ReduceOp, type: ScalarType) => textOf(shared(reduction(op, type, 8)).program).text;
    expect(text("add", "int32")).toContain("atomicrmw add ptr");
    expect(text("max", "uint8")).toContain("atomicrmw umax ptr");
    expect(text("min", "int64")).toContain("atomicrmw min ptr");
    for (const [op, type] of [
      ["mul", "int32"],
      ["add", "float32"],
      ["max", "float64"],
    ] as const)
      expect(text(op, type)).toMatch(/cmpxchg weak ptr %\w+, i(32|64)/);
  });
  test("stays scalar where a loop around is vectorized later", () => {
    const s = new Schedule(histogram(40, 5));
    s.atomic(s.block("B"));
    const [o, i] = s.split(s.loop("k"), { factor: 8 });
    s.parallel(o);
    if (s.probe("vectorize", { loop: i }) === undefined) s.vectorize(i);
    expect(textOf(s.program).text).toContain("cmpxchg weak");
  });
});
describeNative("atomic updates on this machine", () => {
  test.each([
    ["add", "int32"],
    ["add", "float32"],
    ["add", "float64"],
    ["mul", "int64"],
    ["min", "int8"],
    ["max", "uint16"],
    ["max", "float32"],
    ["and", "int32"],
    ["or", "bool"],
  ] as const)("%s of %s by four threads", (op, type) => {
    const program = reduction(op, type, 301);
    const s = shared(program);
    const inputs = randomInputs(program, new Random(11));
    const pool = poolCreate(4);
    try {
      const got = runNative(s.program, inputs as never, { pool });
      expect(difference(run(program, inputs), got as never, 301)).toBe(undefined);
    } finally {
      poolDispose(pool);
    }
  });
  test("a histogram by four threads counts everything", () => {
    const n = 20_000;
    const program = histogram(n, 7);
    const s = new Schedule(program);
    s.atomic(s.block("B"));
    s.parallel(s.loop("k"));
    const r = new Random(5);
    const inputs = { A: BigInt64Array.from({ length: n }, () => BigInt(r.int(0, 6))), X: new Float32Array(n).fill(1) };
    const pool = poolCreate(4);
    try {
      const got = runNative(s.program, inputs as never, { pool });
      expect([...(got.B as Float32Array)]).toEqual([...(run(program, inputs as never).B as Float32Array)]);
    } finally {
      poolDispose(pool);
    }
  });
});
