/**
 * The exact dependence analysis asked about instances of a nest. The digit analysis of `iteration.ts` answers most
 * questions in microseconds and is wrong only by saying "may meet"; what it cannot exclude is decided here, on the
 * accesses themselves with their conditions.
 */
import { constantValue } from "../../ir/expr/build.ts";
import type { For, MathPolicy, Stmt } from "../../ir/loop/program.ts";
import type { BufferId, VarId } from "../../ir/support/ids.ts";
import type { Access } from "../analysis/access.ts";
import { accessesIn } from "../analysis/accesses.ts";
import { type Dependence, dependencesBetween, staysForward } from "../analysis/dependence.ts";
import { type Instance, keepsOrder, type Meeting, meetings, type Nest } from "./legality.ts";

/** The accesses under a statement, by the block or the statement outside of blocks that makes them. */
const known = new WeakMap<Stmt, ReadonlyMap<Stmt, readonly Access[]>>();
function accessesOf(nest: Nest, instance: Instance): readonly Access[] {
  let byStmt = known.get(nest.root);
  if (!byStmt) {
    const grouped = new Map<Stmt, Access[]>();
    for (const a of accessesIn(nest.root)) {
      const owner = a.path.find((s) => s.kind === "block") ?? a.stmt;
      const list = grouped.get(owner);
      if (list) list.push(a);
      else grouped.set(owner, [a]);
    }
    byStmt = grouped;
    known.set(nest.root, byStmt);
  }
  return byStmt.get(instance.stmt) ?? [];
}

/** Every dependence between two instances (or two runs of one); over one buffer, or all but some, when they are given. */
export function* dependencesOf(
  nest: Nest,
  [x, y]: readonly [Instance, Instance],
  only: { readonly buffer?: BufferId; readonly except?: ReadonlySet<BufferId>; readonly carriedBy?: VarId } = {},
): Generator<Dependence> {
  const options = { around: nest.around, ...(only.carriedBy === undefined ? {} : { carriedBy: only.carriedBy }) };
  const first = accessesOf(nest, x);
  const second = accessesOf(nest, y);
  for (const a of first) {
    if (only.buffer !== undefined && a.buffer.id !== only.buffer) continue;
    for (const b of second) {
      if (a.buffer.id !== b.buffer.id || (a.kind === "read" && b.kind === "read")) continue;
      if ((x === y && a.position > b.position) || only.except?.has(a.buffer.id)) continue;
      yield* a.position <= b.position ? dependencesBetween(a, b, options) : dependencesBetween(b, a, options);
    }
  }
}

/** The meetings of different iterations of `loop`, a loop of the nest; none when its iterations are independent. */
export function carriedMeetings(nest: Nest, loop: For): Meeting[] {
  return confirmed(nest, openMeetings(nest, loop), loop);
}
/** The meetings of different iterations of `loop` that only the exact analysis can exclude. */
export function openMeetings(nest: Nest, loop: For): Meeting[] {
  if ((constantValue(loop.extent) ?? 2) <= 1) return [];
  return meetings(nest).filter((m) => !m.same.has(loop.var.id));
}
/** The meetings that dependences carried by `loop` confirm, one for each buffer that is not left out. */
export function confirmed(
  nest: Nest,
  open: readonly Meeting[],
  loop: For,
  leftOut: ReadonlySet<BufferId> = new Set(),
): Meeting[] {
  const asked = new Map<string, Meeting>();
  for (const m of open) {
    // A block meets itself once, whatever it writes: the buffer is only one of them.
    if (m.first !== m.second && leftOut.has(m.buffer.id)) continue;
    const buffer = m.first === m.second ? "" : m.buffer.id;
    const key = `${nest.instances.indexOf(m.first)},${nest.instances.indexOf(m.second)},${buffer}`;
    if (!asked.has(key)) asked.set(key, m);
  }
  const found: Meeting[] = [];
  for (const m of asked.values()) {
    const buffer = m.first === m.second ? {} : { buffer: m.buffer.id };
    const except = new Set(leftOut);
    for (const d of dependencesOf(nest, [m.first, m.second], { ...buffer, except, carriedBy: loop.var.id })) {
      if (except.has(d.source.buffer.id)) continue;
      except.add(d.source.buffer.id);
      found.push({ ...m, buffer: d.source.buffer, dependence: d });
    }
  }
  return found;
}

/** A dependence of a meeting that another order of the nest's outermost loops would turn around. */
export function turnedAround(
  nest: Nest,
  m: Meeting,
  band: { readonly before: readonly For[]; readonly after: readonly For[] },
  math: MathPolicy,
): Dependence | undefined {
  const places = band.after.map((l) => band.before.indexOf(l));
  const { stmt } = m.first;
  const anyOrder = m.first === m.second && stmt.kind === "block" && !keepsOrder(stmt, math);
  const buffer = m.first === m.second ? {} : { buffer: m.buffer.id };
  for (const d of dependencesOf(nest, [m.first, m.second], buffer)) {
    if (d.reduction && anyOrder) continue;
    if (d.commonLoops.length < places.length || !staysForward(d, places)) return d;
  }
  return undefined;
}
