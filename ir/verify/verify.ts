/** Well-formedness of programs: all rules together. Each stands in its own file in `rules/`. */
import type { Program } from "../loop/program.ts";
import { InternalError } from "../support/errors.ts";
import { renderDiagnostic } from "../text/diagnostic.ts";
import { exprOf, placeOf, type VerifyIssue, type VerifyRule } from "./issue.ts";
import { blockBindings } from "./rules/block-bindings.ts";
import { blockClosed } from "./rules/block-closed.ts";
import { boundOnce } from "./rules/bound-once.ts";
import { bufferGeometry } from "./rules/buffer-geometry.ts";
import { buffersInScope } from "./rules/buffers-in-scope.ts";
import { constantBounds } from "./rules/constant-bounds.ts";
import { expressionTypes } from "./rules/expression-types.ts";
import { indexTypes } from "./rules/index-types.ts";
import { loopKinds } from "./rules/loop-kinds.ts";
import { nextId } from "./rules/next-id.ts";
import { parallelCalls } from "./rules/parallel-calls.ts";
import { predicatesBool } from "./rules/predicates-bool.ts";
import { regionsCover } from "./rules/regions-cover.ts";
import { statementTypes } from "./rules/statement-types.ts";
import { uniqueNames } from "./rules/unique-names.ts";
import { variablesDefined } from "./rules/variables-defined.ts";

export type { VerifyIssue, VerifyRule } from "./issue.ts";

/** Every rule, in the order they are checked. */
export const rules: readonly VerifyRule[] = [
  nextId,
  uniqueNames,
  bufferGeometry,
  variablesDefined,
  blockClosed,
  boundOnce,
  buffersInScope,
  indexTypes,
  expressionTypes,
  statementTypes,
  predicatesBool,
  loopKinds,
  blockBindings,
  regionsCover,
  constantBounds,
  parallelCalls,
];

/** What is ill-formed in `program`; nothing when all rules hold. */
export function verifyProgram(program: Program): readonly VerifyIssue[] {
  const issues: VerifyIssue[] = [];
  for (const rule of rules) {
    rule.check(program, (message, at) => {
      const expr = exprOf(at);
      issues.push({ rule: rule.name, message, at: placeOf(at), ...(expr ? { expr } : {}) });
    });
  }
  return issues;
}
/** @throws InternalError `verify/<rule>` with the first issues rendered, when the program is ill-formed */
export function assertWellFormed(program: Program): void {
  const issues = verifyProgram(program);
  const first = issues[0];
  if (!first) return;
  const shown = issues.slice(0, 3).map((i) => {
    const rule = rules.find((r) => r.name === i.rule)!.doc;
    const expr = i.expr ? { expr: i.expr } : {};
    return renderDiagnostic({ program, at: i.at, ...expr, message: i.message, title: `[${i.rule}]`, rule });
  });
  const more = issues.length > 3 ? [`and ${issues.length - 3} more`] : [];
  const facts = issues.map(({ rule, message }) => ({ rule, message }));
  throw new InternalError(`verify/${first.rule}`, [`ill-formed program`, ...shown, ...more].join("\n"), {
    issues: facts,
  });
}
