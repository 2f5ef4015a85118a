/** Small programs for the tests of loop primitives. */
import { add, buffer, compare, floordiv, floormod, load, mul, select, sub, variable } from "../../../ir/expr/build.ts";
import type { Expr, Var } from "../../../ir/expr/expr.ts";
import {
  allocate,
  block,
  forLoop,
  iterVar,
  pointRegion,
  primFunc,
  program,
  seq,
  store,
} from "../../../ir/loop/build.ts";
import { ComputeBuilder, reduce, sum } from "../../../ir/loop/compute.ts";
import type { MathPolicy, Program } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";

/** C[i, j] = Σ A[i, k] B[k, j] in a block C with loops i, j, k. */
export function matmul(m: number, n: number, depth: number, math: MathPolicy = "default"): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "float32", [m, depth], "input");
  const B = b.param("B", "float32", [depth, n], "input");
  const k = b.reduceAxis("k", depth);
  const C = b.compute("C", "float32", [m, n], (i, j) => sum(mul(A.at(i!, k.var), B.at(k.var, j!)), k));
  return b.finish("matmul", [C], { math });
}
/** B[i, j] = A[i, j] · 2 in a block B. */
export function scale(m: number, n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [m, n], "input");
  return b.finish("scale", [b.compute("B", "int32", [m, n], (i, j) => mul(A.at(i!, j!), 2))]);
}
/** S[i, t] = S[i, t - 1] + A[i, t], t in order. */
export function scan(m: number, n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [m, n], "input");
  const S = b.declare("S", "int32", [m, n]);
  const old = (i: Expr, t: Expr): Expr => S.at(i, sub(t, 1));
  b.computeInto(S, "S", (i, t) => select(compare("eq", t!, 0), A.at(i!, t!), add(old(i!, t!), A.at(i!, t!))), {
    kinds: ["spatial", "ordered"],
  });
  return b.finish("scan", [S]);
}
/** V[i] is the largest A[i, k], I[i] its k: one block V_I with a joint reduction. */
export function argmax(m: number, n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [m, n], "input");
  const k = b.reduceAxis("k", n);
  const outputs = b.computeTuple(["V", "I"], ["int32", "int64"], [m], (i) => ({
    kind: "tupleReduction",
    axes: [k],
    init: [A.at(i!, 0), k.var.kind === "var" ? mul(0, i!) : i!],
    update: ([v, at]) => {
      const better = compare("gt", A.at(i!, k.var), v!);
      return [select(better, A.at(i!, k.var), v!), select(better, k.var, at!)];
    },
  }));
  return b.finish("argmax", outputs);
}
/** M[i] = max over k of A[i, k], then D[i, k] = A[i, k] - M[i]. */
export function centre(m: number, n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [m, n], "input");
  const k = b.reduceAxis("k", n);
  const M = b.compute("M", "int32", [m], (i) => reduce("max", A.at(i!, k.var), [k]));
  return b.finish("centre", [b.compute("D", "int32", [m, n], (i, j) => sub(A.at(i!, j!), M.at(i!)))]);
}
/** C[i] = B[i] + B[i + 1] with B[i] = A[i] · 2: neighbours share B. */
export function stencil(n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [n + 1], "input");
  const B = b.compute("B", "int32", [n + 1], (x) => mul(A.at(x!), 2));
  return b.finish("stencil", [b.compute("C", "int32", [n], (x) => add(B.at(x!), B.at(add(x!, 1))))]);
}

/** One nest over A and C with hand-made loops; `shape` wraps the block's loops. */
function byHand(
  shape: (ids: IdSource, body: (i: Expr, j: Expr) => ReturnType<typeof block>, n: Var) => ReturnType<typeof forLoop>,
): Program {
  const ids = new IdSource();
  const n = variable(ids, "n");
  const A = buffer(ids, "A", "int32", [16, 16]);
  const C = buffer(ids, "C", "int32", [16, 16]);
  const make = (i: Expr, j: Expr) => {
    const [vi, vj] = [variable(ids, "vi"), variable(ids, "vj")];
    return block(ids, {
      name: "C",
      iterVars: [iterVar(vi, 16), iterVar(vj, 16)],
      bindings: [i, j],
      reads: [pointRegion(A, [vi, vj])],
      writes: [pointRegion(C, [vi, vj])],
      body: store(C, [vi, vj], mul(load(A, [vi, vj]), 2)),
    });
  };
  const body = shape(ids, make, n);
  const params = [
    { buffer: A, role: "input" },
    { buffer: C, role: "output" },
  ] as const;
  return program([primFunc({ name: "byHand", params, scalars: [n], body })], ids);
}
/** for i in 0..16: for j in 0..n. */
export const symbolic = (): Program =>
  byHand((ids, body, n) => {
    const [i, j] = [variable(ids, "i"), variable(ids, "j")];
    return forLoop(i, 16, forLoop(j, n, body(i, j)));
  });
/** for i in 0..16: for j in 0..i + 1. */
export const triangular = (): Program =>
  byHand((ids, body) => {
    const [i, j] = [variable(ids, "i"), variable(ids, "j")];
    return forLoop(i, 16, forLoop(j, add(i, 1), body(i, j)));
  });
/** for i in 0..8: for j in i..i + 8, a parallelogram. */
export const skewed = (): Program =>
  byHand((ids, body) => {
    const [i, j] = [variable(ids, "i"), variable(ids, "j")];
    return forLoop(i, 8, forLoop(j, 8, body(i, j), { min: i }));
  });
/** for i in 0..16: a buffer T of one element; T = A[i, 0]; C[i, 0] = T. */
export function withAllocation(): Program {
  const ids = new IdSource();
  const A = buffer(ids, "A", "int32", [16]);
  const C = buffer(ids, "C", "int32", [16]);
  const T = buffer(ids, "T", "int32", [1], { scope: "stack" });
  const [i, v, w] = [variable(ids, "i"), variable(ids, "v"), variable(ids, "w")];
  const fill = block(ids, {
    name: "T",
    iterVars: [iterVar(v, 16)],
    bindings: [i],
    reads: [pointRegion(A, [v])],
    writes: [pointRegion(T, [0])],
    body: store(T, [0], load(A, [v])),
  });
  const use = block(ids, {
    name: "C",
    iterVars: [iterVar(w, 16)],
    bindings: [i],
    reads: [pointRegion(T, [0])],
    writes: [pointRegion(C, [w])],
    body: store(C, [w], load(T, [0])),
  });
  const params = [
    { buffer: A, role: "input" },
    { buffer: C, role: "output" },
  ] as const;
  return program([primFunc({ name: "scratch", params, body: forLoop(i, 16, allocate(T, seq([fill, use]))) })], ids);
}
/** for r in 0..3: for k in 0..4: a reduction that runs once for every r, over k alone. */
export function repeated(): Program {
  const ids = new IdSource();
  const A = buffer(ids, "A", "int32", [4]);
  const C = buffer(ids, "C", "int32", [1]);
  const [r, k, v] = [variable(ids, "r"), variable(ids, "k"), variable(ids, "v")];
  const b = block(ids, {
    name: "C",
    iterVars: [iterVar(v, 4, "reduction")],
    bindings: [k],
    reads: [pointRegion(C, [0]), pointRegion(A, [v])],
    writes: [pointRegion(C, [0])],
    init: store(C, [0], mul(load(C, [0]), 0)),
    body: store(C, [0], add(load(C, [0]), load(A, [v]))),
  });
  const params = [
    { buffer: A, role: "input" },
    { buffer: C, role: "output" },
  ] as const;
  return program([primFunc({ name: "repeated", params, body: forLoop(r, 3, forLoop(k, 4, b)) })], ids);
}
/** X[i] = C[i] of before, then C[i] = Σ A[i, k], under one loop i. */
export function readThenReduce(): Program {
  const ids = new IdSource();
  const A = buffer(ids, "A", "int32", [5, 3]);
  const C = buffer(ids, "C", "int32", [5]);
  const X = buffer(ids, "X", "int32", [5]);
  const [i, k, v, w, q] = ["i", "k", "v", "w", "q"].map((name) => variable(ids, name)) as [Var, Var, Var, Var, Var];
  const before = block(ids, {
    name: "X",
    iterVars: [iterVar(v, 5)],
    bindings: [i],
    reads: [pointRegion(C, [v])],
    writes: [pointRegion(X, [v])],
    body: store(X, [v], load(C, [v])),
  });
  const total = block(ids, {
    name: "C",
    iterVars: [iterVar(w, 5), iterVar(q, 3, "reduction")],
    bindings: [i, k],
    reads: [pointRegion(C, [w]), pointRegion(A, [w, q])],
    writes: [pointRegion(C, [w])],
    init: store(C, [w], mul(load(A, [w, q]), 0)),
    body: store(C, [w], add(load(C, [w]), load(A, [w, q]))),
  });
  const params = [
    { buffer: A, role: "input" },
    { buffer: C, role: "workspace" },
    { buffer: X, role: "output" },
  ] as const;
  const body = forLoop(i, 5, seq([before, forLoop(k, 3, total)]));
  return program([primFunc({ name: "readThenReduce", params, body })], ids);
}
/** B[(3 i) mod n] = A[i] by an ordered block: later ones win. */
export function scatter(n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [n], "input");
  const B = b.declare("B", "int32", [n]);
  b.write(B, "B", [n], (i) => ({ at: [floormod(mul(i!, 3), n)], value: A.at(i!) }), { kinds: ["ordered"] });
  return b.finish("scatter", [B]);
}
/** B[i // 2] = A[i] by a block that calls i spatial, though two iterations write each element. */
export function folded(n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [n], "input");
  const B = b.declare("B", "int32", [n]);
  b.write(B, "B", [n], (i) => ({ at: [floordiv(i!, 2)], value: A.at(i!) }));
  return b.finish("folded", [B]);
}
