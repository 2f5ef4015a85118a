/** Optional values, as far as tensors go; and operators that are refused, with the reason. */
import { tensorOf } from "../elements.ts";
import type { NodeContext, OperatorRow } from "../row.ts";

const random = "random numbers, which no test could reproduce";
const strings = "tensors of strings";
const sequences = "sequences of tensors";
const control = "control flow with inner graphs";
const reasons: Readonly<Record<string, string>> = {
  Bernoulli: random,
  Multinomial: random,
  RandomNormal: random,
  RandomNormalLike: random,
  RandomUniform: random,
  RandomUniformLike: random,
  ImageDecoder: "decoding of image files within a network",
  RegexFullMatch: strings,
  StringConcat: strings,
  StringNormalizer: strings,
  StringSplit: strings,
  ConcatFromSequence: sequences,
  Optional: sequences,
  SequenceAt: sequences,
  SequenceConstruct: sequences,
  SequenceEmpty: sequences,
  SequenceErase: sequences,
  SequenceInsert: sequences,
  SequenceLength: sequences,
  SequenceMap: sequences,
  SplitToSequence: sequences,
  If: control,
  Loop: control,
  Scan: control,
};
const refusal = (op: string, reason: string): OperatorRow => {
  const refuse = (c: NodeContext): never => c.unsupported(reason);
  return { op, pattern: "opaque", infer: refuse, expand: refuse };
};
const hasElement = (c: NodeContext): boolean => c.node.inputs[0] !== undefined;

export const refusedRows: readonly OperatorRow[] = [
  ...Object.entries(reasons).map(([op, reason]) => refusal(op, reason)),
  {
    op: "OptionalHasElement",
    since: 15,
    pattern: "opaque",
    infer: () => [{ dtype: "bool", dims: [] }],
    fold: (c) => [tensorOf("bool", [], [hasElement(c) ? 1 : 0])],
  },
  {
    op: "OptionalGetElement",
    since: 15,
    pattern: "elementwise",
    infer: (c) => [c.require(0)],
    expand: (c) => (hasElement(c) ? c.graph.node("Identity", [c.inputs[0]]) : c.invalid("there is no value")),
  },
];
