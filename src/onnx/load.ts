/** Loads ONNX models and ONNX tensor files. */
import { readFileSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { Graph } from "../../ir/graph/graph.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import { InputError, UnsupportedError } from "../../ir/support/errors.ts";
import { type ExternalData, externalDataBeside, externalDataIn, noExternalData } from "./external-data.ts";
import { ByteBudget, checkLimit, limitsOf, type OnnxLimits } from "./limits.ts";
import { ModelProtoSchema, TensorProtoSchema } from "./onnx_pb.ts";
import { readGraph } from "./read-graph.ts";
import { decodeTensor, unsupportedElements } from "./tensor-data.ts";
import type { InputShapes } from "./value-types.ts";
import { scanMessage } from "./wire-scan.ts";

/** How to load a model. */
export interface LoadOptions {
  /** Shapes of inputs by name, for inputs with symbolic dimensions: `{ x: [1, 3, 224, 224] }`. */
  readonly shapes?: InputShapes;
  /** Bounds on what the file may ask for; absent ones keep their defaults. */
  readonly limits?: Partial<OnnxLimits>;
  /** The folder of external data for a model given as bytes; a model given as a path has its own. */
  readonly externalDataFolder?: string;
  /** Hears of every file of external data before it is read. */
  readonly onExternalFile?: (path: string) => void;
}

/**
 * Reads an ONNX model (a path or the file's bytes) into a Graph: constants decoded, Constant nodes turned into constant
 * values, local functions inlined; types stand only where the file declares them, inference is a pass of its own.
 * @throws InputError [onnx/…] for a bad file, UnsupportedError [onnx/unsupported] naming every offending node
 */
export async function loadOnnx(model: string | Uint8Array, options: LoadOptions = {}): Promise<Graph> {
  const limits = limitsOf(options.limits);
  if (typeof model !== "string") return loadBytes(model, options, limits, externalOf(model, options));
  checkFile(model, limits);
  const bytes = await readFile(model).catch((cause: unknown) => unreadable(model, cause));
  return loadBytes(bytes, options, limits, externalOf(model, options));
}

/** `loadOnnx` without waiting for the event loop. */
export function loadOnnxSync(model: string | Uint8Array, options: LoadOptions = {}): Graph {
  const limits = limitsOf(options.limits);
  const bytes = typeof model === "string" ? readSync(model, limits) : model;
  return loadBytes(bytes, options, limits, externalOf(model, options));
}

/** Reads a serialized TensorProto, such as the `input_0.pb` of ONNX test data. Gives its name and its value. */
export function loadOnnxTensor(
  tensor: string | Uint8Array,
  options: Pick<LoadOptions, "limits"> = {},
): { readonly name: string; readonly value: TensorValue } {
  const limits = limitsOf(options.limits);
  const bytes = typeof tensor === "string" ? readSync(tensor, limits) : tensor;
  const proto = decodeMessage(TensorProtoSchema, bytes, limits);
  const reason = unsupportedElements(proto.dataType, "the tensor");
  if (reason !== undefined) throw new UnsupportedError("onnx/unsupported", reason);
  const source = { limits, budget: new ByteBudget(limits), external: noExternalData };
  return { name: proto.name, value: decodeTensor(proto, "the tensor", source) };
}

function externalOf(model: string | Uint8Array, options: LoadOptions): ExternalData {
  if (options.externalDataFolder !== undefined)
    return externalDataIn(options.externalDataFolder, options.onExternalFile);
  return typeof model === "string" ? externalDataBeside(model, options.onExternalFile) : noExternalData;
}

function loadBytes(bytes: Uint8Array, options: LoadOptions, limits: OnnxLimits, external: ExternalData): Graph {
  const model = decodeMessage(ModelProtoSchema, bytes, limits);
  return readGraph(model, { limits, budget: new ByteBudget(limits), external }, options.shapes ?? {});
}

function decodeMessage<T extends DescMessage>(schema: T, bytes: Uint8Array, limits: OnnxLimits): MessageShape<T> {
  checkLimit(limits, "modelBytes", bytes.length, "bytes of the file");
  scanMessage(schema, bytes, limits);
  try {
    return fromBinary(schema, bytes, { readUnknownFields: false, recursionLimit: limits.messageDepth });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new InputError("onnx/malformed", `not a well-formed ONNX file: ${why}`);
  }
}

function readSync(path: string, limits: OnnxLimits): Uint8Array {
  checkFile(path, limits);
  try {
    return readFileSync(path);
  } catch (cause) {
    return unreadable(path, cause);
  }
}

function checkFile(path: string, limits: OnnxLimits): void {
  const facts = statOf(path);
  if (facts.isDirectory()) throw new InputError("onnx/unreadable", `${path} is a folder, not a file`);
  checkLimit(limits, "modelBytes", facts.size, `bytes of ${path}`);
}

function statOf(path: string) {
  try {
    return statSync(path);
  } catch (cause) {
    return unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): never {
  const why = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  throw new InputError("onnx/unreadable", `cannot read ${path} (${why})`, { path });
}
