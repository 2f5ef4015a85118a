/** Decodes node attributes. */
import type { Attribute } from "../../ir/graph/graph.ts";
import { InputError } from "../../ir/support/errors.ts";
import { attributeCode } from "./codes.ts";
import type { AttributeProto } from "./onnx_pb.ts";
import { quote } from "./quote.ts";
import { decodeSparseTensor, decodeTensor, type TensorSource, unsupportedElements } from "./tensor-data.ts";

/** A decoded attribute, or the reason why Tilewright cannot hold it. */
export type DecodedAttribute = Attribute | { readonly kind: "unsupported"; readonly reason: string };

const text = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

/** Decodes an attribute that is not a reference. @throws InputError [onnx/malformed] and as decodeTensor */
export function decodeAttribute(proto: AttributeProto, where: string, source: TensorSource): DecodedAttribute {
  const what = `attribute ${quote(proto.name)} of ${where}`;
  source.budget.takeObjects(1 + proto.ints.length + proto.strings.length, what);
  const type = proto.type === attributeCode.undefined ? guessedType(proto, what) : proto.type;
  switch (type) {
    case attributeCode.float:
      return { kind: "float", value: proto.f };
    case attributeCode.int:
      return { kind: "int", value: whole(proto.i) };
    case attributeCode.string:
      return { kind: "string", value: text.decode(proto.s) };
    case attributeCode.floats:
      return { kind: "floats", value: proto.floats };
    case attributeCode.ints:
      return { kind: "ints", value: proto.ints.map(whole) };
    case attributeCode.strings:
      return { kind: "strings", value: proto.strings.map((s) => text.decode(s)) };
    case attributeCode.tensor:
      return tensorAttribute(proto, what, source);
    case attributeCode.sparseTensor:
      return sparseAttribute(proto, what, source);
    default:
      return { kind: "opaque", what: opaqueName(type, what) };
  }
}

function tensorAttribute(proto: AttributeProto, what: string, source: TensorSource): DecodedAttribute {
  if (!proto.t) throw new InputError("onnx/malformed", `${what} is a tensor without a value`);
  const reason = unsupportedElements(proto.t.dataType, what);
  if (reason !== undefined) return { kind: "unsupported", reason };
  return { kind: "tensor", value: decodeTensor(proto.t, what, source) };
}

function sparseAttribute(proto: AttributeProto, what: string, source: TensorSource): DecodedAttribute {
  if (!proto.sparseTensor?.values) throw new InputError("onnx/malformed", `${what} is a sparse tensor without a value`);
  const reason = unsupportedElements(proto.sparseTensor.values.dataType, what);
  if (reason !== undefined) return { kind: "unsupported", reason };
  return { kind: "tensor", value: decodeSparseTensor(proto.sparseTensor, what, source) };
}

const opaqueNames: ReadonlyMap<number, string> = new Map([
  [attributeCode.graph, "graph"],
  [attributeCode.graphs, "graphs"],
  [attributeCode.tensors, "tensors"],
  [attributeCode.sparseTensors, "sparse tensors"],
  [attributeCode.typeProto, "type"],
  [attributeCode.typeProtos, "types"],
]);

function opaqueName(type: number, what: string): string {
  const name = opaqueNames.get(type);
  if (name === undefined) throw new InputError("onnx/malformed", `${what} has the unknown attribute type ${type}`);
  return name;
}

/** Files of IR version 1 do not say the type: it is the one field that is filled. */
function guessedType(proto: AttributeProto, what: string): number {
  const filled: readonly (readonly [boolean, number])[] = [
    [proto.t !== undefined, attributeCode.tensor],
    [proto.g !== undefined, attributeCode.graph],
    [proto.floats.length > 0, attributeCode.floats],
    [proto.ints.length > 0, attributeCode.ints],
    [proto.strings.length > 0, attributeCode.strings],
    [proto.f !== 0, attributeCode.float],
    [proto.i !== 0n, attributeCode.int],
    [proto.s.length > 0, attributeCode.string],
  ];
  const found = filled.filter(([is]) => is);
  if (found.length !== 1) throw new InputError("onnx/malformed", `${what} does not say its type`);
  return found[0]![1];
}

const whole = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
