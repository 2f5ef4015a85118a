/** Random networks over token sequences: matrix products, attention, normalization. */
import { elementCount } from "../../../ir/graph/tensor-value.ts";
import { activation, constantArithmetic, gelu, reduce } from "./images.ts";
import { float, type Known, type Source } from "./source.ts";

const sizes = [1, 2, 3, 5, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 100];

function product(s: Source, x: Known): Known {
  const k = x.dims.at(-1)!;
  const n = s.pick(sizes);
  const scale = 1 / Math.sqrt(k);
  const kind = s.pick(["constant", "constant", "constant", "vector", "batched", "dynamic", "gemm", "left"]);
  if (kind === "vector") return s.one("MatMul", [x, s.constant([k], scale)]);
  if (kind === "left")
    return x.dims.length >= 2
      ? s.one("MatMul", [s.constant([n, x.dims.at(-2)!], 0.3), x])
      : s.one("MatMul", [s.constant([n, k], scale), x]);
  if (kind === "batched") {
    const batch = x.dims.slice(0, -2).map((d) => (s.chance(0.5) ? d : 1));
    return s.one("MatMul", [x, s.constant([...(s.chance(0.2) ? [2] : []), ...batch, k, n], scale)]);
  }
  if (kind === "dynamic") return s.one("MatMul", [x, s.input([k, n])]);
  if (kind === "gemm" && x.dims.length === 2) return gemm(s, x, n);
  const y = s.one("MatMul", [x, s.constant([k, n], scale)]);
  return s.chance(0.6) ? s.one("Add", s.chance(0.5) ? [y, s.constant([n])] : [s.constant([n]), y]) : y;
}
/** A random node of its kind. */
export function gemm(s: Source, x: Known, n: number): Known {
  const transA = s.chance(0.2) ? 1 : 0;
  const transB = s.chance(0.5) ? 1 : 0;
  const [m, k] = transA ? [x.dims[1]!, x.dims[0]!] : [x.dims[0]!, x.dims[1]!];
  const b = s.constant(transB ? [n, k] : [k, n], 1 / Math.sqrt(k));
  const c = s.pick([
    undefined,
    s.constant([n]),
    s.constant([1, n]),
    s.constant([m, 1]),
    s.constant([m, n]),
    s.scalar(0.5),
    s.constant([1]),
  ]);
  const attributes = {
    ...(transA ? { transA } : {}),
    ...(transB ? { transB } : {}),
    ...(s.chance(0.2) ? { alpha: float(0.5) } : {}),
    ...(s.chance(0.2) ? { beta: float(2) } : {}),
  };
  return s.one("Gemm", c ? [x, b, c] : [x, b], attributes);
}
function attention(s: Source, x: Known): Known {
  if (x.dims.length !== 3) return x;
  const [b, t, d] = x.dims as [number, number, number];
  const heads = s.pick([1, 2, 3, 4].filter((h) => d % h === 0));
  const e = d / heads;
  const project = (perm: number[]): Known => {
    const p = s.one("MatMul", [x, s.constant([d, d], 1 / Math.sqrt(d))]);
    const y = s.chance(0.7) ? s.one("Add", [p, s.constant([d])]) : p;
    return s.one("Transpose", [s.one("Reshape", [y, s.ints([b, t, heads, e])])], { perm });
  };
  const scores = s.one("MatMul", [project([0, 2, 1, 3]), project([0, 2, 3, 1])]);
  let w = s.one(s.pick(["Div", "Mul"]), [scores, s.scalar(s.pick([0.5, 1.5]))]);
  const mask = s.pick(["none", "add", "where"]);
  if (mask === "add")
    w = s.one("Add", [w, s.pick([s.constant([t, t]), s.constant([1, 1, t, t]), s.constant([b, 1, 1, t])])]);
  if (mask === "where") w = s.one("Where", [s.constant([1, 1, t, t], 1, "bool"), w, s.scalar(-1e9)]);
  const p = s.one("Softmax", [w], { axis: s.pick([-1, 3]) });
  const o = s.one("Transpose", [s.one("MatMul", [p, project([0, 2, 1, 3])])], { perm: [0, 2, 1, 3] });
  const merged = s.one("Reshape", [o, s.ints([b, t, d])]);
  return s.one("Add", [x, s.one("MatMul", [merged, s.constant([d, d], 1 / Math.sqrt(d))])]);
}
function layerNorm(s: Source, x: Known): Known {
  const d = x.dims.at(-1)!;
  if (s.chance(0.5)) {
    const axis = s.pick([-1, -1, x.dims.length - 1, Math.max(0, x.dims.length - 2)]);
    const tail = x.dims.slice(axis);
    return s.one(
      "LayerNormalization",
      s.chance(0.8) ? [x, s.positive(tail), s.constant(tail)] : [x, s.positive(tail)],
      { axis, epsilon: float(0.01) },
    );
  }
  const centered = s.one("Sub", [x, reduce(s, "ReduceMean", x, [-1], true)]);
  const variance = reduce(s, "ReduceMean", s.one("Pow", [centered, s.scalar(2)]), [-1], true);
  const deviation = s.one("Sqrt", [s.one("Add", [variance, s.scalar(0.01)])]);
  return s.one("Add", [s.one("Mul", [s.one("Div", [centered, deviation]), s.positive([d])]), s.constant([d])]);
}
/** A random node of its kind. */
export function softmax(s: Source, x: Known): Known {
  return s.one(s.pick(["Softmax", "LogSoftmax"]), [x], { axis: s.int(-x.dims.length, x.dims.length - 1) });
}
function move(s: Source, x: Known): Known {
  const kind = s.pick(["transpose", "reshape", "gather", "unsqueeze", "concat", "slice", "flatten", "expand"]);
  const rank = x.dims.length;
  if (kind === "transpose")
    return s.one("Transpose", [x], s.chance(0.9) ? { perm: s.shuffled(x.dims.map((_, i) => i)) } : {}, true);
  if (kind === "reshape")
    return s.one(
      "Reshape",
      [x, s.ints(s.pick([[-1, x.dims.at(-1)!], [1, ...x.dims], [-1], [x.dims[0]!, -1]]))],
      {},
      true,
    );
  if (kind === "gather") {
    const axis = s.int(0, rank - 1);
    return s.one(
      "Gather",
      [x, s.ints(Array.from({ length: s.int(1, 5) }, () => s.int(-x.dims[axis]!, x.dims[axis]! - 1)))],
      { axis },
      true,
    );
  }
  if (kind === "unsqueeze")
    return rank < 4 ? s.one("Unsqueeze", [x, s.ints([s.int(0, rank)])], {}, true) : s.one("Squeeze", [x], {}, true);
  if (kind === "concat") return s.one("Concat", [x, x, s.constant(x.dims)], { axis: s.int(-rank, rank - 1) }, true);
  if (kind === "slice")
    return s.one("Slice", [x, s.ints([0]), s.ints([Math.max(1, x.dims[rank - 1]! - 1)]), s.ints([-1])], {}, true);
  if (kind === "expand") return s.one("Expand", [x, s.ints([2, ...x.dims.map(() => 1)])], {}, true);
  return s.one("Flatten", [x], { axis: s.int(0, rank) }, true);
}
function feedForward(s: Source, x: Known): Known {
  const d = x.dims.at(-1)!;
  const h = s.pick(sizes);
  const up = s.one("Add", [s.one("MatMul", [x, s.constant([d, h], 1 / Math.sqrt(d))]), s.constant([h])]);
  const down = s.one("MatMul", [s.chance(0.6) ? gelu(s, up) : activation(s, up), s.constant([h, d], 1 / Math.sqrt(h))]);
  return s.one("Add", [s.one("Add", [down, s.constant([d])]), x]);
}
function residual(s: Source, x: Known): Known {
  const same = s.pool.filter((v) => v.type === "float32" && v.dims.join() === x.dims.join());
  return s.one(s.pick(["Add", "Mul"]), [x, s.pick(same.length > 0 ? same : [x])]);
}

const steps = [
  product,
  product,
  product,
  attention,
  attention,
  layerNorm,
  layerNorm,
  softmax,
  move,
  feedForward,
  activation,
  constantArithmetic,
  residual,
];

/** A network of `length` random steps over [tokens, features] with zero to two batch axes. */
export function tokenNetwork(s: Source, length: number): Known[] {
  const lead = s.pick([[], [1], [2], [3], [2, 3], [1, 4]]);
  let x: Known = s.input([...lead, s.pick(sizes), s.pick(sizes)]);
  const made: Known[] = [];
  for (let i = 0; i < length; i++) {
    if (s.chance(0.1)) x = s.pick(s.pool.filter((v) => v.type === "float32"));
    if (x.dims.length < 1 || elementCount(x.dims) > 30_000) continue;
    x = s.pick(x.dims.length >= 2 ? steps : [softmax, activation])(s, x);
    made.push(x);
  }
  return [x, ...made];
}
