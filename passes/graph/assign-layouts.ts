/**
 * Layout assignment. Selection (`select-layouts.ts`) says in which layouts each group is computed; here values get them.
 * Where a value is read in another layout than it is made in, an Identity node converts it; constants are packed at
 * compile time. Feature maps that a padded convolution reads get a zero halo, written by their producer.
 */
import type { FusedGraph, Graph, Group, Node, Value } from "../../ir/graph/graph.ts";
import { type Halo, isPlain, type Layout, plainLayout, sameLayout, withHalo } from "../../ir/graph/layout.ts";
import { IdSource, type ValueId } from "../../ir/support/ids.ts";
import type { Machine } from "../schedule/library/plan.ts";
import type { Candidate } from "./layout-candidate.ts";
import { fixedValues, formKey } from "./layout-forms.ts";
import { permutationOf } from "./layout-views.ts";
import { valuesOfOneHalo } from "./parts-in-place.ts";
import { relayoutNode } from "./rewriting.ts";
import { type ChosenLayouts, selectLayouts } from "./select-layouts.ts";

/** Gives every value of the graph its physical layout; adds conversion groups and epilogues where kernels want them. */
export function assignLayouts(fused: FusedGraph, machine: Machine): FusedGraph {
  const pass = new LayoutPass(fused, machine);
  return pass.run();
}

class LayoutPass {
  readonly #graph: Graph;
  readonly #groups: readonly Group[];
  readonly #chosen: ReadonlyMap<Group, ChosenLayouts>;
  /** Values whose memory has no room for a halo. */
  readonly #fixed: ReadonlySet<ValueId>;
  readonly #ids: IdSource;
  readonly #values: Map<ValueId, Value>;
  /** Layout (without halo) each made value has. */
  readonly #made = new Map<ValueId, Layout>();
  readonly #halos = new Map<ValueId, Halo[]>();
  readonly #conversions = new Map<string, ValueId>();
  /** What graph outputs are copied from, where they are made in a layout that is not the caller's. */
  readonly #sources = new Map<ValueId, ValueId>();
  readonly #result: Group[] = [];

  constructor(fused: FusedGraph, machine: Machine) {
    this.#graph = fused.graph;
    this.#groups = fused.groups;
    this.#chosen = selectLayouts(fused, machine).chosen;
    this.#fixed = fixedValues(fused);
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

  /**
   * What is one memory gets one halo: the parts of a concatenation and its result, so that the parts can be written in
   * place, slices and what they are cut from, and what is transposed and its description. Readers come first, so that their
   * wishes reach what is made.
   */
  #joinHalos(): void {
    const graph = { ...this.#graph, values: this.#values };
    for (const g of this.#result) this.#shareHalo(graph, g);
    for (const g of [...this.#result].reverse()) {
      this.#shareHalo(graph, g);
      const joined = valuesOfOneHalo(graph, g);
      if (joined.some((v) => this.#graph.inputs.includes(v) || this.#graph.outputs.includes(v))) continue;
      const halos = joined.map((v) => this.#halos.get(v)).filter((halo) => halo !== undefined);
      for (const v of joined) for (const halo of halos) this.#growHalo(v, halo);
    }
  }

  /** Gives the two sides of a lone transposition, where both have room for one, the larger of their halos. */
  #shareHalo(graph: Graph, { nodes, inputs, outputs }: Group): void {
    const perm = nodes.length === 1 ? permutationOf(graph, nodes[0]!) : undefined;
    const [from, to] = [inputs[0]!, outputs[0]!];
    const own = [...this.#graph.inputs, ...this.#graph.outputs];
    if (!perm || own.includes(from) || own.includes(to)) return;
    const wanted = this.#halos.get(to);
    if (wanted)
      this.#growHalo(
        from,
        perm.map((_, axis) => wanted[perm.indexOf(axis)]!),
      );
    const given = this.#halos.get(from);
    if (given)
      this.#growHalo(
        to,
        perm.map((axis) => given[axis]!),
      );
  }

  #place(g: Group): void {
    const { candidate, inputs } = this.#chosen.get(g)!;
    const renamed = new Map<ValueId, ValueId>();
    for (const v of g.inputs) {
      const target = this.#inputAs(v, inputs.get(v), candidate.halos.get(v));
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
    if (candidate.separateEpilogue && nodes.length === 1) group = this.#addEpilogue(group);
    const converted = this.#leaveBlocked(group, candidate);
    group = converted.group;
    for (const n of group.nodes)
      for (const o of n.outputs) {
        if (o === undefined) continue;
        const layout = this.#outputLayout(group, o, candidate);
        if (layout) this.#setLayout(o, layout);
      }
    this.#result.push(group, ...converted.after);
  }

  /** A graph output is plain: a group that makes it in another layout is followed by a conversion. */
  #leaveBlocked(group: Group, c: Candidate): { group: Group; after: Group[] } {
    const left = isPlain(c.output) ? [] : group.outputs.filter((v) => this.#graph.outputs.includes(v));
    if (left.length === 0) return { group, after: [] };
    const inner = new Map(left.map((v) => [v, this.#freshValue(this.#values.get(v)!, "_blocked", c.output!)] as const));
    const after = left.map((v): Group => {
      const node = this.#identity(inner.get(v)!, v);
      this.#sources.set(v, inner.get(v)!);
      this.#conversions.set(conversionKey(v, plainLayout(c.output!.rank), false), v);
      return { nodes: [node], anchor: node, inputs: [inner.get(v)!], outputs: [v] };
    });
    const swap = <V extends ValueId | undefined>(v: V) => (v === undefined ? v : ((inner.get(v) as V) ?? v));
    const nodes = group.nodes.map((n) => ({ ...n, inputs: n.inputs.map(swap), outputs: n.outputs.map(swap) }));
    const anchor = nodes[group.nodes.indexOf(group.anchor)]!;
    return { group: { ...group, nodes, anchor, outputs: group.outputs.map(swap) }, after };
  }
  #outputLayout(group: Group, v: ValueId, c: Candidate): Layout | undefined {
    return group.outputs.includes(v) ? c.output : (c.inner.get(v) ?? c.internal ?? c.output);
  }
  #setLayout(v: ValueId, layout: Layout): void {
    this.#made.set(v, layout);
    this.#values.set(v, { ...this.#values.get(v)!, layout });
  }

  /** The value to read instead of `v` so that it has the wanted layout (any, when absent) and halo. */
  #inputAs(v: ValueId, wanted: Layout | undefined, halo: readonly Halo[] | undefined): ValueId {
    const source = this.#sources.get(v) ?? v;
    const value = this.#values.get(source)!;
    const current = this.#made.get(source) ?? plainLayout(value.type!.dims.length);
    const base = wanted ?? current;
    if (value.constant)
      return sameLayout(base, current) ? v : this.#converted(v, base, () => this.#repackConstant(value, base));
    const haloed = halo !== undefined && this.#fixed.has(v);
    const asMade = sameLayout(base, current) && !(haloed && this.#fixed.has(source));
    const target = asMade ? source : this.#converted(v, base, () => this.#convert(value, base), haloed);
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
    const key = conversionKey(v, layout, haloed);
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
    return relayoutNode(this.#ids.fresh<"node">(), from, to);
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

const conversionKey = (v: ValueId, layout: Layout, haloed: boolean): string => `${v} ${formKey({ layout, haloed })}`;
