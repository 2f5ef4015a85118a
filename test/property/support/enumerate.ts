/** Brute force: every access a program makes, iteration by iteration, as the oracle of what the analysis says. */

import type { Expr } from "../../../ir/expr/expr.ts";
import { some } from "../../../ir/expr/traverse.ts";
import { evaluateExpr } from "../../../ir/interp/interpret.ts";
import type { For, Stmt } from "../../../ir/loop/program.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import type { Access } from "../../../passes/analysis/access.ts";
import { accessesIn } from "../../../passes/analysis/accesses.ts";

/** One access in one iteration of the loops around it. */
export interface Event {
  readonly access: Access;
  /** One value a loop around the access, outermost first. */
  readonly values: readonly number[];
}
/** Events by element, each copy of a buffer on its own; undefined when there are more than `most`, or data decides where. */
export function eventsByElement(root: Stmt, most: number): Event[][] | undefined {
  const found = new Map<string, Event[]>();
  let left = most;
  const accesses = accessesIn(root);
  if (accesses.some((x) => x.indices.some(readsData))) return undefined;
  for (const access of accesses) {
    const run = (depth: number, env: ReadonlyMap<VarId, number>, values: readonly number[]): void => {
      if (left < 0) return;
      const loop = access.loops[depth];
      if (loop) {
        const first = valueOf(loop.min, env);
        const end = first + valueOf(loop.extent, env);
        for (let v = first; v < end; v++) run(depth + 1, new Map(env).set(loop.var.id, v), [...values, v]);
        return;
      }
      // What depends on data may happen.
      if (access.conditions.some((c) => !readsData(c) && valueOf(c, env) === 0)) return;
      left--;
      const at = access.indices.map((e) => valueOf(e, env));
      const key = `${access.buffer.id}/${values.slice(0, access.privateLoops)}[${at}]`;
      const list = found.get(key);
      if (list) list.push({ access, values });
      else found.set(key, [{ access, values }]);
    };
    run(0, new Map(), []);
  }
  return left < 0 ? undefined : [...found.values()];
}
const valueOf = (e: Expr, env: ReadonlyMap<VarId, number>): number => Number(evaluateExpr(e, env));
const readsData = (e: Expr): boolean => some(e, (n) => n.kind === "load");

/** Pairs of events on one element, one of them writing, for which `f` holds; the first such pair. */
export function conflict(events: readonly Event[][], f: (x: Event, y: Event) => boolean): [Event, Event] | undefined {
  for (const list of events) {
    const writes = list.filter((e) => e.access.kind !== "read");
    for (const x of writes) for (const y of list) if (x !== y && f(x, y)) return [x, y];
  }
  return undefined;
}
/** Whether the events are in different iterations of the loop, and in the same ones of the loops around it. */
export function acrossIterations(loop: For): (x: Event, y: Event) => boolean {
  return (x, y) => {
    const at = x.access.loops.indexOf(loop);
    if (at < 0 || y.access.loops[at] !== loop) return false;
    return x.values[at] !== y.values[at] && x.values.slice(0, at).every((v, k) => v === y.values[k]);
  };
}
/** Negative when x runs before y. `order[k]` is the loop that stands at place k of the outermost ones. */
export function runsBefore(x: Event, y: Event, order?: readonly number[]): number {
  const common = x.access.loops.findIndex((l, k) => l !== y.access.loops[k]);
  const n = common < 0 ? Math.min(x.values.length, y.values.length) : common;
  for (let k = 0; k < n; k++) {
    const p = order?.[k] ?? k;
    if (x.values[p] !== y.values[p]) return x.values[p]! - y.values[p]!;
  }
  return x.access.position - y.access.position;
}
/** Whether both are of one block at the same values of its iteration variables of these kinds. */
export function sameInstance(x: Event, y: Event, kinds: readonly string[]): boolean {
  const { block } = x.access;
  if (!block || y.access.block !== block) return false;
  const [inX, inY] = [x, y].map(valuesAt);
  return block.iterVars.every((v) => !kinds.includes(v.kind) || inX!.get(v.var.id) === inY!.get(v.var.id));
}
/** The values of the loops and of the block variables around an event. */
function valuesAt({ access, values }: Event): ReadonlyMap<VarId, number> {
  const env = new Map(access.loops.map((l, k) => [l.var.id, values[k]!] as const));
  for (const s of access.path)
    if (s.kind === "block") for (const [k, v] of s.iterVars.entries()) env.set(v.var.id, valueOf(s.bindings[k]!, env));
  return env;
}
