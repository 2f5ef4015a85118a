/** Types of graph inputs, outputs and value_info entries: element types and shapes, symbols bound to what the user says. */
import type { Dim, TensorType } from "../../ir/graph/graph.ts";
import { InputError } from "../../ir/support/errors.ts";
import { scalarOfCode } from "./codes.ts";
import type { OnnxLimits } from "./limits.ts";
import type { TensorShapeProto, ValueInfoProto } from "./onnx_pb.ts";
import { quote } from "./quote.ts";
import { checkedDims, unsupportedElements } from "./tensor-data.ts";

/** What the user says of input shapes, by input name. */
export type InputShapes = Readonly<Record<string, readonly number[]>>;

/** Extents of symbolic dimensions by name. */
export type SymbolBindings = Map<string, number>;

/** The type of a value; a reason instead when Tilewright has none for it; undefined when the file does not say. */
export type DeclaredType = TensorType | { readonly unsupported: string } | undefined;

/** Reads the declared type of a value. @throws InputError [onnx/bad-type], [onnx/bad-dimension], [onnx/too-large] */
export function declaredType(info: ValueInfoProto, bindings: SymbolBindings, limits: OnnxLimits): DeclaredType {
  const what = `value ${quote(info.name)}`;
  const value = info.type?.value;
  if (value === undefined || value.case === undefined) return undefined;
  if (value.case !== "tensorType") return { unsupported: `${what} is a ${kindNames[value.case]}, not a tensor` };
  if (value.value.elemType === 0) return undefined;
  const unsupported = unsupportedElements(value.value.elemType, what);
  if (unsupported !== undefined) return { unsupported };
  if (value.value.shape === undefined) return undefined;
  return {
    dtype: scalarOfCode(value.value.elemType)!,
    dims: dimsOf(value.value.shape, info.name, bindings, limits),
  };
}

const kindNames = {
  sequenceType: "sequence",
  mapType: "map",
  optionalType: "optional",
  sparseTensorType: "sparse tensor",
} as const;

function dimsOf(shape: TensorShapeProto, name: string, bindings: SymbolBindings, limits: OnnxLimits): Dim[] {
  const dims = shape.dim.map(({ value }, i): Dim | bigint => {
    if (value.case === "dimValue") return value.value;
    const symbol = value.case === "dimParam" && value.value !== "" ? value.value : anonymousSymbol(name, i);
    return bindings.get(symbol) ?? { symbol };
  });
  // A symbol stands for an extent that is at least not known to be bad.
  const known = dims.map((d) => (typeof d === "object" ? 1n : BigInt(d)));
  checkedDims(known, `value ${quote(name)}`, limits);
  return dims.map((d) => (typeof d === "bigint" ? Number(d) : d));
}

/** The symbol of a dimension that the file leaves unnamed: equal to no other. */
const anonymousSymbol = (name: string, axis: number): string => `?${name}.${axis}`;

/**
 * Compares the shapes the user gives with the declared inputs, and binds the symbols in them.
 * @throws InputError [onnx/unknown-input], [onnx/shape-mismatch]
 */
export function bindShapes(inputs: readonly ValueInfoProto[], shapes: InputShapes, limits: OnnxLimits): SymbolBindings {
  const bindings: SymbolBindings = new Map();
  const byName = new Map(inputs.map((i) => [i.name, i]));
  for (const [name, dims] of Object.entries(shapes)) {
    const info = byName.get(name);
    if (info === undefined) throw new InputError("onnx/unknown-input", unknownInput(name, inputs));
    checkGiven(name, dims, limits);
    const declared = declaredType(info, bindings, limits);
    if (declared !== undefined && "dims" in declared) bindDims(name, declared.dims, dims, bindings);
  }
  return bindings;
}

function unknownInput(name: string, inputs: readonly ValueInfoProto[]): string {
  return `the model has no input ${quote(name)}; its inputs are ${inputs.map((i) => quote(i.name)).join(", ") || "none"}`;
}

function checkGiven(name: string, dims: readonly number[], limits: OnnxLimits): void {
  if (!dims.every((d) => Number.isSafeInteger(d) && d >= 0))
    throw new InputError("onnx/shape-mismatch", `[${dims}] is no shape for input ${quote(name)}`);
  checkedDims(dims.map(BigInt), `input ${quote(name)}`, limits);
}

function bindDims(name: string, declared: readonly Dim[], given: readonly number[], bindings: SymbolBindings): void {
  const shown = `[${declared.map((d) => (typeof d === "number" ? d : d.symbol)).join(", ")}]`;
  const mismatch = () =>
    new InputError(
      "onnx/shape-mismatch",
      `input ${quote(name)} has the shape ${shown}, [${given.join(", ")}] was given`,
    );
  if (declared.length !== given.length) throw mismatch();
  for (const [axis, dim] of declared.entries()) {
    const extent = typeof dim === "number" ? dim : (bindings.get(dim.symbol) ?? given[axis]!);
    if (extent !== given[axis]) throw mismatch();
    if (typeof dim !== "number") bindings.set(dim.symbol, extent);
  }
}
