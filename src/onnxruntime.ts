/**
 * The calls of onnxruntime-node on Tilewright: change the import, keep the program.
 * `InferenceSession.create(path | bytes, options)`, `run(feeds, fetches?, options?)`, `release()`, `Tensor`.
 */
import { availableParallelism } from "node:os";
import type { ScalarType } from "../ir/expr/dtype.ts";
import { InputError, UnsupportedError, UsageError } from "../ir/support/errors.ts";
import { compile, graphOf } from "./runtime/compile.ts";
import type { Executable } from "./runtime/executable.ts";
import { Tensor } from "./tensor.ts";

export { Tensor } from "./tensor.ts";

/** Options of onnxruntime-node that mean something here; all others are accepted and ignored. */
export interface SessionOptions {
  readonly intraOpNumThreads?: number;
  /** `{ batch: 1 }` binds symbolic dimensions by name. */
  readonly freeDimensionOverrides?: Readonly<Record<string, number>>;
  readonly [other: string]: unknown;
}
/** A tensor's name, type and shape; open dimensions are their symbols. */
export interface ValueMetadata {
  readonly name: string;
  readonly isTensor: true;
  readonly type: ScalarType;
  readonly shape: readonly (number | string)[];
}
/** Inputs of a run by name. */
export type FeedsType = Readonly<Record<string, Tensor>>;
/** Outputs of a run by name. */
export type ReturnType = Record<string, Tensor>;

/** Feeds, or only their shapes when compiling ahead. */
type Shaped = Readonly<Record<string, { readonly dims: readonly number[]; readonly data?: unknown }>>;
type Opener = (feeds: Shaped) => Promise<Executable>;

/** A compiled model. Models with open dimensions are compiled at the first run with each set of input shapes. */
export class InferenceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly ValueMetadata[];
  readonly outputMetadata: readonly ValueMetadata[];
  readonly #open: Opener;
  readonly #compiled = new Map<string, Promise<Executable>>();
  /** Inputs whose values decide shapes. */
  readonly #shaping = new Set<string>();
  #released = false;

  private constructor(inputs: readonly ValueMetadata[], outputs: readonly ValueMetadata[], open: Opener) {
    this.inputMetadata = inputs;
    this.outputMetadata = outputs;
    this.inputNames = inputs.map((i) => i.name);
    this.outputNames = outputs.map((o) => o.name);
    this.#open = open;
  }

  /** Loads and compiles a model from a file or from bytes. */
  static async create(
    model: string | Uint8Array | ArrayBufferLike,
    options: SessionOptions = {},
  ): Promise<InferenceSession> {
    const bytes = typeof model === "string" ? model : model instanceof Uint8Array ? model : new Uint8Array(model);
    const graph = await graphOf(bytes);
    const threads =
      options.intraOpNumThreads && options.intraOpNumThreads > 0 ? options.intraOpNumThreads : availableParallelism();
    const overrides = options.freeDimensionOverrides ?? {};
    const metadata = (id: (typeof graph.inputs)[number]): ValueMetadata => {
      const v = graph.values.get(id)!;
      const shape = (v.type?.dims ?? []).map((d) => (typeof d === "number" ? d : (overrides[d.symbol] ?? d.symbol)));
      return { name: v.name, isTensor: true, type: v.type?.dtype ?? "float32", shape };
    };
    const session = new InferenceSession(graph.inputs.map(metadata), graph.outputs.map(metadata), (feeds) => {
      const shapes = Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, t.dims]));
      const values = Object.fromEntries(Object.entries(feeds).filter(([, t]) => t instanceof Tensor)) as FeedsType;
      return compile(graph, { threads, shapes, values });
    });
    if (session.inputMetadata.every(isStatic)) await session.#compileAhead();
    return session;
  }
  /** Compiles before the first run. Models whose shapes depend on input values wait for those. */
  async #compileAhead(): Promise<void> {
    try {
      await this.#executable(
        Object.fromEntries(this.inputMetadata.map((m) => [m.name, { dims: m.shape as number[] }])),
      );
    } catch (error) {
      const mayDecideShapes = this.inputMetadata.some((m) => m.type === "int64" || m.type === "int32");
      if (!(error instanceof UnsupportedError && mayDecideShapes)) throw error;
    }
  }

  /** Runs the model. `fetches` names the outputs wanted; all of them when absent. */
  async run(
    feeds: FeedsType,
    fetches?: readonly string[] | Readonly<Record<string, Tensor | null>>,
    _options?: object,
  ): Promise<ReturnType> {
    if (this.#released) throw new UsageError("session/released", "this session was released");
    const wanted = fetches === undefined ? this.outputNames : Array.isArray(fetches) ? fetches : Object.keys(fetches);
    for (const w of wanted)
      if (!this.outputNames.includes(w))
        throw new InputError(
          "run/unknown-output",
          `there is no output ${JSON.stringify(w)}; the model has ${this.outputNames.join(", ")}`,
        );
    for (const n of this.inputNames)
      if (feeds[n] === undefined)
        throw new InputError("run/missing-input", `input ${JSON.stringify(n)} is missing in 'feeds'`);
    const executable = await this.#executable(feeds);
    const asked = Object.fromEntries(executable.inputs.map((p) => [p.name, feeds[p.name]!]));
    const results = executable.runSync(asked);
    return Object.fromEntries(wanted.map((w) => [w, results[w]!]));
  }
  /** The network compiled for these shapes, and for the values of inputs that shapes depend on. */
  async #executable(feeds: Shaped): Promise<Executable> {
    const key = this.#keyOf(feeds);
    const known = this.#compiled.get(key);
    if (known) return known;
    const opened = this.#open(feeds);
    this.#compiled.set(key, opened);
    opened.catch(() => this.#compiled.delete(key));
    const asked = new Set((await opened).inputs.map((p) => p.name));
    const shaping = this.inputNames.filter((n) => !asked.has(n) && !this.#shaping.has(n));
    if (shaping.length > 0) {
      // Learnt just now: from here on their values are part of the key.
      for (const n of shaping) this.#shaping.add(n);
      this.#compiled.delete(key);
      this.#compiled.set(this.#keyOf(feeds), opened);
    }
    return opened;
  }
  #keyOf(feeds: Shaped): string {
    return this.inputNames
      .map((n) => `${feeds[n]!.dims.join("x")}${this.#shaping.has(n) ? `=${feeds[n]!.data}` : ""}`)
      .join(";");
  }
  /** Gives all compiled code and memory back. */
  async release(): Promise<void> {
    this.#released = true;
    for (const e of this.#compiled.values()) (await e.catch(() => undefined))?.dispose();
    this.#compiled.clear();
  }
  /** Accepted for compatibility; profiles come from `tilewright bench --profile`. */
  startProfiling(): void {}
  endProfiling(): void {}
}
const isStatic = (m: ValueMetadata): boolean => m.shape.every((d) => typeof d === "number");

/** The default export of onnxruntime-node has the same names. */
export default { InferenceSession, Tensor };
