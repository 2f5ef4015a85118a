/** Dependences against brute-force enumeration of small random nests. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  add,
  and,
  buffer,
  compare,
  constant,
  floordiv,
  floormod,
  index,
  load,
  min,
  mul,
  variable,
} from "../../../ir/expr/build.ts";
import { float32 } from "../../../ir/expr/dtype.ts";
import type { Expr, Var } from "../../../ir/expr/expr.ts";
import { evaluateExpr } from "../../../ir/interp/interpret.ts";
import { allocate, block, forLoop, ifThen, iterVar, seq, store } from "../../../ir/loop/build.ts";
import type { For, Stmt } from "../../../ir/loop/program.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import type { Access } from "../../../passes/analysis/access.ts";
import { accessesIn } from "../../../passes/analysis/accesses.ts";
import { carriedBy, type Dependence, dependences, permutationLegal } from "../../../passes/analysis/dependence.ts";
import { share } from "../../property/support/share.ts";

type Env = ReadonlyMap<VarId, number>;
const valueOf = (e: Expr, env: Env): number => Number(evaluateExpr(e, env));

interface Event {
  readonly access: Access;
  readonly env: Env;
  readonly element: string;
}
/** Every access a nest makes, in execution order. */
function trace(root: Stmt): Event[] {
  const accesses = accessesIn(root);
  const events: Event[] = [];
  const run = (s: Stmt, env: Env): void => {
    if (s.kind === "for") {
      const first = valueOf(s.min, env);
      const extent = valueOf(s.extent, env);
      for (let i = first; i < first + extent; i++) run(s.body, new Map(env).set(s.var.id, i));
    } else if (s.kind === "seq") {
      for (const c of s.body) run(c, env);
    } else if (s.kind === "if") {
      if (valueOf(s.condition, env)) run(s.then, env);
      else if (s.otherwise) run(s.otherwise, env);
    } else {
      for (const access of accesses)
        if (access.stmt === s)
          events.push({ access, env, element: `${access.buffer.id}[${access.indices.map((e) => valueOf(e, env))}]` });
    }
  };
  run(root, new Map());
  return events;
}
const signOf = (d: number): "<" | "=" | ">" => (d > 0 ? "<" : d < 0 ? ">" : "=");
/** Whether a reported dependence stands for this pair of events. */
function covers(d: Dependence, source: Event, sink: Event): boolean {
  if (!sameAccess(d.source, source.access) || !sameAccess(d.sink, sink.access)) return false;
  return d.commonLoops.every((l, k) => {
    const distance = sink.env.get(l.var.id)! - source.env.get(l.var.id)!;
    const known = d.distances[k];
    if (known !== undefined && known !== distance) return false;
    return d.directions[k] === "*" || d.directions[k] === signOf(distance);
  });
}
const sameAccess = (x: Access, y: Access): boolean => x.position === y.position;

function conflicts(events: readonly Event[]): [Event, Event][] {
  const pairs: [Event, Event][] = [];
  const byElement = new Map<string, Event[]>();
  for (const e of events) byElement.set(e.element, [...(byElement.get(e.element) ?? []), e]);
  for (const list of byElement.values())
    for (let i = 0; i < list.length; i++)
      for (let j = i + 1; j < list.length; j++) {
        const [x, y] = [list[i]!, list[j]!];
        if (x.access.kind !== "read" || y.access.kind !== "read") pairs.push([x, y]);
      }
  return pairs;
}

/** A random nest over one or two buffers. */
interface Recipe {
  readonly extents: readonly number[];
  readonly triangular: boolean;
  readonly subscripts: readonly (readonly number[])[];
  readonly divisors: readonly number[];
  readonly guard: number;
  readonly statements: number;
  readonly update: boolean;
}
const recipe: fc.Arbitrary<Recipe> = fc.record({
  extents: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
  triangular: fc.boolean(),
  subscripts: fc.array(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 4, maxLength: 4 }), {
    minLength: 8,
    maxLength: 8,
  }),
  divisors: fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 8, maxLength: 8 }),
  guard: fc.integer({ min: 0, max: 4 }),
  statements: fc.integer({ min: 1, max: 2 }),
  update: fc.boolean(),
});
function build(r: Recipe): For {
  const ids = new IdSource();
  const vars = r.extents.map((_, i) => variable(ids, `i${i}`));
  const rank = r.extents.length > 1 && r.guard % 2 === 0 ? 2 : 1;
  const a = buffer(ids, "a", "float32", rank === 2 ? [64, 64] : [64]);
  let used = 0;
  const subscript = (): Expr => {
    const k = used++ % 8;
    const sum = vars.reduce<Expr>((e, v, i) => add(e, mul(v, r.subscripts[k]![i]!)), index(r.subscripts[k]![3]!));
    const d = r.divisors[k]!;
    return d >= 2 ? floordiv(sum, d) : d <= -2 ? floormod(sum, -d) : sum;
  };
  const at = (): Expr[] => Array.from({ length: rank }, subscript);
  const one = (): Stmt => {
    const place = at();
    const other = load(a, at());
    return store(a, place, r.update ? add(load(a, place), constant(float32, 1)) : add(other, constant(float32, 1)));
  };
  let body = seq(Array.from({ length: r.statements }, one));
  if (r.guard === 1) body = ifThen(compare("lt", add(mul(vars[0]!, 2), vars.at(-1)!), 4), body);
  if (r.guard === 2)
    body = ifThen(compare("eq", floormod(vars.at(-1)!, 2), 0), body, body.kind === "store" ? one() : undefined);
  if (r.guard === 3) body = ifThen(and(compare("ge", vars[0]!, 1), compare("ne", vars.at(-1)!, 2)), body);
  return vars.reduceRight<Stmt>((inner, v, i) => {
    const extent: Expr = r.triangular && i > 0 ? min(index(r.extents[i]!), add(vars[i - 1]!, 1)) : index(r.extents[i]!);
    return forLoop(v, extent, inner, { min: r.guard === 4 ? i : 0 });
  }, body) as For;
}

describe("dependences", () => {
  it("misses none of random affine nests, and says when it is exact", () => {
    let reported = 0;
    let claimed = 0;
    let real = 0;
    let spent = 0;
    fc.assert(
      fc.property(recipe, (r) => {
        const nest = build(r);
        const before = performance.now();
        const found = dependences(nest);
        spent += performance.now() - before;
        const pairs = conflicts(trace(nest));
        for (const [source, sink] of pairs)
          if (!found.some((d) => covers(d, source, sink)))
            throw new Error(
              `missed ${source.element} ${JSON.stringify([...source.env])} → ${JSON.stringify([...sink.env])}`,
            );
        for (const d of found) {
          const exists = pairs.some(([source, sink]) => covers(d, source, sink));
          reported++;
          if (exists) real++;
          if (d.exact) {
            claimed++;
            if (!exists) throw new Error(`claims an exact dependence that does not exist: ${d.directions}`);
          }
        }
      }),
      { numRuns: share(2000), seed: 20260801 },
    );
    console.log(
      `${reported} reported, ${claimed} called exact, ${real} exist (${((100 * real) / reported).toFixed(1)} %), ${(spent / 2).toFixed(0)} µs a nest`,
    );
    expect(real / reported).toBeGreaterThan(0.95);
  });

  it("lets no permutation turn a conflict around", () => {
    let legal = 0;
    let kept = 0;
    fc.assert(
      fc.property(recipe, fc.integer({ min: 0, max: 5 }), (r, seed) => {
        const nest = build({ ...r, triangular: false });
        const loops: For[] = [];
        for (let s: Stmt = nest; s.kind === "for"; s = s.body) loops.push(s);
        const order = shuffled(loops, seed).map((l) => l.var.id);
        const pairs = conflicts(trace(nest));
        const turned = pairs.find(([source, sink]) => comesFirst(sink, source, order));
        if (!turned) kept++;
        if (!permutationLegal(loops, order, { math: "strict" })) return;
        legal++;
        expect(turned).toBeUndefined();
      }),
      { numRuns: share(600), seed: 7 },
    );
    console.log(`${legal} permutations accepted of ${kept} that keep every conflict's order`);
    expect(legal / kept).toBeGreaterThan(0.9);
  });

  it("finds what a loop carries", () => {
    fc.assert(
      fc.property(recipe, (r) => {
        const nest = build(r);
        for (let l: Stmt = nest, around: For[] = []; l.kind === "for"; around = [...around, l], l = l.body) {
          if (carriedBy(l, l.body, around).length > 0) continue;
          const { id } = l.var;
          const outer = around.map((o) => o.var.id);
          const carried = conflicts(trace(nest)).find(
            ([x, y]) => x.env.get(id) !== y.env.get(id) && outer.every((o) => x.env.get(o) === y.env.get(o)),
          );
          expect(carried).toBeUndefined();
        }
      }),
      { numRuns: share(500), seed: 8 },
    );
  });

  it("marks a block's reduction, which may be reordered unless math is strict", () => {
    const { nest, loops } = matmul();
    const [i, j, ko, ki] = loops.map((l) => l.var.id) as [VarId, VarId, VarId, VarId];
    expect(carriedBy(loops[0]!)).toEqual([]);
    expect(carriedBy(loops[1]!)).toEqual([]);
    const carried = carriedBy(loops[2]!);
    expect(carried.filter((d) => !d.source.init).map((d) => [d.kind, d.reduction])).toEqual([["flow", true]]);
    expect(permutationLegal(loops, [ki, ko, j, i])).toBe(true);
    expect(permutationLegal(loops, [ki, ko, j, i], { math: "strict" })).toBe(false);
    expect(permutationLegal(loops, [ko, i, j, ki], { math: "strict" })).toBe(true);
    expect(dependences(nest).every((d) => d.exact)).toBe(true);
  });

  it("gives distances, and keeps each iteration's own allocation apart", () => {
    const ids = new IdSource();
    const [i, j] = [variable(ids, "i"), variable(ids, "j")];
    const a = buffer(ids, "a", "float32", [64]);
    const t = buffer(ids, "t", "float32", [8]);
    const shift = forLoop(i, 32, store(a, [add(i, 3)], load(a, [i])), { min: 0 });
    expect(dependences(shift).map((d) => [d.kind, d.directions, d.distances])).toEqual([["flow", ["<"], [3]]]);
    const body = seq([store(t, [j], load(a, [j])), store(a, [add(i, 40)], load(t, [floormod(add(j, 1), 8)]))]);
    const inside = forLoop(i, 8, allocate(t, forLoop(j, 8, body)));
    expect(dependences(inside).some((d) => d.source.buffer === t && d.directions[0] !== "=")).toBe(false);
  });

  const textual = (...lines: string[]): Stmt =>
    parseProgram(["program p(A: float32[8], T: int64[8], C: output float32[8]):", ...lines].join("\n  ")).functions[0]!
      .body;

  it("takes updates by different operators for no reduction", () => {
    const updates = (op: string) =>
      textual(
        "for i in 0..8:",
        "  for k in 0..4:",
        "    block C(v: spatial 8 = i, w: reduction 4 = k):",
        "      reads C[v], A[v]",
        "      writes C[v]",
        "      C[v] = C[v] + A[v]",
        `      C[v] = ${op}`,
      );
    const between = (s: Stmt) => dependences(s).filter((d) => d.source.stmt !== d.sink.stmt);
    expect(between(updates("C[v] + 1.0")).every((d) => d.reduction)).toBe(true);
    const mixed = between(updates("max(C[v], 1.0)"));
    expect(mixed.length).toBeGreaterThan(0);
    expect(mixed.some((d) => d.reduction)).toBe(false);
  });

  it("assumes that calls touch all of their buffers", () => {
    const calls = textual("for i in 0..8:", "  C[i] = A[i]", "  parallel call f(C) over 4");
    expect(carriedBy(calls as For).map((d) => d.exact)).not.toContain(true);
    expect(carriedBy(calls as For).length).toBeGreaterThan(0);
  });

  it("trusts spatial variables where data says which element, unless instances run in order", () => {
    const scatter = (kind: string) =>
      textual(
        "for i in 0..8:",
        "  for j in 0..8:",
        `    block C(v: spatial 8 = i, w: ${kind} 8 = j):`,
        "      reads T[v]",
        "      writes C[0..8]",
        "      C[T[v]] = A[w]",
      ) as For;
    expect(carriedBy(scatter("spatial")).length).toBe(0);
    expect(carriedBy(scatter("ordered")).length).toBeGreaterThan(0);
  });

  it("assumes a dependence where indices are data", () => {
    const ids = new IdSource();
    const i = variable(ids, "i");
    const a = buffer(ids, "a", "float32", [8]);
    const table = buffer(ids, "table", "int64", [8]);
    const scatter = forLoop(i, 8, store(a, [load(table, [i])], constant(float32, 1)));
    expect(carriedBy(scatter as For).map((d) => [d.kind, d.exact])).toEqual([["output", false]]);
  });
});

function shuffled<T>(list: readonly T[], seed: number): T[] {
  const rest = [...list];
  const result: T[] = [];
  for (let s = seed; rest.length > 0; s = s * 7 + 3) result.push(...rest.splice(s % rest.length, 1));
  return result;
}
/** Whether x runs before y when the loops are nested in the given order. */
function comesFirst(x: Event, y: Event, order: readonly VarId[]): boolean {
  for (const id of order) {
    const d = x.env.get(id)! - y.env.get(id)!;
    if (d !== 0) return d < 0;
  }
  return x.access.position < y.access.position;
}
function matmul(): { nest: Stmt; loops: For[] } {
  const ids = new IdSource();
  const [i, j, ko, ki, vi, vj, vk] = ["i", "j", "ko", "ki", "vi", "vj", "vk"].map((n) => variable(ids, n)) as Var[];
  const shape = [16, 16];
  const [a, b, c] = ["a", "b", "c"].map((n) => buffer(ids, n, "float32", shape));
  const place = [vi!, vj!];
  const product = mul(load(a!, [vi!, vk!]), load(b!, [vk!, vj!]));
  const body = block(ids, {
    name: "c",
    iterVars: [iterVar(vi!, 16), iterVar(vj!, 16), iterVar(vk!, 16, "reduction")],
    bindings: [i!, j!, add(mul(ko!, 4), ki!)],
    init: store(c!, place, constant(float32, 0)),
    body: store(c!, place, add(load(c!, place), product)),
  });
  const nest = forLoop(i!, 16, forLoop(j!, 16, forLoop(ko!, 4, forLoop(ki!, 4, body))));
  const loops: For[] = [];
  for (let s: Stmt = nest; s.kind === "for"; s = s.body) loops.push(s);
  return { nest, loops };
}
