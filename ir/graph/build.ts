/** Makers and small queries of graph nodes; the rewriting helpers that every graph pass uses. */
import { IdSource, type NodeId, type ValueId } from "../support/ids.ts";
import { invariant } from "../support/invariant.ts";
import type { Attribute, Dim, Graph, Node, TensorType, Value } from "./graph.ts";
import type { TensorValue } from "./tensor-value.ts";

/** Builds or rebuilds a graph: values and nodes are added in topological order, `finish` freezes them. */
export class GraphBuilder {
  readonly ids: IdSource;
  readonly values = new Map<ValueId, Value>();
  readonly nodes: Node[] = [];
  readonly #names = new Set<string>();
  constructor(base?: Graph) {
    this.ids = new IdSource(base?.nextId ?? 1);
    if (base) for (const v of base.values.values()) this.#add(v);
  }
  #add(v: Value): ValueId {
    this.values.set(v.id, v);
    this.#names.add(v.name);
    return v.id;
  }
  /** A name not used by any value yet, `hint` itself when free. */
  freeName(hint: string): string {
    let name = hint;
    for (let i = 1; this.#names.has(name); i++) name = `${hint}_${i}`;
    return name;
  }
  /** A new value; its name is made unique. */
  value(name: string, type?: TensorType): ValueId {
    return this.#add({ id: this.ids.fresh(), name: this.freeName(name), ...(type ? { type } : {}) });
  }
  constant(name: string, value: TensorValue): ValueId {
    const type: TensorType = { dtype: value.type, dims: value.dims };
    return this.#add({ id: this.ids.fresh(), name: this.freeName(name), type, constant: value });
  }
  /** Replaces facts about an existing value. */
  update(id: ValueId, facts: Partial<Omit<Value, "id">>): void {
    const old = this.values.get(id);
    invariant(old, `no value ${id}`);
    this.values.set(id, { ...old, ...facts });
  }
  /** Adds a node with fresh output values (`outputs`: their name hints, or how many). Gives the outputs. */
  node(
    op: string,
    inputs: readonly (ValueId | undefined)[],
    options: {
      attributes?: AttributeRecord;
      outputs?: readonly string[];
      name?: string;
      domain?: string;
      opset?: number;
    } = {},
  ): ValueId[] {
    const { attributes = {}, name = op, domain = "", opset = 22 } = options;
    const outputs = (options.outputs ?? [name]).map((n) => this.value(n));
    this.add({
      id: this.ids.fresh<"node">() as NodeId,
      name,
      op,
      domain,
      opset,
      inputs,
      outputs,
      attributes: attributesOf(attributes),
    });
    return outputs;
  }
  /** Adds a node as it is. */
  add(node: Node): void {
    this.nodes.push(node);
  }
  finish(parts: {
    name: string;
    inputs: readonly ValueId[];
    outputs: readonly ValueId[];
    metadata?: ReadonlyMap<string, string>;
  }): Graph {
    return {
      kind: "graph",
      metadata: new Map(),
      ...parts,
      values: this.values,
      nodes: this.nodes,
      nextId: this.ids.next,
    };
  }
}

export type AttributeRecord = Readonly<
  Record<string, number | bigint | string | readonly number[] | readonly string[] | TensorValue | Attribute>
>;

/** Wraps plain values: whole numbers become ints, other numbers floats; pass an Attribute to say `float` for a whole number. */
export function attributesOf(record: AttributeRecord): ReadonlyMap<string, Attribute> {
  return new Map(Object.entries(record).map(([k, v]) => [k, attributeOf(v)]));
}
function attributeOf(v: AttributeRecord[string]): Attribute {
  if (typeof v === "number") return Number.isInteger(v) ? { kind: "int", value: v } : { kind: "float", value: v };
  if (typeof v === "bigint") return { kind: "int", value: v };
  if (typeof v === "string") return { kind: "string", value: v };
  if (Array.isArray(v)) return arrayAttribute(v as readonly (number | string)[]);
  return "kind" in v ? (v as Attribute) : { kind: "tensor", value: v as TensorValue };
}
function arrayAttribute(v: readonly (number | string)[]): Attribute {
  if (v.some((x) => typeof x === "string")) return { kind: "strings", value: v as readonly string[] };
  const numbers = v as readonly number[];
  return numbers.every(Number.isInteger) ? { kind: "ints", value: numbers } : { kind: "floats", value: numbers };
}

/** The value with this id. */
export function valueOf(graph: Graph, id: ValueId): Value {
  const v = graph.values.get(id);
  invariant(v, `no value ${id} in graph ${graph.name}`);
  return v;
}
/** The static shape of a value; throws where it has none (inference not run, or symbolic). */
export function staticDims(graph: Graph, id: ValueId): readonly number[] {
  const v = valueOf(graph, id);
  invariant(v.type, `value ${v.name} has no type yet`);
  return v.type.dims.map((d) => requireStatic(d, v.name));
}
function requireStatic(d: Dim, name: string): number {
  invariant(typeof d === "number", `value ${name} has a symbolic dimension`);
  return d;
}
/** The node that makes each value. */
export function producers(graph: Graph): ReadonlyMap<ValueId, Node> {
  const map = new Map<ValueId, Node>();
  for (const n of graph.nodes) for (const o of n.outputs) if (o !== undefined) map.set(o, n);
  return map;
}
/** The nodes that read each value, once per use. */
export function consumers(graph: Graph): ReadonlyMap<ValueId, readonly Node[]> {
  const map = new Map<ValueId, Node[]>();
  for (const n of graph.nodes) for (const i of n.inputs) if (i !== undefined) map.set(i, [...(map.get(i) ?? []), n]);
  return map;
}
