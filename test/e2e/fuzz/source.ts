/** Seeded random choices and the graph under construction that every family of random networks draws on. */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import { type AttributeRecord, attributesOf, GraphBuilder, valueOf } from "../../../ir/graph/build.ts";
import type { Attribute, Graph, Node } from "../../../ir/graph/graph.ts";
import { arrayTypeOf, elementCount, type TensorValue, tensorValue } from "../../../ir/graph/tensor-value.ts";
import { InputError, UnsupportedError } from "../../../ir/support/errors.ts";
import type { NodeId, ValueId } from "../../../ir/support/ids.ts";
import { inferNode } from "../../../src/operators/infer.ts";

/** A float attribute, whole or not. */
export const float = (value: number): Attribute => ({ kind: "float", value });

/** Attributes of a node; those that are undefined are left out. */
export type Attributes = Readonly<Record<string, AttributeRecord[string] | undefined>>;

/** A value of the graph under construction. */
export interface Known {
  readonly id: ValueId;
  readonly dims: readonly number[];
  readonly type: ScalarType;
  /** Free of rounding, so that a discontinuous operator may read it. */
  readonly exact: boolean;
}

/** The first opset of operators younger than the oldest graphs made here. */
const since: Readonly<Record<string, number>> = {
  Celu: 12,
  Einsum: 12,
  HardSwish: 14,
  Trilu: 14,
  LayerNormalization: 17,
  Mish: 18,
  Gelu: 20,
  GroupNormalization: 21,
};
const axesInputs: Readonly<Record<string, string>> = {
  Split: "split",
  Squeeze: "axes",
  Unsqueeze: "axes",
  ReduceSum: "axes",
};
/** Before opset 13 these operators had axes and sizes as attributes. */
function beforeOpset13(
  builder: GraphBuilder,
  op: string,
  inputs: readonly (Known | undefined)[],
  attributes: AttributeRecord,
): { inputs: readonly (Known | undefined)[]; attributes: AttributeRecord } {
  const name = axesInputs[op];
  if (op === "Resize" && inputs[1] === undefined) {
    const type: TensorValue = { type: "float32", dims: [0], data: new Float32Array(0) };
    const none: Known = { id: builder.constant("roi", type), dims: [0], type: "float32", exact: true };
    const scales = inputs[2] ?? none;
    return { inputs: [inputs[0], none, scales, ...inputs.slice(3)], attributes };
  }
  const given = name === undefined || inputs[1] === undefined ? undefined : builder.values.get(inputs[1].id)!.constant;
  if (name === undefined || given === undefined) return { inputs, attributes };
  return { inputs: [inputs[0]], attributes: { ...attributes, [name]: Array.from(given.data, Number) } };
}

/** Random choices and a growing graph; operators that this version refuses are left out. */
export class Source {
  readonly builder = new GraphBuilder();
  readonly opset: number;
  readonly pool: Known[] = [];
  readonly inputs: Known[] = [];
  readonly #random;
  constructor(seed: number) {
    this.#random = xoroshiro128plus(seed * 2654435761 + 12345);
    for (let i = 0; i < 8; i++) uniformInt(this.#random, 0, 9);
    this.opset = this.pick([11, 13, 17, 18, 21, 22]);
  }
  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return uniformInt(this.#random, low, high);
  }
  chance(p: number): boolean {
    return uniformFloat64(this.#random) < p;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)]!;
  }
  shuffled<T>(items: readonly T[]): T[] {
    const out = [...items];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  }
  /** Elements on a grid of 1/64 for floats (sums stay exact), small numbers for integers. */
  values(type: ScalarType, dims: readonly number[], scale = 1): TensorValue {
    const count = elementCount(dims);
    const data = new (arrayTypeOf(type))(count) as Float32Array;
    const big = type === "int64" || type === "uint64";
    for (let i = 0; i < count; i++) {
      if (type === "float32" || type === "float64") data[i] = (this.int(-64, 64) / 64) * scale;
      else if (type === "bool") data[i] = this.int(0, 1);
      else
        data[i] = (
          big ? BigInt(this.int(type === "uint64" ? 0 : -9, 9)) : this.int(type === "uint8" ? 0 : -9, 9)
        ) as number;
    }
    return tensorValue(type, dims, data);
  }
  input(dims: readonly number[], type: ScalarType = "float32"): Known {
    const id = this.builder.value(`in${this.inputs.length}`, { dtype: type, dims });
    const known: Known = { id, dims, type, exact: true };
    this.inputs.push(known);
    this.pool.push(known);
    return known;
  }
  constant(dims: readonly number[], scale = 1, type: ScalarType = "float32"): Known {
    const id = this.builder.constant("c", this.values(type, dims, scale));
    return { id, dims, type, exact: true };
  }
  /** Positive numbers, for variances and divisors. */
  positive(dims: readonly number[], type: ScalarType = "float32"): Known {
    const data = new (arrayTypeOf(type))(elementCount(dims)) as Float32Array;
    for (let i = 0; i < data.length; i++) data[i] = 0.5 + this.int(0, 64) / 64;
    return { id: this.builder.constant("p", tensorValue(type, dims, data)), dims, type, exact: true };
  }
  ints(values: readonly number[]): Known {
    const data = BigInt64Array.from(values, BigInt);
    const id = this.builder.constant("i", tensorValue("int64", [values.length], data));
    return { id, dims: [values.length], type: "int64", exact: true };
  }
  scalar(value: number, type: ScalarType = "float32"): Known {
    const data = new (arrayTypeOf(type))(1) as Float32Array;
    data[0] = (type === "int64" ? BigInt(value) : value) as number;
    return { id: this.builder.constant("s", tensorValue(type, [], data)), dims: [], type, exact: true };
  }
  /** Adds a node; its outputs join the pool. Undefined when the operator is refused or makes too much. */
  op(
    op: string,
    inputs: readonly (Known | undefined)[],
    given: Attributes = {},
    options: { outputs?: number; exact?: boolean; hidden?: boolean; opset?: number } = {},
  ): Known[] | undefined {
    const count = options.outputs ?? 1;
    const attributes = Object.fromEntries(Object.entries(given).flatMap(([k, v]) => (v === undefined ? [] : [[k, v]])));
    if (this.opset < (since[op] ?? 0)) return undefined;
    const form = this.opset < 13 ? beforeOpset13(this.builder, op, inputs, attributes) : { inputs, attributes };
    const outputs = Array.from({ length: count }, () => this.builder.value(op.toLowerCase()));
    const node: Node = {
      id: this.builder.ids.fresh<"node">() as NodeId,
      name: `${op}_${this.builder.nodes.length}`,
      op,
      domain: "",
      opset: this.opset,
      inputs: form.inputs.map((i) => i?.id),
      outputs,
      attributes: attributesOf(form.attributes),
    };
    const types = this.#typesOf(node);
    if (!types || types.some((t) => elementCount(t.dims) > 200_000)) {
      for (const o of outputs) this.builder.values.delete(o);
      return undefined;
    }
    this.builder.add(node);
    const exact = (options.exact ?? false) && inputs.every((i) => i === undefined || i.exact);
    return outputs.map((id, o) => {
      this.builder.update(id, { type: types[o]! });
      const known: Known = { id, dims: types[o]!.dims, type: types[o]!.dtype, exact };
      if (!options.hidden) this.pool.push(known);
      return known;
    });
  }
  #typesOf(node: Node) {
    try {
      return inferNode(this.builder.values, node);
    } catch (error) {
      if (error instanceof InputError || error instanceof UnsupportedError) return undefined;
      throw error;
    }
  }
  /** As `op`, for one output; gives the first input where the operator was refused. */
  one(op: string, inputs: readonly (Known | undefined)[], attributes: Attributes = {}, exact = false): Known {
    return this.op(op, inputs, attributes, { exact })?.[0] ?? inputs[0]!;
  }
  finish(name: string, outputs: readonly Known[]): Graph {
    const ids = [...new Set(outputs.map((o) => o.id))];
    const graph = this.builder.finish({ name, inputs: this.inputs.map((i) => i.id), outputs: ids });
    const used = new Set([...graph.inputs, ...ids, ...graph.nodes.flatMap((n) => [...n.inputs, ...n.outputs])]);
    const values = new Map([...graph.values].filter(([id]) => used.has(id)));
    for (const id of ids) valueOf({ ...graph, values }, id);
    return { ...graph, values };
  }
}
