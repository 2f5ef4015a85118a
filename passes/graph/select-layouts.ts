/**
 * Layout selection: one candidate for each group, and the forms that each value exists in, at the least modelled cost of
 * kernels and conversions. A value has a variable of its own whose labels are sets of forms, so that a conversion which
 * several kernels read is paid once.
 */
import { consumers } from "../../ir/graph/build.ts";
import type { FusedGraph, Graph, Group } from "../../ir/graph/graph.ts";
import type { Layout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { greedyLayouts } from "./greedy-layouts.ts";
import { labellingCost, type PairCost, solveLabelling } from "./labelling.ts";
import { type Candidate, type CandidateContext, distinctLayouts } from "./layout-candidate.ts";
import {
  cheapestReading,
  type FormCandidate,
  type FormReading,
  type FormSet,
  Forms,
  type ValueForms,
} from "./layout-forms.ts";
import { wantedLayouts } from "./wanted-layouts.ts";

/** What was chosen for a group: a candidate, and in which layout it reads each input that it is choosy about. */
export interface ChosenLayouts {
  readonly candidate: Candidate;
  readonly inputs: ReadonlyMap<ValueId, Layout>;
}
export interface LayoutSelection {
  readonly chosen: ReadonlyMap<Group, ChosenLayouts>;
  /** Modelled cycles of what differs among candidates, and of conversions. */
  readonly cycles: number;
  /** The same where each group in order takes what is cheapest for it. */
  readonly greedyCycles: () => number;
}

/** Layouts that a value is offered in at most: what readers of readers could want multiplies. */
const mostOffers = 4;
/** Forms that a value exists in at once at most. */
const mostForms = 4;
/** Sets of forms that a value chooses from at most, besides those of one form. */
const mostSets = 256;

/** Chooses the layouts of every group. */
export function selectLayouts(fused: FusedGraph, machine: Machine): LayoutSelection {
  return new Selection(fused, machine).run();
}

/** A value's variable: label `i` is the set `sets[i]` of its forms. */
interface ValueVariable {
  readonly index: number;
  readonly sets: readonly FormSet[];
  /** The label that is all forms, which serves any reader. */
  readonly all: number;
}

class Selection {
  readonly #graph: Graph;
  readonly #groups: readonly Group[];
  readonly #forms: Forms;
  /** By group. */
  readonly #candidates: readonly (readonly FormCandidate[])[];
  readonly #variables = new Map<ValueId, ValueVariable>();
  readonly #own: number[][] = [];
  readonly #pairs: PairCost[] = [];

  constructor(fused: FusedGraph, machine: Machine) {
    this.#graph = fused.graph;
    this.#groups = fused.groups;
    this.#forms = new Forms(fused, machine);
    const candidates = candidatesInOrder(fused, machine, this.#forms);
    this.#candidates = candidates.map((list, i) => list.map((c) => this.#forms.inForms(c, this.#groups[i]!.outputs)));
  }

  run(): LayoutSelection {
    for (const candidates of this.#candidates) this.#own.push(candidates.map((c) => c.candidate.cycles));
    const makers = new Map(this.#groups.flatMap((g, i) => g.outputs.map((v) => [v, i] as const)));
    for (const [v, readers] of this.#readersOf()) this.#addValue(v, makers.get(v), readers);
    const problem = { own: this.#own, pairs: this.#pairs };
    const labels = solveLabelling(problem, () => this.#greedy());
    return {
      chosen: new Map(this.#groups.map((g, i) => [g, this.#chosen(this.#candidates[i]![labels[i]!]!, labels)])),
      cycles: labellingCost(problem, labels),
      greedyCycles: () => labellingCost(problem, this.#greedy()),
    };
  }

  #greedy(): number[] {
    const { candidates, sets } = greedyLayouts(this.#candidates, this.#forms);
    const labels = [...candidates];
    for (const [v, variable] of this.#variables) {
      const at = variable.sets.findIndex((set) => sameSet(set, sets.get(v) ?? [0]));
      labels[variable.index] = at < 0 ? variable.all : at;
    }
    return labels;
  }

  /** The groups that read each value in some layout, and graph outputs with or without readers. */
  #readersOf(): Map<ValueId, number[]> {
    const readers = new Map<ValueId, number[]>(this.#graph.outputs.map((v) => [v, []]));
    for (const [i, candidates] of this.#candidates.entries())
      for (const v of new Set(candidates.flatMap((c) => [...c.reads.keys()]))) {
        const known = readers.get(v);
        if (known) known.push(i);
        else readers.set(v, [i]);
      }
    return readers;
  }

  /** Adds a variable for the forms of a value where there is a choice. */
  #addValue(v: ValueId, maker: number | undefined, readers: readonly number[]): void {
    const forms = this.#forms.of(v);
    if (forms.count === 1) return;
    const output = this.#forms.isOutput(v);
    const most = Math.min(mostForms, readers.length + 1 + Number(output));
    const made = maker === undefined ? [0] : this.#candidates[maker]!.map((c) => c.makes.get(v)!);
    const possible = (set: FormSet): boolean => made.some((form) => set.includes(form)) && (!output || set.includes(0));
    const sets = subsets(forms.count, most).filter(possible);
    if (!sets.some((set) => set.length === forms.count)) sets.push(Array.from({ length: forms.count }, (_, i) => i));
    const all = sets.findIndex((set) => set.length === forms.count);
    const variable: ValueVariable = { index: this.#own.length, sets, all };
    this.#variables.set(v, variable);
    const making = made.map((from) => sets.map((set) => makingCycles(forms, from, set)));
    this.#own.push(maker === undefined ? making[0]! : sets.map(() => 0));
    if (maker !== undefined) this.#pairs.push({ a: maker, b: variable.index, cost: making });
    for (const r of readers) {
      const cost = this.#candidates[r]!.map((c) => readingCycles(c.reads.get(v), sets));
      this.#pairs.push({ a: r, b: variable.index, cost });
    }
  }

  #chosen({ candidate, reads }: FormCandidate, labels: readonly number[]): ChosenLayouts {
    const inputs = new Map<ValueId, Layout>();
    for (const [v, readings] of candidate.readings) {
      const variable = this.#variables.get(v);
      const set = variable?.sets[labels[variable.index]!];
      const reading = set === undefined ? readings[0] : cheapestReading(reads.get(v)!, set);
      if (reading) inputs.set(v, reading.layout);
    }
    return { candidate, inputs };
  }
}

/** Candidates of each group in the order of execution, each seeing the layouts that its inputs may be made in. */
function candidatesInOrder({ graph, groups }: FusedGraph, machine: Machine, forms: Forms): (readonly Candidate[])[] {
  const uses = consumers(graph);
  const offered = new Map<ValueId, readonly Layout[]>();
  const context: CandidateContext = {
    graph,
    machine,
    offered: (v) => offered.get(v) ?? [forms.plain(v)],
    readers: (v) => uses.get(v) ?? [],
  };
  return groups.map((g) => {
    const candidates = wantedLayouts(context, g);
    for (const v of g.outputs)
      offered.set(v, distinctLayouts(candidates.map((c) => c.output ?? forms.plain(v))).slice(0, mostOffers));
    return candidates;
  });
}

/** Cycles of the conversions after a value is made in one form, for a set of forms that it shall exist in. */
function makingCycles(forms: ValueForms, from: number, set: FormSet): number {
  if (!set.includes(from)) return Number.POSITIVE_INFINITY;
  return set.reduce((cycles, form) => cycles + forms.conversion(from, form), 0);
}
const readingCycles = (readings: readonly FormReading[] | undefined, sets: readonly FormSet[]): number[] =>
  sets.map((set) => (readings ? (cheapestReading(readings, set)?.cycles ?? Number.POSITIVE_INFINITY) : 0));

const sameSet = (a: FormSet, b: FormSet): boolean => a.length === b.length && a.every((form, i) => form === b[i]);

/** The sets of `count` forms with one to `most` elements, or fewer where there would be more than `mostSets`. */
function subsets(count: number, most: number): FormSet[] {
  const sets: FormSet[] = [];
  const visit = (from: number, set: FormSet, left: number): void => {
    if (set.length > 0) sets.push(set);
    if (left > 0) for (let form = from; form < count; form++) visit(form + 1, [...set, form], left - 1);
  };
  let elements = 1;
  while (elements < most && subsetCount(count, elements + 1) <= mostSets) elements++;
  visit(0, [], elements);
  return sets;
}
/** How many sets of `count` forms have one to `most` elements. */
function subsetCount(count: number, most: number): number {
  let total = 0;
  for (let size = 1, sets = 1; size <= most; size++) {
    sets = (sets * (count - size + 1)) / size;
    total += sets;
  }
  return total;
}
