/**
 * Sums of digits on random indices: loops said to be at one iteration are so wherever two boxes share an element, and
 * what is found is as recorded in `fixtures/iteration.txt` (anew with `UPDATE_FIXTURES=1`).
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { add, binary, index, mul, variable } from "../../../ir/expr/build.ts";
import type { Expr, Var } from "../../../ir/expr/expr.ts";
import { evaluateExpr } from "../../../ir/interp/interpret.ts";
import { evaluate, forLoop, seq } from "../../../ir/loop/build.ts";
import type { For } from "../../../ir/loop/program.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import { printStmt } from "../../../ir/text/printer.ts";
import {
  type Coordinate,
  forcedEqual,
  growsWithLoops,
  type IterationContext,
} from "../../../passes/schedule/iteration.ts";
import { Random } from "../../property/support/random.ts";

const ids = new IdSource();
const [i, j, f, n] = ["i", "j", "f", "n"].map((name) => variable(ids, name)) as [Var, Var, Var, Var];
const compared = [i, j];
const extents = [1, 2, 3, 4, 6, 8];

/** Loops over i and j that are compared, one over f that ranges freely, and n, which does not change. */
function randomContext(r: Random): { ctx: IterationContext; loops: readonly For[] } {
  const loop = (v: Var) =>
    forLoop(v, index(r.pick(extents)), seq([]), { min: index(r.chance(0.8) ? 0 : r.int(-2, 3)) });
  const loops = [...compared, f].map(loop);
  const byId = loops.map((l) => [l.var.id, l] as const);
  const isFixed = (id: VarId) => id === n.id;
  return { ctx: { compared: new Map(byId.slice(0, 2)), free: new Map(byId.slice(2)), isFixed }, loops };
}
/** Mostly sums of multiples of loops, at times divided. */
function randomIndex(r: Random, depth: number): Expr {
  const kind = r.unit();
  if (depth === 0 || kind < 0.2) return r.chance(0.1) ? index(r.int(-3, 5)) : r.pick([i, i, j, j, f, n]);
  const a = randomIndex(r, depth - 1);
  if (kind < 0.5) return add(mul(a, r.pick([1, 1, 2, 3, 4, 8, -1])), randomIndex(r, depth - 1));
  if (kind < 0.85) return binary(r.pick(["floordiv", "floormod"]), a, index(r.pick([2, 3, 4, 6])));
  if (kind < 0.9) return binary("mul", index(r.pick([2, 3, -2])), a);
  return binary(r.pick(["sub", "min", "max", "mul"]), a, randomIndex(r, depth - 1));
}
/** The digits of two loops fused and split again, as schedules make them. */
function randomDigits(r: Random, loops: readonly For[]): Expr[] {
  const [outer, inner] = r.chance(0.5) ? [loops[0]!, loops[1]!] : [loops[1]!, loops[0]!];
  const fused = add(mul(outer.var, inner.extent), inner.var);
  const by = r.pick([2, 3, 4, 6, 8]);
  const finer = r.pick([2, 2, 3]);
  const quotient = binary("floordiv", fused, index(by));
  const digits = [
    r.chance(0.8) ? quotient : mul(quotient, 2),
    binary("floormod", r.chance(0.8) ? fused : binary("floordiv", fused, index(finer)), index(by)),
    binary("floormod", fused, index(finer)),
  ];
  return r.shuffle(digits).slice(0, r.int(1, 3));
}
const shown = (e: Expr): string => printStmt(evaluate(e)).trim().replace("evaluate ", "");

type At = ReadonlyMap<VarId, number>;
/** Every iteration of the loops, n being what is given. */
const iterations = (loops: readonly For[], value: number): At[] =>
  loops.reduce<At[]>(
    (all, l) =>
      all.flatMap((at) =>
        Array.from({ length: Number(evaluateExpr(l.extent, new Map())) }, (_, k) =>
          new Map(at).set(l.var.id, k + Number(evaluateExpr(l.min, new Map()))),
        ),
      ),
    [new Map([[n.id, value]])],
  );
const valueOf = (e: Expr, at: At): number => Number(evaluateExpr(e, at));

/** Whether iterations that differ in a loop share an element. */
function shareApart(a: readonly Coordinate[], b: readonly Coordinate[], all: readonly At[], v: VarId): boolean {
  const values = (list: readonly Coordinate[]) => all.map((at) => list.map((c) => valueOf(c.min, at)));
  const [x, y] = [values(a), values(b)];
  return all.some((p, k) =>
    all.some(
      (q, l) =>
        p.get(v) !== q.get(v) &&
        a.every((c, d) => x[k]![d]! < y[l]![d]! + b[d]!.extent && y[l]![d]! < x[k]![d]! + c.extent),
    ),
  );
}

const file = new URL("../../fixtures/iteration.txt", import.meta.url);
const update = process.env.UPDATE_FIXTURES === "1";
const recorded = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
const made: string[] = [];
const seeds = 600;
const together = 50;

function finding(seed: number): string {
  const r = new Random(seed);
  const { ctx, loops } = randomContext(r);
  const rank = r.int(1, 3);
  const coordinates = (): Coordinate[] =>
    Array.from({ length: rank }, () => ({ min: randomIndex(r, r.int(1, 3)), extent: r.pick([1, 1, 1, 2, 4]) }));
  const a = r.chance(0.3) ? randomDigits(r, loops).map((min) => ({ min, extent: 1 })) : coordinates();
  const shifted = (): Coordinate[] => a.map((c) => ({ ...c, min: add(c.min, r.pick([0, 0, 1, -1])) }));
  const b = r.chance(0.5) ? a : r.chance(0.6) || a.length !== rank ? shifted() : coordinates();
  const equal = forcedEqual(a, b, ctx);
  const all = iterations(loops, r.int(0, 3));
  for (const v of compared)
    if (equal.has(v.id)) expect(shareApart(a, b, all, v.id), `${v.name} of seed ${seed}`).toBe(false);
  const exprs = a.map((c) => c.min);
  const grows = growsWithLoops(exprs, ctx);
  if (grows) for (const e of exprs) expect(valueOf(e, all[0]!)).toBe(Math.min(...all.map((at) => valueOf(e, at))));
  const names = compared.filter((v) => equal.has(v.id)).map((v) => v.name);
  const sizes = loops.map((l) => `${l.var.name}<${shown(l.extent)}`).join(" ");
  return `${seed} ${sizes}: ${exprs.map(shown).join(", ")} ${names.join("") || "-"}${grows ? " grows" : ""}`;
}

for (let first = 1; first <= seeds; first += together)
  test(`seeds ${first} to ${first + together - 1}`, () => {
    const lines = Array.from({ length: together }, (_, k) => finding(first + k));
    made.push(...lines);
    if (!update) expect(lines).toEqual(recorded.slice(first - 1, first - 1 + together));
    else if (made.length === seeds) writeFileSync(file, `${made.join("\n")}\n`);
  });
