/** annotate: a hint for recipes and lowering on a loop or block. */
import type { AnnotationValue, Program } from "../../../ir/loop/program.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { findBlock, findLoop, replaceStmt } from "../tree.ts";

export interface AnnotateArgs {
  readonly target: LoopRef | BlockRef;
  readonly key: string;
  readonly value: AnnotationValue;
}
type Rule = "plain-key" | "plain-value";

const isPlain = (v: unknown): boolean =>
  typeof v === "string" || typeof v === "boolean" || (typeof v === "number" && Number.isFinite(v));
function check(_: Program, { target, key, value }: AnnotateArgs): Violation<Rule> | undefined {
  if (!/^[a-zA-Z][\w.-]*$/.test(key)) return { rule: "plain-key", because: `"${key}" is not such a name`, at: target };
  const plain = isPlain(value) || (Array.isArray(value) && value.every((v) => isPlain(v) && typeof v !== "boolean"));
  return plain ? undefined : { rule: "plain-value", because: `the value is a ${typeof value}`, at: target };
}
function rewrite(program: Program, { target, key, value }: AnnotateArgs) {
  const stmt = target.kind === "loop" ? findLoop(program, target.id) : findBlock(program, target.id);
  invariant(stmt, `${target.kind} ${target.name} is alive`);
  const annotated = { ...stmt, annotations: { ...stmt.annotations, [key]: value } };
  return { program: replaceStmt(program, stmt, annotated), result: undefined };
}

/** The primitive. */
export const annotate = definePrimitive({
  name: "annotate",
  doc: "Sets an annotation of a loop or block; the meaning of the program stays.",
  before: "for i in 0..n:",
  after: 'for i in 0..n {"stream": true}:',
  rules: {
    "plain-key": "the key is a name of letters, digits, '.', '-' and '_', a letter first",
    "plain-value": "the value is a string, a number, a boolean, or a list of numbers or strings",
  },
  check,
  rewrite,
});
