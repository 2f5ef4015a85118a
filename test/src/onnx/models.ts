/** Makes small ONNX files for tests, through the generated messages and not through our writer. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Graph } from "../../../ir/graph/graph.ts";
import type { TensorValue } from "../../../ir/graph/tensor-value.ts";
import { TilewrightError } from "../../../ir/support/errors.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import {
  type AttributeProtoSchema,
  type GraphProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "../../../src/onnx/onnx_pb.ts";

export type ModelInit = MessageInitShape<typeof ModelProtoSchema>;
export type GraphInit = MessageInitShape<typeof GraphProtoSchema>;
export type NodeInit = MessageInitShape<typeof NodeProtoSchema>;
export type TensorInit = MessageInitShape<typeof TensorProtoSchema>;
export type AttributeInit = MessageInitShape<typeof AttributeProtoSchema>;
export type ValueInfoInit = MessageInitShape<typeof ValueInfoProtoSchema>;

/** The shared data beside the checkout, undefined where there is none. */
const sharedUrl = new URL("../../../../shared/data/", import.meta.url);
export const sharedData: string | undefined = existsSync(sharedUrl) ? sharedUrl.pathname : undefined;

/** A model of one graph; opset 17 unless said otherwise. */
export function modelBytes(graph: GraphInit, rest: Partial<ModelInit> = {}): Uint8Array {
  const opsetImport = [{ domain: "", version: 17n }];
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { irVersion: 8n, opsetImport, graph, ...rest } as ModelInit),
  );
}

/** A float32 (or other) value with a shape; strings are symbols, null an unnamed dimension. */
export function info(name: string, dims: readonly (number | bigint | string | null)[], elemType = 1): ValueInfoInit {
  const dim = dims.map((d) => {
    if (d === null) return {};
    if (typeof d === "string") return { value: { case: "dimParam" as const, value: d } };
    return { value: { case: "dimValue" as const, value: BigInt(d) } };
  });
  return { name, type: { value: { case: "tensorType", value: { elemType, shape: { dim } } } } };
}

export const node = (opType: string, input: string[], output: string[], rest: Partial<NodeInit> = {}): NodeInit =>
  ({ opType, input, output, ...rest }) as NodeInit;

/** A graph x → Relu → y that a test can break. */
export const reluGraph = (rest: Partial<GraphInit> = {}): GraphInit =>
  ({
    name: "g",
    node: [node("Relu", ["x"], ["y"])],
    input: [info("x", [1, 4])],
    output: [info("y", [1, 4])],
    ...rest,
  }) as GraphInit;

/** A graph whose initializer `w` is the tensor under test. */
export const constantGraph = (tensor: TensorInit): GraphInit =>
  ({
    name: "g",
    node: [node("Identity", ["w"], ["y"])],
    initializer: [{ name: "w", ...tensor }],
    output: [info("y", [])],
  }) as GraphInit;

/** The error code that `run` ends with; "none" when it does not throw, other errors go through. */
export function codeOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (error) {
    if (error instanceof TilewrightError) return error.code;
    throw error;
  }
}

/** Tensors by a digest of their elements: vitest compares large arrays slowly. */
function digest(value: TensorValue | undefined) {
  if (value === undefined) return undefined;
  const { buffer, byteOffset, byteLength } = value.data;
  const elements = createHash("sha1")
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex");
  return { type: value.type, dims: value.dims, elements };
}

/** A graph without ids, to compare graphs by what they say. */
export function shown(graph: Graph) {
  const name = (id: ValueId | undefined) => (id === undefined ? null : graph.values.get(id)!.name);
  const values = [...graph.values.values()].map(({ name, type, constant }) => ({
    name,
    type,
    constant: digest(constant),
  }));
  return {
    name: graph.name,
    inputs: graph.inputs.map(name),
    outputs: graph.outputs.map(name),
    values: values.sort((a, b) => (a.name < b.name ? -1 : 1)),
    nodes: graph.nodes.map((n) => ({
      ...n,
      id: null,
      inputs: n.inputs.map(name),
      outputs: n.outputs.map(name),
      attributes: [...n.attributes].sort(([a], [b]) => (a < b ? -1 : 1)),
    })),
    metadata: [...graph.metadata].sort(([a], [b]) => (a < b ? -1 : 1)),
  };
}
