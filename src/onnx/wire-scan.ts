/**
 * Walks the wire format of a protobuf message before it is decoded. A few bytes can ask a decoder for much (a message
 * object for every two bytes, a stack frame for every nested message), and decoders trust the lengths of nested
 * messages; the scan allocates nothing and refuses such files first.
 */
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { ScalarType as ProtoType } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { InputError } from "../../ir/support/errors.ts";
import { checkLimit, type OnnxLimits } from "./limits.ts";

interface FieldShape {
  readonly wireType: number;
  /** Wire type of one element of a packed list; undefined when the field cannot be packed. */
  readonly packed?: number;
  readonly message?: DescMessage;
  /** What one element of a list counts against the limit listElements; 0 outside lists. */
  readonly weight: number;
}

/** A bigint takes about four times the memory of a number. */
const bigintWeight = 4;

const shapes = new WeakMap<DescMessage, ReadonlyMap<number, FieldShape>>();

function shapeOf(field: DescField): FieldShape {
  if (field.message) return { wireType: WireType.LengthDelimited, message: field.message, weight: 0 };
  const wireType = wireTypeOf(field.scalar ?? ProtoType.INT32);
  if (field.fieldKind !== "list") return { wireType, weight: 0 };
  const wide = field.scalar === ProtoType.INT64 || field.scalar === ProtoType.UINT64;
  const packed = wireType === WireType.LengthDelimited ? undefined : wireType;
  return { wireType, packed, weight: wide ? bigintWeight : 1 };
}

function wireTypeOf(scalar: ProtoType): number {
  switch (scalar) {
    case ProtoType.STRING:
    case ProtoType.BYTES:
      return WireType.LengthDelimited;
    case ProtoType.FLOAT:
      return WireType.Bit32;
    case ProtoType.DOUBLE:
      return WireType.Bit64;
    default:
      return WireType.Varint;
  }
}

function shapesOf(message: DescMessage): ReadonlyMap<number, FieldShape> {
  let fields = shapes.get(message);
  if (fields === undefined) {
    fields = new Map(message.fields.map((f) => [f.number, shapeOf(f)]));
    shapes.set(message, fields);
  }
  return fields;
}

/**
 * Checks that `bytes` are a well-formed message of type `message` with every length inside its parent, within the limits
 * on messages and nesting. Unknown fields are skipped.
 * @throws InputError [onnx/malformed] with the offset, [onnx/too-large], [onnx/too-deep]
 */
export function scanMessage(message: DescMessage, bytes: Uint8Array, limits: OnnxLimits): void {
  new Scanner(bytes, limits).message(message, bytes.length, 1);
}

class Scanner {
  readonly #bytes: Uint8Array;
  readonly #limits: OnnxLimits;
  #position = 0;
  #messages = 0;
  #listElements = 0;

  constructor(bytes: Uint8Array, limits: OnnxLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  message(message: DescMessage, end: number, depth: number): void {
    if (depth > this.#limits.messageDepth)
      throw new InputError(
        "onnx/too-deep",
        `messages are nested deeper than the limit messageDepth = ${this.#limits.messageDepth} at byte ${this.#position}`,
      );
    checkLimit(this.#limits, "messages", ++this.#messages, "protobuf messages");
    const fields = shapesOf(message);
    while (this.#position < end) this.#field(fields, end, depth);
  }

  #field(fields: ReadonlyMap<number, FieldShape>, end: number, depth: number): void {
    const tag = this.#varint(end);
    const wireType = tag % 8;
    const number = (tag - wireType) / 8;
    if (number < 1 || number >= 2 ** 29) this.#malformed(`field number ${number}`);
    const shape = fields.get(number);
    if (shape === undefined) this.#skip(wireType, end);
    else if (wireType === shape.wireType) this.#known(shape, end, depth);
    else if (wireType === WireType.LengthDelimited && shape.packed !== undefined)
      this.#packedRun(shape.packed, shape.weight, end);
    else this.#malformed(`field ${number} has wire type ${wireType} instead of ${shape.wireType}`);
  }

  #known(shape: FieldShape, end: number, depth: number): void {
    this.#count(shape.weight);
    if (shape.message === undefined) this.#skip(shape.wireType, end);
    else this.message(shape.message, this.#length(end) + this.#position, depth + 1);
  }

  #packedRun(wireType: number, weight: number, end: number): void {
    const runEnd = this.#length(end) + this.#position;
    if (wireType === WireType.Varint) {
      for (; this.#position < runEnd; this.#count(weight)) this.#varint(runEnd);
      return;
    }
    const width = wireType === WireType.Bit64 ? 8 : 4;
    const elements = (runEnd - this.#position) / width;
    if (!Number.isInteger(elements)) this.#malformed(`a packed run is not a multiple of ${width} bytes`);
    this.#count(weight * elements);
    this.#position = runEnd;
  }

  #count(elements: number): void {
    this.#listElements += elements;
    if (this.#listElements > this.#limits.listElements)
      checkLimit(this.#limits, "listElements", this.#listElements, "list elements");
  }

  #skip(wireType: number, end: number): void {
    if (wireType === WireType.Varint) this.#varint(end);
    else if (wireType === WireType.Bit64) this.#advance(8, end);
    else if (wireType === WireType.Bit32) this.#advance(4, end);
    else if (wireType === WireType.LengthDelimited) this.#advance(this.#length(end), end);
    else this.#malformed(`wire type ${wireType}`);
  }

  #length(end: number): number {
    const length = this.#varint(end);
    if (length > end - this.#position) this.#malformed(`a length of ${length} reaches past the end of its message`);
    return length;
  }

  #advance(count: number, end: number): void {
    if (count > end - this.#position) this.#malformed("a field reaches past the end of its message");
    this.#position += count;
  }

  /** Value of a varint; above 2^53 only its size is right, which is all that the scan needs of such numbers. */
  #varint(end: number): number {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      if (this.#position >= end) this.#malformed("a number is cut off");
      const byte = this.#bytes[this.#position++]!;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    return this.#malformed("a number has more than 10 bytes");
  }

  #malformed(what: string): never {
    throw new InputError("onnx/malformed", `not a well-formed ONNX file: ${what} (byte ${this.#position})`, {
      byte: this.#position,
    });
  }
}
