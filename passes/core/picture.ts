/** Pictures of what a pass broke: the offending node in the program that it gave, and the same place in what it got. */
import type { Expr } from "../../ir/expr/expr.ts";
import type { Graph } from "../../ir/graph/graph.ts";
import type { Program, Stmt } from "../../ir/loop/program.ts";
import { childStmts } from "../../ir/loop/traverse.ts";
import { type DiagnosticPlace, excerpt } from "../../ir/text/diagnostic.ts";
import { printGraph, printNode } from "../../ir/text/print-graph.ts";

/** The place in `after`, underlined with a short reason, and where it stood in `before`. */
export function programPicture(
  pass: string,
  before: Program,
  after: Program,
  issue: { readonly at: DiagnosticPlace; readonly expr?: Expr; readonly reason: string },
): string {
  const { at, expr, reason } = issue;
  const now = excerpt({ program: after, ...(expr ? { expr } : {}) }, at).map((l) => withReason(l, reason));
  const old = counterpart(at, before, after);
  const then = old ? excerpt({ program: before }, old) : [];
  return [
    `  after ${pass}:`,
    ...(now.length > 0 ? now : ["       (the place is not part of the printed program)"]),
    ...(then.length > 0 ? [`  before ${pass}:`, ...then] : []),
  ].join("\n");
}
const withReason = (line: string, reason: string): string => (/│ +\^+$/.test(line) ? `${line} ${reason}` : line);

/** The same statement before the pass, else the innermost one around it that was there. */
function counterpart(at: DiagnosticPlace, before: Program, after: Program): DiagnosticPlace | undefined {
  if (at.kind === "function") return before.functions.some((f) => f.name === at.name) ? at : undefined;
  if (at.kind === "loop" || ("id" in at && at.kind === "block" && !("body" in at))) return at;
  const known = keysOf(before);
  const wanted = keysOf(after);
  const path = pathTo(after, at as Stmt);
  for (const s of path.toReversed()) {
    const key = [...wanted].find(([, other]) => other === s)?.[0];
    const same = key === undefined ? undefined : known.get(key);
    if (same) return same;
  }
  const name = after.functions.find((f) => f.body === path[0])?.name;
  return name === undefined ? undefined : { kind: "function", name };
}
/** The statements around a statement, outermost first, itself last. */
function pathTo(p: Program, target: Stmt): readonly Stmt[] {
  const go = (s: Stmt): Stmt[] | undefined => {
    if (s === target) return [s];
    for (const c of childStmts(s)) {
      const rest = go(c);
      if (rest) return [s, ...rest];
    }
    return undefined;
  };
  for (const f of p.functions) {
    const path = go(f.body);
    if (path) return path;
  }
  return [];
}
/** Statements by what makes them the same before and after: ids; stores by buffer, in order. */
function keysOf(p: Program): ReadonlyMap<string, Stmt> {
  const keys = new Map<string, Stmt>();
  const stores = new Map<number, number>();
  const go = (s: Stmt): void => {
    const key = keyOf(s, stores);
    if (key !== undefined && !keys.has(key)) keys.set(key, s);
    for (const c of childStmts(s)) go(c);
  };
  for (const f of p.functions) go(f.body);
  return keys;
}
function keyOf(s: Stmt, stores: Map<number, number>): string | undefined {
  if (s.kind === "for" || s.kind === "let") return `${s.kind} ${s.var.id}`;
  if (s.kind === "block") return `block ${s.id}`;
  if (s.kind === "allocate") return `allocate ${s.buffer.id}`;
  if (s.kind !== "store") return undefined;
  const count = stores.get(s.buffer.id) ?? 0;
  stores.set(s.buffer.id, count + 1);
  return `store ${s.buffer.id}.${count}`;
}

/** The line of a node or value in the text of a graph, underlined, before and after. */
export function graphPicture(pass: string, before: Graph, after: Graph, name: string, reason: string): string {
  const now = lineOf(after, name, reason);
  const then = lineOf(before, name, "");
  return [
    `  after ${pass}:`,
    ...(now.length > 0 ? now : [`       (${name} is not part of the printed graph)`]),
    ...(then.length > 0 ? [`  before ${pass}:`, ...then] : []),
  ].join("\n");
}
function lineOf(graph: Graph, name: string, reason: string): readonly string[] {
  const lines = printGraph(graph).trimEnd().split("\n");
  const node = graph.nodes.find(
    (n) =>
      n.name === name ||
      `${n.op} ${n.name}` === name ||
      n.outputs.some((o) => o !== undefined && graph.values.get(o)?.name === name),
  );
  const text = node && `  ${printNode(graph, node)}`;
  const k = text === undefined ? lines.findIndex((l) => l.trim().startsWith(`constant ${name}`)) : lines.indexOf(text);
  if (k < 0) return [];
  const shown = lines.slice(Math.max(0, k - 1), k + 2);
  const first = Math.max(0, k - 1);
  return shown.flatMap((l, i) => {
    const numbered = `${String(first + i + 1).padStart(4)} │ ${l}`;
    const begin = l.length - l.trimStart().length;
    const carets = `     │ ${" ".repeat(begin)}${"^".repeat(l.trim().length)} ${reason}`.trimEnd();
    return first + i === k ? [numbered, carets] : [numbered];
  });
}
