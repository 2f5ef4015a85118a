/**
 * Rewriting by rules: each pairs a pattern with a replacement. The same rules, tables and context as the simplifier's
 * (`passes/simplify`); here they are applied to whole programs, and what a replacement must keep is checked.
 */
import type { DType } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { mapChildren } from "../../ir/expr/traverse.ts";
import type { Program, Stmt } from "../../ir/loop/program.ts";
import { mapBodies, mapChildExprs, mapChildStmts } from "../../ir/loop/traverse.ts";
import { UsageError } from "../../ir/support/errors.ts";
import { printStmt } from "../../ir/text/printer.ts";
import { noRanges, type Ranges } from "../analysis/bounds.ts";
import { assume, intervalOf, loopInterval, negate } from "../analysis/interval.ts";
import { simplify } from "../simplify/expression.ts";
import { firstMatch, type Rule, type RuleContext } from "../simplify/rule.ts";
import { definePass, type Pass } from "./pass.ts";
import type { Captures, ExprPattern, Pattern, StmtPattern } from "./pattern.ts";

/** A rule on expressions. */
export type ExprRule = Rule<Expr>;
/** A rule on statements. */
export type StmtRule = Rule<Stmt, Stmt>;

/** What replacements may ask: the ranges of variables where the node stands, and the simplifier. */
export type RewriteContext = RuleContext;

/**
 * A rule: where `pattern` matches and `where` holds, `replacement` stands instead. A replacement that gives undefined
 * leaves the node. It must have the type of what it replaces, in every lane.
 */
export function rewriteRule<Found extends Captures>(
  name: string,
  pattern: ExprPattern<Found>,
  replacement: (found: Found, ctx: RewriteContext) => Expr | undefined,
  options?: { readonly where?: (found: Found, ctx: RewriteContext) => boolean },
): ExprRule;
export function rewriteRule<Found extends Captures>(
  name: string,
  pattern: StmtPattern<Found>,
  replacement: (found: Found, ctx: RewriteContext) => Stmt | undefined,
  options?: { readonly where?: (found: Found, ctx: RewriteContext) => boolean },
): StmtRule;
export function rewriteRule<Node extends Expr | Stmt, Found extends Captures>(
  name: string,
  pattern: Pattern<Node, Found>,
  replacement: (found: Found, ctx: RewriteContext) => Node | undefined,
  options: { readonly where?: (found: Found, ctx: RewriteContext) => boolean } = {},
): Rule<Node, Node> {
  const { where } = options;
  const apply = (node: Node, ctx: RewriteContext): Node | undefined => {
    const found = pattern.match(node, {}) as Found | undefined;
    if (found === undefined || (where && !where(found, ctx))) return undefined;
    const next = replacement(found, ctx);
    if (next !== undefined) checkType(name, pattern.text, node, next);
    return next;
  };
  return { name, apply };
}

const typeText = (t: DType): string => (t.lanes === 1 ? t.scalar : `${t.scalar}x${t.lanes}`);
function checkType(name: string, text: string, node: Expr | Stmt, next: Expr | Stmt): void {
  if (!("dtype" in node) || !("dtype" in next) || node.dtype === next.dtype) return;
  throw new UsageError(
    "rewrite/type",
    `rule ${name} (${text}) replaces a value of type ${typeText(node.dtype)} by one of type ${typeText(next.dtype)}`,
    { rule: name, from: typeText(node.dtype), to: typeText(next.dtype) },
  );
}

/** The least and the greatest value of an integer expression; ±Infinity where it is not bounded. */
export const boundsIn = (e: Expr, ctx: RewriteContext): { readonly min: number; readonly max: number } =>
  intervalOf(e, ctx.ranges);

/** Rules by what they rewrite. */
export interface RuleSet {
  readonly exprs?: readonly ExprRule[];
  readonly stmts?: readonly StmtRule[];
}
/** How often one place may be rewritten before the rules count as endless. */
const maxSteps = 256;

/**
 * Applies the rules everywhere, operands before what they are part of, each place until no rule applies. Replacements
 * know the bounds of the loops and the conditions around. Gives back the same program when no rule applied.
 * @throws UsageError `rewrite/type` for a replacement of another type, `rewrite/endless` for rules that undo each other
 */
export function rewriteProgram(program: Program, rules: RuleSet): Program {
  return mapBodies(program, (body) => new Rewriter(rules).stmt(body, noRanges));
}

class Rewriter {
  readonly #exprs: readonly ExprRule[];
  readonly #stmts: readonly StmtRule[];
  constructor(rules: RuleSet) {
    this.#exprs = rules.exprs ?? [];
    this.#stmts = rules.stmts ?? [];
  }

  stmt(s: Stmt, ranges: Ranges): Stmt {
    const ctx = contextOf(ranges);
    const own = this.#exprs.length === 0 ? s : mapChildExprs(s, (e) => this.#expr(e, ctx));
    return this.#settle(this.#children(own, ranges), this.#stmts, ctx);
  }
  #children(s: Stmt, ranges: Ranges): Stmt {
    if (s.kind === "for") {
      const inside = new Map(ranges).set(s.var.id, loopInterval(s, ranges));
      return mapChildStmts(s, (c) => this.stmt(c, inside));
    }
    if (s.kind === "if") {
      const denied = negate(s.condition);
      const arms = [assume(ranges, s.condition), denied ? assume(ranges, denied) : ranges];
      return mapChildStmts(s, (c) => this.stmt(c, c === s.then ? arms[0]! : arms[1]!));
    }
    if (s.kind !== "block") return mapChildStmts(s, (c) => this.stmt(c, ranges));
    const inside = new Map(ranges);
    for (const v of s.iterVars) inside.set(v.var.id, { min: 0, max: intervalOf(v.extent, ranges).max - 1 });
    return mapChildStmts(s, (c) => this.stmt(c, inside));
  }
  #expr(e: Expr, ctx: RewriteContext): Expr {
    return this.#settle(
      mapChildren(e, (c) => this.#expr(c, ctx)),
      this.#exprs,
      ctx,
    );
  }
  /** Applies rules to one node until none does. */
  #settle<Node extends Expr | Stmt>(node: Node, rules: readonly Rule<Node, Node>[], ctx: RewriteContext): Node {
    let current = node;
    for (let step = 0; step < maxSteps; step++) {
      const next = firstMatch(rules, current, ctx);
      if (next === undefined || next === current) return current;
      current = next;
    }
    throw endless(current, rules, ctx);
  }
}
const contextOf = (ranges: Ranges): RewriteContext => ({ ranges, simplify: (e) => simplify(e, ranges) });

/** The rules that go on and on at a node, once round. */
function endless<Node extends Expr | Stmt>(
  node: Node,
  rules: readonly Rule<Node, Node>[],
  ctx: RewriteContext,
): UsageError {
  const names = new Set<string>();
  let current: Node | undefined = node;
  for (let k = 0; k < 2 * rules.length && current !== undefined; k++) {
    const at: Node = current;
    const rule = rules.find((r) => r.apply(at, ctx) !== undefined);
    current = rule?.apply(at, ctx);
    if (rule) names.add(rule.name);
  }
  const text = "dtype" in node ? "" : `: ${printStmt(node).split("\n")[0]}`;
  return new UsageError(
    "rewrite/endless",
    `${[...names].join(", ")} rewrote one place ${maxSteps} times and would go on${text}`,
    { rules: [...names] },
  );
}

/** A pass that applies rules; it takes and gives the same representation. */
export function rewritePass<At extends "loops" | "flat" | "tasks">(
  parts: Pick<Pass<At, At>, "name" | "doc"> &
    Partial<Pick<Pass<At, At>, "requires" | "ensures" | "invalidates">> & { readonly rules: RuleSet },
): Pass<At, At> {
  const { rules, ...rest } = parts;
  return definePass<At, At>({ ...rest, run: (program) => rewriteProgram(program as Program, rules) as never });
}
