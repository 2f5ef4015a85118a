/**
 * What a row of the operator tables says: a shape rule and, in logical coordinates, what the operator computes. Operators
 * that differ by one expression differ by one row.
 */
import type { ScalarType } from "../../ir/expr/dtype.ts";
import type { GraphBuilder } from "../../ir/graph/build.ts";
import type { Attribute, Node } from "../../ir/graph/graph.ts";
import type { Layout } from "../../ir/graph/layout.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import type { ComputeBuilder, Tensor } from "../../ir/loop/compute.ts";
import type { MathPolicy } from "../../ir/loop/program.ts";
import type { ValueId } from "../../ir/support/ids.ts";

export { ownDomain } from "../../ir/graph/graph.ts";

/** An element type with a static shape. */
export interface StaticType {
  readonly dtype: ScalarType;
  readonly dims: readonly number[];
}

/** Reads attributes with their defaults; a wrong kind is an InputError. */
export interface AttributeReader {
  has(name: string): boolean;
  raw(name: string): Attribute | undefined;
  int(name: string, fallback: number): number;
  optionalInt(name: string): number | undefined;
  float(name: string, fallback: number): number;
  string(name: string, fallback: string): string;
  ints(name: string): readonly number[] | undefined;
  floats(name: string): readonly number[] | undefined;
  strings(name: string): readonly string[] | undefined;
  tensor(name: string): TensorValue | undefined;
}

/** What every rule of a row can ask. */
export interface NodeContext {
  readonly node: Node;
  readonly attributes: AttributeReader;
  /** Type of input `i`; undefined when absent. */
  type(i: number): StaticType | undefined;
  /** Type of input `i`; an InputError when absent. */
  require(i: number): StaticType;
  /** The value of input `i` when it is known at compile time. */
  constant(i: number): TensorValue | undefined;
  /** The value of input `i`, which the shape or the code depends on; an UnsupportedError when it is not known. */
  requireConstant(i: number): TensorValue;
  /** The numbers of a constant input; an UnsupportedError when it is not constant; undefined when absent. */
  constantInts(i: number): readonly number[] | undefined;
  /** Throws an UnsupportedError that names the node. */
  unsupported(reason: string): never;
  /** Throws an InputError that names the node. */
  invalid(reason: string): never;
}

export interface ComputeContext extends NodeContext {
  readonly builder: ComputeBuilder;
  /** Under `strict`, floats are added up in the order that the operator's definition says. */
  readonly math: MathPolicy;
  /** The tensor of input `i`; throws when absent. */
  input(i: number): Tensor;
  optional(i: number): Tensor | undefined;
  /** The inferred type of output `i`. */
  output(i: number): StaticType;
  /** The layout the graph wants for output `i` (absent: plain). Give it to the stage that makes the output. */
  layout(i: number): Layout | undefined;
}

export interface ExpandContext extends NodeContext {
  readonly graph: GraphBuilder;
  readonly inputs: readonly (ValueId | undefined)[];
}

/**
 * How an operator may fuse (after TVM, Chen et al., OSDI 2018). `elementwise`: one output element from the same element
 * of each input (broadcast allowed). `injective`: each output element from one element of each input at a computed place
 * (transpose, slice, pad, gather). `reduction`: a reduction over some axes. `contraction`: convolution- or matmul-like,
 * takes an element-wise epilogue. `opaque`: stands alone.
 */
export type FusionPattern = "elementwise" | "injective" | "reduction" | "contraction" | "opaque";

export interface OperatorRow {
  readonly op: string;
  /** Absent: ai.onnx. */
  readonly domain?: string;
  /** First opset this row is for; the row with the greatest `since` ≤ the node's opset counts. Default 1. */
  readonly since?: number;
  readonly pattern: FusionPattern;
  /** Types of all outputs, in order. */
  readonly infer: (c: NodeContext) => readonly StaticType[];
  /** Stages that compute the outputs, in order; undefined where an output is not asked for. */
  readonly compute?: (c: ComputeContext) => readonly (Tensor | undefined)[];
  /** Values of all outputs when they follow from types and constants alone (Shape, Range); undefined when they don't. */
  readonly fold?: (c: NodeContext) => readonly TensorValue[] | undefined;
  /** Rewrites the node into simpler ones; gives its outputs, or undefined to leave it as it is. Runs before inference. */
  readonly expand?: (c: ExpandContext) => readonly ValueId[] | undefined;
}
