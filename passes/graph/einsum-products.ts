/**
 * Einsum of two operands as MatMul between transpositions: labels that both operands and the result have count matrices,
 * those of both operands alone are summed over, the others are rows and columns. Products have packed operands and
 * register tiles, and those of attention are found as such.
 *
 * Sums may run in another order than the equation's, so it does not run under strict math.
 */
import { type AttributeRecord, attributesOf, GraphBuilder, staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import { elementCount, tensorValue } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";

/** The first opset in which all operators that are put in read what they are told from inputs. */
const firstOpset = 13;

export function replaceEinsums(graph: Graph): Graph {
  const products = graph.nodes.map((n) => productOf(graph, n));
  if (products.every((p) => p === undefined)) return graph;
  const rewriter = new Rewriter(graph);
  for (const [i, n] of graph.nodes.entries()) {
    const product = products[i];
    if (product) rewriter.replace(n, product);
    else rewriter.builder.add(n);
  }
  const { builder } = rewriter;
  return { ...graph, nodes: builder.nodes, values: builder.values, nextId: builder.ids.next };
}

/** Labels of the operands and of the result, and what each is for. */
interface Product {
  readonly left: readonly string[];
  readonly right: readonly string[];
  readonly result: readonly string[];
  readonly batch: readonly string[];
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly summed: readonly string[];
  readonly extents: ReadonlyMap<string, number>;
}
/** A float32 Einsum of two operands; undefined for diagonals, ellipses, broadcasts, and sums over one operand alone. */
function productOf(graph: Graph, n: Node): Product | undefined {
  const equation = n.attributes.get("equation");
  if (n.op !== "Einsum" || n.domain !== "" || n.inputs.length !== 2 || equation?.kind !== "string") return undefined;
  const terms = /^([A-Za-z]+),([A-Za-z]+)->([A-Za-z]*)$/.exec(equation.value.replaceAll(" ", ""));
  if (!terms || valueOf(graph, n.outputs[0]!).type?.dtype !== "float32") return undefined;
  const [left, right, result] = terms.slice(1).map((t) => [...t]) as [string[], string[], string[]];
  if ([left, right, result].some((labels) => new Set(labels).size !== labels.length)) return undefined;
  const extents = new Map<string, number>();
  for (const [labels, operand] of [
    [left, n.inputs[0]!],
    [right, n.inputs[1]!],
  ] as const)
    for (const [axis, extent] of staticDims(graph, operand).entries()) {
      const label = labels[axis]!;
      if ((extents.get(label) ?? extent) !== extent || extent === 0) return undefined;
      extents.set(label, extent);
    }
  const alone = (labels: readonly string[], other: readonly string[]) => labels.filter((l) => !other.includes(l));
  const both = left.filter((l) => right.includes(l));
  const [rows, columns] = [alone(left, right), alone(right, left)];
  if ([...rows, ...columns].some((l) => !result.includes(l))) return undefined;
  const batch = both.filter((l) => result.includes(l));
  const summed = both.filter((l) => !result.includes(l));
  return { left, right, result, batch, rows, columns, summed, extents };
}

class Rewriter {
  readonly builder: GraphBuilder;
  readonly #graph: Graph;
  constructor(graph: Graph) {
    this.#graph = graph;
    this.builder = new GraphBuilder(graph);
  }

  replace(n: Node, p: Product): void {
    const dims = (labels: readonly string[]): number[] => labels.map((l) => p.extents.get(l)!);
    const whole = (labels: readonly string[]): number => elementCount(dims(labels));
    const operand = (value: ValueId, from: readonly string[], first: readonly string[], second: readonly string[]) => {
      const turned = this.#transposed(n, value, from, [...p.batch, ...first, ...second], dims);
      return this.#shaped(n, turned, [...dims(p.batch), whole(first), whole(second)]);
    };
    const left = operand(n.inputs[0]!, p.left, p.rows, p.summed);
    const right = operand(n.inputs[1]!, p.right, p.summed, p.columns);
    const product = this.#made(n, "MatMul", [left, right], [...dims(p.batch), whole(p.rows), whole(p.columns)], {});
    const order = [...p.batch, ...p.rows, ...p.columns];
    const apart = this.#shaped(n, product, dims(order));
    const turned = this.#transposed(n, apart, order, p.result, dims);
    this.#add(n, "Identity", [turned], n.outputs[0]!, {});
  }
  #transposed(
    n: Node,
    value: ValueId,
    from: readonly string[],
    to: readonly string[],
    dims: (labels: readonly string[]) => number[],
  ): ValueId {
    const perm = to.map((l) => from.indexOf(l));
    return perm.every((axis, i) => axis === i) ? value : this.#made(n, "Transpose", [value], dims(to), { perm });
  }
  #shaped(n: Node, value: ValueId, dims: readonly number[]): ValueId {
    const now = this.builder.values.get(value)!.type!.dims;
    if (now.length === dims.length && now.every((d, i) => d === dims[i])) return value;
    const shape = tensorValue("int64", [dims.length], BigInt64Array.from(dims, BigInt));
    return this.#made(n, "Reshape", [value, this.builder.constant("shape", shape)], dims, {});
  }
  #made(n: Node, op: string, inputs: Node["inputs"], dims: readonly number[], attributes: AttributeRecord): ValueId {
    const { name } = valueOf(this.#graph, n.outputs[0]!);
    const value = this.builder.value(`${name}_product`, { dtype: "float32", dims });
    this.#add(n, op, inputs, value, attributes);
    return value;
  }
  #add(n: Node, op: string, inputs: Node["inputs"], output: ValueId, attributes: AttributeRecord): void {
    const id = this.builder.ids.fresh<"node">();
    const parts = { id, name: n.name, domain: "", op, opset: Math.max(n.opset, firstOpset) };
    this.builder.add({ ...parts, inputs, outputs: [output], attributes: attributesOf(attributes) });
  }
}
