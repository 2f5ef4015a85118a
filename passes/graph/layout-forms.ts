/** Forms that a value exists in while a network runs, and what making one from another costs. */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { FusedGraph } from "../../ir/graph/graph.ts";
import { isPlain, type Layout, plainLayout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { type Candidate, layoutKey } from "./layout-candidate.ts";
import { conversionCycles, copyCycles } from "./layout-costs.ts";
import { isDescription } from "./layout-views.ts";

/** A layout that a value may exist in. */
export interface Form {
  readonly layout: Layout;
  /** Whether it is a copy for the sake of a halo, because the value itself has no place for one. */
  readonly haloed: boolean;
}
export const formKey = ({ layout, haloed }: Form): string => `${layoutKey(layout)}${haloed ? " haloed" : ""}`;

/** Values that lie in the caller's memory, which has no halo. */
export function fixedValues({ graph, groups }: FusedGraph): ReadonlySet<ValueId> {
  const fixed = new Set([...graph.inputs, ...graph.outputs]);
  for (const g of groups)
    if (g.nodes.length === 1 && isDescription(g.anchor) && fixed.has(g.inputs[0]!)) fixed.add(g.outputs[0]!);
  return fixed;
}

/** The forms of one value that any kernel makes or reads, by number; form 0 is the plain one. */
export class ValueForms {
  readonly #forms: Form[] = [];
  readonly #numbers = new Map<string, number>();
  /** Cycles from one form to another, by form. */
  readonly #cycles: number[][] = [];
  readonly #convert: (from: Form, to: Form) => number;

  constructor(plain: Layout, convert: (from: Form, to: Form) => number) {
    this.#convert = convert;
    this.numberOf({ layout: plain, haloed: false });
  }
  get count(): number {
    return this.#forms.length;
  }
  numberOf(form: Form): number {
    const key = formKey(form);
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#forms.push(form) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }
  /** Cycles of making form `to` from form `from`. */
  conversion(from: number, to: number): number {
    if (from === to) return 0;
    const known = (this.#cycles[from] ??= []);
    return (known[to] ??= this.#convert(this.#forms[from]!, this.#forms[to]!));
  }
}

/** Numbers of forms that a value exists in at once, in order. */
export type FormSet = readonly number[];

/** A form that a candidate can read an input in. */
export interface FormReading {
  readonly form: number;
  readonly layout: Layout;
  readonly cycles: number;
}
/** A candidate in terms of forms; inputs that it reads as they are, and constants, are not among `reads`. */
export interface FormCandidate {
  readonly candidate: Candidate;
  readonly makes: ReadonlyMap<ValueId, number>;
  readonly reads: ReadonlyMap<ValueId, readonly FormReading[]>;
}

/** The forms of a network's values. */
export class Forms {
  readonly #fused: FusedGraph;
  readonly #machine: Machine;
  readonly #fixed: ReadonlySet<ValueId>;
  readonly #inputs: ReadonlySet<ValueId>;
  readonly #outputs: ReadonlySet<ValueId>;
  readonly #values = new Map<ValueId, ValueForms>();
  /** Cycles of conversions; values of one shape share them. */
  readonly #conversions = new Map<string, number>();

  constructor(fused: FusedGraph, machine: Machine) {
    this.#fused = fused;
    this.#machine = machine;
    this.#fixed = fixedValues(fused);
    this.#inputs = new Set(fused.graph.inputs);
    this.#outputs = new Set(fused.graph.outputs);
  }

  isOutput = (v: ValueId): boolean => this.#outputs.has(v);
  plain = (v: ValueId): Layout => plainLayout(staticDims(this.#fused.graph, v).length);
  of(v: ValueId): ValueForms {
    let forms = this.#values.get(v);
    if (forms === undefined) {
      forms = new ValueForms(this.plain(v), (from, to) => this.#conversion(v, from, to));
      this.#values.set(v, forms);
    }
    return forms;
  }
  /** A candidate for a group with these outputs. */
  inForms(candidate: Candidate, outputs: readonly ValueId[]): FormCandidate {
    const { output } = candidate;
    const made = (v: ValueId): number => (output ? this.of(v).numberOf({ layout: output, haloed: false }) : 0);
    const reads = new Map<ValueId, readonly FormReading[]>();
    for (const [v, readings] of candidate.readings) {
      if (valueOf(this.#fused.graph, v).constant !== undefined) continue;
      const haloed = candidate.halos.has(v) && this.#fixed.has(v);
      reads.set(
        v,
        readings.map((r) => ({ ...r, form: this.of(v).numberOf({ layout: r.layout, haloed }) })),
      );
    }
    return { candidate, makes: new Map(outputs.map((v) => [v, made(v)])), reads };
  }

  #conversion(v: ValueId, from: Form, to: Form): number {
    const t = { dtype: valueOf(this.#fused.graph, v).type!.dtype, dims: staticDims(this.#fused.graph, v) };
    // The caller's memory is written by a kernel, and has no room for a halo; what is copied there from has.
    const written = this.#outputs.has(v) && isPlain(to.layout) && !to.haloed;
    const copied = to.haloed && (this.#inputs.has(v) || isPlain(from.layout));
    const kernel = written || copied;
    const key = `${t.dtype} ${t.dims} from ${layoutKey(from.layout)} to ${layoutKey(to.layout)} ${kernel}`;
    let cycles = this.#conversions.get(key);
    if (cycles === undefined) {
      cycles = (kernel ? copyCycles : conversionCycles)(this.#machine, t, from.layout, to.layout);
      this.#conversions.set(key, cycles);
    }
    return cycles;
  }
}

/** How a candidate best reads an input that exists in certain forms; undefined where it cannot. */
export function cheapestReading(readings: readonly FormReading[], forms: FormSet): FormReading | undefined {
  let best: FormReading | undefined;
  for (const r of readings) if (forms.includes(r.form) && (best === undefined || r.cycles < best.cycles)) best = r;
  return best;
}
