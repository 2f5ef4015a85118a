/**
 * What GPU axes demand of a program. A kernel is the nest of an outermost bound loop; `blockIdx` loops run its blocks,
 * `threadIdx` and `vthread` loops the threads of a block. Loops bound to one axis that stand one after the other are run
 * by the same threads: between them the threads of a block meet at a barrier where one needs what another made, blocks
 * never do.
 */
import { constantValue, variable } from "../../ir/expr/build.ts";
import type { Expr, Var } from "../../ir/expr/expr.ts";
import { freeVars } from "../../ir/expr/traverse.ts";
import { forLoop } from "../../ir/loop/build.ts";
import type { For, Program, Stmt, ThreadAxis } from "../../ir/loop/program.ts";
import { childStmts, mapChildStmts, visitStmt } from "../../ir/loop/traverse.ts";
import { IdSource, type VarId } from "../../ir/support/ids.ts";
import { meetsAtomically } from "./atomics.ts";
import { carriedMeetings } from "./dependences.ts";
import { describeMeeting, type Instance, type Meeting, nameOf, nestOf, storesTheSame } from "./legality.ts";
import type { Violation } from "./primitive.ts";
import { substituteStmt } from "./rebuild.ts";
import { blockRef, blocksIn, loopRef } from "./tree.ts";

/** Every GPU axis. */
export const threadAxes: readonly ThreadAxis[] = [
  "blockIdx.x",
  "blockIdx.y",
  "blockIdx.z",
  "threadIdx.x",
  "threadIdx.y",
  "threadIdx.z",
  "vthread",
];
/** The most iterations of an axis, and of the threads of a block together: what every NVIDIA GPU since Kepler has. */
const limits: Readonly<Record<ThreadAxis, number>> = {
  "blockIdx.x": 2 ** 31 - 1,
  "blockIdx.y": 65_535,
  "blockIdx.z": 65_535,
  "threadIdx.x": 1024,
  "threadIdx.y": 1024,
  "threadIdx.z": 64,
  vthread: Number.POSITIVE_INFINITY,
};
const mostThreads = 1024;

export const kernelRules = {
  "not-nested":
    "an axis is bound once along a nest, blocks outside of threads; no loop around or within is parallel, none around is vectorized",
  "one-extent": "all loops of a kernel that are bound to one axis have one extent",
  "thread-limit": "axes have as many iterations as GPUs allow, and a block has at most 1024 threads",
  "independent-iterations":
    "no iteration of a bound loop touches an element that another writes, unless all store the same or a block's update is atomic",
  "shared-per-block": "a buffer that each thread has a copy of is not in scope shared",
  "visible-to-threads":
    "what another thread made is in scope shared or global, and what another block made is not needed within the kernel",
  "uniform-barriers":
    "where threads have to meet, all of them come by: no loop or condition around depends on a thread",
};
export type KernelRule = keyof typeof kernelRules;
type Fault = Violation<KernelRule>;

const isBound = (l: For): boolean => l.loopKind === "thread";
const isBlockAxis = (axis: ThreadAxis | undefined): boolean => axis?.startsWith("blockIdx") ?? false;

interface Kernel {
  readonly root: For;
  readonly around: readonly For[];
}
/** The kernels of a program. */
function kernelsOf(program: Program): Kernel[] {
  const found: Kernel[] = [];
  const go = (s: Stmt, around: readonly For[]): void => {
    if (s.kind === "for" && isBound(s)) {
      found.push({ root: s, around });
      return;
    }
    const inner = s.kind === "for" ? [...around, s] : around;
    for (const c of childStmts(s)) go(c, inner);
  };
  for (const f of program.functions) go(f.body, []);
  return found;
}
/** Whether a loop of the program is bound to an axis. */
export const hasKernels = (program: Program): boolean => kernelsOf(program).length > 0;

/** The first rule that a kernel of the program breaks. */
export function kernelFault(program: Program): Fault | undefined {
  for (const k of kernelsOf(program)) {
    const fault = nestingFault(k) ?? extentFault(k) ?? raceFault(k) ?? scopeFault(k) ?? sharingFault(k, program.nextId);
    if (fault) return fault;
  }
  return undefined;
}

function nestingFault({ root, around }: Kernel): Fault | undefined {
  const refuse = (l: For, because: string): Fault => ({ rule: "not-nested", because, at: loopRef(l) });
  const outer = around.find((l) => l.loopKind !== "serial" && l.loopKind !== "unrolled");
  if (outer) return refuse(outer, `${outer.var.name}, around ${root.var.name}, is ${outer.loopKind}`);
  const go = (s: Stmt, bound: readonly For[], lanes: For | undefined): Fault | undefined => {
    if (s.kind !== "for") return firstOf(childStmts(s), (c) => go(c, bound, lanes));
    if (s.loopKind === "parallel") return refuse(s, `${s.var.name}, within ${root.var.name}, is parallel`);
    if (isBound(s)) {
      if (lanes) return refuse(lanes, `${lanes.var.name}, around ${s.var.name}, is ${lanes.loopKind}`);
      const twice = bound.find((l) => l.axis === s.axis && s.axis !== "vthread");
      if (twice) return refuse(s, `${twice.var.name}, around ${s.var.name}, is bound to ${s.axis} too`);
      const thread = isBlockAxis(s.axis) ? bound.find((l) => !isBlockAxis(l.axis)) : undefined;
      if (thread) return refuse(s, `${s.var.name} runs blocks within ${thread.var.name}, which runs threads`);
    }
    const vector = s.loopKind === "vectorized" || s.loopKind === "tensorized" ? s : lanes;
    return go(s.body, isBound(s) ? [...bound, s] : bound, vector);
  };
  return go(root, [], undefined);
}
function firstOf<T, R>(list: readonly T[], f: (item: T) => R | undefined): R | undefined {
  for (const item of list) {
    const found = f(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
const boundIn = (root: Stmt): For[] => allLoops(root).filter(isBound);
/** Loops within, those inside blocks too. */
function allLoops(root: Stmt): For[] {
  const found: For[] = [];
  visitStmt(root, (s) => {
    if (s.kind === "for") found.push(s);
  });
  return found;
}

function extentFault({ root }: Kernel): Fault | undefined {
  const first = new Map<ThreadAxis, For>();
  for (const l of boundIn(root)) {
    const axis = l.axis!;
    const [own, known] = [constantValue(l.extent) ?? Number.POSITIVE_INFINITY, first.get(axis)];
    if (own > limits[axis])
      return {
        rule: "thread-limit",
        because: `${axis} has at most ${limits[axis]} iterations, not ${own}`,
        at: loopRef(l),
      };
    if (axis === "vthread") continue;
    if (known && constantValue(known.extent) !== own)
      return {
        rule: "one-extent",
        because: `${axis} has ${constantValue(known.extent)} iterations at ${known.var.name} and ${own} at ${l.var.name}`,
        instead: "split both loops by the same factor",
        at: loopRef(l),
      };
    first.set(axis, known ?? l);
  }
  const threads = [...first].filter(([axis]) => !isBlockAxis(axis));
  const total = threads.reduce((n, [, l]) => n * constantValue(l.extent)!, 1);
  if (total <= mostThreads) return undefined;
  return {
    rule: "thread-limit",
    because: `a block has at most ${mostThreads} threads, not ${threads.map(([, l]) => constantValue(l.extent)).join(" · ")}`,
    at: loopRef(threads.at(-1)![1]),
  };
}

function raceFault({ root, around }: Kernel): Fault | undefined {
  const go = (s: Stmt, outside: readonly For[]): Fault | undefined => {
    if (s.kind === "for" && isBound(s)) {
      const nest = nestOf(s, outside);
      const race = carriedMeetings(nest, s).find((m) => !storesTheSame(nest, m) && !meetsAtomically(m));
      if (race)
        return {
          rule: "independent-iterations",
          because: describeMeeting(race, s.var.name),
          instead: "bind a loop that drives only spatial variables; rfactor splits a reduction",
          at: loopRef(s),
        };
    }
    const inner = s.kind === "for" ? [...outside, s] : outside;
    return firstOf(childStmts(s), (c) => go(c, inner));
  };
  return go(root, around);
}

function scopeFault({ root }: Kernel): Fault | undefined {
  const go = (s: Stmt, thread: For | undefined): Fault | undefined => {
    if (s.kind === "allocate" && s.buffer.scope === "shared" && thread)
      return {
        rule: "shared-per-block",
        because: `each iteration of ${thread.var.name} has a copy of ${s.buffer.name}, which is in scope shared`,
        instead: "use scope local, or allocate it outside of the threads",
        at: loopRef(thread),
      };
    const inner = s.kind === "for" && isBound(s) && !isBlockAxis(s.axis) ? s : thread;
    return firstOf(childStmts(s), (c) => go(c, inner));
  };
  return go(root, undefined);
}

// Note [Who made it]
// Loops bound to one axis become one loop around the kernel (for threads: around what one block does): iteration t does
// what thread t does in each of them. What one iteration then touches of what another writes passes from thread to
// thread. Buffers allocated outside of these loops are one. Blocks that no loop of the axis holds are left out: which
// thread runs them is not said yet.
function sharingFault({ root, around }: Kernel, nextId: number): Fault | undefined {
  const axes = new Set(boundIn(root).map((l) => l.axis!));
  for (const axis of axes) {
    const loops = boundIn(root).filter((l) => l.axis === axis);
    if (loops.length === 1 && loops[0] === root) continue;
    const t = variable(new IdSource(nextId), axis);
    const inside = isBlockAxis(axis) ? { stmt: root, around } : insideBlocks(root, around);
    const joined = forLoop(t, loops[0]!.extent, without(inside.stmt, axis, t));
    const nest = nestOf(joined, inside.around);
    const held = new Set(loops.flatMap((l) => blocksIn(l).map((b) => b.id)));
    const open = (i: Instance): boolean => i.stmt.kind === "block" && !held.has(i.stmt.id);
    for (const m of carriedMeetings(nest, joined)) {
      if (open(m.first) || open(m.second)) continue;
      const fault = storesTheSame(nest, m) || meetsAtomically(m) ? undefined : exchangeFault(root, axis, m);
      if (fault) return fault;
    }
  }
  return undefined;
}
/** What one block of a kernel does. */
function insideBlocks(s: Stmt, around: readonly For[]): { readonly stmt: Stmt; readonly around: readonly For[] } {
  if (s.kind === "allocate") return insideBlocks(s.body, around);
  return s.kind === "for" && isBlockAxis(s.axis) ? insideBlocks(s.body, [...around, s]) : { stmt: s, around };
}
/** The statement with the loops of an axis replaced by one iteration, and without the allocations outside of them. */
function without(s: Stmt, axis: ThreadAxis, t: Var): Stmt {
  if (s.kind === "for" && s.axis === axis) return substituteStmt(s.body, new Map<VarId, Expr>([[s.var.id, t]]));
  const inner = mapChildStmts(s, (c) => without(c, axis, t));
  return inner.kind === "allocate" ? inner.body : inner;
}
function exchangeFault(root: For, axis: ThreadAxis, m: Meeting): Fault | undefined {
  const { buffer, first, second } = m;
  const who = isBlockAxis(axis) ? "block" : "thread";
  const passes = `${nameOf(second)} touches elements of ${buffer.name} that ${nameOf(first)} touches in another ${who} along ${axis}`;
  const at = second.stmt.kind === "block" ? blockRef(second.stmt) : loopRef(root);
  if (isBlockAxis(axis))
    return { rule: "visible-to-threads", because: passes, instead: "let the kernel end in between", at };
  if (buffer.scope !== "shared" && buffer.scope !== "global")
    return {
      rule: "visible-to-threads",
      because: `${passes}, and ${buffer.name} is in scope ${buffer.scope}`,
      instead: "use scope shared",
      at,
    };
  const apart = divergence(root, first, second);
  if (apart === undefined) return undefined;
  return { rule: "uniform-barriers", because: `${passes}, and ${apart} depends on a thread`, at };
}
/** A loop or condition around both statements that does not go the same way for all threads. */
function divergence(root: For, x: Instance, y: Instance): string | undefined {
  const threads = new Set(
    boundIn(root)
      .filter((l) => !isBlockAxis(l.axis))
      .map((l) => l.var.id),
  );
  const varies = (e: Expr): boolean => [...freeVars(e)].some((v) => threads.has(v));
  for (let s: Stmt | undefined = root; s; s = childStmts(s).find((c) => holds(c, x.stmt) && holds(c, y.stmt))) {
    if (s.kind === "for" && (varies(s.min) || varies(s.extent))) return `the extent of ${s.var.name}`;
    if (s.kind === "if" && varies(s.condition)) return "a condition around both";
  }
  return undefined;
}
function holds(s: Stmt, wanted: Stmt): boolean {
  let found = false;
  visitStmt(s, (n) => {
    found ||= n === wanted || (n.kind === "block" && wanted.kind === "block" && n.id === wanted.id);
    return !found;
  });
  return found;
}
