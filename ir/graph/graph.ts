/**
 * The operator graph: what an ONNX file becomes and what graph passes rewrite. Plain readonly data. Nodes stand in
 * topological order; every value is made once: by a node, as a graph input, or as a constant.
 */
import type { ScalarType } from "../expr/dtype.ts";
import type { NodeId, ValueId } from "../support/ids.ts";
import type { Layout } from "./layout.ts";
import type { TensorValue } from "./tensor-value.ts";

/** A dimension not known until run time; equal names mean equal extents. */
export interface SymbolicDim {
  readonly symbol: string;
}
export type Dim = number | SymbolicDim;

export interface TensorType {
  readonly dtype: ScalarType;
  readonly dims: readonly Dim[];
}

/** A value of the graph. */
export interface Value {
  readonly id: ValueId;
  /** As in the file, for people and for inputs/outputs; unique within the graph. */
  readonly name: string;
  /** Undefined until inference has run. */
  readonly type?: TensorType;
  readonly constant?: TensorValue;
  /** Physical layout in memory; absent means plain row-major. */
  readonly layout?: Layout;
}

/** The closed union of attribute values. */
export type Attribute =
  | { readonly kind: "int"; readonly value: number | bigint }
  | { readonly kind: "ints"; readonly value: readonly (number | bigint)[] }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "floats"; readonly value: readonly number[] }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "strings"; readonly value: readonly string[] }
  | { readonly kind: "tensor"; readonly value: TensorValue }
  /** An attribute of a kind the reader knows but does not decode (graphs, sequences). */
  | { readonly kind: "opaque"; readonly what: string };

/** One operator: reads values, makes values. */
export interface Node {
  readonly id: NodeId;
  readonly name: string;
  readonly op: string;
  /** "" for ai.onnx. */
  readonly domain: string;
  /** The opset version of the node's domain in its model. */
  readonly opset: number;
  /** Undefined where an optional input is absent. */
  readonly inputs: readonly (ValueId | undefined)[];
  /** Undefined where an optional output is not asked for. */
  readonly outputs: readonly (ValueId | undefined)[];
  readonly attributes: ReadonlyMap<string, Attribute>;
}

/** Operators over values in execution order: what an ONNX file becomes. */
export interface Graph {
  readonly kind: "graph";
  readonly name: string;
  readonly inputs: readonly ValueId[];
  readonly outputs: readonly ValueId[];
  readonly values: ReadonlyMap<ValueId, Value>;
  readonly nodes: readonly Node[];
  readonly nextId: number;
  /** Model metadata (producer, description, custom properties). */
  readonly metadata: ReadonlyMap<string, string>;
}

/** Nodes that become one kernel. `anchor` is the node whose recipe drives the schedule. */
export interface Group {
  readonly nodes: readonly Node[];
  readonly anchor: Node;
  readonly inputs: readonly ValueId[];
  readonly outputs: readonly ValueId[];
}
/** A graph whose nodes are partitioned into groups in execution order. */
export interface FusedGraph {
  readonly graph: Graph;
  readonly groups: readonly Group[];
}

/** The domain of operators that only passes and expansions make. */
export const ownDomain = "tilewright";
