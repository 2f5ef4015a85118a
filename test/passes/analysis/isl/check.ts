/** Our dependences of random nests beside isl's. */
import type { Access } from "../../../../passes/analysis/access.ts";
import { accessesIn } from "../../../../passes/analysis/accesses.ts";
import { type Dependence, dependencesAmong, dependencesBetween } from "../../../../passes/analysis/dependence.ts";
import { type Isl, IslGaveUp } from "./isl.ts";
import { type RandomNest, randomNest } from "./nests.ts";
import { type AccessRelation, relationsOf } from "./relations.ts";

/** What is counted over nests; direction vectors are spelled out to `<`, `=`, `>`. */
export interface Tally {
  nests: number;
  /** Pairs of accesses in one order of which isl knows a dependence, and those of which we know it too. */
  dependent: number;
  /** Direction vectors that exist. */
  vectors: number;
  /** Direction vectors reported that do not exist. */
  beyond: number;
  /** Pairs in one order reported that do not exist. */
  pairsBeyond: number;
  /** Vectors called exact. */
  exact: number;
  /** Distances that are one number, and those given as that number. */
  distances: number;
  distancesGiven: number;
  /** Loops that carry a dependence, and loops said to carry one that do not. */
  carrying: number;
  carryingBeyond: number;
  /** Nests that isl gave up on. */
  undecided: number;
  /** Pairs compared with isl's dataflow analysis too. */
  flows: number;
}
const emptyTally = (): Tally => ({
  nests: 0,
  dependent: 0,
  vectors: 0,
  beyond: 0,
  pairsBeyond: 0,
  exact: 0,
  distances: 0,
  distancesGiven: 0,
  carrying: 0,
  carryingBeyond: 0,
  undecided: 0,
  flows: 0,
});

/** What is wrong: a dependence that we miss, or one that we call exact though it does not exist. */
export interface Fault {
  readonly seed: number;
  readonly what: string;
}

/** Every how many nests isl's dataflow analysis is asked too. */
const flowEvery = 20;

/** Linear nests, and those with divisions, minima or disjunctions. */
export type Tallies = Readonly<Record<"linear" | "quasi", Tally>>;
export const emptyTallies = (): Tallies => ({ linear: emptyTally(), quasi: emptyTally() });

/** Checks the nest of a seed; faults are given, the rest is counted. */
export function checkNest(isl: Isl, seed: number, tallies: Tallies): Fault[] {
  const nest = randomNest(seed);
  const tally = tallies[nest.linear ? "linear" : "quasi"];
  const faults: Fault[] = [];
  const own = emptyTally();
  try {
    new Comparison(isl, nest, own, (what) => faults.push({ seed, what })).run(seed % flowEvery === 0);
  } catch (error) {
    if (!(error instanceof IslGaveUp)) throw error;
    tally.undecided++;
    return [];
  } finally {
    isl.release();
  }
  own.nests = 1;
  for (const key of Object.keys(own) as (keyof Tally)[]) tally[key] += own[key];
  return faults;
}

type Handle = unknown;
interface Side {
  readonly access: Access;
  readonly relation: AccessRelation;
  readonly maps: { readonly access: Handle; readonly schedule: Handle };
}

class Comparison {
  readonly #isl: Isl;
  readonly #nest: RandomNest;
  readonly #tally: Tally;
  readonly #fault: (what: string) => void;
  readonly #carrying = new Set<number>();

  constructor(isl: Isl, nest: RandomNest, tally: Tally, fault: (what: string) => void) {
    this.#isl = isl;
    this.#nest = nest;
    this.#tally = tally;
    this.#fault = fault;
  }
  run(withFlow: boolean): void {
    const accesses = accessesIn(this.#nest.root);
    const relations = relationsOf(this.#nest);
    const agree =
      accesses.length === relations.length &&
      accesses.every((a, k) => a.buffer.id === relations[k]!.buffer && (a.kind !== "read") === relations[k]!.write);
    if (!agree) {
      this.#fault("the accesses differ from those of a plain walk");
      return;
    }
    const sides = accesses.map((access, k): Side => {
      const relation = relations[k]!;
      const maps = { access: this.#isl.map(relation.access), schedule: this.#isl.map(relation.schedule) };
      return { access, relation, maps };
    });
    for (const [k, x] of sides.entries())
      for (const y of sides.slice(k)) {
        if (x.relation.buffer !== y.relation.buffer || !(x.relation.write || y.relation.write)) continue;
        this.#pair(x, y, withFlow);
      }
    this.#carriers();
  }
  #pair(x: Side, y: Side, withFlow: boolean): void {
    const found = dependencesBetween(x.access, y.access, { around: this.#nest.around });
    this.#ordered(
      x,
      y,
      found.filter((d) => d.source === x.access && d.sink === y.access),
      withFlow,
    );
    if (x !== y)
      this.#ordered(
        y,
        x,
        found.filter((d) => d.source === y.access && d.sink === x.access),
        withFlow,
      );
  }
  /** Dependences from x to y. */
  #ordered(x: Side, y: Side, found: readonly Dependence[], withFlow: boolean): void {
    const isl = this.#isl;
    const pairs = isl.conflicts(x.maps, y.maps);
    if (withFlow) this.#flow(pairs, x.relation, y.relation);
    const split = x.relation.loops.findIndex((l, k) => l !== y.relation.loops[k]);
    const common = x.relation.loops.slice(0, split < 0 ? y.relation.loops.length : split);
    const n = common.length;
    const deltas = isl.deltas(pairs, isl.map(x.relation.prefix(n)), isl.map(y.relation.prefix(n)));
    const exists = !isl.isEmpty(deltas);
    if (exists) this.#tally.dependent++;
    else if (found.length > 0) this.#tally.pairsBeyond++;
    if (exists) this.#missed(found, deltas, n, `from ${x.relation.access} to ${y.relation.access}`);
    for (const d of found) this.#vector(d, deltas);
    this.#noteCarriers(common, deltas);
  }
  /** Directions that exist, loop by loop, beside those found; `*` and distances are taken at their word. */
  #missed(found: readonly Dependence[], deltas: Handle, n: number, where: string): void {
    const isl = this.#isl;
    const go = (within: Handle, prefix: readonly Plain[]): void => {
      if (isl.isEmpty(within)) return;
      const k = prefix.length;
      if (k < n) {
        for (const sign of ["<", "=", ">"] as const)
          go(isl.intersect(within, isl.set(`{ [${dims(n)}] : d${k} ${relationText[sign]} }`)), [...prefix, sign]);
        return;
      }
      const covering = found.filter((d) => d.directions.every((x, j) => x === "*" || x === prefix[j]));
      if (covering.some((d) => d.distances.every((x) => x === undefined))) return;
      const all = covering.length > 0 ? covering.map((d) => constraintOf(d)).join(" or ") : "false";
      const missed = isl.subtract(within, isl.set(`{ [${dims(n)}] : ${all} }`));
      if (!isl.isEmpty(missed)) this.#fault(`misses (${prefix}) ${isl.text(missed)} ${where}`);
    };
    go(deltas, []);
  }
  /** One reported vector: each direction it stands for, and its distances. */
  #vector(d: Dependence, deltas: Handle): void {
    const isl = this.#isl;
    const n = d.directions.length;
    const within = isl.intersect(deltas, isl.set(`{ [${dims(n)}] : ${constraintOf(d)} }`));
    const exists = !isl.isEmpty(within);
    if (d.exact) this.#tally.exact++;
    if (d.exact && !exists) this.#fault(`calls (${d.directions}) exact, which does not exist`);
    for (const plain of spelledOut(d.directions)) {
      const one = isl.intersect(within, isl.set(`{ [${dims(n)}] : ${constraintOf({ ...d, directions: plain })} }`));
      if (isl.isEmpty(one)) this.#tally.beyond++;
      else this.#tally.vectors++;
    }
    if (!exists) return;
    d.distances.forEach((known, k) => {
      if (d.directions[k] === "=" || !isl.isFixed(within, k)) return;
      this.#tally.distances++;
      if (known !== undefined) this.#tally.distancesGiven++;
    });
  }
  #flow(pairs: Handle, x: AccessRelation, y: AccessRelation): void {
    this.#tally.flows++;
    const body = (text: string): string => text.slice(text.indexOf("{") + 1, text.lastIndexOf("}"));
    const parameters = x.schedule.slice(0, x.schedule.indexOf("{"));
    const schedule = x === y ? x.schedule : `${parameters}{ ${body(x.schedule)}; ${body(y.schedule)} }`;
    if (!this.#isl.flowAgrees(pairs, { source: x.access, sink: y.access, schedule }))
      this.#fault(`the relation differs from isl's dataflow analysis from ${x.access} to ${y.access}`);
  }

  /** The loops whose iterations differ first in some dependence. */
  #noteCarriers(common: AccessRelation["loops"], deltas: Handle): void {
    common.forEach((l, k) => {
      if (this.#carrying.has(l.var.id)) return;
      const outer = common.slice(0, k).map((_, j) => `d${j} = 0 and `);
      const carried = this.#isl.intersect(
        deltas,
        this.#isl.set(`{ [${dims(common.length)}] : ${outer.join("")}d${k} > 0 }`),
      );
      if (!this.#isl.isEmpty(carried)) this.#carrying.add(l.var.id);
    });
  }
  #carriers(): void {
    const seen = new Set<number>();
    const accesses = accessesIn(this.#nest.root);
    for (const a of accesses)
      a.loops.forEach((l) => {
        if (seen.has(l.var.id)) return;
        seen.add(l.var.id);
        const { around } = this.#nest;
        const said = dependencesAmong(accesses, { around, carriedBy: l.var.id }).length > 0;
        const carries = this.#carrying.has(l.var.id);
        if (carries) this.#tally.carrying++;
        if (carries && !said) this.#fault(`misses that ${l.var.name} carries a dependence`);
        if (said && !carries) this.#tally.carryingBeyond++;
      });
  }
}

const dims = (n: number): string => Array.from({ length: n }, (_, k) => `d${k}`).join(", ");
type Plain = "<" | "=" | ">";
const relationText = { "<": "> 0", "=": "= 0", ">": "< 0" } as const;
/** A dependence's directions and distances as a condition on d0, d1 … */
function constraintOf(d: Pick<Dependence, "directions" | "distances">): string {
  const parts = d.directions.flatMap((direction, k) => {
    const distance = d.distances[k];
    const sign = direction === "*" ? [] : [`d${k} ${relationText[direction]}`];
    return distance === undefined ? sign : [...sign, `d${k} = ${distance}`];
  });
  return parts.length > 0 ? `(${parts.join(" and ")})` : "true";
}
/** The vectors of `<`, `=`, `>` that one with `*` stands for. */
function spelledOut(directions: Dependence["directions"]): Dependence["directions"][] {
  return directions.reduce<Dependence["directions"][]>(
    (list, d) => list.flatMap((v) => (d === "*" ? (["<", "=", ">"] as const) : [d]).map((x) => [...v, x])),
    [[]],
  );
}
