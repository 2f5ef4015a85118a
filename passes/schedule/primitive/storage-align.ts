/** storageAlign: the rows of an intermediate buffer start at chosen distances. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer } from "../../../ir/expr/expr.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { remapProgram } from "./support-buffer.ts";
import { intermediateOf, intermediateRules } from "./support-storage.ts";

export interface StorageAlignArgs {
  readonly block: BlockRef;
  /** Name of an intermediate buffer that the block uses. */
  readonly buffer: string;
  /** The dimension whose stride is set. */
  readonly dim: number;
  /** The stride becomes a multiple of this many elements … */
  readonly factor: number;
  /** … plus this many, so that rows do not all fall into the same cache sets. */
  readonly offset: number;
}
const rules = {
  ...intermediateRules,
  "outer-dim": "the dimension is one of the buffer's, but not the innermost",
  "positive-factor": "the factor is a positive integer, the offset an integer from 0 to below it",
};
type Rule = keyof typeof rules;

function plan(program: Program, args: StorageAlignArgs): Buffer | Violation<Rule> {
  const found = intermediateOf(program, args.block, args.buffer);
  if ("rule" in found) return found;
  const { buffer } = found;
  const { dim, factor, offset, block: at } = args;
  const rank = buffer.shape.length;
  if (!Number.isInteger(dim) || dim < 0 || dim >= rank - 1)
    return { rule: "outer-dim", because: `${buffer.name} has ${rank} dimensions, ${dim} is asked for`, at };
  if (!Number.isSafeInteger(factor) || factor < 1 || !Number.isInteger(offset) || offset < 0 || offset >= factor)
    return { rule: "positive-factor", because: `the factor is ${factor}, the offset ${offset}`, at };
  return buffer;
}
/** Row-major strides, but at `dim` the least that is `offset` modulo `factor`; larger ones set before stay. */
function stridesOf(b: Buffer, { dim, factor, offset }: StorageAlignArgs): number[] {
  const strides: number[] = b.shape.map(() => 1);
  for (let k = b.shape.length - 2; k >= 0; k--) {
    const least = strides[k + 1]! * constantValue(b.shape[k + 1]!)!;
    if (k === dim) strides[k] = least + ((((offset - least) % factor) + factor) % factor);
    else strides[k] = Math.max(least, b.strides?.[k] ?? 0);
  }
  return strides;
}

/** The primitive. */
export const storageAlign = definePrimitive({
  name: "storageAlign",
  doc: "Pads the rows of an intermediate buffer, so that a dimension's stride is offset modulo factor.",
  before: "allocate B: float32[8, 30]",
  after: "allocate B: float32[8, 30] strides (32, 1)",
  rules,
  check: (program: Program, args: StorageAlignArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite: (program: Program, args: StorageAlignArgs) => {
    const buffer = plan(program, args);
    invariant(!("rule" in buffer), "storageAlign was checked");
    const to: Buffer = { ...buffer, strides: stridesOf(buffer, args) };
    return { program: remapProgram(program, { from: buffer.id, to }), result: undefined };
  },
});
