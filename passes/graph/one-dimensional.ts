/**
 * Gives one-dimensional convolutions, and what lies between them, maps of one row: [n, c, w] becomes [n, c, 1, w]. Layouts
 * and recipes are made for maps of two axes. Every value keeps its bits; reshapes stand where a map of one row meets what
 * stays as it is.
 */
import { type AttributeRecord, attributesOf, GraphBuilder, staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Attribute, Graph, Node } from "../../ir/graph/graph.ts";
import { tensorValue } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import type { PatternOf } from "./fuse-groups.ts";
import { dropDead } from "./rewriting.ts";

const convolutions: ReadonlySet<string> = new Set(["Conv", "ConvTranspose"]);
const windowed: ReadonlySet<string> = new Set([...convolutions, "MaxPool", "AveragePool"]);
/** Operators on channels, whatever the spatial axes. */
const channelwise: ReadonlySet<string> = new Set(["BatchNormalization", "GlobalAveragePool", "GlobalMaxPool"]);

export function giveRows(graph: Graph, patternOf: PatternOf): Graph {
  if (!graph.nodes.some((n) => isConvolution(graph, n))) return graph;
  const rewriter = new Rewriter(graph, patternOf);
  for (const n of graph.nodes) rewriter.visit(n);
  const { builder } = rewriter;
  return dropDead({ ...graph, nodes: builder.nodes, values: builder.values, nextId: builder.ids.next });
}

/** A float32 convolution of [n, c, w] with constant weights, or a transposed one whose extent follows from them. */
function isConvolution(graph: Graph, n: Node): boolean {
  if (!convolutions.has(n.op) || n.domain !== "" || n.attributes.has("output_shape")) return false;
  const [x, w] = n.inputs;
  return staticDims(graph, x!).length === 3 && valueOf(graph, w!).constant?.type === "float32";
}

class Rewriter {
  readonly builder: GraphBuilder;
  readonly #graph: Graph;
  readonly #patternOf: PatternOf;
  /** The map of one row that holds the same elements as a value. */
  readonly #rows = new Map<ValueId, ValueId>();

  constructor(graph: Graph, patternOf: PatternOf) {
    this.#graph = graph;
    this.#patternOf = patternOf;
    this.builder = new GraphBuilder(graph);
  }

  visit(n: Node): void {
    const inputs = this.#inputsWithRows(n);
    if (!inputs) {
      this.builder.add(n);
      return;
    }
    const [output] = n.outputs;
    const { name, type } = valueOf(this.#graph, output!);
    const row = this.builder.value(`${name}_row`, {
      dtype: type!.dtype,
      dims: withRow(staticDims(this.#graph, output!)),
    });
    const attributes = windowed.has(n.op) ? rowAttributes(n) : n.attributes;
    this.builder.add({ ...n, id: this.#nodeId(), inputs, outputs: [row], attributes: rowAxis(n, attributes) });
    this.#rows.set(output!, row);
    this.#reshape(n, row, output!, staticDims(this.#graph, output!));
  }

  /** What the node reads when it works on maps of one row; undefined when it stays as it is. */
  #inputsWithRows(n: Node): (ValueId | undefined)[] | undefined {
    if (n.domain !== "" || n.outputs.length !== 1 || staticDims(this.#graph, n.outputs[0]!).length !== 3)
      return undefined;
    const [x, ...others] = n.inputs;
    if (isConvolution(this.#graph, n)) return [this.#row(n, x!), this.#constantRow(others[0]!), ...others.slice(1)];
    if (!n.inputs.some((v) => v !== undefined && this.#rows.has(v))) return undefined;
    if (windowed.has(n.op) || channelwise.has(n.op))
      return convolutions.has(n.op) ? undefined : [this.#row(n, x!), ...others];
    if (n.op !== "Concat" && !this.#isElementwise(n)) return undefined;
    return n.inputs.map((v) => (v === undefined ? v : this.#broadcastRow(n, v)));
  }
  /** Scales along an axis of their own are not broadcast as others are. */
  #isElementwise(n: Node): boolean {
    return this.#patternOf(n) === "elementwise" && !n.attributes.has("axis");
  }
  #broadcastRow(n: Node, v: ValueId): ValueId {
    if (staticDims(this.#graph, v).length < 2) return v;
    return valueOf(this.#graph, v).constant ? this.#constantRow(v) : this.#row(n, v);
  }
  #row(n: Node, v: ValueId): ValueId {
    const known = this.#rows.get(v);
    if (known !== undefined) return known;
    const { name, type } = valueOf(this.#graph, v);
    const dims = withRow(staticDims(this.#graph, v));
    const row = this.builder.value(`${name}_row`, { dtype: type!.dtype, dims });
    this.#reshape(n, v, row, dims);
    this.#rows.set(v, row);
    return row;
  }
  #constantRow(v: ValueId): ValueId {
    const { name, constant } = valueOf(this.#graph, v);
    const { type, dims, data } = constant!;
    return this.builder.constant(`${name}_row`, tensorValue(type, withRow(dims), data));
  }
  #reshape(n: Node, from: ValueId, to: ValueId, dims: readonly number[]): void {
    const shape = this.builder.constant("shape", tensorValue("int64", [dims.length], BigInt64Array.from(dims, BigInt)));
    const opset = Math.max(n.opset, firstOpset);
    const parts = { name: `${n.name}_row`, op: "Reshape", domain: "", opset, attributes: new Map() };
    this.builder.add({ ...parts, id: this.#nodeId(), inputs: [from, shape], outputs: [to] });
  }
  #nodeId(): Node["id"] {
    return this.builder.ids.fresh<"node">();
  }
}

/** The first opset in which Reshape reads its shape from an input. */
const firstOpset = 5;

const withRow = (dims: readonly number[]): number[] => [...dims.slice(0, -1), 1, ...dims.slice(-1)];

/** Attributes of a window of one row. */
function rowAttributes(n: Node): Node["attributes"] {
  const changed: Record<string, Attribute> = {};
  for (const [name, a] of n.attributes) {
    if (a.kind !== "ints") continue;
    const values = a.value.map(Number);
    const none = name === "output_padding" ? 0 : 1;
    const row: AttributeRecord = { [name]: name === "pads" ? [0, values[0]!, 0, values[1]!] : [none, ...values] };
    changed[name] = attributesOf(row).get(name)!;
  }
  return new Map([...n.attributes, ...Object.entries(changed)]);
}
/** Along the last axis, Concat counts one axis more. */
function rowAxis(n: Node, attributes: Node["attributes"]): Node["attributes"] {
  const axis = attributes.get("axis");
  if (n.op !== "Concat" || axis?.kind !== "int") return attributes;
  const value = Number(axis.value) < 0 ? Number(axis.value) + 3 : Number(axis.value);
  return new Map([...attributes, ["axis", { kind: "int", value: value === 2 ? 3 : value }]]);
}
