/**
 * Facts that passes require and ensure. Any word is a fact; those in the table can be checked, and are between passes
 * while verification is on: a pass that breaks what an earlier one ensured must say so in `invalidates`.
 */
import type { Expr } from "../../ir/expr/expr.ts";
import { visit } from "../../ir/expr/traverse.ts";
import type { Graph } from "../../ir/graph/graph.ts";
import type { Program, Stmt } from "../../ir/loop/program.ts";
import { childExprs, visitStmt } from "../../ir/loop/traverse.ts";
import { nearest } from "../../ir/support/nearest.ts";

/** What a pass declares. */
interface Declared {
  readonly name: string;
  readonly requires: readonly string[];
  readonly ensures: readonly string[];
  readonly invalidates: readonly string[];
}
/** What breaks a fact, and where. */
export interface FactIssue {
  readonly message: string;
  /** In a program: the statement, and the expression in it. */
  readonly at?: Stmt;
  readonly expr?: Expr;
  /** In a graph: the name of the value or node. */
  readonly name?: string;
}
/** A fact that can be checked. */
export interface Fact {
  readonly doc: string;
  readonly program?: (p: Program) => FactIssue | undefined;
  readonly graph?: (g: Graph) => FactIssue | undefined;
}

/** The facts that the passes of the default pipelines require and ensure. */
export const facts: Readonly<Record<string, Fact>> = {
  "no-blocks": {
    doc: "Blocks are plain statements.",
    program: (p) => firstStmt(p, (s) => (s.kind === "block" ? `block ${s.name} stands` : undefined)),
  },
  "no-multi-dim-access": {
    doc: "Every access has one index into a 1-d buffer.",
    program: (p) =>
      firstStmt(p, (s) =>
        s.kind === "store" && s.indices.length !== 1 ? `${s.buffer.name} has ${s.indices.length} indices` : undefined,
      ) ??
      firstExpr(p, (e) =>
        e.kind === "load" && e.indices.length !== 1 ? `${e.buffer.name} has ${e.indices.length} indices` : undefined,
      ),
  },
  "explicit-vectors": {
    doc: "Vectorized loops are vector expressions.",
    program: (p) =>
      firstStmt(p, (s) =>
        s.kind === "for" && s.loopKind === "vectorized" ? `loop ${s.var.name} is vectorized` : undefined,
      ),
  },
  "allocations-placed": { doc: "Every allocation is on the stack or has its place in the workspace." },
  typed: {
    doc: "Every value of the graph has a type.",
    graph: (g) => {
      const made = new Set(g.nodes.flatMap((n) => n.outputs));
      const bare = [...g.values.values()].find((v) => v.type === undefined && made.has(v.id));
      return bare && { message: `value ${bare.name} has no type`, name: bare.name };
    },
  },
};

/** What breaks the first of these facts that does not hold. */
export function brokenFact(
  names: Iterable<string>,
  ir: Graph | Program,
): { readonly fact: string; readonly issue: FactIssue } | undefined {
  for (const fact of names) {
    const known = Object.hasOwn(facts, fact) ? facts[fact] : undefined;
    const issue = ir.kind === "program" ? known?.program?.(ir) : known?.graph?.(ir);
    if (issue) return { fact, issue };
  }
  return undefined;
}
function firstStmt(p: Program, wrong: (s: Stmt) => string | undefined): FactIssue | undefined {
  let issue: FactIssue | undefined;
  for (const f of p.functions)
    visitStmt(f.body, (s) => {
      const message = issue ? undefined : wrong(s);
      if (message !== undefined) issue = { message, at: s };
      return issue === undefined;
    });
  return issue;
}
function firstExpr(p: Program, wrong: (e: Expr) => string | undefined): FactIssue | undefined {
  let issue: FactIssue | undefined;
  for (const f of p.functions)
    visitStmt(f.body, (s) => {
      for (const top of childExprs(s))
        visit(top, (e) => {
          const message = issue ? undefined : wrong(e);
          if (message !== undefined) issue = { message, at: s, expr: e };
          return issue === undefined;
        });
      return issue === undefined;
    });
  return issue;
}

/** The facts that hold after `pass`, if `before` held before it. */
export function factsAfter(before: ReadonlySet<string>, pass: Declared): ReadonlySet<string> {
  const after = new Set(before);
  for (const f of pass.invalidates) after.delete(f);
  for (const f of pass.ensures) after.add(f);
  return after;
}

/** A pass that requires what does not hold where it stands: what, and what to do. */
export interface MissingFact {
  readonly pass: string;
  readonly missing: readonly string[];
  readonly message: string;
}
/** The first pass of a list that misses a fact. */
export function missingFact(passes: readonly Declared[], given: readonly string[]): MissingFact | undefined {
  let holding: ReadonlySet<string> = new Set(given);
  for (const [k, p] of passes.entries()) {
    const missing = p.requires.filter((f) => !holding.has(f));
    const reasons = missing.map((f) => whyMissing(f, p, passes.slice(0, k), passes.slice(k + 1)));
    if (missing.length > 0)
      return { pass: p.name, missing, message: `pass ${p.name} requires ${missing.join(", ")}, ${reasons.join("; ")}` };
    holding = factsAfter(holding, p);
  }
  return undefined;
}
function whyMissing(fact: string, pass: Declared, before: readonly Declared[], after: readonly Declared[]): string {
  const ensures = (p: Declared): boolean => p.ensures.includes(fact);
  const spoiler = before.findLast((p) => p.invalidates.includes(fact));
  if (spoiler && before.some(ensures))
    return `which ${spoiler.name} before it invalidates: put ${pass.name} before ${spoiler.name}`;
  const later = after.find(ensures);
  if (later) return `which no pass before it ensures: put ${pass.name} after ${later.name}, which does`;
  const all = new Set([...before, ...after].flatMap((p) => p.ensures));
  const [near] = nearest(fact, [...all], 1);
  return `which no pass before it ensures, nor any other${near === undefined ? "" : `; did you mean ${near}?`}`;
}
