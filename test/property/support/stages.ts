/** Programs of several stages: stencils, element-wise chains, reductions and what follows them, scans. */
import {
  add,
  binary,
  cast,
  compare,
  constant,
  max,
  mul,
  scalarLike,
  select,
  sub,
  unary,
} from "../../../ir/expr/build.ts";
import { dtype, isFloat } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { reduce, sum, type Tensor } from "../../../ir/loop/compute.ts";
import {
  type Built,
  floatTypes,
  joined,
  type Maker,
  maybeEpilogue,
  maybePrologue,
  pointwise,
  small,
} from "./makers.ts";

function stencil(m: Maker): Built {
  const [w, h] = [m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [w + 4, h + 2], "input"));
  const B = m.b.compute("B", m.type, [w + 2, h + 2], (x, y) =>
    add(add(A.at(x!, y!), A.at(add(x!, 1), y!)), A.at(add(x!, 2), y!)),
  );
  const C = m.b.compute("C", m.type, [w, h], (x, y) =>
    add(add(B.at(x!, y!), B.at(add(x!, 1), add(y!, 1))), B.at(add(x!, 2), add(y!, 2))),
  );
  return { outputs: m.r.chance(0.2) ? [B, C] : [maybeEpilogue(m, C)], roundings: 24 };
}
/** A line of stages, each a window of the one before, at steps of one or two. */
function windows(m: Maker): Built {
  const stages = m.r.int(1, 4);
  const shifts = Array.from({ length: stages }, () => ({ taps: m.r.int(1, 3), step: m.r.int(1, 2) }));
  const lengths = [m.r.int(1, 9)];
  for (const { taps, step } of [...shifts].reverse()) lengths.unshift((lengths[0]! - 1) * step + taps);
  const rows = m.r.int(1, 4);
  let t: Tensor = m.b.param("A", m.type, [rows, lengths[0]!], "input");
  shifts.forEach(({ taps, step }, k) => {
    const from = t;
    t = m.b.compute(`W${k}`, m.type, [rows, lengths[k + 1]!], (y, x) => {
      const values = Array.from({ length: taps }, (_, q) => from.at(y!, add(mul(x!, step), q)));
      return values.reduce((a, v) => joined(m, a, v));
    });
  });
  return { outputs: [t], roundings: 32 };
}
/** One stage that two others read in windows of their own, and what comes of both. */
function diamond(m: Maker): Built {
  const [rows, n] = [m.n(), m.n()];
  const A = m.b.param("A", m.type, [rows, n + 2], "input");
  const T = m.b.compute("T", m.type, [rows, n + 2], (i, j) => pointwise(m, [A.at(i!, j!)]));
  const at = (): number => m.r.int(0, 2);
  const L = m.b.compute("L", m.type, [rows, n], (i, j) => joined(m, T.at(i!, add(j!, at())), T.at(i!, j!)));
  const R = m.b.compute("R", m.type, [rows, n], (i, j) => joined(m, T.at(i!, add(j!, at())), A.at(i!, j!)));
  const D = m.b.compute("D", m.type, [rows, n], (i, j) => joined(m, L.at(i!, j!), R.at(i!, j!)));
  return { outputs: m.r.chance(0.3) ? [D, L] : [D], roundings: 40 };
}
/** Time steps in place of time in memory: each row from the row before. */
function timeSteps(m: Maker): Built {
  const [steps, n] = [m.r.int(1, 6), m.r.int(3, 11)];
  const A = m.b.param("A", m.type, [n], "input");
  const S = m.b.declare("S", m.type, [steps, n]);
  const reach = m.r.int(0, 2);
  m.b.computeInto(
    S,
    "S",
    (t, x) => {
      const before = binary("max", sub(t!, 1), constant(t!.dtype, 0));
      const at = (d: number): Expr => binary("min", binary("max", add(x!, d), 0), n - 1);
      const sides = joined(m, S.at(before, at(-reach)), S.at(before, at(reach > 0 ? m.r.int(0, 1) : 0)));
      return select(compare("eq", t!, 0), A.at(x!), sides);
    },
    // Whoever reads a neighbour's element is not on its own.
    { kinds: ["ordered", reach > 0 ? "ordered" : "spatial"] },
  );
  return { outputs: [m.r.chance(0.5) ? S : maybeEpilogue(m, S)], roundings: 40 };
}
function chain(m: Maker): Built {
  const dims = m.r.chance(0.5) ? [m.n(), m.n()] : [m.n(), m.r.int(1, 4), m.n()];
  const A = m.b.param("A", m.type, dims, "input");
  const B = m.b.param("B", m.type, dims, "input");
  const made = [A, B];
  for (let k = m.r.int(1, 4); k > 0; k--) {
    const used = m.r.shuffle(made).slice(0, m.r.int(1, 2));
    const t = m.b.compute(`T${k}`, m.type, dims, (...i) =>
      pointwise(
        m,
        used.map((u) => u.at(...i)),
      ),
    );
    made.push(t);
  }
  return { outputs: [made.at(-1)!], roundings: 64 };
}
function rowReduce(m: Maker): Built {
  const [rows, depth] = [m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [rows, depth], "input"));
  const logical = m.type.startsWith("float") || m.type === "bfloat16" ? [] : (["and", "or"] as const);
  const op = m.r.pick(["add", "add", "max", "min", "mul", ...logical] as const);
  const k = m.b.reduceAxis("k", depth);
  const byRow = m.r.chance(0.6);
  const n = byRow ? rows : depth;
  const axis = byRow ? k : m.b.reduceAxis("r", rows);
  const init = m.r.chance(0.2) ? small(m) : undefined;
  const S = m.b.compute("S", m.type, [n], (i) =>
    reduce(op, byRow ? A.at(i!, k.var) : A.at(axis.var, i!), [axis], init),
  );
  const roundings = Math.max(rows, depth) + 16;
  if (!m.r.chance(0.5)) return { outputs: [S], roundings };
  const D = m.b.compute("D", m.type, [rows, depth], (i, j) => joined(m, A.at(i!, j!), S.at(byRow ? i! : j!)));
  return { outputs: [D], roundings };
}
/** Everything of a tensor, in two axes at once; perhaps only what a condition keeps. */
function wholeReduce(m: Maker): Built {
  const [a, b] = [m.n(), m.n()];
  const A = m.b.param("A", m.type, [a, b], "input");
  const [i, j] = [m.b.reduceAxis("i", a), m.b.reduceAxis("j", b)];
  const value = A.at(i.var, j.var);
  const kept = m.r.chance(0.4) ? select(compare("le", j.var, i.var), value, scalarLike(dtype(m.type), 0)) : value;
  const S = m.b.compute("S", m.type, [1], () => sum(kept, i, j));
  return { outputs: [S], roundings: a * b + 4 };
}
function softmax(m: Maker): Built {
  const type = m.r.pick(floatTypes);
  const [rows, depth] = [m.n(), m.n()];
  const A = m.b.param("A", type, [rows, depth], "input");
  const k = m.b.reduceAxis("k", depth);
  const M = m.b.compute("M", type, [rows], (i) => reduce("max", A.at(i!, k.var), [k]));
  const X = m.b.compute("X", type, [rows, depth], (i, j) => unary("exp", sub(A.at(i!, j!), M.at(i!))));
  const q = m.b.reduceAxis("q", depth);
  const S = m.b.compute("S", type, [rows], (i) => sum(X.at(i!, q.var), q));
  const Y = m.b.compute("Y", type, [rows, depth], (i, j) => binary("div", X.at(i!, j!), S.at(i!)));
  return { outputs: [Y], roundings: depth + 8 };
}
/** Mean and variance, then what is normalized by them. */
function normalization(m: Maker): Built {
  const type = m.r.pick(["float32", "float32", "float64"] as const);
  const [rows, depth] = [m.n(), m.n()];
  const A = m.b.param("A", type, [rows, depth], "input");
  const number = (v: number): Expr => constant(dtype(type), v);
  const k = m.b.reduceAxis("k", depth);
  const M = m.b.compute("M", type, [rows], (i) => sum(A.at(i!, k.var), k));
  const q = m.b.reduceAxis("q", depth);
  const centred = (i: Expr, j: Expr): Expr => sub(A.at(i, j), mul(M.at(i), number(1 / depth)));
  const V = m.b.compute("V", type, [rows], (i) => sum(mul(centred(i!, q.var), centred(i!, q.var)), q));
  const Y = m.b.compute("Y", type, [rows, depth], (i, j) =>
    binary("div", centred(i!, j!), unary("sqrt", add(V.at(i!), number(1)))),
  );
  return { outputs: [Y], roundings: 4 * depth + 16 };
}
/** A matrix product, the row-wise maximum taken off, another product. */
function attention(m: Maker): Built {
  const [rows, keys, depth] = [m.r.int(1, 5), m.r.int(1, 7), m.r.int(1, 5)];
  const Q = m.b.param("Q", m.type, [rows, depth], "input");
  const K = m.b.param("K", m.type, [keys, depth], "input");
  const V = m.b.param("V", m.type, [keys, depth], "input");
  const k = m.b.reduceAxis("k", depth);
  const S = m.b.compute("S", m.type, [rows, keys], (i, j) => sum(mul(Q.at(i!, k.var), K.at(j!, k.var)), k));
  const r = m.b.reduceAxis("r", keys);
  const M = m.b.compute("M", m.type, [rows], (i) => reduce("max", S.at(i!, r.var), [r]));
  const P = m.b.compute("P", m.type, [rows, keys], (i, j) => joined(m, S.at(i!, j!), M.at(i!)));
  const q = m.b.reduceAxis("q", keys);
  const O = m.b.compute("O", m.type, [rows, depth], (i, j) => sum(mul(P.at(i!, q.var), V.at(q.var, j!)), q));
  return { outputs: [O], roundings: 2 * depth + keys + 16 };
}
function scan(m: Maker): Built {
  const [rows, steps] = [m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [rows, steps], "input"));
  const S = m.b.declare("S", m.type, [rows, steps]);
  m.b.computeInto(
    S,
    "S",
    (i, t) =>
      select(
        compare("eq", t!, 0),
        A.at(i!, t!),
        add(S.at(i!, binary("max", sub(t!, 1), constant(t!.dtype, 0))), A.at(i!, t!)),
      ),
    { kinds: ["spatial", "ordered"] },
  );
  return { outputs: [m.r.chance(0.5) ? S : maybeEpilogue(m, S)], roundings: steps + 16 };
}
/** Where the largest (or smallest) element of a row is. */
function argmax(m: Maker): Built {
  const [rows, depth] = [m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [rows, depth], "input"));
  const k = m.b.reduceAxis("k", depth);
  const order = m.r.pick(["gt", "lt"] as const);
  const place = m.r.pick(["int64", "int32"] as const);
  const [V, I] = m.b.computeTuple(["V", "I"], [m.type, place], [rows], (i) => ({
    kind: "tupleReduction",
    axes: [k],
    init: [A.at(i!, 0), constant(dtype(place), 0)],
    update: ([v, at]) => {
      const x = A.at(i!, k.var);
      const here = cast(place, k.var);
      const better = compare(order, x, v!);
      const tie = binary("and", compare("eq", x, v!), compare("lt", here, at!));
      return [select(better, x, v!), select(binary("or", better, tie), here, at!)];
    },
  }));
  return { outputs: [V!, I!], roundings: 8 };
}
/** Bools and numbers in turn: a mask is made, counted, and chosen by. */
function masks(m: Maker): Built {
  const [rows, n] = [m.n(), m.n()];
  const A = m.b.param("A", m.type, [rows, n], "input");
  const K = m.b.compute("K", "bool", [rows, n], (i, j) => compare(m.r.pick(["gt", "ne"]), A.at(i!, j!), small(m)));
  const k = m.b.reduceAxis("k", n);
  const N = m.b.compute("N", "int32", [rows], (i) => sum(cast("int32", K.at(i!, k.var)), k));
  const q = m.b.reduceAxis("q", n);
  const every = m.b.compute("every", "bool", [rows], (i) => reduce(m.r.pick(["and", "or"]), K.at(i!, q.var), [q]));
  const Y = m.b.compute("Y", m.type, [rows, n], (i, j) =>
    select(
      binary("and", K.at(i!, j!), unary("not", every.at(i!))),
      A.at(i!, j!),
      isFloat(m.type) ? scalarLike(dtype(m.type), 1) : cast(m.type, N.at(i!)),
    ),
  );
  return { outputs: m.r.chance(0.5) ? [Y, every] : [Y], roundings: 4 };
}
function mixedTypes(m: Maker): Built {
  const [rows, depth] = [m.n(), m.n()];
  const A = m.b.param("A", m.type, [rows, depth], "input");
  const via = m.r.pick(["int8", "uint16", "int32", "int64", "float32", "float64", "float16", "bool"] as const);
  const B = m.b.compute("B", via, [rows, depth], (i, j) => cast(via, A.at(i!, j!)));
  const k = m.b.reduceAxis("k", depth);
  const C = m.b.compute("C", via, [rows], (i) => reduce("max", B.at(i!, k.var), [k]));
  const D = m.b.compute("D", m.type, [rows, depth], (i, j) => max(cast(m.type, C.at(i!)), A.at(i!, j!)));
  return { outputs: [D], roundings: 4 };
}

export const staged = [
  stencil,
  stencil,
  windows,
  windows,
  diamond,
  diamond,
  timeSteps,
  chain,
  chain,
  rowReduce,
  rowReduce,
  wholeReduce,
  softmax,
  normalization,
  attention,
  scan,
  argmax,
  masks,
  mixedTypes,
] as const;
