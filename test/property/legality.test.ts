/** What the checks accept, against brute-force enumeration and the dependence analysis. */
import { expect, test } from "vitest";
import { add, floordiv, floormod, mul } from "../../ir/expr/build.ts";
import { ComputeBuilder } from "../../ir/loop/compute.ts";
import type { Block, For } from "../../ir/loop/program.ts";
import { IdSource } from "../../ir/support/ids.ts";
import { carriedBy, type Dependence } from "../../passes/analysis/dependence.ts";
import type { LoopRef } from "../../passes/schedule/primitive.ts";
import { loopOf, loopsOutside } from "../../passes/schedule/rebuild.ts";
import { Schedule } from "../../passes/schedule/schedule.ts";
import { drawPrimitive, proposers } from "./support/actions.ts";
import {
  acrossIterations,
  conflict,
  type Event,
  eventsByElement,
  runsBefore,
  sameInstance,
} from "./support/enumerate.ts";
import { randomProgram } from "./support/programs.ts";
import { Random } from "./support/random.ts";

const programs = Number(process.env.TILEWRIGHT_PAIRS ?? 2000) / 10;
const firstSeed = Number(process.env.TILEWRIGHT_SEED ?? 1);
const mostEvents = 6000;

const hasKind = (b: Block | undefined, kind: string): boolean => b?.iterVars.some((v) => v.kind === kind) ?? false;
/** One block stores the same on the same element again. */
const storesAgain = (x: Event, y: Event): boolean =>
  [x, y].every((e) => e.access.kind === "write") && pure(x.access.block) && sameInstance(x, y, ["spatial"]);
const pure = (b: Block | undefined): boolean => b !== undefined && !hasKind(b, "reduction") && !hasKind(b, "ordered");
/** One block combines into one element. */
const accumulates = (x: Event, y: Event): boolean =>
  !x.access.init &&
  !y.access.init &&
  hasKind(x.access.block, "reduction") &&
  sameInstance(x, y, ["spatial", "ordered"]);

/** One block updates one element in one step. */
const atomically = (x: Event, y: Event): boolean =>
  x.access.block === y.access.block && x.access.block?.annotations?.atomic === true;

/** Two accesses by one iteration of the loop and another, one writing, that the loop kind does not allow. */
function raced(s: Schedule, ref: LoopRef, kind: "parallel" | "vectorize"): string | undefined {
  const after = s.fork();
  after.apply(kind, { loop: ref });
  const loop = loopOf(after.program, ref);
  const events = eventsByElement(after.func.body, mostEvents);
  if (!events) return undefined;
  const across = acrossIterations(loop);
  const together = (x: Event, y: Event): boolean => storesAgain(x, y) || atomically(x, y);
  const allowed = kind === "parallel" ? together : accumulates;
  const pair = conflict(events, (x, y) => across(x, y) && !allowed(x, y));
  const contradicts = carriedBy(loop, loop.body, loopsOutside(after.program, ref)).find((d) => contradiction(d, kind));
  return told(kind, ref, pair, contradicts);
}
function told(what: string, ref: LoopRef, pair: [Event, Event] | undefined, d: Dependence | undefined) {
  if (pair)
    return `${what} ${ref.name}: ${pair.map((e) => `${e.access.kind} ${e.access.buffer.name} at ${e.values}`).join(" and ")}`;
  return d && `${what} ${ref.name}: ${d.kind} dependence on ${d.source.buffer.name}`;
}
/** A dependence that certainly exists and that nothing excuses. */
function contradiction(d: Dependence, kind: "parallel" | "vectorize"): boolean {
  if (!d.exact) return false;
  const b = d.source.block;
  if (kind === "vectorize" && d.reduction) return false;
  if (kind === "parallel" && b === d.sink.block && b?.annotations?.atomic === true) return false;
  return !(kind === "parallel" && d.kind === "output" && b !== undefined && b === d.sink.block && pure(b));
}
/** Two accesses of one element whose order the reordering turned around. */
function turned(s: Schedule, loops: readonly LoopRef[]): string | undefined {
  const chain = [...loops.map((l) => loopOf(s.program, l))];
  const outer = chain.reduce((a, l) => (loopsOutside(s.program, ref(l)).includes(a) ? a : l));
  const around = loopsOutside(s.program, ref(outer)).length;
  const events = eventsByElement(s.func.body, mostEvents);
  if (!events) return undefined;
  const depth = (l: For): number => loopsOutside(s.program, ref(l)).length;
  const places = chain.map(depth).sort((a, b) => a - b);
  const order: number[] = Array.from({ length: Math.max(around, ...places) + 1 }, (_, k) => k);
  for (const [k, p] of places.entries()) order[p] = depth(chain[k]!);
  const pair = conflict(events, (x, y) => {
    const inside = [x, y].every((e) => chain.every((l) => e.access.loops.includes(l)));
    if (!inside || runsBefore(x, y) >= 0 === runsBefore(x, y, order) >= 0) return false;
    return !storesAgain(x, y) && !accumulates(x, y);
  });
  return told("reorder", loops[0]!, pair, undefined);
}
const ref = (l: For): LoopRef => ({ kind: "loop", id: l.var.id, name: l.var.name });

test("accepted loops at once and reorders agree with every access made", () => {
  const faults: string[] = [];
  const count = { parallel: 0, vectorize: 0, reorder: 0, refused: 0, needlessly: 0 };
  for (let seed = firstSeed; seed < firstSeed + programs && faults.length < 3; seed++) {
    const r = new Random(seed * 7919);
    const s = new Schedule(randomProgram(r).program);
    for (let k = r.int(0, 4); k > 0; k--) {
      const name = drawPrimitive(r);
      const args = proposers[name](r, s);
      if (args && s.probe(name, args as never) === undefined) s.apply(name, args);
    }
    const loops = r.shuffle([...new Map(s.blocks().flatMap((b) => s.loops(b).map((l) => [l.id, l]))).values()]);
    for (const loop of loops.slice(0, 4))
      for (const kind of ["parallel", "vectorize"] as const) {
        const refusal = s.probe(kind, { loop });
        if (!refusal) {
          count[kind]++;
          const why = raced(s, loop, kind);
          if (why) faults.push(`seed ${seed}: ${why}\n${s.print()}`);
        } else if (refusal.rule === "independent-iterations") {
          count.refused++;
          const events = eventsByElement(s.func.body, mostEvents);
          if (events && !conflict(events, acrossIterations(loopOf(s.program, loop)))) count.needlessly++;
        }
      }
    const args = proposers.reorder(r, s);
    if (args && s.probe("reorder", args) === undefined) {
      count.reorder++;
      const why = turned(s, args.loops);
      if (why) faults.push(`seed ${seed}: ${why}\n${s.print()}`);
    }
  }
  console.log(
    `${programs} programs: ${Object.entries(count)
      .map(([k, n]) => `${k} ${n}`)
      .join(", ")}`,
  );
  expect(faults.join("\n\n")).toBe("");
}, 600_000);

test("blocks whose spatial iterations share elements are refused, others hardly ever", () => {
  const faults: string[] = [];
  let overlapping = 0;
  let undecided = 0;
  for (let seed = firstSeed; seed < firstSeed + programs; seed++) {
    const r = new Random(seed * 104729);
    const dims = [r.int(1, 6), r.int(1, 6)];
    const [p, q, c, m] = [r.int(0, 6), r.int(0, 6), r.int(1, 3), r.int(1, 12)];
    const b = new ComputeBuilder(new IdSource());
    const A = b.param("A", "int32", dims, "input");
    const B = b.declare("B", "int32", [64, 12]);
    b.write(B, "B", dims, (i, j) => {
      const sum = add(mul(i!, p), mul(j!, q));
      return { at: [floordiv(sum, c), floormod(sum, m)], value: A.at(i!, j!) };
    });
    const s = new Schedule(b.finish("random", [B]));
    const events = eventsByElement(s.func.body, 1000)!;
    const shared = conflict(events, () => true) !== undefined;
    if (shared) overlapping++;
    const probe = s.probe("unroll", { loop: s.loopAt("B", 0) });
    const refused = probe?.rule === "spatial-writes-overlap";
    if (shared && !refused) faults.push(`seed ${seed}: accepted\n${s.print()}`);
    if (refused && !shared) undecided++;
  }
  console.log(`${overlapping} of ${programs} blocks overlap, ${undecided} more are refused as undecided`);
  expect(undecided).toBeLessThanOrEqual(programs / 50);
  expect(faults.join("\n\n")).toBe("");
}, 600_000);
