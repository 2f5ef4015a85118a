/** Single operators over a wide range of shapes, with at most an activation behind. */
import { elementCount } from "../../../ir/graph/tensor-value.ts";
import { activation, constantArithmetic, convolution, pool, reduce, resize, transposedConvolution } from "./images.ts";
import type { Known, Source } from "./source.ts";
import { gemm, softmax } from "./tokens.ts";

/** Mostly small numbers, now and then one around a power of two or large. */
function extent(s: Source, most: number): number {
  const power = 2 ** s.int(0, Math.floor(Math.log2(most)));
  return Math.min(most, Math.max(1, s.chance(0.5) ? s.int(1, most) : power + s.int(-1, 1)));
}
function featureMap(s: Source): Known {
  const side = extent(s, 60);
  const w = s.chance(0.7) ? side : extent(s, 60);
  const c = Math.min(extent(s, 200), Math.ceil(150_000 / (side * w)));
  return s.input([s.pick([1, 1, 1, 2, 3]), c, side, w]);
}
function matmul(s: Source): Known {
  const [m, k, n] = [extent(s, 150), extent(s, 300), extent(s, 300)];
  const batch = s.pick([[], [], [2], [3, 1], [1, 5]]);
  const a = s.input([...batch, m, k]);
  const kind = s.pick(["constant", "dynamic", "batched"]);
  const b = kind === "constant" ? s.constant([k, n], 0.1) : s.input([...(kind === "batched" ? batch : []), k, n]);
  return s.one("MatMul", [a, b]);
}
function anyShape(s: Source): Known {
  const rank = s.int(1, 5);
  const dims = Array.from({ length: rank }, () => extent(s, rank <= 2 ? 300 : rank === 3 ? 60 : 12));
  return s.input(dims);
}
function transpose(s: Source): Known {
  const x = anyShape(s);
  return s.one("Transpose", [x], { perm: s.shuffled(x.dims.map((_, i) => i)) }, true);
}
function anyReduction(s: Source): Known {
  const x = anyShape(s);
  const axes = x.dims.map((_, i) => i).filter(() => s.chance(0.5));
  return reduce(
    s,
    s.pick(["ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp"]),
    x,
    axes,
    s.chance(0.5),
  );
}
const makers: readonly ((s: Source) => Known)[] = [
  (s) => convolution(s, featureMap(s)),
  (s) => convolution(s, featureMap(s)),
  (s) => convolution(s, featureMap(s)),
  (s) => pool(s, featureMap(s)),
  (s) => resize(s, featureMap(s)),
  (s) => transposedConvolution(s, featureMap(s)),
  matmul,
  matmul,
  (s) => gemm(s, s.input([extent(s, 100), extent(s, 300)]), extent(s, 300)),
  (s) => softmax(s, anyShape(s)),
  anyReduction,
  transpose,
];

/** One operator, often followed by an activation, a residual or arithmetic with constants. */
export function singleOperator(s: Source, _length: number): Known[] {
  const y = s.pick(makers)(s);
  if (elementCount(y.dims) === 0 || y.dims.length === 0) return [y];
  const follow = s.pick(["none", "activation", "arithmetic", "residual", "both"]);
  if (follow === "none") return [y];
  if (follow === "residual") return [s.one("Add", [y, s.input(y.dims)])];
  const z = follow === "activation" ? y : constantArithmetic(s, y);
  return [follow === "arithmetic" ? z : activation(s, z)];
}
