/** Writes graphs as ONNX files. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { valueOf } from "../../ir/graph/build.ts";
import type { Attribute, Graph, Node, TensorType, Value } from "../../ir/graph/graph.ts";
import { isPlain } from "../../ir/graph/layout.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import { InputError, UnsupportedError } from "../../ir/support/errors.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { attributeCode, codeOfScalar } from "./codes.ts";
import {
  type AttributeProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "./onnx_pb.ts";
import { quote } from "./quote.ts";

type AttributeInit = MessageInitShape<typeof AttributeProtoSchema>;
type NodeInit = MessageInitShape<typeof NodeProtoSchema>;
type TensorInit = MessageInitShape<typeof TensorProtoSchema>;
type ValueInfoInit = MessageInitShape<typeof ValueInfoProtoSchema>;

/** Prefix of metadata keys that are custom properties of the model, as the reader gives them. */
const customPrefix = "custom:";
const text = new TextEncoder();
/** Bytes of constants that a protobuf message of at most 2 GiB surely has room for. */
const mostBytes = 2 ** 31 - 2 ** 26;

/**
 * Serializes a graph: constants as initializers in raw form, known types of inner values as value_info. Nodes whose name
 * is taken get a number behind it. Reading the bytes again gives the same graph, ids and such numbers aside. Inputs and
 * outputs should have types (ONNX demands it of files; run inference first where they lack them).
 * @throws UnsupportedError [onnx/unwritable] for attributes the reader did not decode and for values in blocked layouts,
 * InputError [onnx/mixed-opsets] when nodes of one domain have different opsets
 */
export function writeOnnx(graph: Graph): Uint8Array {
  const opsets = opsetsOf(graph);
  const nameOf = (id: ValueId | undefined): string => (id === undefined ? "" : valueOf(graph, id).name);
  const values = [...graph.values.values()];
  for (const v of values) if (!isPlain(v.layout)) unwritable(`value ${quote(v.name)} lies in layout ${v.layout?.name}`);
  const bytes = values.reduce((sum, v) => sum + (v.constant?.data.byteLength ?? 0), 0);
  if (bytes > mostBytes) unwritable(`${bytes} bytes of constants; a file holds 2 GiB`);
  const ends = new Set([...graph.inputs, ...graph.outputs]);
  const infos = (ids: readonly ValueId[]) => ids.map((id) => valueInfo(valueOf(graph, id)));
  const inner = values.filter((v) => v.type !== undefined && v.constant === undefined && !ends.has(v.id));
  const model = create(ModelProtoSchema, {
    irVersion: irVersionFor(opsets.get("") ?? 1),
    opsetImport: [...opsets].map(([domain, version]) => ({ domain, version: BigInt(version) })),
    ...metadataFields(graph.metadata),
    graph: {
      name: graph.name,
      node: withOwnNames(graph.nodes).map((n) => nodeInit(n, nameOf)),
      initializer: values.flatMap((v) => (v.constant === undefined ? [] : [tensorInit(v.constant, v.name)])),
      input: infos(graph.inputs),
      output: infos(graph.outputs),
      valueInfo: inner.map(valueInfo),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

/** Nodes with names of their own: ONNX Runtime refuses files in which two have the same. */
function withOwnNames(nodes: readonly Node[]): Node[] {
  const names = new Set(nodes.map((n) => n.name));
  const written = new Set<string>();
  const numbers = new Map<string, number>();
  return nodes.map((n) => {
    let name = n.name;
    for (let i = numbers.get(n.name) ?? 1; written.has(name) || (name !== n.name && names.has(name)); i++) {
      name = `${n.name}_${i}`;
      numbers.set(n.name, i + 1);
    }
    written.add(name);
    return { ...n, name };
  });
}

/** Opset versions by domain; a graph without nodes still needs one. */
function opsetsOf(graph: Graph): ReadonlyMap<string, number> {
  const opsets = new Map<string, number>();
  for (const n of graph.nodes) {
    const version = opsets.get(n.domain) ?? n.opset;
    if (version !== n.opset)
      throw new InputError(
        "onnx/mixed-opsets",
        `nodes of domain ${quote(n.domain)} have opsets ${version} and ${n.opset}; a file has one for each domain`,
      );
    opsets.set(n.domain, version);
  }
  if (!opsets.has("")) opsets.set("", 22);
  return opsets;
}

/** The oldest IR version from 8 on that may name this opset (ONNX Versioning.md). */
function irVersionFor(opset: number): bigint {
  if (opset <= 18) return 8n;
  if (opset <= 20) return 9n;
  if (opset <= 22) return 10n;
  if (opset <= 23) return 11n;
  return opset <= 24 ? 12n : 13n;
}

function metadataFields(metadata: ReadonlyMap<string, string>) {
  const version = metadata.get("model_version") ?? "0";
  return {
    producerName: metadata.get("producer_name") ?? "",
    producerVersion: metadata.get("producer_version") ?? "",
    domain: metadata.get("domain") ?? "",
    modelVersion: /^-?\d{1,18}$/.test(version) ? BigInt(version) : 0n,
    docString: metadata.get("doc_string") ?? "",
    metadataProps: [...metadata]
      .filter(([key]) => key.startsWith(customPrefix))
      .map(([key, value]) => ({ key: key.slice(customPrefix.length), value })),
  };
}

function nodeInit(node: Node, nameOf: (id: ValueId | undefined) => string): NodeInit {
  return {
    name: node.name,
    opType: node.op,
    domain: node.domain,
    input: node.inputs.map(nameOf),
    output: node.outputs.map(nameOf),
    attribute: [...node.attributes].map(([name, a]) => attributeInit(name, a, node)),
  };
}

function attributeInit(name: string, attribute: Attribute, node: Node): AttributeInit {
  switch (attribute.kind) {
    case "int":
      return { name, type: attributeCode.int, i: BigInt(attribute.value) };
    case "ints":
      return { name, type: attributeCode.ints, ints: attribute.value.map(BigInt) };
    case "float":
      return { name, type: attributeCode.float, f: Math.fround(attribute.value) };
    case "floats":
      return { name, type: attributeCode.floats, floats: attribute.value.map(Math.fround) };
    case "string":
      return { name, type: attributeCode.string, s: text.encode(attribute.value) };
    case "strings":
      return { name, type: attributeCode.strings, strings: attribute.value.map((s) => text.encode(s)) };
    case "tensor":
      return { name, type: attributeCode.tensor, t: tensorInit(attribute.value, "") };
    case "opaque":
      return unwritable(`attribute ${quote(name)} of node ${quote(node.name)} (${attribute.what})`);
  }
}

function tensorInit(value: TensorValue, name: string): TensorInit {
  const { buffer, byteOffset, byteLength } = value.data;
  const rawData = new Uint8Array(byteLength);
  rawData.set(new Uint8Array(buffer, byteOffset, byteLength));
  return { name, dataType: codeOfScalar(value.type), dims: value.dims.map(BigInt), rawData };
}

function valueInfo(value: Value): ValueInfoInit {
  return value.type === undefined
    ? { name: value.name }
    : { name: value.name, type: { value: { case: "tensorType", value: tensorTypeInit(value.type) } } };
}

function tensorTypeInit(type: TensorType) {
  const dim = type.dims.map((d) =>
    typeof d === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(d) } }
      : { value: { case: "dimParam" as const, value: d.symbol } },
  );
  return { elemType: codeOfScalar(type.dtype), shape: { dim } };
}

function unwritable(what: string): never {
  throw new UnsupportedError("onnx/unwritable", `cannot be written as ONNX: ${what}`);
}
