/** Reads at places that data gives: GatherElements, GatherND, OneHot. */
import { add, cast, compare, select } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { elementAt } from "../elements.ts";
import { dataIndex, literal } from "../expressions.ts";
import type { NodeContext, OperatorRow } from "../row.ts";
import { checkType, normalizeAxis, numbers } from "../shape-rules.ts";
import { outputStage } from "../stages.ts";

/** Refuses a read from a tensor without elements. */
function checkSource(c: NodeContext, elements: number): void {
  if (c.require(0).dims.includes(0) && elements > 0) c.invalid("reads from an empty tensor");
}
const gatherElementsRow: OperatorRow = {
  op: "GatherElements",
  since: 11,
  pattern: "injective",
  infer: (c) => {
    const x = c.require(0);
    const indices = checkType(c, 1, ["int32", "int64"]);
    const axis = normalizeAxis(c, c.attributes.int("axis", 0), x.dims.length);
    const fits = x.dims.length > 0 && x.dims.length === indices.dims.length;
    if (!fits || indices.dims.some((n, a) => a !== axis && n > x.dims[a]!))
      c.invalid(`indices [${indices.dims}] into [${x.dims}] along axis ${axis}`);
    checkSource(
      c,
      indices.dims.reduce((a, b) => a * b, 1),
    );
    return [{ dtype: x.dtype, dims: indices.dims }];
  },
  compute: (c) => {
    const [x, indices] = [c.input(0), c.input(1)];
    const axis = normalizeAxis(c, c.attributes.int("axis", 0), x.dims.length);
    return [
      outputStage(c, "gather_elements", (...i) => {
        const place = dataIndex(indices.at(...i), x.dims[axis]!);
        return x.at(...i.map((e, a) => (a === axis ? place : e)));
      }),
    ];
  },
};

/** Leading axes shared by data and indices, and how many coordinates each index tuple has. */
function gatherNd(c: NodeContext): { batch: number; depth: number } {
  const [x, indices] = [c.require(0), checkType(c, 1, ["int64", "int32"])];
  const batch = c.attributes.int("batch_dims", 0);
  const depth = indices.dims.at(-1) ?? 0;
  const shared = x.dims.slice(0, batch).join() === indices.dims.slice(0, batch).join();
  if (batch < 0 || batch >= indices.dims.length || !shared || batch + depth > x.dims.length || depth < 1)
    c.invalid(`indices [${indices.dims}] into [${x.dims}] with ${batch} batch axes`);
  return { batch, depth };
}
const gatherNdRow: OperatorRow = {
  op: "GatherND",
  since: 11,
  pattern: "injective",
  infer: (c) => {
    const [x, indices] = [c.require(0), c.require(1)];
    const { batch, depth } = gatherNd(c);
    const dims = [...indices.dims.slice(0, -1), ...x.dims.slice(batch + depth)];
    checkSource(
      c,
      dims.reduce((a, b) => a * b, 1),
    );
    return [{ dtype: x.dtype, dims }];
  },
  compute: (c) => {
    const [x, indices] = [c.input(0), c.input(1)];
    const { batch, depth } = gatherNd(c);
    const outer = indices.dims.length - 1;
    return [
      outputStage(c, "gather_nd", (...i) => {
        const tuple = Array.from({ length: depth }, (_, k) =>
          dataIndex(indices.at(...i.slice(0, outer), k), x.dims[batch + k]!),
        );
        return x.at(...i.slice(0, batch), ...tuple, ...i.slice(outer));
      }),
    ];
  },
};

/** The extent of a OneHot's new axis. */
function oneHotDepth(c: NodeContext): number {
  const depth = c.requireConstant(1);
  const n = depth.data.length === 1 ? Math.trunc(Number(elementAt(depth, 0))) : c.invalid("depth is not one number");
  return n >= 0 ? n : c.invalid(`depth ${n}`);
}
const oneHotAxis = (c: NodeContext): number =>
  normalizeAxis(c, c.attributes.int("axis", -1), c.require(0).dims.length + 1);
const oneHotRow: OperatorRow = {
  op: "OneHot",
  since: 9,
  pattern: "injective",
  infer: (c) => {
    const indices = checkType(c, 0, numbers);
    const values = c.require(2);
    if (values.dims.join() !== "2") c.invalid(`values [${values.dims}] instead of [off, on]`);
    const axis = oneHotAxis(c);
    return [{ dtype: values.dtype, dims: indices.dims.toSpliced(axis, 0, oneHotDepth(c)) }];
  },
  compute: (c) => {
    const [indices, values] = [c.input(0), c.input(2)];
    const axis = oneHotAxis(c);
    const depth = oneHotDepth(c);
    /** Indices in [-depth, depth-1] mark an element, all others none. */
    const marks = (e: Expr, own: Expr): Expr => {
      const wide = cast("int64", e);
      const wrapped = select(compare("lt", wide, 0), add(wide, literal("int64", depth)), wide);
      return compare("eq", wrapped, own);
    };
    return [
      outputStage(c, "one_hot", (...i) =>
        select(marks(indices.at(...i.toSpliced(axis, 1)), i[axis]!), values.at(1), values.at(0)),
      ),
    ];
  },
};
export const indexedRows: readonly OperatorRow[] = [gatherElementsRow, gatherNdRow, oneHotRow];
