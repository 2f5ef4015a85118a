/**
 * Partitions a graph into groups that become one kernel each. A group grows from an anchor (convolution, matmul,
 * reduction, or the first of a chain of element-wise nodes) and takes the element-wise nodes that follow it: activations,
 * residual additions, scales. Exactly one value leaves a group.
 */
import { consumers, producers, staticDims } from "../../ir/graph/build.ts";
import type { FusedGraph, Graph, Group, Node } from "../../ir/graph/graph.ts";
import type { NodeId, ValueId } from "../../ir/support/ids.ts";

/** How an operator may fuse; the operator tables say. */
export type PatternOf = (n: Node) => "elementwise" | "injective" | "reduction" | "contraction" | "opaque";

/** Chains longer than this are cut, which bounds the size of a kernel. */
const longestGroup = 24;

export function fuseGroups(graph: Graph, patternOf: PatternOf): FusedGraph {
  const context = new Fusion(graph, patternOf);
  const groups: Group[] = [];
  for (const n of graph.nodes) if (!context.taken.has(n.id)) groups.push(context.grow(n));
  return { graph, groups: orderGroups(absorbPrologues(graph, groups, patternOf)) };
}

/**
 * Merges element-wise groups into the reduction that alone reads them, so that their result is never stored. Pools stay
 * apart (they follow blocked layouts), and so do contractions: recomputing a prologue for every tile of output columns
 * costs more than one pass over the data.
 */
function absorbPrologues(graph: Graph, groups: readonly Group[], patternOf: PatternOf): Group[] {
  const uses = consumers(graph);
  const outputs = new Set(graph.outputs);
  const readers = new Map<ValueId, Group>();
  for (const g of groups) {
    const takes = patternOf(g.anchor) === "reduction" && !g.anchor.op.includes("Pool");
    const main = g.anchor.inputs[0];
    if (takes && main !== undefined && uses.get(main)?.every((n) => g.nodes.includes(n))) readers.set(main, g);
  }
  const merged = new Map<Group, Group>();
  const gone = new Set<Group>();
  for (const g of groups) {
    const out = g.outputs[0];
    const reader = out === undefined || g.outputs.length !== 1 || outputs.has(out) ? undefined : readers.get(out);
    if (
      !reader ||
      g.nodes.some((n) => patternOf(n) !== "elementwise") ||
      g.nodes.length + reader.nodes.length > longestGroup
    )
      continue;
    const inputs = [...new Set([...g.inputs, ...reader.inputs.filter((v) => v !== out)])];
    merged.set(reader, { ...reader, nodes: [...g.nodes, ...reader.nodes], inputs });
    gone.add(g);
  }
  return groups.filter((g) => !gone.has(g)).map((g) => merged.get(g) ?? g);
}

class Fusion {
  readonly taken = new Set<NodeId>();
  readonly #graph: Graph;
  readonly #patternOf: PatternOf;
  readonly #consumers: ReadonlyMap<ValueId, readonly Node[]>;
  readonly #producers: ReadonlyMap<ValueId, Node>;
  readonly #position: ReadonlyMap<NodeId, number>;
  constructor(graph: Graph, patternOf: PatternOf) {
    this.#graph = graph;
    this.#patternOf = patternOf;
    this.#consumers = consumers(graph);
    this.#producers = producers(graph);
    this.#position = new Map(graph.nodes.map((n, i) => [n.id, i]));
  }
  grow(anchor: Node): Group {
    const outputs = anchor.outputs.filter((o) => o !== undefined);
    const fusible =
      this.#patternOf(anchor) !== "opaque" && this.#patternOf(anchor) !== "injective" && outputs.length === 1;
    const nodes = fusible ? this.#absorb(anchor, outputs[0]!) : [anchor];
    for (const n of nodes) this.taken.add(n.id);
    return this.#group(anchor, nodes);
  }
  /** The longest run of element-wise followers such that one value escapes; candidates come in graph order. */
  #absorb(anchor: Node, output: ValueId): Node[] {
    const dims = staticDims(this.#graph, output).join();
    const inside = new Set<ValueId>([output]);
    const nodes = [anchor];
    const seen = new Set<NodeId>();
    const candidates: Node[] = [];
    const enqueue = (v: ValueId): void => {
      for (const c of this.#consumers.get(v) ?? []) {
        if (seen.has(c.id)) continue;
        seen.add(c.id);
        candidates.push(c);
      }
      candidates.sort((a, b) => this.#position.get(a.id)! - this.#position.get(b.id)!);
    };
    enqueue(output);
    let best = 1;
    for (let n = candidates.shift(); n !== undefined && nodes.length < longestGroup; n = candidates.shift()) {
      if (!this.#absorbable(n, anchor, inside, dims)) continue;
      nodes.push(n);
      inside.add(n.outputs[0]!);
      enqueue(n.outputs[0]!);
      if (this.#escapes(nodes).length === 1) best = nodes.length;
    }
    return nodes.slice(0, best);
  }
  #absorbable(n: Node, anchor: Node, inside: ReadonlySet<ValueId>, dims: string): boolean {
    if (this.taken.has(n.id) || this.#patternOf(n) !== "elementwise") return false;
    const outputs = n.outputs.filter((o) => o !== undefined);
    if (outputs.length !== 1 || staticDims(this.#graph, outputs[0]!).join() !== dims) return false;
    const limit = this.#position.get(anchor.id)!;
    return n.inputs.every((v) => v === undefined || inside.has(v) || this.#availableBefore(v, limit));
  }
  #availableBefore(v: ValueId, position: number): boolean {
    const producer = this.#producers.get(v);
    return producer === undefined || this.#position.get(producer.id)! < position;
  }
  #escapes(nodes: readonly Node[]): ValueId[] {
    const members = new Set(nodes.map((n) => n.id));
    const graphOutputs = new Set(this.#graph.outputs);
    return nodes
      .flatMap((n) => n.outputs.filter((o) => o !== undefined))
      .filter((o) => graphOutputs.has(o) || (this.#consumers.get(o) ?? []).some((c) => !members.has(c.id)));
  }
  #group(anchor: Node, nodes: readonly Node[]): Group {
    const made = new Set(nodes.flatMap((n) => n.outputs));
    const inputs = new Set(nodes.flatMap((n) => n.inputs.filter((i) => i !== undefined && !made.has(i))));
    const escapes = this.#escapes(nodes);
    const unused = nodes.flatMap((n) => n.outputs).filter((o) => o !== undefined && !this.#consumers.get(o)?.length);
    const outputs = [...new Set([...escapes, ...unused])] as ValueId[];
    return { nodes, anchor, inputs: [...inputs] as ValueId[], outputs };
  }
}

/** Execution order of groups: at the position of the first node, moved after every producer of an input. */
function orderGroups(groups: readonly Group[]): Group[] {
  const maker = new Map<ValueId, Group>();
  for (const g of groups) for (const n of g.nodes) for (const o of n.outputs) if (o !== undefined) maker.set(o, g);
  const ordered: Group[] = [];
  const done = new Set<Group>();
  const place = (g: Group): void => {
    const stack: Group[] = [g];
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const missing = top.inputs.map((i) => maker.get(i)).find((p) => p !== undefined && p !== top && !done.has(p));
      if (missing) {
        stack.push(missing);
        continue;
      }
      stack.pop();
      if (!done.has(top)) {
        done.add(top);
        ordered.push(top);
      }
    }
  };
  groups.forEach(place);
  return ordered;
}
