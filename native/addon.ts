import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { UnavailableError } from "../ir/support/errors.ts";

declare const brand: unique symbol;

/** A place in this process's memory. */
export type Address = bigint;
/** A set of linked object files. */
export type JitHandle = number & { readonly [brand]: "JitHandle" };
/** A thread pool: the address of its `tw_runtime`; `serial` where there is none. */
export type PoolHandle = Address & { readonly [brand]: "PoolHandle" };

/** No pool: parallel regions run on the calling thread. */
export const serial = 0n as PoolHandle;

/** What `compileIr` is to make of a module. */
export interface CompileOptions {
  /** LLVM target triple; the host's if absent. */
  readonly triple?: string;
  /** LLVM CPU name; `generic` if absent. */
  readonly cpu?: string;
  /** LLVM feature string, as `+avx512f,-sse4a`. */
  readonly features?: string;
  /** New-pass-manager pipeline, as `default<O2>` or `function(sroa,early-cse)`; none if absent. */
  readonly passes?: string;
  /** Optimisation level of instruction selection and register allocation; 2 if absent. */
  readonly optLevel?: 0 | 1 | 2 | 3;
  /** Object code (ELF), assembly or PTX text, or optimised IR text; `object` if absent. */
  readonly emit?: "object" | "assembly" | "ir";
  /** Position-independent code; true if absent. */
  readonly relocPic?: boolean;
  readonly codeModel?: "default" | "small" | "medium" | "large";
  /** Lets `default<O…>` pipelines vectorize loops and straight-line code; false if absent. */
  readonly vectorize?: boolean;
  /** Lets `default<O…>` pipelines unroll loops; false if absent. */
  readonly unroll?: boolean;
}

/** The processor of this machine, in LLVM's words. */
export interface HostCpu {
  readonly name: string;
  /** Comma-separated, each with `+` or `-`. */
  readonly features: string;
  readonly triple: string;
}

/** How `allocAligned` maps memory. */
export interface AllocOptions {
  /** Power of two; 64 if absent. Every allocation starts at a page anyway. */
  readonly alignment?: number;
  /**
   * Whether to ask for transparent huge pages, however long they take. If absent, from 4 MiB on: as far as they are at hand,
   * the rest at first in small pages, of which huge ones are made in the background.
   */
  readonly hugePages?: boolean;
  /** Touches every page now instead of at first use. */
  readonly populate?: boolean;
}

/** How often a function is timed. */
export interface TimingOptions {
  /** Calls before the first sample; 1 if absent. */
  readonly warmup?: number;
  /** Samples at least; 10 if absent. */
  readonly repeats?: number;
  /** Calls a sample, for functions near the clock's resolution; 1 if absent. */
  readonly batch?: number;
  /** Samples go on until they sum to this. */
  readonly minTimeMs?: number;
  /** Sampling stops after this, with at least one sample. */
  readonly maxTimeMs?: number;
  /** Writes a buffer of this many bytes before each sample, to empty the caches; 0 if absent. */
  readonly flushBytes?: number;
}

interface Addon {
  llvmVersion(): string;
  hostCpu(): HostCpu;
  compileIr(irText: string | Uint8Array, options: CompileOptions): Uint8Array;
  compileTimings(): Float64Array;
  setLlvmOptions(options: readonly string[]): void;
  jitCreate(objects: readonly Uint8Array[]): JitHandle;
  jitLookup(jit: JitHandle, name: string): Address;
  jitDispose(jit: JitHandle): void;
  allocAligned(bytes: number, options?: AllocOptions): ArrayBuffer;
  freeAligned(buffer: ArrayBuffer): void;
  addressOf(view: ArrayBufferView | ArrayBuffer): Address;
  allocatedBytes(): number;
  poolCreate(threads: number, options?: { readonly affinity?: readonly number[] }): PoolHandle;
  poolThreads(pool: PoolHandle): number;
  poolDispose(pool: PoolHandle): void;
  invoke(entry: Address, rt: PoolHandle, arena: Address, constants: Address, io: BigUint64Array): number;
  invokeKernel(fn: Address, rt: PoolHandle, args: BigUint64Array): void;
  timeEntry(
    entry: Address,
    rt: PoolHandle,
    arena: Address,
    constants: Address,
    io: BigUint64Array,
    options?: TimingOptions,
  ): Float64Array;
  timeKernel(fn: Address, rt: PoolHandle, args: BigUint64Array, options?: TimingOptions): Float64Array;
  chunkLogStart(capacity: number): number;
  chunkLogTake(): Float64Array;
  countersOpen(typesAndConfigs: Float64Array): Float64Array;
  countersTake(): Float64Array;
}

/** The folder with our `package.json`, from the sources as well as from `dist/`. */
export function packageRoot(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let folder = here; dirname(folder) !== folder; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).name === "tilewright") return folder;
  }
  throw new UnavailableError("native/no-package", `no package.json of tilewright above ${here}`, { here });
}

/** Where the add-on is built to; `TILEWRIGHT_ADDON` names another one, as one built with another LLVM. */
export function addonPath(): string {
  return process.env.TILEWRIGHT_ADDON || join(packageRoot(), "native", "addon", "build", "Release", "tilewright.node");
}

let loaded: Addon | undefined;

function addon(): Addon {
  return (loaded ??= load());
}

function load(): Addon {
  const path = addonPath();
  if (!existsSync(path)) {
    throw new UnavailableError(
      "native/addon-missing",
      `the native add-on is not built; run \`npm run setup\` (${path})`,
      {
        path,
      },
    );
  }
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `the native add-on does not load; run \`npm run setup\` (${reason})`;
    throw new UnavailableError("native/addon-broken", message, { path, reason });
  }
}

/** Says whether the add-on is built and loads. */
export function addonAvailable(): boolean {
  try {
    addon();
    return true;
  } catch (error) {
    if (error instanceof UnavailableError) return false;
    throw error;
  }
}

/** The version of LLVM that the add-on is linked with, as `22.1.8`. */
export function llvmVersion(): string {
  return addon().llvmVersion();
}

/** Asks LLVM for the processor of this machine. */
export function hostCpu(): HostCpu {
  return addon().hostCpu();
}

/**
 * Compiles LLVM IR text in this process. A fatal error of LLVM ("cannot select") ends the process: what is not known
 * to compile goes through a `CompilePool`.
 *
 * @throws an Error whose `code` is `llvm/parse` (with line and column), `llvm/verify`, `llvm/passes`, `llvm/target` or
 * `llvm/codegen`.
 */
export function compileIr(irText: string | Uint8Array, options: CompileOptions = {}): Uint8Array {
  return addon().compileIr(irText, options);
}

/** Milliseconds that the last `compileIr` of this thread took. */
export function compileTimings(): { parseMs: number; verifyMs: number; passesMs: number; emitMs: number } {
  const [parseMs = 0, verifyMs = 0, passesMs = 0, emitMs = 0] = addon().compileTimings();
  return { parseMs, verifyMs, passesMs, emitMs };
}

/**
 * Sets LLVM's own command-line options, as `-enable-misched=false`; once per process, the same ones again are allowed.
 * An option that LLVM does not know ends the process with LLVM's message.
 */
export function setLlvmOptions(options: readonly string[]): void {
  addon().setLlvmOptions(options);
}

/**
 * Takes object files together; they are linked when a symbol is looked up. Symbols resolve among the objects, then
 * against the runtime's functions (`tw_parallel_for`, `tw_now`, memcpy …) and libm.
 *
 * @throws an Error with code `llvm/jit` for an object that defines a name again, `native/argument` for no ELF file.
 */
export function jitCreate(objects: readonly Uint8Array[]): JitHandle {
  return addon().jitCreate(objects);
}

/** Gives the address of a function or global. @throws an Error with code `llvm/jit` naming what is undefined. */
export function jitLookup(jit: JitHandle, name: string): Address {
  return addon().jitLookup(jit, name);
}

/** Unmaps the code; addresses of it are dead. Disposing twice is allowed. */
export function jitDispose(jit: JitHandle): void {
  addon().jitDispose(jit);
}

/** Maps zeroed memory outside of V8's heap, freed by the garbage collector or by `freeAligned`. */
export function allocAligned(bytes: number, options?: AllocOptions): ArrayBuffer {
  return addon().allocAligned(bytes, options);
}

/** Detaches a buffer of `allocAligned` and gives its pages back at once. Freeing twice is allowed. */
export function freeAligned(buffer: ArrayBuffer): void {
  addon().freeAligned(buffer);
}

/** Where the first byte of a view is. It stays there as long as the view's buffer is reachable. */
export function addressOf(view: ArrayBufferView | ArrayBuffer): Address {
  return addon().addressOf(view);
}

/** Bytes of `allocAligned` that are not freed yet. */
export function allocatedBytes(): number {
  return addon().allocatedBytes();
}

/**
 * Starts a thread pool of `threads`, the calling thread among them.
 * @param options.affinity processors that the workers are pinned to, in turn
 */
export function poolCreate(threads: number, options?: { readonly affinity?: readonly number[] }): PoolHandle {
  return addon().poolCreate(threads, options);
}

/** Threads that take part in a pool's parallel regions; fewer than asked for if the system refused. */
export function poolThreads(pool: PoolHandle): number {
  return pool === serial ? 1 : addon().poolThreads(pool);
}

/** Ends the workers. Disposing twice is allowed. */
export function poolDispose(pool: PoolHandle): void {
  addon().poolDispose(pool);
}

/**
 * Calls `int32_t entry(void* rt, void* arena, void* constants, void** io)` and gives its code. Whoever calls keeps the
 * buffers behind the addresses alive.
 */
export function invoke(entry: Address, rt: PoolHandle, arena: Address, constants: Address, io: BigUint64Array): number {
  return addon().invoke(entry, rt, arena, constants, io);
}

/** Calls `void fn(void* rt, void** args)`. */
export function invokeKernel(fn: Address, rt: PoolHandle, args: BigUint64Array): void {
  addon().invokeKernel(fn, rt, args);
}

/**
 * Times an entry point with a native clock: nanoseconds a call, one number a sample.
 * @throws an Error with code `native/entry` when a call gives a code other than 0.
 */
export function timeEntry(
  entry: Address,
  rt: PoolHandle,
  arena: Address,
  constants: Address,
  io: BigUint64Array,
  options?: TimingOptions,
): Float64Array {
  return addon().timeEntry(entry, rt, arena, constants, io, options);
}

/** Times a kernel with a native clock: nanoseconds a call, one number a sample. */
export function timeKernel(fn: Address, rt: PoolHandle, args: BigUint64Array, options?: TimingOptions): Float64Array {
  return addon().timeKernel(fn, rt, args, options);
}

/** Clears the log of chunks, makes room for `capacity` of them, and gives the number of the calling thread in it. */
export function chunkLogStart(capacity: number): number {
  return addon().chunkLogStart(capacity);
}

/**
 * Ends the log of chunks that code linked with `tw_traced_parallel_for` ran: thread, start and end (nanoseconds of
 * `tw_now`) of each, in turn. Chunks beyond the log's capacity are missing.
 */
export function chunkLogTake(): Float64Array {
  return addon().chunkLogTake();
}

/**
 * Opens hardware or software counters of the calling thread as one group (`perf_event_open`, at most 16, user mode only).
 * `events` has type and config of each, as <linux/perf_event.h> numbers them. Gives 0 for each that is open, else the
 * system's error number.
 */
export function countersOpen(events: readonly (readonly [type: number, config: number])[]): number[] {
  return [...addon().countersOpen(Float64Array.from(events.flat()))];
}

/** What the open counters said at each call of `tw_read_counters`, one number a counter in turn; closes them. */
export function countersTake(): Float64Array {
  return addon().countersTake();
}
