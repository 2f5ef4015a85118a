/** Einsum: any equation, as one reduction over the labels that the result leaves out. */
import { index, mul } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { broadcastDims, checkType, numbers, range } from "../shape-rules.ts";
import { asOutput, reduceStage, wide } from "../stages.ts";

/** A parsed equation. Axes of an ellipsis get labels of their own: `0`, `1`, … from the left. */
interface Equation {
  /** One label for each axis of each input. */
  readonly inputs: readonly (readonly string[])[];
  readonly output: readonly string[];
  readonly extents: ReadonlyMap<string, number>;
}
function parse(c: NodeContext): Equation {
  const text = c.attributes.string("equation", "").replaceAll(" ", "");
  const [left, right, ...more] = text.split("->");
  const terms = left!.split(",");
  const valid = [...terms, right ?? ""].every((t) => /^[A-Za-z]*(\.\.\.)?[A-Za-z]*$/.test(t));
  if (!valid || more.length > 0 || terms.length !== c.node.inputs.length) c.invalid(`equation ${JSON.stringify(text)}`);
  const dims = terms.map((_, i) => c.require(i).dims);
  const named = (t: string): number => t.replace("...", "").length;
  const spans = terms.map((t, i) => (t.includes("...") ? dims[i]!.length - named(t) : 0));
  terms.forEach((t, i) => {
    if (spans[i]! < 0 || (!t.includes("...") && dims[i]!.length !== named(t)))
      c.invalid(`term ${JSON.stringify(t)} for a tensor [${dims[i]}]`);
  });
  const widest = Math.max(0, ...spans);
  const labels = (t: string, span: number): string[] => {
    const [before, after] = t.split("...");
    return after === undefined
      ? [...before!]
      : [...before!, ...range(span).map((k) => `${widest - span + k}`), ...after];
  };
  const inputs = terms.map((t, i) => labels(t, spans[i]!));
  const extents = extentsOf(c, inputs, dims);
  const output = right === undefined ? implicitOutput(inputs, widest) : labels(right, widest);
  if (new Set(output).size !== output.length || output.some((l) => !extents.has(l)))
    c.invalid(`equation ${JSON.stringify(text)}`);
  return { inputs, output, extents };
}
function extentsOf(c: NodeContext, inputs: readonly (readonly string[])[], dims: readonly (readonly number[])[]) {
  const seen = new Map<string, number[][]>();
  for (const [i, labels] of inputs.entries())
    for (const [a, l] of labels.entries()) seen.set(l, [...(seen.get(l) ?? []), [dims[i]![a]!]]);
  return new Map([...seen].map(([l, each]) => [l, broadcastDims(c, each)[0]!] as const));
}
/** The ellipsis, then every label that occurs once, in alphabetical order. */
function implicitOutput(inputs: readonly (readonly string[])[], widest: number): string[] {
  const all = inputs.flat().filter((l) => /[A-Za-z]/.test(l));
  const once = all.filter((l) => all.indexOf(l) === all.lastIndexOf(l)).sort();
  return [...range(widest).map(String), ...once];
}
function computeEinsum(c: ComputeContext): Tensor[] {
  const e = parse(c);
  const summed = [...e.extents].filter(([l]) => !e.output.includes(l));
  const total = reduceStage(c, {
    name: "einsum",
    type: workingType(c.output(0).dtype),
    dims: c.output(0).dims,
    op: "add",
    axes: summed,
    value: (i, k) => {
      const place = (label: string): Expr => {
        const o = e.output.indexOf(label);
        return o >= 0 ? i[o]! : k[summed.findIndex(([l]) => l === label)]!;
      };
      return e.inputs
        .map((labels, n) => {
          const x = c.input(n);
          return wide(x, ...labels.map((l, a) => (x.dims[a] === 1 ? index(0) : place(l))));
        })
        .reduce((a, b) => mul(a, b));
    },
  });
  return [asOutput(c, total, "einsum_copy")];
}
export const einsumRows: readonly OperatorRow[] = [
  {
    op: "Einsum",
    since: 12,
    pattern: "reduction",
    infer: (c) => {
      const { dtype } = checkType(c, 0, numbers);
      const e = parse(c);
      if (e.inputs.some((_, i) => c.require(i).dtype !== dtype)) c.invalid("inputs of several types");
      return [{ dtype, dims: e.output.map((l) => e.extents.get(l)!) }];
    },
    compute: computeEinsum,
  },
];
