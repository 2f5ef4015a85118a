/** Random programs: each row builds one shape of computation at random extents and types. */
import {
  add,
  binary,
  call,
  cast,
  compare,
  constant,
  floordiv,
  floormod,
  max,
  mul,
  scalarLike,
  select,
  sub,
  unary,
} from "../../../ir/expr/build.ts";
import { dtype, isFloat, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { channelBlocked } from "../../../ir/graph/layout.ts";
import { ComputeBuilder, inRange, reduce, sum, type Tensor } from "../../../ir/loop/compute.ts";
import type { MathPolicy, Program } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { indexSimplifier } from "../../../passes/simplify/index.ts";
import type { Random } from "./random.ts";

/** A program, and how many roundings may separate two orders of its operations. */
export interface Sample {
  readonly kind: string;
  readonly program: Program;
  readonly roundings: number;
}
interface Maker {
  readonly r: Random;
  readonly b: ComputeBuilder;
  readonly type: ScalarType;
  readonly n: () => number;
}
type Built = { readonly outputs: readonly Tensor[]; readonly roundings: number };

const extents = [1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 16];
const types: readonly ScalarType[] = ["float32", "float32", "int32", "int8", "uint8", "int64"];

/** A random element-wise function of some values. */
function pointwise(m: Maker, values: readonly Expr[]): Expr {
  const mixed = values.reduce((a, v) => binary(m.r.pick(["add", "sub", "mul", "max", "min"]), a, v));
  switch (m.r.int(0, 3)) {
    case 0:
      return max(mixed, scalarLike(dtype(m.type), 0));
    case 1:
      return select(compare("gt", mixed, scalarLike(dtype(m.type), 1)), mixed, values[0]!);
    case 2:
      return isFloat(m.type) ? unary("abs", mixed) : mixed;
    default:
      return mul(mixed, scalarLike(dtype(m.type), 2));
  }
}
const maybePrologue = (m: Maker, t: Tensor): Tensor =>
  m.r.chance(0.3) ? m.b.compute(`${t.buffer.name}_p`, m.type, t.dims, (...i) => pointwise(m, [t.at(...i)])) : t;
function maybeEpilogue(m: Maker, t: Tensor): Tensor {
  if (!m.r.chance(0.5)) return t;
  const bias = m.b.param("bias", m.type, [t.dims.at(-1)!], "input");
  const first = m.b.compute("E", m.type, t.dims, (...i) => add(t.at(...i), bias.at(i.at(-1)!)));
  return m.r.chance(0.4) ? m.b.compute("F", m.type, t.dims, (...i) => pointwise(m, [first.at(...i)])) : first;
}

function matmul(m: Maker): Built {
  const [rows, columns, depth] = [m.n(), m.n(), m.n()];
  const batch = m.r.chance(0.3) ? [m.r.int(1, 3)] : [];
  const A = maybePrologue(m, m.b.param("A", m.type, [...batch, rows, depth], "input"));
  const B = maybePrologue(m, m.b.param("B", m.type, [depth, columns], "input"));
  const k = m.b.reduceAxis("k", depth);
  const C = m.b.compute("C", m.type, [...batch, rows, columns], (...i) =>
    sum(mul(A.at(...i.slice(0, -1), k.var), B.at(k.var, i.at(-1)!)), k),
  );
  return { outputs: [maybeEpilogue(m, C)], roundings: depth };
}
function stencil(m: Maker): Built {
  const [w, h] = [m.n(), m.n()];
  const a = m.b.param("A", m.type, [w + 4, h + 2], "input");
  const A = maybePrologue(m, a);
  const B = m.b.compute("B", m.type, [w + 2, h + 2], (x, y) =>
    add(add(A.at(x!, y!), A.at(add(x!, 1), y!)), A.at(add(x!, 2), y!)),
  );
  const C = m.b.compute("C", m.type, [w, h], (x, y) =>
    add(add(B.at(x!, y!), B.at(add(x!, 1), add(y!, 1))), B.at(add(x!, 2), add(y!, 2))),
  );
  return { outputs: m.r.chance(0.2) ? [B, C] : [maybeEpilogue(m, C)], roundings: 8 };
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
  return { outputs: [made.at(-1)!], roundings: 8 };
}
function rowReduce(m: Maker): Built {
  const [rows, depth] = [m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [rows, depth], "input"));
  const op = m.r.pick(["add", "max", "min"] as const);
  const k = m.b.reduceAxis("k", depth);
  const byRow = m.r.chance(0.6);
  const n = byRow ? rows : depth;
  const axis = byRow ? k : m.b.reduceAxis("r", rows);
  const S = m.b.compute("S", m.type, [n], (i) => reduce(op, byRow ? A.at(i!, k.var) : A.at(axis.var, i!), [axis]));
  if (!m.r.chance(0.5)) return { outputs: [S], roundings: Math.max(rows, depth) };
  const D = m.b.compute("D", m.type, [rows, depth], (i, j) => sub(A.at(i!, j!), S.at(byRow ? i! : j!)));
  return { outputs: [D], roundings: Math.max(rows, depth) };
}
function softmax(m: Maker): Built {
  const [rows, depth] = [m.n(), m.n()];
  const A = m.b.param("A", "float32", [rows, depth], "input");
  const k = m.b.reduceAxis("k", depth);
  const M = m.b.compute("M", "float32", [rows], (i) => reduce("max", A.at(i!, k.var), [k]));
  const X = m.b.compute("X", "float32", [rows, depth], (i, j) => unary("exp", sub(A.at(i!, j!), M.at(i!))));
  const q = m.b.reduceAxis("q", depth);
  const S = m.b.compute("S", "float32", [rows], (i) => sum(X.at(i!, q.var), q));
  const Y = m.b.compute("Y", "float32", [rows, depth], (i, j) => binary("div", X.at(i!, j!), S.at(i!)));
  return { outputs: [Y], roundings: depth + 8 };
}
function paddedConvolution(m: Maker): Built {
  const [c, o, w] = [m.r.int(1, 4), m.r.int(1, 5), m.n()];
  const kernel = m.r.int(1, 3);
  const A = m.b.param("A", m.type, [c, w], "input");
  const W = m.b.param("W", m.type, [o, c, kernel], "input");
  const padded = m.b.compute("P", m.type, [c, w + 2], (i, x) =>
    select(inRange(sub(x!, 1), w), A.at(i!, sub(x!, 1)), scalarLike(dtype(m.type), 0)),
  );
  const ci = m.b.reduceAxis("ci", c);
  const kx = m.b.reduceAxis("kx", kernel);
  const C = m.b.compute("C", m.type, [o, w + 3 - kernel], (oc, x) =>
    sum(mul(W.at(oc!, ci.var, kx.var), padded.at(ci.var, add(x!, kx.var))), ci, kx),
  );
  return { outputs: [maybeEpilogue(m, C)], roundings: c * kernel };
}
function blockedConvolution(m: Maker): Built {
  const [channels, out, w] = [m.r.int(1, 6), m.r.pick([3, 4, 8]), m.r.int(2, 7)];
  const lanes = 4;
  const halo = [0, 0, 1, 1].map((v) => ({ before: v, after: v }));
  const layout = channelBlocked(4, lanes, halo);
  const A = m.b.param("A", m.type, [1, channels, w, w], "input");
  const W = m.b.param("W", m.type, [out, channels, 3, 3], "input");
  const X = m.b.compute(
    "X",
    m.type,
    [1, channels, w, w],
    (n, c, y, x) =>
      select(
        compare("lt", c!, channels),
        A.at(n!, binary("min", c!, constant(c!.dtype, channels - 1)), y!, x!),
        scalarLike(dtype(m.type), 0),
      ),
    { layout },
  );
  const [c, ky, kx] = [m.b.reduceAxis("rc", channels), m.b.reduceAxis("ky", 3), m.b.reduceAxis("kx", 3)];
  const C = m.b.compute(
    "C",
    m.type,
    [1, out, w, w],
    (n, o, y, x) =>
      sum(
        mul(
          W.at(binary("min", o!, constant(o!.dtype, out - 1)), c.var, ky.var, kx.var),
          X.at(n!, c.var, sub(add(y!, ky.var), 1), sub(add(x!, kx.var), 1)),
        ),
        c,
        ky,
        kx,
      ),
    { layout: channelBlocked(4, lanes) },
  );
  const Y = m.b.compute("Y", m.type, [1, out, w, w], (n, o, y, x) => C.at(n!, o!, y!, x!));
  return { outputs: [Y], roundings: channels * 9 };
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
  return { outputs: [m.r.chance(0.5) ? S : maybeEpilogue(m, S)], roundings: steps };
}
function scatter(m: Maker): Built {
  const [n, k] = [m.n(), m.n()];
  const A = m.b.param("A", m.type, [n], "input");
  const U = m.b.param("U", m.type, [k], "input");
  const C = m.b.compute("C", m.type, [n], (i) => A.at(i!));
  m.b.write(C, "put", [k], (i) => ({ at: [floormod(mul(i!, 3), n)], value: U.at(i!) }), { kinds: ["ordered"] });
  const D = m.b.compute("D", m.type, [n], (i) => add(C.at(i!), C.at(i!)));
  return { outputs: [m.r.chance(0.5) ? C : D], roundings: 4 };
}
function concat(m: Maker): Built {
  const [n, a, b] = [m.n(), m.n(), m.n()];
  const A = m.b.param("A", m.type, [n, a], "input");
  const B = m.b.param("B", m.type, [n, b], "input");
  const C = m.b.declare("C", m.type, [n, a + b]);
  m.b.write(C, "left", [n, a], (i, j) => ({ at: [i!, j!], value: A.at(i!, j!) }));
  m.b.write(C, "right", [n, b], (i, j) => ({ at: [i!, add(j!, a)], value: B.at(i!, j!) }));
  return { outputs: [maybeEpilogue(m, C)], roundings: 4 };
}
function reshapeTranspose(m: Maker): Built {
  const [a, b] = [m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [a * b], "input"));
  const R = m.b.compute("R", m.type, [a, b], (i, j) => A.at(add(mul(i!, b), j!)));
  const T = m.b.compute("T", m.type, [b, a], (i, j) => R.at(j!, i!));
  const F = m.b.compute("Fl", m.type, [a * b], (i) => pointwise(m, [T.at(floordiv(i!, a), floormod(i!, a))]));
  return { outputs: [F], roundings: 8 };
}
function argmax(m: Maker): Built {
  const [rows, depth] = [m.n(), m.n()];
  const A = m.b.param("A", m.type, [rows, depth], "input");
  const k = m.b.reduceAxis("k", depth);
  const [V, I] = m.b.computeTuple(["V", "I"], [m.type, "int64"], [rows], (i) => ({
    kind: "tupleReduction",
    axes: [k],
    init: [A.at(i!, 0), constant(dtype("int64"), 0)],
    update: ([v, at]) => {
      const x = A.at(i!, k.var);
      const better = compare("gt", x, v!);
      const tie = binary("and", compare("eq", x, v!), compare("lt", k.var, at!));
      return [select(better, x, v!), select(binary("or", better, tie), k.var, at!)];
    },
  }));
  return { outputs: [V!, I!], roundings: 1 };
}
function mixedAccumulator(m: Maker): Built {
  const [rows, depth] = [m.n(), m.n()];
  const A = m.b.param("A", "int8", [rows, depth], "input");
  const B = m.b.param("B", "uint8", [depth], "input");
  const k = m.b.reduceAxis("k", depth);
  const C = m.b.compute("C", "int32", [rows], (i) =>
    sum(mul(cast("int32", A.at(i!, k.var)), cast("int32", B.at(k.var))), k),
  );
  const D = m.b.compute("D", "float32", [rows], (i) =>
    mul(cast("float32", C.at(i!)), constant(dtype("float32"), 0.125)),
  );
  return { outputs: [D], roundings: 4 };
}
function fmaReduce(m: Maker): Built {
  const depth = m.n();
  const A = m.b.param("A", "float32", [depth], "input");
  const k = m.b.reduceAxis("k", depth);
  const S = m.b.compute("S", "float32", [1], () =>
    sum(call("fma", [A.at(k.var), A.at(k.var), A.at(k.var)], dtype("float32")), k),
  );
  return { outputs: [S], roundings: depth };
}

const makers: readonly ((m: Maker) => Built)[] = [
  matmul,
  matmul,
  stencil,
  stencil,
  chain,
  chain,
  rowReduce,
  softmax,
  paddedConvolution,
  blockedConvolution,
  scan,
  scatter,
  concat,
  reshapeTranspose,
  argmax,
  mixedAccumulator,
  fmaReduce,
];

/** A random program. */
export function randomProgram(r: Random): Sample {
  const make = r.pick(makers);
  const b = new ComputeBuilder(new IdSource(), indexSimplifier);
  const type = r.pick(types);
  const { outputs, roundings } = make({ r, b, type, n: () => r.pick(extents) });
  const math: MathPolicy = r.chance(0.2) ? "strict" : "default";
  return { kind: make.name, program: b.finish(make.name, outputs, { math }), roundings };
}
