/** MatMul with NumPy batching, and Gemm. */
import { add, cast, mul } from "../../../ir/expr/build.ts";
import { isFloat } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { like, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { broadcastDims, checkType, numbers } from "../shape-rules.ts";
import { asOutput, layoutOption, outputStage, reduceStage, wideBroadcast } from "../stages.ts";

/** Roles of the two inputs of a product: batch extents, m × k and k × n; a vector has no m (or n). */
interface Product {
  readonly batch: readonly number[];
  readonly m: number | undefined;
  readonly n: number | undefined;
  readonly k: number;
}
function product(c: NodeContext, a: StaticType, b: StaticType): Product {
  if (a.dtype !== b.dtype) c.invalid(`factors of types ${a.dtype} and ${b.dtype}`);
  if (a.dims.length === 0 || b.dims.length === 0) c.invalid("a factor is a scalar");
  const k = a.dims.at(-1)!;
  if (k !== (b.dims.at(-2) ?? b.dims[0])) c.invalid(`shapes [${a.dims}] and [${b.dims}] do not multiply`);
  return {
    batch: broadcastDims(c, [a.dims.slice(0, -2), b.dims.slice(0, -2)]),
    m: a.dims.at(-2),
    n: b.dims.length === 1 ? undefined : b.dims.at(-1),
    k,
  };
}
const present = <T>(x: T | undefined): T[] => (x === undefined ? [] : [x]);
const productDims = (p: Product): number[] => [...p.batch, ...present(p.m), ...present(p.n)];

function computeMatMul(c: ComputeContext): Tensor[] {
  const a = c.input(0);
  const b = c.input(1);
  const p = product(c, c.require(0), c.require(1));
  const out = c.output(0);
  const type = workingType(out.dtype);
  const rank = p.batch.length;
  const result = reduceStage(c, {
    name: "matmul",
    type,
    dims: out.dims,
    op: "add",
    axes: [["k", p.k]],
    value: (i, [k]) => {
      const row = p.m === undefined ? [] : [i[rank]!];
      const column = p.n === undefined ? [] : [i.at(-1)!];
      const batch = i.slice(0, rank);
      return mul(elementOf(a, batch, [...row, k!], type), elementOf(b, batch, [k!, ...column], type));
    },
    options: {
      ...layoutOption(c, type === out.dtype),
      annotations: { op: "MatMul", m: p.m ?? 1, n: p.n ?? 1, k: p.k, batch: p.batch, transA: 0, transB: 0 },
    },
  });
  return [asOutput(c, result, "matmul_cast")];
}
/** The element of a factor at `matrix` within the batch that `batch` broadcasts to. */
function elementOf(t: Tensor, batch: readonly Expr[], matrix: readonly Expr[], type: StaticType["dtype"]): Expr {
  const own = t.dims.length - matrix.length;
  const outer = batch.slice(batch.length - own).map((e, i) => (t.dims[i] === 1 ? 0 : e));
  return cast(type, t.at(...outer, ...matrix));
}

/** Attributes of Gemm and the extents they give. */
function gemm(c: NodeContext) {
  const a = checkType(c, 0, numbers);
  const b = c.require(1);
  if (a.dims.length !== 2 || b.dims.length !== 2) c.invalid(`Gemm of shapes [${a.dims}] and [${b.dims}]`);
  const transA = c.attributes.int("transA", 0) !== 0;
  const transB = c.attributes.int("transB", 0) !== 0;
  const [m, k] = transA ? [a.dims[1]!, a.dims[0]!] : [a.dims[0]!, a.dims[1]!];
  const [inner, n] = transB ? [b.dims[1]!, b.dims[0]!] : [b.dims[0]!, b.dims[1]!];
  if (inner !== k) c.invalid(`shapes [${a.dims}] and [${b.dims}] do not multiply`);
  const alpha = c.attributes.float("alpha", 1);
  const beta = c.attributes.float("beta", 1);
  return { m, n, k, transA, transB, alpha, beta, dtype: a.dtype };
}
function computeGemm(c: ComputeContext): Tensor[] {
  const g = gemm(c);
  const a = c.input(0);
  const b = c.input(1);
  const bias = g.beta === 0 ? undefined : c.optional(2);
  const type = workingType(g.dtype);
  const plain = !bias && g.alpha === 1;
  const result = reduceStage(c, {
    name: "matmul",
    type,
    dims: [g.m, g.n],
    op: "add",
    axes: [["k", g.k]],
    value: ([i, j], [k]) => {
      const left = g.transA ? a.at(k!, i!) : a.at(i!, k!);
      return mul(cast(type, left), cast(type, g.transB ? b.at(j!, k!) : b.at(k!, j!)));
    },
    options: {
      ...layoutOption(c, plain && type === g.dtype),
      annotations: {
        op: "MatMul",
        m: g.m,
        n: g.n,
        k: g.k,
        batch: [],
        transA: Number(g.transA),
        transB: Number(g.transB),
      },
    },
  });
  if (plain) return [asOutput(c, result, "gemm_cast")];
  return [outputStage(c, "gemm_bias", (...i) => epilogue(g, result.at(...i), bias && wideBroadcast(bias, i)))];
}
/** alpha·t + beta·bias. */
function epilogue(g: { alpha: number; beta: number }, t: Expr, bias: Expr | undefined): Expr {
  const scale = (e: Expr, factor: number): Expr => {
    if (factor === 1) return e;
    if (isFloat(e.dtype.scalar)) return mul(like(e, factor), e);
    return cast(e.dtype.scalar, mul(like(cast("float64", e), factor), cast("float64", e)));
  };
  return bias ? add(scale(t, g.alpha), scale(bias, g.beta)) : scale(t, g.alpha);
}
function inferGemm(c: NodeContext): StaticType[] {
  const { m, n, dtype } = gemm(c);
  const bias = c.type(2);
  if (bias && broadcastDims(c, [bias.dims, [m, n]]).join() !== `${m},${n}`)
    c.invalid(`C [${bias.dims}] does not broadcast to [${m},${n}]`);
  return [{ dtype, dims: [m, n] }];
}

export const matmulRows: readonly OperatorRow[] = [
  {
    op: "MatMul",
    pattern: "contraction",
    infer: (c) => {
      const a = checkType(c, 0, numbers);
      return [{ dtype: a.dtype, dims: productDims(product(c, a, c.require(1))) }];
    },
    compute: computeMatMul,
  },
  { op: "Gemm", since: 7, pattern: "contraction", infer: inferGemm, compute: computeGemm },
];
