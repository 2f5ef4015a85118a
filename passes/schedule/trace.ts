/** Traces: the steps of a schedule as data, as TypeScript source, and as what rebuilds the schedule. */
import type { For, PrimFunc, Program } from "../../ir/loop/program.ts";
import { visitStmt } from "../../ir/loop/traverse.ts";
import { InputError } from "../../ir/support/errors.ts";
import { rowNamed } from "./apply.ts";
import { mapHandles } from "./arguments.ts";
import type { BlockRef, LoopRef } from "./primitive.ts";
import { samplingNames } from "./sampling.ts";
import { malformed as bad, isObject, traceVersion, upToDate } from "./trace-versions.ts";
import { blocksIn, loopRef, loopsAround, pathToLoop } from "./tree.ts";

/**
 * A handle by stable names: the `result`-th handle that step `step` gave, or a block by name, or the loop at `depth`
 * (outermost 0) around a block.
 */
export type EncodedHandle =
  | { readonly loop: string; readonly step: number; readonly result: number }
  | { readonly block: string; readonly step: number; readonly result: number }
  | { readonly loop: string; readonly of: string; readonly depth: number }
  /** A loop without blocks, of prefetches say: which one of those with its name. */
  | { readonly loop: string; readonly nth: number }
  | { readonly block: string };

export type EncodedValue =
  | string
  | number
  | boolean
  | null
  | EncodedHandle
  | readonly EncodedValue[]
  | { readonly [key: string]: EncodedValue };

/** The name of a handle that a step gave. */
type GivenName = { readonly loop: string } | { readonly block: string };
/** What a step gave: nothing, a handle, a list of handles, or the values that a sampling step drew. */
type GivenNames = null | string | number | GivenName | readonly (GivenName | number)[];
/** One application of a primitive: its arguments, and what it gave. */
export interface TraceStep {
  readonly primitive: string;
  readonly args: { readonly [key: string]: EncodedValue };
  readonly result: GivenNames;
}
/** A trace as JSON. `version` is that of the format. */
export interface TraceJson {
  readonly version: number;
  readonly func: string;
  readonly steps: readonly TraceStep[];
}

/** Where handles came from: the step and position of each handle that a step gave. */
export type Origins = ReadonlyMap<string, { readonly step: number; readonly result: number }>;
export const handleKey = (h: LoopRef | BlockRef): string => `${h.kind}${h.id}`;

/** Encodes one handle of `program`. */
export function encodeHandle(program: Program, origins: Origins, h: LoopRef | BlockRef): EncodedHandle {
  const origin = origins.get(handleKey(h));
  if (h.kind === "block") return origin ? { block: h.name, ...origin } : { block: h.name };
  if (origin) return { loop: h.name, ...origin };
  const path = pathToLoop(program, h.id)!;
  const block = blocksIn(path.stmts.at(-1)!)[0];
  if (!block) return { loop: h.name, nth: loopsNamed(path.func, h.name).findIndex((l) => l.var.id === h.id) };
  const depth = loopsAround(program, block.id).findIndex((l) => l.var.id === h.id);
  return { loop: h.name, of: block.name, depth };
}
function loopsNamed(func: PrimFunc, name: string): For[] {
  const loops: For[] = [];
  visitStmt(func.body, (s) => {
    if (s.kind === "for" && s.var.name === name) loops.push(s);
  });
  return loops;
}
/** Encodes arguments. */
export const encodeArgs = (program: Program, origins: Origins, args: object): TraceStep["args"] =>
  mapHandles(args, (h) => encodeHandle(program, origins, h)) as TraceStep["args"];
/** Arguments with handles as bare names, for messages (a handle may be dead). */
export const namesOf = (args: object): TraceStep["args"] =>
  mapHandles(args, (h) => (h.kind === "loop" ? { loop: h.name } : { block: h.name })) as TraceStep["args"];
/** A result with handles as bare names. */
export const encodeResult = (result: unknown): TraceStep["result"] =>
  (mapHandles(result, (h) => (h.kind === "loop" ? { loop: h.name } : { block: h.name })) ?? null) as GivenNames;
const isName = (v: unknown): v is GivenName =>
  isObject(v) && (typeof v.loop === "string" || typeof v.block === "string");
/** The names of the handles that a step gave, in order. */
export const givenNames = ({ result }: TraceStep): string[] =>
  [result].flat().flatMap((v) => (isName(v) ? ["loop" in v ? v.loop : v.block] : []));

/** Finds the handle that an encoded one stands for. `given` are the handles of each earlier step. */
export function decodeHandle(
  program: Program,
  given: readonly (readonly (LoopRef | BlockRef)[])[],
  e: Readonly<Record<string, unknown>>,
): LoopRef | BlockRef {
  if (typeof e.step === "number" && typeof e.result === "number") {
    const handle = given[e.step - 1]?.[e.result];
    if (!handle) throw bad(`step ${e.step} has no result ${e.result}`);
    return handle;
  }
  if (typeof e.nth === "number") {
    const loop = program.functions.flatMap((f) => loopsNamed(f, String(e.loop)))[e.nth];
    if (!loop) throw new InputError("trace/no-such-loop", `the program has no loop ${String(e.loop)} at ${e.nth}`);
    return loopRef(loop);
  }
  const name = e.block ?? e.of;
  const block = blocksIn(program).find((b) => b.name === name);
  if (!block) throw new InputError("trace/no-such-block", `the program has no block ${String(name)}`);
  if (e.block !== undefined) return { kind: "block", id: block.id, name: block.name };
  const loop = typeof e.depth === "number" ? loopsAround(program, block.id)[e.depth] : undefined;
  if (!loop) throw new InputError("trace/no-such-loop", `block ${block.name} has no loop at depth ${String(e.depth)}`);
  return loopRef(loop);
}
const isEncodedHandle = (v: Readonly<Record<string, unknown>>): boolean =>
  typeof v.block === "string"
    ? Object.keys(v).every((k) => ["block", "step", "result"].includes(k))
    : typeof v.loop === "string";
/** Whether an argument stands for what an earlier sampling step gave. */
export const isSample = (v: unknown): v is { readonly sampled: number } =>
  isObject(v) && typeof v.sampled === "number" && Object.keys(v).length === 1;
/** Decodes the arguments of a step. */
export function decodeArgs(program: Program, given: readonly (readonly (LoopRef | BlockRef)[])[], v: unknown): unknown {
  if (Array.isArray(v)) return v.map((x) => decodeArgs(program, given, x));
  if (!isObject(v)) return v;
  if (isEncodedHandle(v)) return decodeHandle(program, given, v);
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, decodeArgs(program, given, x)]));
}
/** The trace that JSON of this or an older version says, its outer shape checked. @throws InputError `trace/…` */
export function checkTrace(json: unknown): TraceJson {
  const trace = upToDate(json);
  if (typeof trace.func !== "string" || !Array.isArray(trace.steps)) throw bad("no function or no steps");
  for (const s of trace.steps as unknown[]) {
    if (!isObject(s) || typeof s.primitive !== "string" || !isObject(s.args)) throw bad("a step lacks its primitive");
    if (s.result === undefined) throw bad(`step ${s.primitive} does not say what it gave`);
  }
  return trace as unknown as TraceJson;
}

/** The steps so far; immutable. */
export class Trace {
  readonly func: string;
  readonly steps: readonly TraceStep[];
  constructor(func: string, steps: readonly TraceStep[] = []) {
    this.func = func;
    this.steps = steps;
  }
  /** The trace that `toJSON` wrote, by this or an older compiler. @throws InputError `trace/malformed`, `trace/version` */
  static fromJSON(json: unknown): Trace {
    const { func, steps } = checkTrace(json);
    return new Trace(func, steps);
  }
  /** The trace as data; `JSON.stringify` calls this. */
  toJSON(): TraceJson {
    return { version: traceVersion, func: this.func, steps: this.steps };
  }
  /** TypeScript statements that make this schedule from `s`, a fresh Schedule. */
  toSource(): string {
    return new SourceWriter().write(this.steps);
  }
}

/** One step as a call, for messages. */
export function callText(step: Pick<TraceStep, "primitive" | "args">): string {
  const show = (v: unknown): string => {
    if (Array.isArray(v)) return `[${v.map(show).join(", ")}]`;
    if (!isObject(v)) return JSON.stringify(v) ?? "undefined";
    if (isEncodedHandle(v)) return String(v.loop ?? v.block);
    return `{ ${Object.entries(v)
      .map(([k, x]) => `${k}: ${show(x)}`)
      .join(", ")} }`;
  };
  const args = Object.entries(step.args).map(([k, v]) =>
    isObject(v) && isEncodedHandle(v) ? show(v) : `${k}: ${show(v)}`,
  );
  return `${step.primitive}(${args.join(", ")})`;
}

/** How many results of a step the types of its method promise; the others may be undefined for what a compiler knows. */
function promised({ primitive, args, result }: TraceStep): number {
  if (givesAsManyAsItFinds.has(primitive) || args.tail === "peel") return 0;
  if (primitive !== "split") return [result].flat().length;
  if (args.factors === undefined) return 2;
  return Array.isArray(args.factors) ? args.factors.length : 0;
}
const givesAsManyAsItFinds: ReadonlySet<string> = new Set(["sampleComputeLocation", "peel", "loopPartition"]);

class SourceWriter {
  readonly #names = new Set<string>(["s"]);
  readonly #given: string[][] = [];
  readonly #lines: string[] = [];
  readonly #samples = new Map<number, string>();
  /** The line of a step whose results need a proof that they are there, by name; a use adds it. */
  readonly #unproven = new Map<string, { readonly line: number; readonly primitive: string }>();
  readonly #proofs: { readonly line: number; readonly text: string }[] = [];
  write(steps: readonly TraceStep[]): string {
    for (const step of steps) this.#step(step);
    return this.#lines
      .flatMap((l, k) => [l, ...this.#proofs.filter((p) => p.line === k).map((p) => p.text)])
      .join("\n");
  }
  #step(step: TraceStep): void {
    const call = this.#call(step);
    const names = givenNames(step).map((n) => this.#fresh(n));
    this.#given.push(names);
    const line = this.#lines.length;
    for (const n of names.slice(promised(step))) this.#unproven.set(n, { line, primitive: step.primitive });
    this.#lines.push(`${this.#binding(step, names)}${call};`);
  }
  /** `const x = `, `const [x, y] = `, or nothing. */
  #binding({ primitive, result }: TraceStep, names: readonly string[]): string {
    if (names.length > 0) return `const ${Array.isArray(result) ? `[${names.join(", ")}]` : names[0]} = `;
    if (!samplingNames.has(primitive)) return "";
    const name = this.#fresh(`sampled_${this.#given.length}`);
    this.#samples.set(this.#given.length, name);
    return `const ${name} = `;
  }
  /** The method's arguments: in the order of the primitive's shape, lists of loops spread, options of split together. */
  #call({ primitive, args }: TraceStep): string {
    if (primitive === "split") return this.#split(args);
    const values = Object.keys(rowNamed(primitive)?.shape ?? args).map((k) => args[k] ?? null);
    const spread = values.flatMap((v) => (Array.isArray(v) && "loops" in args ? v : [v]));
    return `s.${primitive}(${spread.map((v) => this.#value(v)).join(", ")})`;
  }
  #split(args: TraceStep["args"]): string {
    const { loop, ...options } = args;
    return `s.split(${this.#value(loop!)}, ${this.#value(options)})`;
  }
  #value(v: EncodedValue): string {
    if (Array.isArray(v)) return `[${v.map((x) => this.#value(x)).join(", ")}]`;
    if (!isObject(v)) return JSON.stringify(v);
    if (isSample(v)) return this.#samples.get(v.sampled) ?? "undefined";
    if (isEncodedHandle(v)) return this.#handle(v as EncodedHandle);
    return `{ ${Object.entries(v)
      .map(([k, x]) => `${key(k)}: ${this.#value(x as EncodedValue)}`)
      .join(", ")} }`;
  }
  #handle(h: EncodedHandle): string {
    if ("step" in h) return this.#result(this.#given[h.step - 1]![h.result]!);
    if ("block" in h) return `s.block(${JSON.stringify(h.block)})`;
    if ("nth" in h) return `s.findAll({ loop: ${JSON.stringify(h.loop)} })[${h.nth}]!`;
    return `s.loopAt(${JSON.stringify(h.of)}, ${h.depth})`;
  }
  #result(name: string): string {
    const unproven = this.#unproven.get(name);
    if (unproven) {
      const text = `if (!${name}) throw new Error("${unproven.primitive} gave no ${name}");`;
      this.#proofs.push({ line: unproven.line, text });
      this.#unproven.delete(name);
    }
    return name;
  }
  #fresh(name: string): string {
    const base = /^[A-Za-z_$][\w$]*$/.test(name) && !reserved.has(name) ? name : `h_${name.replace(/\W/g, "_")}`;
    let unique = base;
    for (let k = 1; this.#names.has(unique); k++) unique = `${base}_${k}`;
    this.#names.add(unique);
    return unique;
  }
}
const key = (k: string): string => (/^[A-Za-z_$][\w$]*$/.test(k) ? k : JSON.stringify(k));
const reserved = new Set(
  "break case catch class const continue default do else enum export extends false finally for function if import in instanceof let new null return static super switch this throw true try typeof var void while with yield".split(
    " ",
  ),
);
