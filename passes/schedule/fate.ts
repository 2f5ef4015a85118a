/** What became of a handle: the step that consumed its loop or block, what replaced it then, and what of that lives. */
import type { Block, Program } from "../../ir/loop/program.ts";
import type { BlockRef, LoopRef } from "./primitive.ts";
import { callText, type TraceStep } from "./trace.ts";
import { blockRef, blocksIn, findBlock, findLoop, loopRef, loopsAround } from "./tree.ts";

type Handle = LoopRef | BlockRef;
/** The end of a loop or block. */
export interface Fate {
  readonly handle: Handle;
  /** The step that consumed it, counted from 1; 0 for a handle that never was of the schedule. */
  readonly step: number;
  readonly primitive: string;
  /** The text of that step. */
  readonly call: string;
  /** The loops or blocks that stand for it after that step. */
  readonly into: readonly Handle[];
  /** Those of them that live, and what the others became in turn. */
  readonly now: readonly Handle[];
  /** All of it in a sentence. */
  readonly text: string;
}
/** What is remembered of a schedule: `states[k]` is the program before step k + 1, which was applied to `used[k]`. */
export interface History {
  readonly states: readonly Program[];
  readonly steps: readonly TraceStep[];
  readonly used: readonly (readonly Handle[])[];
  readonly given: readonly (readonly Handle[])[];
}

/** How primitives that consume what they are given say it. */
const verbs: Readonly<Record<string, string>> = {
  split: "split into",
  fuse: "fused into",
  skew: "skewed into",
  softwarePipeline: "pipelined into",
  doubleBuffer: "pipelined into",
  computeInline: "inlined into",
  reverseComputeInline: "inlined into",
};
const exists = (p: Program, h: Handle): boolean =>
  (h.kind === "loop" ? findLoop(p, h.id) : findBlock(p, h.id)) !== undefined;

/** What became of a handle; undefined while it is alive. */
export function fateOf(history: History, handle: Handle): Fate | undefined {
  const { states, steps } = history;
  if (exists(states.at(-1)!, handle)) return undefined;
  const last = states.findLastIndex((p) => exists(p, handle));
  if (last < 0) {
    const text = `${handle.name} is not of this schedule`;
    return { handle, step: 0, primitive: "", call: "", into: [], now: [], text };
  }
  const { primitive } = steps[last]!;
  const end: End = {
    handle,
    step: last + 1,
    primitive,
    call: callText(steps[last]!),
    ...replacements(history, last, handle),
  };
  const now = unique(end.into.flatMap((h) => fateOf(history, h)?.now ?? [h]));
  return { handle, step: end.step, primitive, call: end.call, into: end.into, now, text: sentence(end, now) };
}
const unique = (list: readonly Handle[]): Handle[] => [...new Map(list.map((h) => [`${h.kind}${h.id}`, h])).values()];

interface End extends Pick<Fate, "handle" | "step" | "primitive" | "call" | "into"> {
  /** The block whose move or end took a loop away. */
  readonly because?: BlockRef;
  /** Whether the block itself ended. */
  readonly gone?: boolean;
}
/** What stands in place of `h` after step `k` (from 0). */
function replacements({ states, used, given }: History, k: number, h: Handle): Pick<End, "into" | "because" | "gone"> {
  const [before, after] = [states[k]!, states[k + 1]!];
  if (h.kind === "block") return { into: takers(before, after) };
  const results = given[k]!.filter((r) => r.kind === "loop");
  if (used[k]!.some((u) => u.kind === "loop" && u.id === h.id) && results.length > 0) return { into: results };
  const blocks = blocksIn(findLoop(before, h.id)!);
  const kept = blocks.filter((b) => findBlock(after, b.id));
  if (kept.length === 0 && blocks[0]) return { into: takers(before, after), because: blockRef(blocks[0]), gone: true };
  const loops = kept.flatMap((b) => loopsAround(after, b.id).filter((l) => !findLoop(before, l.var.id)));
  const into = unique(loops.map(loopRef));
  return kept[0] ? { into, because: blockRef(kept[0]) } : { into };
}
/** The blocks into which a step put what a block computed: those that it made or whose bodies it changed. */
function takers(before: Program, after: Program): BlockRef[] {
  const changed = (b: Block): boolean => findBlock(before, b.id)?.body !== b.body;
  return blocksIn(after).filter(changed).map(blockRef);
}

function sentence(end: End, now: readonly Handle[]): string {
  const { handle, into, because } = end;
  const what = `${handle.kind} ${handle.name}`;
  const verb = verbs[end.primitive];
  const later = sameHandles(into, now) ? "" : now.length > 0 ? ` (now ${names(now)})` : " (nothing of that is left)";
  if (because && end.gone)
    return `${what} went with block ${because.name}, which was ${verb ?? "replaced by"} ${names(into)} by step ${end.step}${later}`;
  if (because) {
    const instead = into.length > 0 ? `, which has ${names(into)} instead` : "";
    return `${what} went when step ${end.step}, ${end.call}, moved block ${because.name}${instead}${later}`;
  }
  if (into.length === 0) return `${what} was removed by step ${end.step}, ${end.call}`;
  return `${what} was ${verb ?? "replaced by"} ${names(into)} by step ${end.step}${later}`;
}
const names = (list: readonly Handle[]): string => list.map((h) => h.name).join(", ") || "nothing";
const sameHandles = (a: readonly Handle[], b: readonly Handle[]): boolean =>
  a.length === b.length && a.every((h, k) => h.kind === b[k]!.kind && h.id === b[k]!.id);

/** What to use instead of a dead handle. */
export const insteadOf = ({ now }: Fate): string | undefined =>
  now.length > 0 ? `use ${now.map((h) => h.name).join(" or ")}` : undefined;
