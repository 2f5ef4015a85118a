/**
 * Layout assignment. Convolutions compute in channel blocks of the target's lanes (`NCHW16c`), and what follows them
 * (activations, pools, resizes, concatenations) stays blocked; matmuls read packed right-hand sides. Where a value is
 * wanted in another layout than it is made in, an Identity node converts it; constants are packed at compile time.
 * Feature maps that a padded convolution reads get a zero halo, written by their producer.
 */
import { attributesOf, valueOf } from "../../ir/graph/build.ts";
import type { FusedGraph, Graph, Group, Node, Value } from "../../ir/graph/graph.ts";
import {
  type Halo,
  isPlain,
  type Layout,
  plainLayout,
  sameLayout,
  withHalo,
  withoutHalo,
} from "../../ir/graph/layout.ts";
import { IdSource, type NodeId, type ValueId } from "../../ir/support/ids.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { partsOfOneHalo } from "./concat-in-place.ts";
import { type GroupLayouts, wantedLayouts } from "./wanted-layouts.ts";

/** Gives every value of the graph its physical layout; adds conversion groups and epilogues where kernels want them. */
export function assignLayouts(fused: FusedGraph, machine: Machine): FusedGraph {
  const pass = new LayoutPass(fused, machine);
  return pass.run();
}

class LayoutPass {
  readonly #graph: Graph;
  readonly #groups: readonly Group[];
  readonly #machine: Machine;
  readonly #ids: IdSource;
  readonly #values: Map<ValueId, Value>;
  /** Layout (without halo) each made value has. */
  readonly #made = new Map<ValueId, Layout>();
  readonly #halos = new Map<ValueId, Halo[]>();
  readonly #conversions = new Map<string, ValueId>();
  readonly #result: Group[] = [];

  constructor(fused: FusedGraph, machine: Machine) {
    this.#graph = fused.graph;
    this.#groups = fused.groups;
    this.#machine = machine;
    this.#ids = new IdSource(fused.graph.nextId);
    this.#values = new Map(fused.graph.values);
  }

  run(): FusedGraph {
    for (const g of this.#groups) this.#place(g);
    this.#joinHalos();
    for (const [id, halo] of this.#halos) {
      const v = this.#values.get(id)!;
      this.#values.set(id, { ...v, layout: withHalo(v.layout ?? plainLayout(v.type!.dims.length), halo) });
    }
    const graph: Graph = {
      ...this.#graph,
      values: this.#values,
      nodes: this.#result.flatMap((g) => g.nodes),
      nextId: this.#ids.next,
    };
    return { graph, groups: this.#result };
  }

  /** The parts of a concatenation and its result get one halo, so that the parts can be written in place. */
  #joinHalos(): void {
    const graph = { ...this.#graph, values: this.#values };
    for (const g of [...this.#result].reverse()) {
      const parts = partsOfOneHalo(graph, g) ?? [];
      const joined = parts.length > 0 ? [...parts, ...g.outputs] : [];
      if (joined.some((v) => this.#graph.inputs.includes(v) || this.#graph.outputs.includes(v))) continue;
      const halos = joined.map((v) => this.#halos.get(v)).filter((halo) => halo !== undefined);
      for (const v of joined) for (const halo of halos) this.#growHalo(v, halo);
    }
  }

  #place(g: Group): void {
    const layouts = wantedLayouts(this.#graph, g, this.#machine, (v) => this.#made.get(v));
    const renamed = new Map<ValueId, ValueId>();
    for (const v of g.inputs) {
      const target = this.#inputAs(v, layouts);
      if (target !== v) renamed.set(v, target);
    }
    const rename = (v: ValueId | undefined) => (v === undefined ? v : (renamed.get(v) ?? v));
    const nodes = g.nodes.map((n) =>
      n.inputs.some((i) => i !== undefined && renamed.has(i)) ? { ...n, inputs: n.inputs.map(rename) } : n,
    );
    let group: Group = {
      ...g,
      nodes,
      anchor: nodes[g.nodes.indexOf(g.anchor)]!,
      inputs: [...new Set(g.inputs.map((v) => rename(v)!))],
    };
    if (layouts.separateEpilogue && nodes.length === 1) group = this.#addEpilogue(group);
    const converted = this.#leaveBlocked(group, layouts);
    group = converted.group;
    for (const n of group.nodes)
      for (const o of n.outputs) {
        if (o === undefined) continue;
        const layout = this.#outputLayout(group, o, layouts);
        if (layout) this.#setLayout(o, layout);
      }
    this.#result.push(group, ...converted.after);
  }
  /** A graph output is plain: a group that makes it in another layout is followed by a conversion. */
  #leaveBlocked(group: Group, layouts: GroupLayouts): { group: Group; after: Group[] } {
    const output = group.outputs[0]!;
    if (group.outputs.length !== 1 || isPlain(layouts.output) || !this.#graph.outputs.includes(output))
      return { group, after: [] };
    const inner = this.#freshValue(this.#values.get(output)!, "_blocked", layouts.output!);
    const swap = (v: ValueId | undefined) => (v === output ? inner : v);
    const nodes = group.nodes.map((n) => ({ ...n, inputs: n.inputs.map(swap), outputs: n.outputs.map(swap) }));
    const anchor = nodes[group.nodes.indexOf(group.anchor)]!;
    const node = this.#identity(inner, output);
    return {
      group: { ...group, nodes, anchor, outputs: [inner] },
      after: [{ nodes: [node], anchor: node, inputs: [inner], outputs: [output] }],
    };
  }
  #outputLayout(group: Group, v: ValueId, layouts: GroupLayouts): Layout | undefined {
    return group.outputs.includes(v) ? layouts.output : (layouts.inner.get(v) ?? layouts.internal ?? layouts.output);
  }
  #setLayout(v: ValueId, layout: Layout): void {
    this.#made.set(v, layout);
    this.#values.set(v, { ...this.#values.get(v)!, layout });
  }

  /** The value to read instead of `v` so that it has the layout the group wants, with its halo. */
  #inputAs(v: ValueId, layouts: GroupLayouts): ValueId {
    const wanted = layouts.inputs.get(v);
    const value = valueOf(this.#graph, v);
    const rank = value.type!.dims.length;
    const current = this.#made.get(v) ?? plainLayout(rank);
    const halo = layouts.halos.get(v);
    if (wanted === undefined && halo === undefined) return v;
    const base = wanted ?? withoutHalo(current);
    if (value.constant)
      return sameLayout(base, current) ? v : this.#converted(v, base, () => this.#repackConstant(value, base));
    const fixed = this.#graph.inputs.includes(v) || this.#graph.outputs.includes(v);
    const target =
      sameLayout(base, current) && !(halo && fixed)
        ? v
        : this.#converted(v, base, () => this.#convert(value, base), halo !== undefined);
    if (halo) this.#growHalo(target, halo);
    return target;
  }
  #growHalo(v: ValueId, halo: readonly Halo[]): void {
    const old = this.#halos.get(v);
    this.#halos.set(
      v,
      halo.map((h, i) => ({
        before: Math.max(h.before, old?.[i]?.before ?? 0),
        after: Math.max(h.after, old?.[i]?.after ?? 0),
      })),
    );
  }
  #converted(v: ValueId, layout: Layout, make: () => ValueId, haloed = false): ValueId {
    const key = `${v} ${haloed} ${JSON.stringify(layout.dims)}`;
    const known = this.#conversions.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#conversions.set(key, made);
    return made;
  }
  #freshValue(like: Value, suffix: string, layout: Layout): ValueId {
    const id = this.#ids.fresh<"value">();
    this.#values.set(id, { ...like, id, name: `${like.name}${suffix}${id}`, layout });
    return id;
  }
  #repackConstant(value: Value, layout: Layout): ValueId {
    return this.#freshValue(value, "_packed", layout);
  }
  #identity(from: ValueId, to: ValueId): Node {
    const id = this.#ids.fresh<"node">() as NodeId;
    return {
      id,
      name: "relayout",
      op: "Identity",
      domain: "",
      opset: 22,
      inputs: [from],
      outputs: [to],
      attributes: attributesOf({}),
    };
  }
  #convert(value: Value, layout: Layout): ValueId {
    const { constant: _, ...plain } = value;
    const to = this.#freshValue(plain, "_as", layout);
    this.#made.set(to, layout);
    const node = this.#identity(value.id, to);
    this.#result.push({ nodes: [node], anchor: node, inputs: [value.id], outputs: [to] });
    return to;
  }
  /** Gives a lone contraction a copying epilogue, so that its accumulators stay in registers in their own layout. */
  #addEpilogue(g: Group): Group {
    const output = g.outputs[0]!;
    const v = this.#values.get(output)!;
    const raw = this.#ids.fresh<"value">();
    this.#values.set(raw, { ...v, id: raw, name: `${v.name}_raw${raw}` });
    const anchor: Node = { ...g.anchor, outputs: g.anchor.outputs.map((o) => (o === output ? raw : o)) };
    return { ...g, anchor, nodes: [anchor, this.#identity(raw, output)] };
  }
}
