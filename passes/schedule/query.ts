/**
 * Cursors: handles that know the schedule they are of, and so what is around, beside and inside them; and patterns that
 * find them. They walk the program as it is when they are asked, so one cursor serves for a whole schedule; a dead one
 * throws and says what became of it. After the cursors of Exo 2 (Ikarashi et al., ASPLOS 2025).
 */
import { constantValue } from "../../ir/expr/build.ts";
import { freeVars } from "../../ir/expr/traverse.ts";
import type { Block, For, IterKind, LoopKind, PrimFunc } from "../../ir/loop/program.ts";
import type { BlockId, VarId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";
import type { Fate } from "./fate.ts";
import { around, type Entry, entryOf, inside, outlineOf } from "./outline.ts";
import {
  type BlockPattern,
  type LoopPattern,
  matchesName,
  type NamePattern,
  type PatternOf,
  parsePattern,
} from "./pattern.ts";
import type { BlockRef, LoopRef } from "./primitive.ts";

/** A cursor to a loop or a block. */
export type Cursor = LoopCursor | BlockCursor;
/** What `find` takes. @see PatternOf */
export type Pattern = PatternOf<LoopCursor, BlockCursor>;

/** What cursors ask of the schedule they are of. */
export interface Walked {
  readonly func: PrimFunc;
  /** @throws ScheduleError `schedule/live-handle` */
  alive<H extends LoopRef | BlockRef>(handle: H): H;
  fate(handle: LoopRef | BlockRef): Fate | undefined;
  producers(block: BlockRef): BlockCursor[];
  consumers(block: BlockRef): BlockCursor[];
  /** @throws ScheduleError `schedule/unknown-name` */
  noMatch(pattern: Pattern, candidates: readonly { readonly name: string }[]): never;
}

/** The cursors a pattern finds. */
export type Found<P extends Pattern> = P extends
  | { readonly loop: NamePattern }
  | `for ${string}`
  | `${string} for ${string}`
  ? LoopCursor
  : P extends { readonly block: NamePattern } | `block ${string}`
    ? BlockCursor
    : Cursor;

abstract class Walker {
  readonly #walked: Walked;
  abstract readonly kind: "loop" | "block";
  abstract readonly id: VarId | BlockId;
  abstract readonly name: string;
  constructor(walked: Walked) {
    this.#walked = walked;
  }
  protected get walked(): Walked {
    return this.#walked;
  }
  protected get ref(): LoopRef | BlockRef {
    return this as unknown as Cursor;
  }
  protected get entry(): Entry {
    const entry = entryOf(outlineOf(this.walked.func), this.walked.alive(this.ref));
    invariant(entry, `${this.name} is in the scheduled function`);
    return entry;
  }
  protected at(e: Entry): Cursor {
    return cursorAt(e, this.walked);
  }
  /** Whether the loop or block still exists. */
  get alive(): boolean {
    return this.fate() === undefined;
  }
  /** What became of it; undefined while it is alive. `s.loop("i").fate()?.now` are the loops that live in its place. */
  fate(): Fate | undefined {
    return this.walked.fate(this.ref);
  }
  /** The loop (or outer block) that it stands in directly. `s.block("C").parent()` is the innermost loop around C. */
  parent(): Cursor | undefined {
    const { parent } = this.entry;
    return parent && this.at(parent);
  }
  /** The loops around it, outermost first. */
  enclosing(): LoopCursor[] {
    return around(this.entry)
      .map((e) => this.at(e))
      .filter(isLoop);
  }
  /** The loops and blocks that stand directly inside, in execution order. */
  body(): Cursor[] {
    return this.entry.children.map((e) => this.at(e));
  }
  /** All loops and blocks inside, those around before those inside. */
  inside(): Cursor[] {
    return inside(this.entry).map((e) => this.at(e));
  }
  /** The loop or block that runs after it in the same body. */
  next(): Cursor | undefined {
    return this.#beside(1);
  }
  /** The loop or block that runs before it in the same body. */
  prev(): Cursor | undefined {
    return this.#beside(-1);
  }
  #beside(by: number): Cursor | undefined {
    const { entry } = this;
    const list = entry.parent ? entry.parent.children : outlineOf(this.walked.func).roots;
    const other = list[list.indexOf(entry) + by];
    return other && this.at(other);
  }
  /** The first match inside. @throws ScheduleError `schedule/unknown-name` @see Schedule.find */
  find<const P extends Pattern>(pattern: P): Found<P> {
    return first(pattern, this.inside(), this.walked);
  }
  /** All matches inside, in execution order. @see Schedule.find */
  findAll<const P extends Pattern>(pattern: P): Found<P>[] {
    return matches(pattern, this.inside());
  }
}

/** A loop of a schedule; a handle for every primitive. */
export class LoopCursor extends Walker implements LoopRef {
  readonly kind = "loop";
  readonly id: VarId;
  readonly name: string;
  constructor(ref: Pick<LoopRef, "id" | "name">, walked: Walked) {
    super(walked);
    this.id = ref.id;
    this.name = ref.name;
  }
  /** The loop itself: bounds, kind, annotations. */
  get node(): For {
    return this.entry.stmt as For;
  }
  /** The number of iterations where it is a constant. */
  get extent(): number | undefined {
    return constantValue(this.node.extent);
  }
  get loopKind(): LoopKind {
    return this.node.loopKind;
  }
  /** The blocks inside, in execution order. */
  blocks(): BlockCursor[] {
    return this.inside().filter(isBlock);
  }
  /** The kinds of the iteration variables that the loop runs, of blocks inside it. */
  drives(): ReadonlySet<IterKind> {
    return new Set(this.blocks().flatMap((b) => [...kindsDriven(b.node, this.id)]));
  }
  /** Whether the loop is around a block (or another loop). */
  contains(other: LoopRef | BlockRef): boolean {
    return inside(this.entry).some((e) => e === entryOf(outlineOf(this.walked.func), other));
  }
}
/** A block of a schedule; a handle for every primitive. */
export class BlockCursor extends Walker implements BlockRef {
  readonly kind = "block";
  readonly id: BlockId;
  readonly name: string;
  constructor(ref: Pick<BlockRef, "id" | "name">, walked: Walked) {
    super(walked);
    this.id = ref.id;
    this.name = ref.name;
  }
  /** The block itself: iteration variables, bindings, regions. */
  get node(): Block {
    return this.entry.stmt as Block;
  }
  /** Names of the buffers that it reads. */
  reads(): string[] {
    return bufferNames(this.node.reads);
  }
  /** Names of the buffers that it writes. */
  writes(): string[] {
    return bufferNames(this.node.writes);
  }
  /** The blocks that write what it reads. */
  producers(): BlockCursor[] {
    return this.walked.producers(this);
  }
  /** The blocks that read what it writes. */
  consumers(): BlockCursor[] {
    return this.walked.consumers(this);
  }
  /** The innermost of the loops around that run a reduction variable of the block. */
  reductionLoop(): LoopCursor | undefined {
    const { node } = this;
    return this.enclosing().findLast((l) => kindsDriven(node, l.id).has("reduction"));
  }
  /** The innermost loop that is around both blocks. */
  sharedLoop(other: BlockRef): LoopCursor | undefined {
    return this.enclosing().findLast((l) => l.contains(other));
  }
}
const isLoop = (c: Cursor): c is LoopCursor => c.kind === "loop";
const isBlock = (c: Cursor): c is BlockCursor => c.kind === "block";
const bufferNames = (list: Block["reads"]): string[] => [...new Set(list.map((r) => r.buffer.name))];
/** The kinds of the iteration variables of a block whose bindings use a loop's variable. */
function kindsDriven(b: Block, loop: VarId): ReadonlySet<IterKind> {
  const driven = b.iterVars.filter((_, k) => freeVars(b.bindings[k]!).has(loop));
  return new Set(driven.map((v) => v.kind));
}

/** The cursor to what a handle stands for. */
export function cursorTo<H extends LoopRef | BlockRef>(
  handle: H,
  walked: Walked,
): H extends LoopRef ? LoopCursor : BlockCursor;
export function cursorTo(handle: LoopRef | BlockRef, walked: Walked): Cursor {
  return handle.kind === "loop" ? new LoopCursor(handle, walked) : new BlockCursor(handle, walked);
}
function cursorAt({ stmt }: Entry, walked: Walked): Cursor {
  return stmt.kind === "for" ? new LoopCursor(stmt.var, walked) : new BlockCursor(stmt, walked);
}
/** Cursors to everything in the function, those around before those inside. */
export const everything = (walked: Walked): Cursor[] => outlineOf(walked.func).entries.map((e) => cursorAt(e, walked));

/** The first of `list` that matches. */
export function first<const P extends Pattern>(pattern: P, list: readonly Cursor[], walked: Walked): Found<P> {
  return matches(pattern, list)[0] ?? walked.noMatch(pattern, list);
}
/** Those of `list` that match. */
export function matches<const P extends Pattern>(pattern: P, list: readonly Cursor[]): Found<P>[] {
  const wanted = typeof pattern === "string" ? parsePattern(pattern) : (pattern as Exclude<Pattern, string>);
  if (typeof wanted === "string") return list.filter((c) => matchesName(wanted, c.name)) as Found<P>[];
  if (wanted.block !== undefined) return list.filter((c) => isBlock(c) && blockMatches(wanted, c)) as Found<P>[];
  const loops = list.filter(isLoop).filter((c) => loopMatches(wanted, c));
  const kept = wanted.innermost ? loops.filter((l) => !loops.some((x) => x !== l && l.contains(x))) : loops;
  return kept as Found<P>[];
}
function loopMatches(p: LoopPattern<LoopCursor>, l: LoopCursor): boolean {
  return (
    matchesName(p.loop, l.name) &&
    (p.kind === undefined || l.loopKind === p.kind) &&
    (p.extent === undefined || l.extent === p.extent) &&
    (p.around === undefined || isAround(l, p.around)) &&
    (p.drives === undefined || drivesKind(l, p.drives, p.around)) &&
    (p.annotated === undefined || Object.hasOwn(l.node.annotations ?? {}, p.annotated)) &&
    (p.where === undefined || p.where(l))
  );
}
const isNamed = (b: BlockRef, which: BlockRef | NamePattern): boolean =>
  typeof which === "object" && "id" in which ? b.id === which.id : matchesName(which, b.name);
const isAround = (l: LoopCursor, which: BlockRef | NamePattern): boolean => l.blocks().some((b) => isNamed(b, which));
/** Whether the loop runs such a variable, of the blocks meant when some are. */
const drivesKind = (l: LoopCursor, kind: IterKind, of: BlockRef | NamePattern = "*"): boolean =>
  l.blocks().some((b) => isNamed(b, of) && kindsDriven(b.node, l.id).has(kind));
function blockMatches(p: BlockPattern<BlockCursor>, b: BlockCursor): boolean {
  return (
    matchesName(p.block, b.name) &&
    (p.reads === undefined || b.reads().some((n) => matchesName(p.reads!, n))) &&
    (p.writes === undefined || b.writes().some((n) => matchesName(p.writes!, n))) &&
    (p.has === undefined || b.node.iterVars.some((v) => v.kind === p.has)) &&
    (p.where === undefined || p.where(b))
  );
}
