/** sampleCategorical: one of some values, drawn once and recorded. */
import type { Program } from "../../../ir/loop/program.ts";
import { definePrimitive, type Violation } from "../primitive.ts";

export interface SampleCategoricalArgs {
  readonly values: readonly (number | string)[];
  readonly probabilities: readonly number[];
  /** The index of the value. */
  readonly decision: number;
}
type Rule = "probabilities" | "among-values";

function check(_: Program, { values, probabilities, decision }: SampleCategoricalArgs): Violation<Rule> | undefined {
  const total = probabilities.reduce((a, b) => a + b, 0);
  if (values.length !== probabilities.length || probabilities.some((p) => p < 0) || !(total > 0))
    return { rule: "probabilities", because: `${probabilities.length} are given for ${values.length} values` };
  if (decision < 0 || decision >= values.length)
    return { rule: "among-values", because: `there is no value ${decision} of ${values.length}` };
  return undefined;
}

/** The primitive. */
export const sampleCategorical = definePrimitive({
  name: "sampleCategorical",
  doc: "Draws one of some values; the decision, its index, stands in the trace.",
  before: "for i in 0..24:\n  C[i]",
  after: "for i in 0..24:\n  C[i]",
  rules: {
    probabilities: "there is a probability for each value, none negative, not all 0",
    "among-values": "the decision is the index of a value",
  },
  check,
  rewrite: (program: Program, { values, decision }: SampleCategoricalArgs) => ({ program, result: values[decision]! }),
});
