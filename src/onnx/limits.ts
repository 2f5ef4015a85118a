/** What a model file may cost at most. A file is hostile until proven otherwise, so every count is checked before use. */
import { InputError } from "../../ir/support/errors.ts";

/** Bounds on a model; each may be raised (or lowered) by whoever loads it. */
export interface OnnxLimits {
  /** Bytes of the model file itself (protobuf cannot express more than 2 GiB). */
  readonly modelBytes: number;
  /** Bytes of all decoded tensors together, external data included. */
  readonly tensorBytes: number;
  /** Bytes of a dense tensor decoded from a sparse one, which may be far larger than its file. */
  readonly sparseBytes: number;
  /** Elements of one tensor, constant or not. */
  readonly elements: number;
  /** Nodes of the graph after local functions are inlined. */
  readonly nodes: number;
  /** Protobuf messages of the file. */
  readonly messages: number;
  /** Elements of all protobuf lists that are not raw bytes; those of 64-bit integers, which decode to bigints, count four. */
  readonly listElements: number;
  /** Levels of nested protobuf messages. */
  readonly messageDepth: number;
  /** Levels of local functions that call local functions. */
  readonly functionDepth: number;
}

/** The limits that hold unless the caller says otherwise. */
const defaultLimits: OnnxLimits = {
  modelBytes: 2 ** 31 - 1,
  tensorBytes: 8 * 2 ** 30,
  sparseBytes: 256 * 2 ** 20,
  elements: 2 ** 40,
  nodes: 1_000_000,
  messages: 4_000_000,
  listElements: 50_000_000,
  messageDepth: 64,
  functionDepth: 32,
};

/** Completes partial limits. @throws InputError [onnx/limit] when one is not a non-negative number. */
export function limitsOf(partial: Partial<OnnxLimits> = {}): OnnxLimits {
  const limits = { ...defaultLimits, ...partial };
  for (const [name, value] of Object.entries(limits)) {
    if (!(typeof value === "number" && value >= 0))
      throw new InputError("onnx/limit", `limit ${name} is not a non-negative number`);
  }
  return limits;
}

/** @throws InputError [onnx/too-large] naming the limit when `amount` is above it. */
export function checkLimit(limits: OnnxLimits, name: keyof OnnxLimits, amount: number, what: string): void {
  if (amount <= limits[name]) return;
  throw new InputError(
    "onnx/too-large",
    `${what}: ${amount} is above the limit ${name} = ${limits[name]}, which can be raised`,
    { limit: name, amount, most: limits[name] },
  );
}

/** Counts the bytes of decoded tensors against `tensorBytes`, before they are allocated. */
export class ByteBudget {
  readonly #limits: OnnxLimits;
  #used = 0;
  constructor(limits: OnnxLimits) {
    this.#limits = limits;
  }
  /** Takes room for `count` small objects, such as the inputs of a node, which inlining can multiply. */
  takeObjects(count: number, what: string): void {
    this.take(count * 64, what);
  }
  /** Takes `bytes` for `what`. @throws InputError [onnx/too-large] */
  take(bytes: number, what: string): void {
    this.#used += bytes;
    checkLimit(this.#limits, "tensorBytes", this.#used, `the bytes of all tensors up to ${what}`);
  }
}
