/** Programs that multiply and accumulate: matrix products, convolutions, what the shipped intrinsics compute. */
import {
  add,
  binary,
  call,
  cast,
  compare,
  constant,
  max,
  mul,
  scalarLike,
  select,
  sub,
} from "../../../ir/expr/build.ts";
import { dtype, isFloat, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { channelBlocked } from "../../../ir/graph/layout.ts";
import { inRange, reduce, sum } from "../../../ir/loop/compute.ts";
import { type Built, floatTypes, type Maker, maybeEpilogue, maybePrologue } from "./makers.ts";

function matmul(m: Maker): Built {
  const [rows, columns, depth] = [m.n(), m.n(), m.n()];
  const batch = m.r.chance(0.3) ? [m.r.int(1, 3)] : [];
  const turned = m.r.chance(0.3);
  const A = maybePrologue(m, m.b.param("A", m.type, [...batch, rows, depth], "input"));
  const B = maybePrologue(m, m.b.param("B", m.type, turned ? [columns, depth] : [depth, columns], "input"));
  const k = m.b.reduceAxis("k", depth);
  const C = m.b.compute("C", m.type, [...batch, rows, columns], (...i) =>
    sum(mul(A.at(...i.slice(0, -1), k.var), turned ? B.at(i.at(-1)!, k.var) : B.at(k.var, i.at(-1)!)), k),
  );
  return { outputs: [maybeEpilogue(m, C)], roundings: depth + 24 };
}
/** Narrow operands, a wide accumulator, narrowed again. */
function mixedMatmul(m: Maker): Built {
  const rows = m.r.pick<readonly [ScalarType, ScalarType, ScalarType, ScalarType]>([
    ["int8", "uint8", "int32", "float32"],
    ["uint8", "int8", "int32", "int8"],
    ["int16", "int16", "int64", "int32"],
    ["uint32", "uint8", "uint64", "uint16"],
    ["float16", "float16", "float32", "float16"],
    ["bfloat16", "bfloat16", "float32", "bfloat16"],
    ["float32", "float32", "float64", "float32"],
    ["bool", "int8", "int32", "bool"],
  ]);
  const [ta, tb, wide, out] = rows;
  const [n, columns, depth] = [m.n(), m.n(), m.n()];
  const A = m.b.param("A", ta, [n, depth], "input");
  const B = m.b.param("B", tb, [depth, columns], "constant");
  const k = m.b.reduceAxis("k", depth);
  const C = m.b.compute("C", wide, [n, columns], (i, j) =>
    sum(mul(cast(wide, A.at(i!, k.var)), cast(wide, B.at(k.var, j!))), k),
  );
  if (m.r.chance(0.3)) return { outputs: [C], roundings: depth + 4 };
  const D = m.b.compute("D", out, [n, columns], (i, j) => {
    const v = C.at(i!, j!);
    return isFloat(out) ? mul(cast(out, v), constant(dtype(out), 0.5)) : cast(out, v);
  });
  return { outputs: [D], roundings: depth + 6 };
}
/** The layout that a dot product of unsigned and signed bytes, or of bfloat16, takes. */
function dotTiles(m: Maker): Built {
  const bytes = m.r.chance(0.6);
  const width = bytes ? 4 : 2;
  const [rows, tiles, depth] = [m.r.pick([1, 2, 3, 5]), m.r.pick([1, 2]), m.r.pick([1, 2, 3, 4])];
  const columns = 16 * tiles;
  const [ta, tb, tc]: readonly ScalarType[] = bytes ? ["uint8", "int8", "int32"] : ["bfloat16", "bfloat16", "float32"];
  const A = m.b.param("A", ta!, [rows, depth * width], "input");
  const B = m.b.param("B", tb!, [depth, columns, width], "constant");
  const k = m.b.reduceAxis("k", depth);
  const q = m.b.reduceAxis("q", width);
  const C = m.b.compute("C", tc!, [rows, columns], (i, j) =>
    sum(mul(cast(tc!, A.at(i!, add(mul(k.var, width), q.var))), cast(tc!, B.at(k.var, j!, q.var))), k, q),
  );
  return { outputs: [C], roundings: depth * width + 4 };
}
/** Extents that the outer product of multiply-adds divides. */
function outerTiles(m: Maker): Built {
  const [rows, columns, depth] = [m.r.pick([1, 2, 4, 8]), m.r.pick([2, 4, 8, 16]), m.n()];
  const A = m.b.param("A", "float32", [rows, depth], "input");
  const B = m.b.param("B", "float32", [depth, columns], "input");
  const k = m.b.reduceAxis("k", depth);
  const C = m.b.compute("C", "float32", [rows, columns], (i, j) => sum(mul(A.at(i!, k.var), B.at(k.var, j!)), k));
  return { outputs: [C], roundings: depth + 4 };
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
  return { outputs: [maybeEpilogue(m, C)], roundings: c * kernel + 16 };
}
/** Two dimensions, strides and dilations, with the padding as a condition of the product itself. */
function convolution(m: Maker): Built {
  const [h, w, o] = [m.r.int(2, 7), m.r.int(2, 7), m.r.int(1, 3)];
  const c = m.r.int(1, 3);
  const [stride, dilation, kernel] = [m.r.int(1, 2), m.r.int(1, 2), m.r.int(1, 3)];
  const reach = dilation * (kernel - 1);
  const [oh, ow] = [h, w].map((n) => Math.floor((n + 2 - reach - 1) / stride) + 1);
  if (oh! < 1 || ow! < 1) return paddedConvolution(m);
  const A = maybePrologue(m, m.b.param("A", m.type, [c, h, w], "input"));
  const W = m.b.param("W", m.type, [o, c, kernel, kernel], "constant");
  const [ci, ky, kx] = [m.b.reduceAxis("ci", c), m.b.reduceAxis("ky", kernel), m.b.reduceAxis("kx", kernel)];
  const C = m.b.compute("C", m.type, [o, oh!, ow!], (oc, y, x) => {
    const iy = sub(add(mul(y!, stride), mul(ky.var, dilation)), 1);
    const ix = sub(add(mul(x!, stride), mul(kx.var, dilation)), 1);
    const inside = binary("and", inRange(iy, h), inRange(ix, w));
    const value = select(inside, A.at(ci.var, iy, ix), scalarLike(dtype(m.type), 0));
    return sum(mul(value, W.at(oc!, ci.var, ky.var, kx.var)), ci, ky, kx);
  });
  return { outputs: [maybeEpilogue(m, C)], roundings: c * kernel * kernel + 16 };
}
/** Each channel on its own; then perhaps a product over channels: an inverted residual in small. */
function depthwise(m: Maker): Built {
  const [c, h, w] = [m.r.int(1, 5), m.r.int(3, 8), m.r.int(3, 8)];
  const A = m.b.param("A", m.type, [c, h, w], "input");
  const W = m.b.param("W", m.type, [c, 3, 3], "input");
  const source = m.r.chance(0.5)
    ? m.b.compute("X", m.type, [c, h, w], (k, y, x) => max(A.at(k!, y!, x!), scalarLike(dtype(m.type), 0)))
    : A;
  const [ky, kx] = [m.b.reduceAxis("ky", 3), m.b.reduceAxis("kx", 3)];
  const D = m.b.compute("D", m.type, [c, h - 2, w - 2], (k, y, x) =>
    sum(mul(source.at(k!, add(y!, ky.var), add(x!, kx.var)), W.at(k!, ky.var, kx.var)), ky, kx),
  );
  if (m.r.chance(0.4)) return { outputs: [D], roundings: 24 };
  const o = m.r.int(1, 4);
  const V = m.b.param("V", m.type, [o, c], "constant");
  const ci = m.b.reduceAxis("ci", c);
  const E = m.b.compute("E", m.type, [o, h - 2, w - 2], (k, y, x) =>
    sum(mul(V.at(k!, ci.var), D.at(ci.var, y!, x!)), ci),
  );
  return { outputs: [E], roundings: 40 };
}
function blockedConvolution(m: Maker): Built {
  const [channels, out, w] = [m.r.int(1, 6), m.r.pick([3, 4, 8]), m.r.int(2, 6)];
  const lanes = 4;
  const halo = [0, 0, 1, 1].map((v) => ({ before: v, after: v }));
  const layout = channelBlocked(4, lanes, halo);
  const A = m.b.param("A", m.type, [1, channels, w, w], "input");
  const W = m.b.param("W", m.type, [out, channels, 3, 3], "input");
  const within = (e: Expr, n: number): Expr => binary("min", e, constant(e.dtype, n - 1));
  const X = m.b.compute(
    "X",
    m.type,
    [1, channels, w, w],
    (n, c, y, x) =>
      select(compare("lt", c!, channels), A.at(n!, within(c!, channels), y!, x!), scalarLike(dtype(m.type), 0)),
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
          W.at(within(o!, out), c.var, ky.var, kx.var),
          X.at(n!, c.var, sub(add(y!, ky.var), 1), sub(add(x!, kx.var), 1)),
        ),
        c,
        ky,
        kx,
      ),
    { layout: channelBlocked(4, lanes) },
  );
  const Y = m.b.compute("Y", m.type, [1, out, w, w], (n, o, y, x) => C.at(n!, o!, y!, x!));
  return { outputs: [Y], roundings: channels * 9 + 8 };
}
/** Windows of a map: their maximum, minimum or sum. */
function pooling(m: Maker): Built {
  const [c, w, kernel, stride] = [m.r.int(1, 4), m.r.int(3, 13), m.r.int(1, 3), m.r.int(1, 3)];
  const out = Math.floor((w - kernel) / stride) + 1;
  const A = maybePrologue(m, m.b.param("A", m.type, [c, w], "input"));
  const kx = m.b.reduceAxis("kx", kernel);
  const op = m.r.pick(["max", "min", "add"] as const);
  const P = m.b.compute("P", m.type, [c, out], (k, x) => reduce(op, A.at(k!, add(mul(x!, stride), kx.var)), [kx]));
  return { outputs: [maybeEpilogue(m, P)], roundings: 24 };
}
function fmaReduce(m: Maker): Built {
  const depth = m.n();
  const type = m.r.pick(floatTypes);
  const A = m.b.param("A", type, [depth], "input");
  const k = m.b.reduceAxis("k", depth);
  const S = m.b.compute("S", type, [1], () =>
    sum(call("fma", [A.at(k.var), A.at(k.var), A.at(k.var)], dtype(type)), k),
  );
  return { outputs: [S], roundings: depth + 4 };
}

export const dense = [
  matmul,
  matmul,
  matmul,
  mixedMatmul,
  mixedMatmul,
  dotTiles,
  outerTiles,
  paddedConvolution,
  convolution,
  depthwise,
  blockedConvolution,
  pooling,
  fmaReduce,
] as const;
