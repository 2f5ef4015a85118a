/** parallel: a loop's iterations run on several threads. */
import type { Buffer } from "../../../ir/expr/expr.ts";
import { allocate } from "../../../ir/loop/build.ts";
import type { For, Program, Stmt } from "../../../ir/loop/program.ts";
import { mapBodies, mapChildStmts } from "../../../ir/loop/traverse.ts";
import type { BufferId } from "../../../ir/support/ids.ts";
import { carries } from "../../lower/compact-buffers.ts";
import { meetsAtomically } from "../atomics.ts";
import { confirmed, openMeetings } from "../dependences.ts";
import { describeMeeting, loopsIn, type Meeting, nestOf, storesTheSame } from "../legality.ts";
import { definePrimitive, type LoopRef, remembered, type Violation } from "../primitive.ts";
import { funcOfLoop, loopOf, loopsOutside } from "../rebuild.ts";
import { loopRef, replaceStmt } from "../tree.ts";

export interface ParallelArgs {
  readonly loop: LoopRef;
}
type Rule = "serial-loop" | "not-nested" | "independent-iterations";

function check(program: Program, { loop: ref }: ParallelArgs): Violation<Rule> | undefined {
  const loop = loopOf(program, ref);
  if (loop.loopKind !== "serial") return { rule: "serial-loop", because: `${ref.name} is ${loop.loopKind}`, at: ref };
  const around = [...loopsOutside(program, ref), ...loopsIn(loop.body)];
  const other = around.find((l) => l.loopKind === "parallel") ?? around.find((l) => l.loopKind === "thread");
  const vector = loopsOutside(program, ref).find((l) => l.loopKind === "vectorized");
  const nested = other ?? vector;
  if (nested)
    return {
      rule: "not-nested",
      because: `${nested.var.name} is ${nested.loopKind}`,
      instead: "fuse the loops",
      at: loopRef(nested),
    };
  const { carried } = iterationsShare(program, ref);
  if (carried)
    return {
      rule: "independent-iterations",
      because: describeMeeting(carried, ref.name),
      instead:
        "make a loop parallel that drives only spatial variables; rfactor splits a reduction, atomic lets threads share it",
      at: ref,
    };
  return undefined;
}
/** What iterations share: a meeting that stands in the way, else the buffers that each iteration needs for itself. */
interface Sharing {
  readonly carried?: Meeting;
  readonly own: readonly Buffer[];
}
/** What iterations of a loop would share if they ran at once. */
export const iterationsShare = remembered((program: Program, ref: LoopRef): Sharing => {
  const loop = loopOf(program, ref);
  const nest = nestOf(loop, loopsOutside(program, ref));
  const open = openMeetings(nest, loop);
  const own = new Map<BufferId, Buffer>();
  for (const buffer of new Set(open.map((m) => m.buffer)))
    if (isPrivate(program, ref, buffer)) own.set(buffer.id, buffer);
  for (const m of confirmed(nest, open, loop, new Set(own.keys()))) {
    if (own.has(m.buffer.id) || storesTheSame(nest, m) || meetsAtomically(m)) continue;
    if (!isPrivate(program, ref, m.buffer)) return { carried: m, own: [] };
    own.set(m.buffer.id, m.buffer);
  }
  return { own: [...own.values()] };
});
/** Whether each iteration may have a buffer of its own: allocated outside, used only here, set before it is read. */
function isPrivate(program: Program, ref: LoopRef, buffer: Buffer): boolean {
  const loop = loopOf(program, ref);
  const whole = nestOf(funcOfLoop(program, ref).body);
  if (!whole.own.has(buffer.id)) return false;
  const outside = whole.instances.filter((i) => !i.loops.includes(loop));
  if (outside.some((i) => i.touches.some((t) => t.buffer.id === buffer.id))) return false;
  return !carries(loop, buffer.id, loopsOutside(program, ref));
}

/** The program with `next` in place of a loop; buffers that iterations share are allocated in each of them instead. */
export function withOwnBuffers(program: Program, ref: LoopRef, next: For): Program {
  const { own } = iterationsShare(program, ref);
  const body = own.reduce<Stmt>((inner, b) => allocate(b, inner), next.body);
  const sunk = replaceStmt(program, loopOf(program, ref), { ...next, body });
  const outer = (s: Stmt): Stmt => {
    if (s.kind === "for" && s.var.id === ref.id) return s;
    const inner = mapChildStmts(s, outer);
    return inner.kind === "allocate" && own.some((b) => b.id === inner.buffer.id) ? inner.body : inner;
  };
  return own.length > 0 ? mapBodies(sunk, outer) : sunk;
}

/** The primitive. */
export const parallel = definePrimitive({
  name: "parallel",
  doc: "Runs the iterations of a loop on the threads of the pool, in any order.",
  before: "for i in 0..n:\n  C[i]",
  after: "parallel i in 0..n:\n  C[i]",
  rules: {
    "serial-loop": "the loop is serial",
    "not-nested": "no loop around or within is parallel or bound to threads, and none around is vectorized",
    "independent-iterations":
      "no iteration touches an element that another writes, unless each can have a buffer of its own, all store the same, or a block's update is atomic",
  },
  check,
  rewrite: (program: Program, { loop: ref }: ParallelArgs) => ({
    program: withOwnBuffers(program, ref, { ...loopOf(program, ref), loopKind: "parallel" }),
    result: undefined,
  }),
});
