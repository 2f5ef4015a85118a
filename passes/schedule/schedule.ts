/** Schedule: a program, handles into it, and the trace of the primitives that made it. */
import { constantValue } from "../../ir/expr/build.ts";
import type { Block, PrimFunc, Program } from "../../ir/loop/program.ts";
import { InputError, type ScheduleError } from "../../ir/support/errors.ts";
import { invariant } from "../../ir/support/invariant.ts";
import type { Caches } from "../../ir/target/target.ts";
import { type Prober, proberOf } from "./alternatives.ts";
import { type ArgsOf, argsFor, type PrimitiveName, primitives, rowNamed } from "./apply.ts";
import { copiedArguments, handlesIn, mapHandles, sameArguments, shapeFault } from "./arguments.ts";
import { refused, unknownHandle } from "./errors.ts";
import { type Fate, fateOf, insteadOf } from "./fate.ts";
import { brokenLoop, hasLoopsAtOnce } from "./independence.ts";
import { hasKernels, kernelFault } from "./kernels.ts";
import { describeMeeting } from "./legality.ts";
import { type Level, levelsOf } from "./levels.ts";
import { type TiledLoops, tile } from "./library/tile.ts";
import type { Methods } from "./methods.ts";
import { boundaryViolation, insideOneBlock } from "./nested.ts";
import { overlapViolation, spatialWritesOverlap } from "./overlap.ts";
import { patternText } from "./pattern.ts";
import type { SplitOptions, Tail } from "./primitive/split.ts";
import { brokenIntrinsic, hasTensorized } from "./primitive/tensorize.ts";
import type { BlockRef, LoopRef, Rewritten, Violation } from "./primitive.ts";
import { type NestPrintOptions, printNest } from "./print.ts";
import {
  type BlockCursor,
  cursorTo,
  everything,
  type Found,
  first,
  type LoopCursor,
  matches,
  type Pattern,
  type Walked,
} from "./query.ts";
import { type Decision, drawCategory, drawTile, locationsOf, SeededRandom, samplingNames } from "./sampling.ts";
import { allocatesInLoops, strayBuffer } from "./scopes.ts";
import {
  callText,
  checkTrace,
  decodeArgs,
  encodeArgs,
  encodeResult,
  handleKey,
  isSample,
  namesOf,
  Trace,
  type TraceJson,
  type TraceStep,
} from "./trace.ts";
import { blockRef, blocksIn, findBlock, findLoop, loopRef, loopsAround } from "./tree.ts";
import { viewOf } from "./view.ts";
import { viewPage } from "./view-page.ts";
import {
  type Alternative,
  type ArgumentOf,
  alternativeLines,
  alternativesOf,
  choicesOf,
  type Explanation,
} from "./why.ts";

export interface Schedule extends Methods {}

/** The rule that every primitive has: handles stand for something that still exists. */
export const liveHandle = "live-handle";

/** The rule that every primitive has: buffers are used only inside their allocations. */
export const buffersInScope = "buffers-in-scope";
/** The rule that every primitive has: what an intrinsic computes stays as it is. */
export const keepsIntrinsics = "keeps-intrinsics";
/** The rule that every primitive has: loops that run at once stay independent. */
export const staysIndependent = "stays-independent";
/** The rule that every primitive has: GPU kernels stay what GPUs can run. */
export const keepsKernels = "keeps-kernels";
/** The rules that every primitive has besides its own, by name. */
export const commonRules: Readonly<Record<string, string>> = {
  [spatialWritesOverlap]:
    "iterations of a block that differ in a spatial variable touch no element that one of them writes",
  [liveHandle]: "handles stand for what still exists",
  [staysIndependent]: "iterations of parallel and vectorized loops stay independent",
  [buffersInScope]: "buffers are used only inside their allocations",
  [keepsIntrinsics]: "tensorized nests stay what their intrinsics mean",
  [keepsKernels]:
    "what is bound to GPU axes stays free of races, within the limits of GPUs, and visible to who needs it",
  [insideOneBlock]:
    "what moves blocks works on blocks that stand in no other, and everything else on loops and blocks inside one block",
};

/** A check, and what it found. */
interface Checked {
  readonly before: Program;
  readonly name: string;
  readonly args: object;
  readonly violation: Violation | undefined;
}

export interface ScheduleOptions {
  /** The function to schedule; the first by default. */
  readonly func?: string;
  readonly seed?: number;
  readonly decisions?: readonly (Decision | undefined)[];
}

/** Applies primitives to one function of a program; every step is checked first and recorded. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the methods are made from the table below the class
export class Schedule implements Walked {
  readonly #func: string;
  /** The program before the first step and after each; shared structure makes this cheap. */
  readonly #states: Program[];
  readonly #used: (LoopRef | BlockRef)[][] = [];
  readonly #given: (LoopRef | BlockRef)[][] = [];
  readonly #origins = new Map<string, { step: number; result: number }>();
  #trace: Trace;
  /** What the last check has made already, where it did: for the step that follows it. */
  #made: Rewritten<unknown> | undefined;
  /** What the last check found: a step follows a check of the same arguments, as a rule. */
  #checked: Checked | undefined;
  readonly #random: SeededRandom;
  readonly #decisions: readonly (Decision | undefined)[];
  /** Lists that sampling gave, and the step: a trace refers to them, so that a changed decision is felt later. */
  readonly #sampled = new Map<unknown, number>();

  /**
   * `seed` starts the generator of sampling primitives; `decisions` are what the first, second … of them decide instead
   * of drawing, where given.
   * @throws InputError when the program has no function of that name
   */
  constructor(program: Program, options: ScheduleOptions = {}) {
    const func = options.func === undefined ? program.functions[0] : named(program, options.func);
    if (!func) throw new InputError("schedule/no-function", `the program has no function ${options.func ?? ""}`);
    this.#func = func.name;
    this.#states = [program];
    this.#trace = new Trace(func.name);
    this.#random = new SeededRandom(options.seed ?? 0);
    this.#decisions = options.decisions ?? [];
  }

  /** The program as it is now. */
  get program(): Program {
    return this.#states.at(-1)!;
  }
  /** The steps that made it. */
  get trace(): Trace {
    return this.#trace;
  }
  /** The function that is scheduled. */
  get func(): PrimFunc {
    const func = named(this.program, this.#func);
    invariant(func, `function ${this.#func} stays in the program`);
    return func;
  }
  /**
   * The program as text; with `extents`, `footprints`, `intensity` what each loop costs beside it:
   * `console.log(s.print({ footprints: true, intensity: true, target: resolveTarget("host") }))`.
   */
  print(options: NestPrintOptions = {}): string {
    return printNest(this.program, this.func, options);
  }
  /** What `print` shows of each loop, as data; `caches` are those of a target. */
  levels(caches?: Caches): Level[] {
    return levelsOf(this.func, caches);
  }
  /** One HTML page with the nest before and after each step: `writeFileSync("schedule.html", s.toHtml())`. */
  toHtml(title?: string): string {
    return viewPage(viewOf(this.#func, this.#states, this.#trace.steps), title);
  }
  /** A schedule that goes on from here on its own. */
  fork(): Schedule {
    const copy = new Schedule(this.#states[0]!, { func: this.#func, decisions: this.#decisions });
    copy.#random.state = this.#random.state;
    for (const [k, v] of this.#sampled) copy.#sampled.set(k, v);
    copy.#states.push(...this.#states.slice(1));
    copy.#used.push(...this.#used);
    copy.#given.push(...this.#given);
    for (const [k, v] of this.#origins) copy.#origins.set(k, v);
    copy.#trace = this.#trace;
    return copy;
  }

  /** All blocks, in execution order. */
  blocks(): BlockCursor[] {
    return blocksIn(this.func.body).map((b) => this.cursor(blockRef(b)));
  }
  /** The block of this name. @throws ScheduleError `schedule/unknown-name` */
  block(name: string): BlockCursor {
    const blocks = this.blocks();
    return blocks.find((b) => b.name === name) ?? this.#unknown("block", name, blocks);
  }
  /** The loops around a block, outermost first. */
  loops(block: BlockRef | string): LoopCursor[] {
    return loopsAround(this.program, this.alive(this.#blockRef(block)).id).map((l) => this.cursor(loopRef(l)));
  }
  /** The loop at `depth` (0 is the outermost) around a block. */
  loopAt(block: BlockRef | string, depth: number): LoopCursor {
    const loops = this.loops(block);
    return loops[depth] ?? this.#unknown("loop", `at depth ${depth}`, loops);
  }
  /** The loop of this name, among those around `block` when it is given. @throws ScheduleError `schedule/ambiguous-name` */
  loop(name: string, block?: BlockRef | string): LoopCursor {
    const loops = block === undefined ? this.#allLoops() : this.loops(block);
    const found = loops.filter((l) => l.name === name);
    if (found.length === 1) return found[0]!;
    if (found.length === 0) return this.#unknown("loop", name, loops);
    const blocks = this.blocks().filter((b) => this.loops(b).some((l) => l.name === name));
    const because = `${found.length} loops are named ${name}, around ${blocks.map((b) => b.name).join(", ")}`;
    throw unknownHandle(
      "ambiguous-name",
      because,
      `name the block: loop("${name}", "${blocks[0]?.name}")`,
      this.#step(),
    );
  }
  #allLoops(): LoopCursor[] {
    const loops = new Map(this.blocks().flatMap((b) => this.loops(b).map((l) => [l.id, l] as const)));
    return [...loops.values()];
  }
  #unknown(what: string, name: string, candidates: readonly { readonly name: string }[]): never {
    const names = [...new Set(candidates.map((c) => c.name))];
    throw unknownHandle("unknown-name", `there is no ${what} ${name}`, `one of ${names.join(", ")}`, this.#step());
  }
  #blockRef(block: BlockRef | string): BlockRef {
    return typeof block === "string" ? this.block(block) : block;
  }
  /**
   * The first loop or block that matches, in execution order, those around before those inside:
   * `s.find({ loop: "_", around: "C", drives: "reduction", innermost: true })`, `s.find("vectorized for _")`,
   * `s.find({ block: "*", writes: "C" })`.
   * @throws ScheduleError `schedule/unknown-name`
   */
  find<const P extends Pattern>(pattern: P): Found<P> {
    return first(pattern, everything(this), this);
  }
  /** All that match, in execution order. `s.findAll({ loop: "*", kind: "parallel" })` */
  findAll<const P extends Pattern>(pattern: P): Found<P>[] {
    return matches(pattern, everything(this));
  }
  /** A handle as a cursor of this schedule, from which `parent()`, `body()`, `next()` … lead on. */
  cursor<H extends LoopRef | BlockRef>(handle: H): H extends LoopRef ? LoopCursor : BlockCursor {
    return cursorTo(handle, this);
  }
  /** What became of a handle: which step consumed it and what lives in its place; undefined while it is alive. */
  fate(handle: LoopRef | BlockRef): Fate | undefined {
    return fateOf({ states: this.#states, steps: this.#trace.steps, used: this.#used, given: this.#given }, handle);
  }
  /** The handle, when what it stands for exists. @throws ScheduleError `schedule/live-handle` with what became of it */
  alive<H extends LoopRef | BlockRef>(handle: H): H {
    const fate = this.fate(handle);
    if (fate) throw unknownHandle(liveHandle, fate.text, insteadOf(fate), this.#step());
    return handle;
  }
  /** The error for a pattern that nothing matches. */
  noMatch(pattern: Pattern, candidates: readonly { readonly name: string }[]): never {
    this.#unknown("match of", patternText(pattern), candidates);
  }
  #step(): number {
    return this.#trace.steps.length + 1;
  }

  /** The number of iterations of a loop where it is a constant. */
  extent(loop: LoopRef): number | undefined {
    return constantValue(findLoop(this.program, this.alive(loop).id)!.extent);
  }
  /** The block itself: its iteration variables, bindings, regions. */
  describe(block: BlockRef): Block {
    return findBlock(this.program, this.alive(block).id)!;
  }
  /** The blocks that write what this block reads, without itself. */
  producers(block: BlockRef | string): BlockCursor[] {
    const self = this.describe(this.#blockRef(block));
    const read = new Set(self.reads.map((r) => r.buffer.id));
    return this.#others(self, (b) => b.writes.some((w) => read.has(w.buffer.id)));
  }
  /** The blocks that read what this block writes, without itself. */
  consumers(block: BlockRef | string): BlockCursor[] {
    const self = this.describe(this.#blockRef(block));
    const written = new Set(self.writes.map((w) => w.buffer.id));
    return this.#others(self, (b) => b.reads.some((r) => written.has(r.buffer.id)));
  }
  #others(self: Block, f: (b: Block) => boolean): BlockCursor[] {
    return blocksIn(this.func.body)
      .filter((b) => b !== self && f(b))
      .map((b) => this.cursor(blockRef(b)));
  }

  /** What stands in the way of a primitive, without an exception; undefined when it may be applied. */
  probe<N extends PrimitiveName>(name: N, args: ArgsOf<N>): Violation | undefined {
    return this.#violation(name, args);
  }
  #violation(name: string, args: object): Violation | undefined {
    return this.#check(name, args).violation;
  }
  /** Checks arguments; those of the last check again, on the same program, are not checked twice. */
  #check(name: string, given: object): Checked {
    const before = this.program;
    const last = this.#checked;
    if (last?.before === before && last.name === name && sameArguments(last.args, given)) return last;
    this.#made = undefined;
    // A copy: what callers do to theirs afterwards changes nothing that is known about this one.
    const args = copiedArguments(given);
    const checked = { before, name, args, violation: this.#checkAll(name, args) };
    this.#checked = checked;
    return checked;
  }
  #checkAll(name: string, args: object): Violation | undefined {
    const row = rowNamed(name);
    if (!row) throw new InputError("schedule/no-primitive", `there is no primitive ${name}`);
    const fault = shapeFault(row.shape, args);
    if (fault !== undefined) throw new InputError("schedule/bad-argument", `${name}: ${fault}`);
    for (const h of handlesIn(args)) {
      const fate = this.fate(h);
      if (fate) return { rule: liveHandle, because: fate.text, instead: insteadOf(fate) };
    }
    return (
      overlapViolation(this.program) ??
      boundaryViolation(this.program, handlesIn(args), row.moves) ??
      row.primitive.check(this.program, args) ??
      this.#common(name, args)
    );
  }
  /** The rules that concern what the primitive makes of the program, where the program has what can break them. */
  #common(name: string, args: object): Violation | undefined {
    const { primitive, moves } = rowNamed(name)!;
    const before = this.program;
    const scopes = allocatesInLoops(before);
    const loops = moves && hasLoopsAtOnce(before);
    const tensors = hasTensorized(before);
    const kernels = name !== "bind" && hasKernels(before);
    if (!scopes && !loops && !tensors && !kernels) return undefined;
    this.#made = primitive.rewrite(before, args);
    const after = this.#made.program;
    const stray = scopes ? strayBuffer(after) : undefined;
    if (stray) {
      const because = `${stray.name} is allocated inside a loop, and would be used outside of it`;
      return { rule: buffersInScope, because, instead: `apply ${name} before making the loop parallel` };
    }
    const changed = tensors ? brokenIntrinsic(after) : undefined;
    if (changed) {
      const because = `the nest at ${changed.loop.var.name} would no longer be what ${changed.intrinsic} means`;
      return { rule: keepsIntrinsics, because, instead: `apply ${name} before tensorize` };
    }
    const fault = kernels ? kernelFault(after) : undefined;
    if (fault) return { ...fault, rule: keepsKernels, instead: `apply ${name} before bind` };
    const broken = loops ? brokenLoop(before, after) : undefined;
    if (!broken) return undefined;
    const { loop, meeting } = broken;
    const instead = `apply ${name} before making the loop ${loop.loopKind}`;
    return { rule: staysIndependent, because: describeMeeting(meeting, loop.var.name), instead, at: loopRef(loop) };
  }
  /** Applies a primitive to its plain arguments. @throws ScheduleError `primitive/rule` */
  apply(name: string, args: object): unknown {
    const { args: own, violation } = this.#check(name, args);
    if (violation) throw this.#refusal(name, args, violation);
    const encoded = this.#withSamples(args, encodeArgs(this.program, this.#origins, args));
    const made = this.#made;
    this.#made = undefined;
    const { program, result: plain } = made ?? rowNamed(name)!.primitive.rewrite(this.program, own);
    const result = mapHandles(plain, (h) => this.cursor(h));
    const handles = handlesIn(result);
    this.#states.push(program);
    this.#used.push(handlesIn(args));
    this.#given.push(handles);
    const step = this.#step();
    for (const [k, h] of handles.entries()) this.#origins.set(handleKey(h), { step, result: k });
    if (Array.isArray(result) && samplingNames.has(name)) this.#sampled.set(result, step);
    const recorded = { primitive: name, args: encoded, result: encodeResult(result) };
    this.#trace = new Trace(this.#func, [...this.#trace.steps, recorded]);
    return result;
  }
  /** Arguments that are lists of an earlier sampling refer to its step. */
  #withSamples(args: object, encoded: TraceStep["args"]): TraceStep["args"] {
    const from = Object.entries(args).flatMap(([k, v]) => {
      const step = this.#sampled.get(v);
      return step === undefined ? [] : [[k, { sampled: step }] as const];
    });
    return from.length === 0 ? encoded : { ...encoded, ...Object.fromEntries(from) };
  }
  /** The decision given for the next sampling step. */
  #nextDecision(): Decision | undefined {
    const taken = this.#trace.steps.filter((s) => samplingNames.has(s.primitive)).length;
    return this.#decisions[taken];
  }

  /** Draws `n` factors, outermost first, whose product is the loop's extent, the innermost at most `maxInner`. */
  sampleTile(loop: LoopRef, n: number, maxInner: number, decision?: readonly number[]): number[] {
    const given = decision ?? this.#nextDecision();
    const drawn = Array.isArray(given) ? given : drawTile(this.#random, this.extent(loop) ?? 1, n, maxInner);
    return this.apply("sampleTile", { loop, n, maxInner, decision: drawn }) as number[];
  }
  /** Draws one of some values. */
  sampleCategorical<V extends number | string>(
    values: readonly V[],
    probabilities: readonly number[],
    decision?: number,
  ): V {
    const given = decision ?? this.#nextDecision();
    const drawn = typeof given === "number" ? given : drawCategory(this.#random, probabilities);
    return this.apply("sampleCategorical", { values, probabilities, decision: drawn }) as V;
  }
  /** Draws a loop at which a block could be computed; undefined: where it is. */
  sampleComputeLocation(block: BlockRef, decision?: number): LoopCursor | undefined {
    const given = decision ?? this.#nextDecision();
    const places = locationsOf(this.program, this.alive(block));
    const drawn = typeof given === "number" ? given : this.#random.int(-1, places.length - 1);
    return this.apply("sampleComputeLocation", { block, decision: drawn }) as LoopCursor | undefined;
  }
  /** Whether a primitive may be applied, which rule it breaks, and with which other arguments it may. */
  why<N extends PrimitiveName>(name: N, args: ArgsOf<N>): Explanation {
    const violation = this.#violation(name, args);
    const prober = this.#prober(name);
    const alternatives = alternativesOf(name, args, prober);
    const lines = alternativeLines(alternatives, prober.nests);
    if (!violation) {
      const call = callText({ primitive: name, args: namesOf(args) });
      return { legal: true, alternatives, text: [`${call} is legal`, ...lines].join("\n") };
    }
    const refusal = this.#refusal(name, args, violation);
    const demand = String(refusal.details.demand);
    return { legal: false, violation, demand, alternatives, text: [refusal.message, ...lines].join("\n") };
  }
  /**
   * The legal values of an argument that is not given: `s.choices("computeAt", "loop", { block })` are the loops where
   * a block could be computed, `s.choices("parallel", "loop", {})` those that may run in parallel.
   */
  choices<N extends PrimitiveName>(name: N, argument: ArgumentOf<ArgsOf<N>>, args: Partial<ArgsOf<N>>): Alternative {
    return choicesOf(name, args, argument, this.#prober(name));
  }
  #prober(name: string): Prober {
    return proberOf(this.func, (args) => this.#violation(name, args) === undefined);
  }
  #refusal(primitive: string, args: object, violation: Violation): ScheduleError {
    const { rule } = violation;
    const demand = commonRules[rule] ?? rowNamed(primitive)!.primitive.rules[rule]!;
    const call = callText({ primitive, args: namesOf(args) });
    return refused(this.program, { primitive, call, step: this.#step(), demand, violation, args });
  }
  /** Splits a loop into two (`factor` is the inner extent) or more. @see primitive/split.ts */
  split(loop: LoopRef, options: { readonly factor: number; readonly tail: "peel" }): LoopCursor[];
  split(loop: LoopRef, options: { readonly factor: number; readonly tail?: Tail }): [LoopCursor, LoopCursor];
  split<const F extends readonly (number | null)[]>(
    loop: LoopRef,
    options: { readonly factors: F; readonly tail?: Exclude<Tail, "peel"> },
  ): { -readonly [K in keyof F]: LoopCursor };
  split(loop: LoopRef, options: SplitOptions): LoopCursor[];
  split(loop: LoopRef, options: SplitOptions): LoopCursor[] {
    return this.apply("split", argsFor("split", [loop, options])) as LoopCursor[];
  }
  /** Splits loops and puts the tiles inside. @see library/tile.ts */
  tile(loops: readonly LoopRef[], factors: readonly number[], tail?: Tail): TiledLoops {
    return tile(this, loops, factors, tail);
  }
}

const named = (p: Program, name: string): PrimFunc | undefined => p.functions.find((f) => f.name === name);

for (const name of Object.keys(primitives) as PrimitiveName[]) {
  if (name === "split" || samplingNames.has(name)) continue;
  Object.defineProperty(Schedule.prototype, name, {
    value: function (this: Schedule, ...args: unknown[]) {
      return this.apply(name, argsFor(name, args));
    },
    configurable: true,
  });
}

/** Applies a trace to a program. @throws InputError `trace/…` when it does not fit, ScheduleError when a step is illegal */
export function replay(program: Program, trace: TraceJson | Trace): Schedule {
  const json = checkTrace(trace instanceof Trace ? trace.toJSON() : trace);
  const s = new Schedule(program, { func: json.func });
  const given: (LoopRef | BlockRef)[][] = [];
  const results: unknown[] = [];
  for (const step of json.steps) {
    // Blocks of other functions may have the same names.
    const own: Program = { ...s.program, functions: [s.func] };
    const args = decodeArgs(own, given, step.args) as Record<string, unknown>;
    for (const [k, v] of Object.entries(step.args)) if (isSample(v)) args[k] = results[v.sampled - 1];
    const result = s.apply(step.primitive, args);
    given.push(handlesIn(result));
    results.push(result);
  }
  return s;
}
