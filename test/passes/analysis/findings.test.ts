/**
 * What the analyses find on random nests, expressions, systems and sets: true where it can be tried out, and as recorded
 * in `fixtures/findings.txt`, so that one that finds less than it did is noticed. What changes on purpose is recorded
 * anew: `UPDATE_FIXTURES=1`.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Expr } from "../../../ir/expr/expr.ts";
import { visit } from "../../../ir/expr/traverse.ts";
import { evaluate } from "../../../ir/loop/build.ts";
import type { For, Region, Stmt } from "../../../ir/loop/program.ts";
import { childExprs, visitStmt } from "../../../ir/loop/traverse.ts";
import { printStmt } from "../../../ir/text/printer.ts";
import { type Access, accessesIn } from "../../../passes/analysis/accesses.ts";
import {
  addScaled,
  boundsOfForm,
  fromQuasiAffine,
  mayWrap,
  moduloForm,
  recombine,
  splitSum,
  toAffine,
  toQuasiAffine,
} from "../../../passes/analysis/affine.ts";
import { brokenByPermutation, carriedBy, type Dependence, dependences } from "../../../passes/analysis/dependence.ts";
import { footprintsOf, middleOf, runsOf } from "../../../passes/analysis/footprint.ts";
import {
  connected,
  eliminateEqualities,
  feasible,
  onlyValue,
  type Row,
} from "../../../passes/analysis/integer-system.ts";
import {
  assume,
  decide,
  differenceOf,
  intervalOf,
  negate,
  proveDivides,
  proveEqual,
  rangesOfLoops,
} from "../../../passes/analysis/interval.ts";
import { operationsOf } from "../../../passes/analysis/operations.ts";
import { compareExprs, keyOf } from "../../../passes/analysis/order.ts";
import { regionCovers, regionOf, unionRegions } from "../../../passes/analysis/regions.ts";
import { clipped, type Product, tuplesOf, unionCount, valuesOf } from "../../../passes/analysis/value-sets.ts";
import { randomProgram } from "../../ir/generate.ts";
import { Random } from "../../property/support/random.ts";
import { randomNest } from "./isl/nests.ts";
import {
  randomCondition,
  randomForm,
  randomIndex,
  randomProduct,
  randomRanges,
  randomRows,
  randomSplit,
} from "./samples.ts";

const mostAccesses = 6;
const file = new URL("../../fixtures/findings.txt", import.meta.url);
const update = process.env.UPDATE_FIXTURES === "1";
const recorded = new Set(existsSync(file) ? readFileSync(file, "utf8").split("\n") : []);
const made: string[] = [];

/** One test of some seeds of a section; `find` gives a few words to read and everything that was found. */
function asRecorded(section: string, seeds: number, find: (seed: number) => readonly [string, unknown]): void {
  const together = 20;
  for (let first = 1; first <= seeds; first += together)
    test(`${section} ${first} to ${first + together - 1} are as recorded`, () => {
      const lines = Array.from({ length: together }, (_, k) => {
        const [words, found] = find(first + k);
        return `${section} ${first + k}: ${words} ${digest(found)}`;
      });
      made.push(...lines);
      if (!update) for (const l of lines) expect(recorded).toContain(l);
      else writeFileSync(file, `${made.join("\n")}\n`);
    });
}
const plain = (_: string, v: unknown): unknown => {
  if (typeof v === "bigint" || (typeof v === "number" && !Number.isFinite(v))) return `${v}`;
  if (v instanceof Map) return [...v];
  return v instanceof Uint8Array ? [...v] : v;
};
const digest = (found: unknown): string =>
  createHash("sha256").update(JSON.stringify(found, plain)).digest("hex").slice(0, 10);
const shown = (e: Expr): string => printStmt(evaluate(e)).trim();
const regionText = (r: Region): string[] => r.ranges.map((q) => `${shown(q.min)} + ${shown(q.extent)}`);
const accessText = (a: Access): unknown[] => [
  [a.kind, a.op, a.position, a.privateLoops, a.init],
  [a.indices.map(shown), a.conditions.map(shown)],
];
const dependenceText = (d: Dependence): unknown[] => [
  [d.kind, d.source.buffer.name, d.source.position, d.sink.position],
  [d.directions, d.distances, d.exact, d.reduction, d.commonLoops.length],
];
const footprintText = (s: Stmt, around: readonly For[]) =>
  footprintsOf(s, around).map((f) => [f.buffer.name, f.elements, f.bytes, f.exact]);

/** The loops under a statement, with those around each. */
function loopsIn(root: Stmt, around: readonly For[]): { loop: For; around: readonly For[] }[] {
  const found: { loop: For; around: readonly For[] }[] = [];
  for (const a of accessesIn(root))
    a.loops.forEach((loop, k) => {
      if (!found.some((f) => f.loop === loop)) found.push({ loop, around: [...around, ...a.loops.slice(0, k)] });
    });
  return found;
}

describe("findings", () => {
  asRecorded("nest", 200, (seed) => {
    const { root, around } = randomNest(seed + 41);
    const accesses = accessesIn(root);
    // Those of the largest nests, and of a few of the first 41, take as long as all others together.
    const all = accesses.length > mostAccesses ? [] : dependences(root, { around });
    const loops = loopsIn(root, around);
    const perfect = root.kind === "for" && root.body.kind === "for" ? [root, root.body] : [];
    const [a, b] = perfect.map((l) => l.var.id);
    const math = seed % 2 === 0 ? "strict" : undefined;
    const ranges = rangesOfLoops(around);
    const boxes = accesses.map((x) => regionOf(x, rangesOfLoops(x.loops, ranges), ranges));
    const unions = boxes.map((x, k) =>
      unionRegions(
        boxes.filter((y, l) => l >= k && y.buffer === x.buffer),
        ranges,
      ),
    );
    const found = [
      all.map(dependenceText),
      all.length > 0 && loops.map((l) => carriedBy(l.loop, l.loop.body, l.around).map(dependenceText)),
      all.length > 0 && a && b && brokenByPermutation(perfect, [b, a], { math, around }) !== undefined,
      loops.map((l) => footprintText(l.loop, l.around)),
      loops.map((l) => operationsOf(l.loop, l.around)),
      loops.map((l) => [...middleOf([...l.around, l.loop]).values()].map(shown)),
      accesses.map(accessText),
      accesses.map((x) => runsOf(x.loops, x.conditions, around)),
      unions.map(regionText),
      unions.map((u) => boxes.map((x) => [regionCovers(u, x, ranges), regionCovers(x, u, ranges)])),
    ];
    return [`${all.length} dependences, ${all.filter((d) => d.exact).length} exact`, found];
  });

  asRecorded("program", 100, (seed) => {
    const [f] = randomProgram(seed).functions;
    const parts: Expr[] = [];
    visitStmt(f!.body, (s) => {
      for (const e of childExprs(s)) visit(e, (n) => void parts.push(n));
    });
    const some = parts.slice(0, 60);
    const order = some.map((x) => some.map((y) => Math.sign(compareExprs(x, y))));
    const equal = some.map((x) => some.map((y) => keyOf(x) === keyOf(y)));
    expect(equal).toEqual(order.map((row) => row.map((c) => c === 0)));
    const accesses = accessesIn(f!.body).map(accessText);
    const all = dependences(f!.body);
    return [
      `${accesses.length} accesses, ${all.length} dependences`,
      [order, accesses, all.map(dependenceText), footprintText(f!.body, []), operationsOf(f!.body)],
    ];
  });

  asRecorded("index", 400, (seed) => {
    const r = new Random(seed);
    const ranges = randomRanges(r);
    const e = r.chance(0.6) ? randomIndex(r, 3) : randomSplit(r);
    const other = r.chance(0.3) ? e : randomIndex(r, 2);
    const condition = randomCondition(r, 2);
    const opposite = negate(condition);
    const [x, y] = [toQuasiAffine(e, ranges), toQuasiAffine(other, ranges)];
    const by = r.pick([1, 2, 3, 4, 6, 8]);
    const assumed = assume(ranges, condition);
    const canonical = fromQuasiAffine(x);
    const found = [
      [intervalOf(e, ranges), boundsOfForm(x, ranges), shown(canonical), toAffine(e), mayWrap(x, ranges)],
      [addScaled(x, y, -2), moduloForm(x, by, ranges), recombine(addScaled(x, y, by), ranges), splitSum(canonical)].map(
        (form) => shown(fromQuasiAffine(form)),
      ),
      [proveDivides(by, e, ranges), differenceOf(e, other, ranges), proveEqual(e, canonical, ranges)],
      [decide(condition, ranges), opposite && shown(opposite), opposite && decide(opposite, ranges)],
      [[...assumed], intervalOf(e, assumed), [...(opposite ? assume(ranges, opposite) : [])]],
    ];
    return [shown(canonical).replace(/\s+/g, " "), found];
  });

  asRecorded("system", 400, (seed) => {
    const r = new Random(seed);
    const columns = r.int(1, 4);
    const [equalities, free] = [randomRows(r, r.int(0, 2), columns), randomRows(r, r.int(1, 5), columns)];
    const bounded = r.chance(0.7);
    const box = bounded ? boxRows(columns) : [];
    const tracked = randomRows(r, 2, columns);
    const reduced = eliminateEqualities({ equalities, inequalities: [...free, ...box], tracked });
    const answer = reduced ? feasible(reduced.inequalities) : "no";
    const values = reduced?.tracked.map((t) => onlyValue(reduced.inequalities, t));
    if (bounded) {
      const points = pointsWithin(columns).filter((p) => satisfies(p, equalities, free));
      if (answer !== "maybe") expect(answer).toBe(points.length > 0 ? "yes" : "no");
      if (points.length > 0)
        values?.forEach((v, k) => {
          if (v !== undefined) expect(new Set(points.map((p) => valueAt(tracked[k]!, p)))).toEqual(new Set([v]));
        });
    }
    const parts = reduced && connected(reduced.inequalities, reduced.tracked[0]!);
    return [answer, [reduced, answer, values, parts]];
  });

  asRecorded("set", 300, (seed) => {
    const r = new Random(seed);
    const forms = [randomForm(r, ["a", "b", "c"]), randomForm(r, ["b", "d"])];
    const tuples = tuplesOf(forms)!;
    const values = forms.map(valuesOf);
    values.forEach((v, k) => {
      expect(v).toMatchObject({ exact: true, values: { count: new Set(tuples.map((t) => t[k])).size } });
    });
    const cut = clipped(values[0]!.values, r.int(-4, 8), r.int(0, 20));
    const rank = r.int(1, 3);
    const products = Array.from({ length: r.int(1, 3) }, () => randomProduct(r, rank));
    const union = unionCount(products, rank);
    const count = new Set(products.flatMap((p) => elementsOf(p, rank))).size;
    if (union.exact && products.every((p) => p.exact)) expect(union.count).toBe(count);
    expect(union.count).toBeGreaterThanOrEqual(count);
    return [`${union.exact ? "" : "at most "}${union.count}`, [tuples, values, cut, union]];
  });
});

const half = 5;
/** Every column within -5..5. */
const boxRows = (columns: number): Row[] =>
  Array.from({ length: columns }, (_, k) =>
    [1, -1].map((sign) => [half, ...Array.from({ length: columns }, (_x, j) => (j === k ? sign : 0))]),
  ).flat();
const pointsWithin = (columns: number): number[][] =>
  columns === 0
    ? [[]]
    : pointsWithin(columns - 1).flatMap((p) => Array.from({ length: 2 * half + 1 }, (_, v) => [...p, v - half]));
const valueAt = (row: Row, p: readonly number[]): number =>
  p.reduce((sum, v, k) => sum + v * (row[k + 1] ?? 0), row[0]!);
const satisfies = (p: readonly number[], equalities: readonly Row[], inequalities: readonly Row[]): boolean =>
  equalities.every((row) => valueAt(row, p) === 0) && inequalities.every((row) => valueAt(row, p) >= 0);

/** All elements of a product, as texts. */
function elementsOf(p: Product, rank: number): string[] {
  let partial: (number | undefined)[][] = [Array.from({ length: rank })];
  for (const f of p.factors) {
    const members =
      "values" in f
        ? Array.from({ length: f.values.to - f.values.from + 1 }, (_, k) => k)
            .filter((k) => !f.values.has || f.values.has[k] === 1)
            .map((k) => [f.values.from + k])
        : f.tuples;
    partial = partial.flatMap((at) =>
      members.map((m) =>
        at.map((old, d) =>
          (f.dims as readonly number[]).includes(d) ? m[(f.dims as readonly number[]).indexOf(d)] : old,
        ),
      ),
    );
  }
  return partial.map((at) => at.join());
}
