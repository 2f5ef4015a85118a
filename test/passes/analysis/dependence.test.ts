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
  sub,
  variable,
} from "../../../ir/expr/build.ts";
import { float32 } from "../../../ir/expr/dtype.ts";
import type { Expr, Var } from "../../../ir/expr/expr.ts";
import { evaluateExpr } from "../../../ir/interp/interpret.ts";
import { block, forLoop, ifThen, iterVar, seq, store } from "../../../ir/loop/build.ts";
import type { For, Stmt } from "../../../ir/loop/program.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import type { Access } from "../../../passes/analysis/access.ts";
import { accessesIn } from "../../../passes/analysis/accesses.ts";
import { carriedBy, type Dependence, dependences, permutationLegal } from "../../../passes/analysis/dependence.ts";

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
      { numRuns: 3000, seed: 20260801 },
    );
    console.log(
      `${reported} reported, ${claimed} called exact, ${real} exist (${((100 * real) / reported).toFixed(1)} %), ${(spent / 3).toFixed(0)} µs a nest`,
    );
    expect(real / reported).toBeGreaterThan(0.95);
  });
});
