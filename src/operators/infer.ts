/** Types of every value of a graph in one forward sweep, folding constants and expanding composite operators on the way. */
import { GraphBuilder, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node, TensorType, Value } from "../../ir/graph/graph.ts";
import { elementCount, type TensorValue } from "../../ir/graph/tensor-value.ts";
import { UnsupportedError } from "../../ir/support/errors.ts";
import type { NodeId, ValueId } from "../../ir/support/ids.ts";
import { bindShapes } from "./bind-shapes.ts";
import { evaluateNode } from "./interpret.ts";
import { type Refusal, unsupportedNodes } from "./refusals.ts";
import { itemOf, type Known, lookupRow, nodeContext, staticType } from "./registry.ts";
import type { ExpandContext, OperatorRow, StaticType } from "./row.ts";

/** Nodes whose inputs are constants are computed at compile time up to this many elements. */
const foldLimit = 1 << 20;
/** Most dimensions of a value. */
const maxRank = 32;
/** Composite operators expand into others at most this deep. */
const maxExpansion = 8;

/** The output types of a node whose inputs have static types. */
export function inferNode(values: ReadonlyMap<ValueId, Value>, node: Node, known?: Known): readonly StaticType[] {
  const context = nodeContext({ values }, node, known);
  const row = lookupRow(node.op, node.domain, node.opset) ?? context.unsupported("no such operator");
  const types = row.infer(context);
  for (const { dims } of types) {
    if (dims.length > maxRank) context.unsupported(`a result of ${dims.length} dimensions`);
    if (!isReasonable(dims)) context.invalid(`a result of shape [${dims}]`);
  }
  return types;
}
const isReasonable = (dims: readonly number[]): boolean =>
  dims.every((n) => Number.isSafeInteger(n) && n >= 0) && elementCount(dims.map((n) => Math.max(n, 1))) < 2 ** 40;

/**
 * Binds symbolic dimensions from `inputShapes`, gives every value a static type, folds what is constant and expands
 * composite operators. `offered` are values of graph inputs that may be fixed: those that a shape depends on become
 * constants and are no inputs of the result; the others stay inputs.
 *
 * @throws UnsupportedError listing every node that is not supported
 * @throws InputError for a malformed node, or an input shape that is missing or contradicts the model
 */
export function inferGraph(
  graph: Graph,
  inputShapes: Readonly<Record<string, readonly number[]>> = {},
  offered: Readonly<Record<string, TensorValue>> = {},
): Graph {
  const sweep = new Sweep(graph);
  sweep.bindInputs(inputShapes, offered);
  for (const node of graph.nodes) sweep.visit(node, 0);
  return sweep.finish();
}

class Sweep {
  readonly #graph: Graph;
  readonly #builder: GraphBuilder;
  readonly #nodes: Node[] = [];
  readonly #outputs: ReadonlySet<ValueId>;
  readonly #offered = new Map<ValueId, TensorValue>();
  readonly #producers = new Map<ValueId, Node>();
  readonly #untyped = new Set<ValueId>();
  readonly #refusals: Refusal[] = [];

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#builder = new GraphBuilder({ ...graph, values: new Map(graph.values) });
    this.#outputs = new Set(graph.outputs);
  }

  bindInputs(
    shapes: Readonly<Record<string, readonly number[]>>,
    offered: Readonly<Record<string, TensorValue>>,
  ): void {
    const inputs = this.#graph.inputs.map((id) => valueOf(this.#graph, id));
    const bound = bindShapes(inputs, shapes, offered);
    for (const v of inputs) {
      const given = Object.hasOwn(offered, v.name) ? offered[v.name] : undefined;
      if (given) this.#offered.set(v.id, given);
      const type = bound.get(v.id);
      if (type) this.#builder.update(v.id, { type });
    }
  }

  /** Types, folds or expands one node. */
  visit(node: Node, depth: number): void {
    const row = lookupRow(node.op, node.domain, node.opset);
    try {
      if (!row) this.#refuse(node, "no such operator");
      else if (node.inputs.some((i) => i !== undefined && this.#untyped.has(i))) this.#skip(node);
      else if (!node.inputs.every((i) => i === undefined || this.#hasType(i)))
        this.#refuse(node, "an input has no type");
      else if (!this.#expand(node, row, depth)) this.#place(node, row);
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      this.#refuse(node, error.items[0]?.reason ?? error.message);
    }
  }
  #place(node: Node, row: OperatorRow): void {
    const { values } = this.#builder;
    const known: Known = (id) => this.#demand(id);
    const context = nodeContext({ values }, node, known);
    const types = inferNode(values, node, known);
    node.outputs.forEach((id, o) => {
      if (id !== undefined && types[o]) this.#builder.update(id, { type: types[o], constant: undefined });
    });
    const folded = row.fold?.(context);
    if (folded) this.#setConstants(node, resultsOf(node, folded));
    else if (!row.compute) context.unsupported("its inputs must be known at compile time");
    else if (this.#isFoldable(node, row, types)) this.#setConstants(node, evaluateNode(values, node, new Map()));
    else this.#emit(node);
  }
  #hasType(id: ValueId): boolean {
    return staticType(this.#builder.values.get(id)) !== undefined;
  }
  #emit(node: Node): void {
    this.#nodes.push(node);
    for (const id of node.outputs) if (id !== undefined) this.#producers.set(id, node);
  }
  #isFoldable(node: Node, row: OperatorRow, types: readonly StaticType[]): boolean {
    const inputs = node.inputs.filter((i) => i !== undefined).map((i) => this.#builder.values.get(i)!);
    if (inputs.length === 0 || !inputs.every((v) => v.constant)) return false;
    return isSmall(row, types, inputs);
  }
  /** Results become constants; a graph output is still made by a node. */
  #setConstants(node: Node, results: ReadonlyMap<ValueId, TensorValue>): void {
    for (const [id, value] of results) {
      const type: TensorType = { dtype: value.type, dims: value.dims };
      if (!this.#outputs.has(id)) {
        this.#builder.update(id, { type, constant: value });
        continue;
      }
      this.#builder.update(id, { type });
      const source = this.#builder.constant(`${this.#builder.values.get(id)!.name}_value`, value);
      this.#emit(identityNode(node, this.#freshNode(), source, id));
    }
  }
  #freshNode(): NodeId {
    return this.#builder.ids.fresh<"node">();
  }
  /** Replaces a node by those its row expands it into, if any; the last ones make the node's own outputs. */
  #expand(node: Node, row: OperatorRow, depth: number): boolean {
    if (!row.expand) return false;
    const context = nodeContext({ values: this.#builder.values }, node, (id) => this.#demand(id));
    if (depth >= maxExpansion) context.unsupported("it expands too deeply");
    const start = this.#builder.nodes.length;
    const expandContext: ExpandContext = { ...context, graph: this.#builder, inputs: node.inputs };
    const results = row.expand(expandContext);
    if (results === undefined) return false;
    const made = this.#builder.nodes.splice(start);
    const renamed = new Map(
      results.flatMap((from, o) => (node.outputs[o] === undefined ? [] : [[from, node.outputs[o]!] as const])),
    );
    const rename = (id: ValueId | undefined): ValueId | undefined => (id === undefined ? id : (renamed.get(id) ?? id));
    const own = new Set(made.flatMap((n) => n.outputs));
    for (const n of made) {
      const inputs = n.inputs.map((i) => (i !== undefined && own.has(i) ? rename(i) : i));
      this.visit({ ...n, inputs, outputs: n.outputs.map(rename) }, depth + 1);
    }
    for (const [from, to] of renamed)
      if (!own.has(from)) this.visit(identityNode(node, this.#freshNode(), from, to), depth + 1);
    return true;
  }
  /** A value that a shape depends on, from what was offered; it becomes a constant. */
  #demand(id: ValueId): TensorValue | undefined {
    const value = this.#offered.get(id) ?? this.#computeOffered(id);
    if (value) this.#builder.update(id, { type: { dtype: value.type, dims: value.dims }, constant: value });
    return value;
  }
  #computeOffered(id: ValueId): TensorValue | undefined {
    const node = this.#producers.get(id);
    if (!node) return undefined;
    const row = lookupRow(node.op, node.domain, node.opset)!;
    const { values } = this.#builder;
    const read = node.inputs.filter(isPresent);
    const types = node.outputs.filter(isPresent).flatMap((o) => staticType(values.get(o)) ?? []);
    const operands = read.map((i) => values.get(i)!);
    if (!isSmall(row, types, operands)) return undefined;
    const inputs = new Map<ValueId, TensorValue>();
    for (const v of operands) {
      const value = v.constant ?? this.#demand(v.id);
      if (!value) return undefined;
      inputs.set(v.id, value);
    }
    const results = evaluateNode(this.#builder.values, node, inputs);
    for (const [o, value] of results) this.#builder.update(o, { constant: value });
    return results.get(id);
  }
  #refuse(node: Node, reason: string): void {
    this.#refusals.push({ node, item: itemOf(node, reason) });
    this.#skip(node);
  }
  #skip(node: Node): void {
    for (const id of node.outputs) if (id !== undefined) this.#untyped.add(id);
  }

  finish(): Graph {
    if (this.#refusals.length > 0) throw unsupportedNodes(this.#refusals, this.#builder.values);
    const { values } = this.#builder;
    const isKnown = (id: ValueId | undefined): boolean => id === undefined || values.get(id)?.constant !== undefined;
    const nodes = this.#nodes.filter((n) => !n.outputs.every(isKnown));
    return {
      ...this.#graph,
      inputs: this.#graph.inputs.filter((id) => !values.get(id)?.constant),
      values,
      nodes,
      nextId: this.#builder.ids.next,
    };
  }
}

const resultsOf = (node: Node, values: readonly TensorValue[]): Map<ValueId, TensorValue> =>
  new Map(node.outputs.flatMap((id, o) => (id === undefined || !values[o] ? [] : [[id, values[o]] as const])));
const isPresent = <T>(x: T | undefined): x is T => x !== undefined;
/** An Identity node in the place of `node`. */
const identityNode = (node: Node, id: NodeId, from: ValueId, to: ValueId): Node => ({
  ...node,
  id,
  op: "Identity",
  domain: "",
  opset: 22,
  inputs: [from],
  outputs: [to],
  attributes: new Map(),
});
/** Whether interpreting a node is quick. */
function isSmall(row: OperatorRow, types: readonly StaticType[], inputs: readonly Value[]): boolean {
  const made = types.reduce((n, t) => n + elementCount(t.dims), 0);
  const sizes = inputs.map((v) => elementCount(staticType(v)?.dims ?? []));
  const read = Math.max(1, ...sizes);
  return made <= foldLimit && read <= foldLimit && (row.pattern !== "contraction" || made * read <= 16 * foldLimit);
}
