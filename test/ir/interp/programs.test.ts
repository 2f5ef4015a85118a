import { expect, test } from "vitest";
import {
  add,
  broadcast,
  buffer,
  cast,
  compare,
  constant,
  floordiv,
  index,
  load,
  mul,
  ramp,
  select,
  variable,
} from "../../../ir/expr/build.ts";
import { dtype } from "../../../ir/expr/dtype.ts";
import { InterpreterError, interpret } from "../../../ir/interp/interpret.ts";
import { runProgram } from "../../../ir/interp/run.ts";
import { allocate, forLoop, parallelCall, primFunc, program, seq, store } from "../../../ir/loop/build.ts";
import { ComputeBuilder, sum } from "../../../ir/loop/compute.ts";
import type { Program, Stmt } from "../../../ir/loop/program.ts";
import { UsageError } from "../../../ir/support/errors.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { parseProgram } from "../../../ir/text/parser.ts";

function matmul(m: number, n: number, depth: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "float32", [m, depth], "input");
  const B = b.param("B", "float32", [depth, n], "input");
  const k = b.reduceAxis("k", depth);
  const C = b.compute("C", "float32", [m, n], (i, j) => sum(mul(A.at(i!, k.var), B.at(k.var, j!)), k));
  return b.finish("matmul", [C]);
}
/** A one-function program whose output is `out`. */
function single(
  out: ReturnType<typeof buffer>,
  body: Stmt,
  ids: IdSource,
  inputs: ReturnType<typeof buffer>[] = [],
): Program {
  const params = [
    ...inputs.map((b) => ({ buffer: b, role: "input" as const })),
    { buffer: out, role: "output" as const },
  ];
  return program([primFunc({ name: "f", params, body })], ids);
}

test("a matrix product with init", () => {
  const A = Float32Array.from([1, 2, 3, 4, 5, 6]);
  const B = Float32Array.from([1, 0, 2, 1, 3, 5]);
  const { C } = runProgram(matmul(2, 2, 3), { A, B }, { checkUninitialized: true });
  expect([...C!]).toEqual([14, 17, 32, 35]);
});

test("runs over a hundred thousand multiply-adds a second on a busy machine", () => {
  const p = matmul(64, 64, 64);
  const A = new Float32Array(64 * 64).fill(1);
  runProgram(p, { A, B: A });
  const start = performance.now();
  runProgram(p, { A, B: A });
  const seconds = (performance.now() - start) / 1000;
  expect(64 ** 3 / seconds).toBeGreaterThan(1e5);
  console.info(`${(64 ** 3 / seconds / 1e6).toFixed(1)} M multiply-adds a second`);
});

test("an access outside the shape names buffer, index, extent", () => {
  const ids = new IdSource();
  const out = buffer(ids, "out", "float32", [4]);
  const i = variable(ids, "i");
  const p = single(out, forLoop(i, 5, store(out, [i], constant(dtype("float32"), 1))), ids);
  const error = caught(() => runProgram(p, {}));
  expect(error.code).toBe("interp/out-of-bounds");
  expect(error.details).toMatchObject({ buffer: "out", indices: [4], extents: [4] });
});
function caught(f: () => unknown): InterpreterError {
  try {
    f();
  } catch (e) {
    if (e instanceof InterpreterError) return e;
    throw e;
  }
  throw new Error("nothing was thrown");
}

test("select is lazy in every lane", () => {
  const ids = new IdSource();
  const a = buffer(ids, "a", "float32", [3]);
  const out = buffer(ids, "out", "float32", [8]);
  const at = ramp(0, 1, 8);
  const inside = compare("lt", at, broadcast(index(3), 8));
  const value = select(inside, load(a, [at]), broadcast(constant(dtype("float32"), -1), 8));
  const p = single(out, store(out, [at], value), ids, [a]);
  const { out: result } = runProgram(p, { a: Float32Array.from([1, 2, 3]) });
  expect([...result!]).toEqual([1, 2, 3, -1, -1, -1, -1, -1]);
});

test("a predicated vector load gives 0, a predicated store leaves the lane", () => {
  const ids = new IdSource();
  const a = buffer(ids, "a", "int32", [3]);
  const out = buffer(ids, "out", "int32", [4]);
  const at = ramp(0, 1, 4);
  const inside = compare("lt", at, broadcast(index(3), 4));
  const late = compare("ge", at, broadcast(index(1), 4));
  const p = single(out, store(out, [at], load(a, [at], inside), late), ids, [a]);
  const args = { a: Int32Array.from([7, 8, 9]), out: Int32Array.from([5, 5, 5, 5]) };
  interpret(p, "f", args);
  expect([...args.out]).toEqual([5, 8, 9, 0]);
});

test("a parallel call covers 0..extent in disjoint chunks", () => {
  const ids = new IdSource();
  const out = buffer(ids, "out", "int32", [7]);
  const inner = buffer(ids, "o", "int32", [7]);
  const [begin, end, n, i] = ["begin", "end", "n", "i"].map((x) => variable(ids, x));
  const bump = store(inner, [i!], add(load(inner, [i!]), cast("int32", n!)));
  const task = primFunc({
    name: "task",
    params: [{ buffer: inner, role: "output" }],
    scalars: [n!],
    chunk: { begin: begin!, end: end! },
    body: forLoop(i!, add(end!, mul(begin!, -1)), bump, { min: begin! }),
  });
  const m = variable(ids, "m");
  const body: Stmt = {
    kind: "let",
    var: m,
    value: index(3),
    body: parallelCall({ callee: "task", extent: index(7), buffers: [out], scalars: [m] }),
  };
  const main = primFunc({ name: "f", params: [{ buffer: out, role: "output" }], body });
  const args = { out: new Int32Array(7) };
  interpret(program([main, task], ids), "f", args);
  expect([...args.out]).toEqual([3, 3, 3, 3, 3, 3, 3]);
});

test("reading an allocation before writing it is caught when asked", () => {
  const ids = new IdSource();
  const tmp = buffer(ids, "tmp", "float32", [2]);
  const out = buffer(ids, "out", "float32", [1]);
  const body = allocate(tmp, seq([store(tmp, [0], constant(dtype("float32"), 2)), store(out, [0], load(tmp, [1]))]));
  const p = single(out, body, ids);
  expect(caught(() => runProgram(p, {}, { checkUninitialized: true })).code).toBe("interp/uninitialized");
  expect(runProgram(p, {}).out![0]).toBeNaN();
});

test("strides and offset place elements", () => {
  const ids = new IdSource();
  const out = buffer(ids, "out", "int64", [2, 2], { strides: [4, 2], offset: 1 });
  const [i, j] = [variable(ids, "i"), variable(ids, "j")];
  const body = forLoop(i, 2, forLoop(j, 2, store(out, [i, j], add(mul(i, 10), j))));
  const args = { out: new BigInt64Array(8) };
  interpret(single(out, body, ids), "f", args);
  expect([...args.out]).toEqual([0n, 0n, 0n, 1n, 0n, 10n, 0n, 11n]);
});

test("division by zero throws", () => {
  const ids = new IdSource();
  const out = buffer(ids, "out", "int64", [1]);
  const i = variable(ids, "i");
  const p = single(out, forLoop(i, 1, store(out, [0], floordiv(index(4), i))), ids);
  expect(caught(() => runProgram(p, {})).code).toBe("interp/division-by-zero");
});

test("a block runs where its predicate holds; init runs at the zero of the reductions", () => {
  const p = parseProgram(`program f(A: int32[6], S: output int32[2]):
  for i in 0..2:
    for k in 0..4:
      block S(vi: spatial 2 = i, vk: reduction 3 = k) where k < 3:
        reads S[vi], A[vi * 3 + vk]
        writes S[vi]
        init:
          S[vi] = 100i32
        S[vi] = S[vi] + A[vi * 3 + vk]
`);
  const { S } = runProgram(p, { A: Int32Array.from([1, 2, 3, 4, 5, 6]) }, { checkUninitialized: true });
  expect([...S!]).toEqual([106, 115]);
});
test("an instance outside the block's domain is refused, by name", () => {
  const p = parseProgram(`program f(S: output int32[8]):
  for k in 0..4:
    block b(v: spatial 3 = k):
      writes S[v]
      S[v] = 1i32
`);
  const error = caught(() => runProgram(p, {}));
  expect([error.code, error.details]).toEqual([
    "interp/outside-domain",
    { block: "b", iterVar: "v", value: 3, extent: 3 },
  ]);
});
test("bounds and lets are evaluated once; a vector store reads all lanes before it writes", () => {
  const p = parseProgram(`program f(A: output int64[8]):
  A[0] = 3
  for i in 0..A[0]:
    A[0] = A[0] + 1
  let t = A[0]
  A[0] = 9
  A[1] = t
  A[ramp(3, 1, 3)] = ramp(1, 1, 3)
  A[ramp(4, 1, 3)] = A[ramp(3, 1, 3)]
`);
  const A = new BigInt64Array(8);
  interpret(p, "f", { A });
  expect([...A]).toEqual([9n, 6n, 0n, 1n, 1n, 2n, 3n, 0n]);
});
test("symbolic extents come as scalars", () => {
  const p = parseProgram(
    "program f(n: int64, A: output float32[n, 2]):\n  for i in 0..n:\n    A[i, 1] = 2.0\n    A[i, 0] = 1.0\n",
  );
  expect([...runProgram(p, {}, { scalars: { n: 3 } }).A!]).toEqual([1, 2, 1, 2, 1, 2]);
});
test("wrong arguments are the caller's errors", () => {
  const p = parseProgram("program f(A: int32[4], B: output int32[4]):\n  B[0] = A[0]\n");
  const codes = [{}, { A: new Float32Array(4) }, { A: new Int32Array(3) }].map((inputs) => {
    try {
      runProgram(p, inputs as Record<string, Int32Array>);
    } catch (e) {
      return e instanceof UsageError ? e.code : e;
    }
    return "nothing was thrown";
  });
  expect(codes).toEqual(["interp/missing-argument", "interp/argument-type", "interp/argument-length"]);
});
