/**
 * The calls of onnxruntime-node on Tilewright: change the import, keep the program.
 * `InferenceSession.create(path | bytes, options)`, `run(feeds, fetches?, options?)`, `release()`, `Tensor`.
 */
import { availableParallelism } from "node:os";
import type { ScalarType } from "../ir/expr/dtype.ts";
import { InputError, UsageError } from "../ir/support/errors.ts";
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
export type FeedsType = Readonly<Record<string, Tensor>>;
export type ReturnType = Record<string, Tensor>;

type Opener = (shapes: Record<string, readonly number[]>) => Promise<Executable>;

/** A compiled model. Models with open dimensions are compiled at the first run with each set of input shapes. */
export class InferenceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly ValueMetadata[];
  readonly outputMetadata: readonly ValueMetadata[];
  readonly #open: Opener;
  readonly #compiled = new Map<string, Promise<Executable>>();
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
    const session = new InferenceSession(graph.inputs.map(metadata), graph.outputs.map(metadata), (shapes) =>
      compile(graph, { threads, shapes }),
    );
    if (session.inputMetadata.every(isStatic))
      await session.#executable(Object.fromEntries(session.inputMetadata.map((m) => [m.name, m.shape as number[]])));
    return session;
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
    const shapes = Object.fromEntries(this.inputNames.map((n) => [n, feeds[n]!.dims]));
    const results = (await this.#executable(shapes)).runSync(feeds);
    return Object.fromEntries(wanted.map((w) => [w, results[w]!]));
  }
  #executable(shapes: Record<string, readonly number[]>): Promise<Executable> {
    const key = this.inputNames.map((n) => shapes[n]?.join("x")).join(";");
    let known = this.#compiled.get(key);
    if (!known) {
      known = this.#open(shapes);
      this.#compiled.set(key, known);
      known.catch(() => this.#compiled.delete(key));
    }
    return known;
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
