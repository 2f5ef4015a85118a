/** A compiled network in memory: linked code, packed constants, arena, thread pool. One native call runs it. */
import type { ScalarType } from "../../ir/expr/dtype.ts";
import { arrayTypeOf, byteCount, type TypedArray } from "../../ir/graph/tensor-value.ts";
import type { CheckSite } from "../../ir/loop/check-site.ts";
import { InputError, InternalError, UsageError } from "../../ir/support/errors.ts";
import * as native from "../../native/addon.ts";
import type { Refusal } from "../../passes/schedule/library/recipe.ts";
import { Tensor } from "../tensor.ts";
import { BoundsRecord, boundsError } from "./bounds.ts";

/** Name, element type and shape of an input or output. */
export interface Port {
  readonly name: string;
  readonly type: ScalarType;
  readonly dims: readonly number[];
}

/** One kernel call as reports show it. */
export interface StepReport {
  readonly name: string;
  readonly symbol: string;
  /** Multiply-adds counted twice. */
  readonly flops: number;
  /** Bytes read and written at least once. */
  readonly bytes: number;
  /** The recipes that could not schedule it, the most special first, before a simpler one did; absent where none was refused. */
  readonly refusals?: readonly Refusal[];
}

/** What linking needs. */
export interface ExecutableParts {
  readonly objects: readonly Uint8Array[];
  readonly entry: string;
  readonly profileEntry?: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly arenaBytes: number;
  /** Filled by the maker; owned by the executable. */
  readonly constants: ArrayBuffer;
  readonly steps: readonly StepReport[];
  readonly threads: number;
  /** Of each step, the accesses that check their bounds; absent when none does. */
  readonly checks?: readonly (readonly CheckSite[])[];
}

/** Feeds of a run: tensors by input name. */
export type Feeds = Readonly<Record<string, TensorLike>>;
export interface TensorLike {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: TypedArray | readonly unknown[];
}

/** How a run's steps are timed. */
export interface RecordOptions {
  readonly repeats: number;
  /** Runs before the first one that counts; 2 if absent. */
  readonly warmup?: number;
  /** Other code for the same memory: the network's objects, some replaced by instrumented ones. */
  readonly variant?: {
    readonly profileEntry: native.Address;
    /** Runs on the calling thread alone. */
    readonly serial?: boolean;
  };
}

/** Median nanoseconds of every step, from the readings of several runs. */
export function stepMedians(runs: readonly BigInt64Array[]): number[] {
  const steps = Math.max(0, (runs[0]?.length ?? 1) - 1);
  return Array.from({ length: steps }, (_, i) => {
    const times = runs.map((stamps) => Number(stamps[i + 1]! - stamps[i]!)).sort((a, b) => a - b);
    return times[times.length >> 1]!;
  });
}

/** A network ready to run. Dispose it to give its memory back at once. */
export class Executable {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly steps: readonly StepReport[];
  readonly threads: number;
  readonly arenaBytes: number;
  readonly constantBytes: number;
  readonly #jit: native.JitHandle;
  readonly #entry: native.Address;
  readonly #profileEntry: native.Address | undefined;
  readonly #pool: native.PoolHandle;
  readonly #arena: ArrayBuffer;
  readonly #constants: ArrayBuffer;
  readonly #arenaAddress: native.Address;
  readonly #constantAddress: native.Address;
  /** Aligned memory for each port, then the profile; inputs that lie aligned are used in place. */
  readonly #staging: readonly ArrayBuffer[];
  readonly #views: readonly TypedArray[];
  readonly #addresses: BigUint64Array;
  readonly #io: BigUint64Array;
  readonly #times: BigInt64Array;
  readonly #checks: readonly (readonly CheckSite[])[];
  readonly #bounds: BoundsRecord | undefined;
  #disposed = false;

  constructor(parts: ExecutableParts) {
    this.inputs = parts.inputs;
    this.outputs = parts.outputs;
    this.steps = parts.steps;
    this.threads = parts.threads;
    this.arenaBytes = parts.arenaBytes;
    this.constantBytes = parts.constants.byteLength;
    this.#jit = native.jitCreate(parts.objects);
    this.#entry = native.jitLookup(this.#jit, parts.entry);
    this.#profileEntry = parts.profileEntry ? native.jitLookup(this.#jit, parts.profileEntry) : undefined;
    this.#checks = parts.checks ?? [];
    this.#bounds = parts.checks ? new BoundsRecord(this.#jit) : undefined;
    this.#pool = parts.threads > 1 ? native.poolCreate(parts.threads) : native.serial;
    this.#arena = native.allocAligned(Math.max(64, parts.arenaBytes));
    this.#constants = parts.constants;
    this.#arenaAddress = native.addressOf(this.#arena);
    this.#constantAddress = native.addressOf(this.#constants);
    const ports = [...parts.inputs, ...parts.outputs];
    const sizes = [...ports.map((p) => byteCount(p.type, p.dims)), 8 * (parts.steps.length + 1)];
    this.#staging = sizes.map((bytes) => native.allocAligned(Math.max(64, bytes + 64)));
    this.#views = ports.map((p, i) => viewOf(this.#staging[i]!, p));
    this.#times = new BigInt64Array(this.#staging.at(-1)!, 0, parts.steps.length + 1);
    this.#addresses = BigUint64Array.from(this.#staging, (s) => native.addressOf(s));
    this.#io = this.#addresses.slice();
  }

  /**
   * Runs the network once. The outputs are fresh tensors.
   * @throws BoundsError `bounds/load`, `bounds/store` when compiled with checks and an access left its buffer
   */
  async run(feeds: Feeds): Promise<Record<string, Tensor>> {
    return this.runSync(feeds);
  }
  /** As `run`, on this thread, before it returns. */
  runSync(feeds: Feeds): Record<string, Tensor> {
    this.#feed(feeds);
    const code = native.invoke(this.#entry, this.#pool, this.#arenaAddress, this.#constantAddress, this.#io);
    const failure = code === 0 ? undefined : this.#bounds?.take();
    if (failure) {
      const { name, symbol } = this.steps[code - 1]!;
      throw boundsError(failure, this.#checks[code - 1]!, "kernel", `${code} (${name}, ${symbol})`);
    }
    if (code !== 0) throw new InternalError("runtime/entry-failed", `the network's entry returned ${code}`);
    const results: Record<string, Tensor> = {};
    this.outputs.forEach((p, i) => {
      results[p.name] = Tensor.from({
        type: p.type,
        dims: p.dims,
        data: this.#views[this.inputs.length + i]!.slice() as TypedArray,
      });
    });
    return results;
  }
  /** Nanoseconds of single runs on the given feeds, timed natively. */
  time(feeds: Feeds, options: native.TimingOptions = {}): Float64Array {
    this.#feed(feeds);
    return native.timeEntry(this.#entry, this.#pool, this.#arenaAddress, this.#constantAddress, this.#io, options);
  }
  /** Median nanoseconds of every step over `repeats` runs. */
  profile(feeds: Feeds, repeats = 20): number[] {
    return stepMedians(this.record(feeds, { repeats }));
  }
  /** When each run began and each of its steps ended: steps + 1 readings of `tw_now`, for every run. */
  record(feeds: Feeds, options: RecordOptions): BigInt64Array[] {
    this.#feed(feeds);
    const { repeats, warmup = 2, variant } = options;
    if (this.#profileEntry === undefined)
      throw new UsageError("runtime/no-profile", "this executable was compiled without profiling");
    const entry = variant?.profileEntry ?? this.#profileEntry;
    const pool = variant?.serial ? native.serial : this.#pool;
    return Array.from({ length: warmup + repeats }, () => {
      native.invoke(entry, pool, this.#arenaAddress, this.#constantAddress, this.#io);
      return this.#times.slice();
    }).slice(warmup);
  }
  /** Gives code, constants, arena and threads back; using the network afterwards is an error. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    native.jitDispose(this.#jit);
    if (this.#pool !== native.serial) native.poolDispose(this.#pool);
    this.#bounds?.dispose();
    for (const b of [this.#arena, this.#constants, ...this.#staging]) native.freeAligned(b);
  }

  #feed(feeds: Feeds): void {
    if (this.#disposed) throw new UsageError("runtime/disposed", "this network was disposed");
    this.inputs.forEach((port, i) => {
      const tensor = feeds[port.name];
      if (tensor === undefined) throw new InputError("run/missing-input", missingMessage(port, this.inputs, feeds));
      checkFeed(port, tensor);
      this.#place(i, tensor.data as TypedArray);
    });
    for (const name of Object.keys(feeds))
      if (!this.inputs.some((p) => p.name === name))
        throw new InputError(
          "run/unknown-input",
          `there is no input ${JSON.stringify(name)}; the network has ${this.inputs.map((p) => p.name).join(", ")}`,
        );
  }
  /** Uses the caller's memory where it is aligned as kernels assume, else a copy. */
  #place(i: number, data: TypedArray): void {
    const address = data.byteLength > 0 ? native.addressOf(data) : 0n;
    if (address !== 0n && address % 64n === 0n) {
      this.#io[i] = address;
      return;
    }
    (this.#views[i] as Float32Array).set(data as Float32Array);
    this.#io[i] = this.#addresses[i]!;
  }
}

const viewOf = (buffer: ArrayBuffer, p: Port): TypedArray =>
  new (arrayTypeOf(p.type))(
    buffer,
    0,
    p.dims.reduce((a, b) => a * b, 1),
  );

function missingMessage(port: Port, inputs: readonly Port[], feeds: Feeds): string {
  return `input ${JSON.stringify(port.name)} (${port.type}[${port.dims}]) is missing; given: ${Object.keys(feeds).join(", ") || "none"}; wanted: ${inputs.map((p) => p.name).join(", ")}`;
}
function checkFeed(port: Port, t: TensorLike): void {
  if (t.type !== port.type) throw new InputError("run/input-type", `input ${port.name} is ${port.type}, got ${t.type}`);
  if (t.dims.length !== port.dims.length || t.dims.some((d, i) => d !== port.dims[i]))
    throw new InputError("run/input-shape", `input ${port.name} has shape [${port.dims}], got [${t.dims}]`);
  const wanted = arrayTypeOf(port.type);
  const data = t.data as TypedArray;
  if (!ArrayBuffer.isView(data))
    throw new InputError("run/input-data", `input ${port.name}: data must be a ${wanted.name}`);
  if (data.BYTES_PER_ELEMENT !== wanted.BYTES_PER_ELEMENT)
    throw new InputError(
      "run/input-data",
      `input ${port.name}: data must be a ${wanted.name}, got ${(data as object).constructor.name}`,
    );
  const count = port.dims.reduce((a, b) => a * b, 1);
  if (data.length !== count)
    throw new InputError("run/input-data", `input ${port.name} has ${count} elements, got ${data.length}`);
}
