/** Makers of element-wise rows: a row is an operator's name, its element types and one expression. */
import type { ScalarType } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "./row.ts";
import { broadcastDims, checkType, range } from "./shape-rules.ts";
import { outputStage, wideBroadcast } from "./stages.ts";

interface ElementwiseOptions {
  readonly since?: number;
  readonly domain?: string;
  /** Element type of the result; default that of input 0. */
  readonly result?: ScalarType | ((c: NodeContext) => ScalarType);
  /** Inputs of types other than input 0's (or absent) are allowed. */
  readonly mixed?: boolean;
}

/**
 * An operator whose element is `formula` of the inputs' elements (halves widened to float32, absent inputs left out),
 * with NumPy broadcasting. `types` are the element types allowed for input 0.
 */
export function elementwiseRow(
  op: string,
  types: readonly ScalarType[],
  formula: (c: ComputeContext, ...x: Expr[]) => Expr,
  options: ElementwiseOptions = {},
): OperatorRow {
  return {
    op,
    ...(options.domain ? { domain: options.domain } : {}),
    ...(options.since ? { since: options.since } : {}),
    pattern: "elementwise",
    infer: (c) => [inferElementwise(c, types, options)],
    compute: (c) => {
      const inputs = c.node.inputs.map((_, i) => c.optional(i)).filter((t) => t !== undefined);
      return [outputStage(c, op.toLowerCase(), (...i) => formula(c, ...inputs.map((t) => wideBroadcast(t, i))))];
    },
  };
}
function inferElementwise(c: NodeContext, types: readonly ScalarType[], options: ElementwiseOptions): StaticType {
  if (c.attributes.has("broadcast") || (c.node.opset < 7 && c.attributes.has("axis")))
    c.unsupported("broadcasting by attributes, as before opset 7");
  const first = checkType(c, 0, types);
  const inputs = range(c.node.inputs.length).flatMap((i) => c.type(i) ?? []);
  const other = inputs.find((t) => t.dtype !== first.dtype);
  if (other && !options.mixed) c.invalid(`inputs of types ${first.dtype} and ${other.dtype}`);
  const { result = first.dtype } = options;
  return {
    dtype: typeof result === "string" ? result : result(c),
    dims: broadcastDims(
      c,
      inputs.map((t) => t.dims),
    ),
  };
}
