/** Statements: values stay, dead code goes, the same object comes back when nothing changes. */
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
  max,
  min,
  mul,
  sub,
  variable,
} from "../../../ir/expr/build.ts";
import { float32 } from "../../../ir/expr/dtype.ts";
import type { Buffer, Expr, Var } from "../../../ir/expr/expr.ts";
import { interpret } from "../../../ir/interp/interpret.ts";
import {
  allocate,
  block,
  emptyStmt,
  forLoop,
  ifThen,
  iterVar,
  letIn,
  pointRegion,
  primFunc,
  program,
  seq,
  store,
} from "../../../ir/loop/build.ts";
import type { Program, Stmt } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { verifyProgram } from "../../../ir/verify/verify.ts";
import { simplifyProgram, simplifyStmt } from "../../../passes/simplify/index.ts";
import { share } from "../../property/support/share.ts";

const one = constant(float32, 1);

/** A random program over one output of 64 elements: i, j loops with odd bounds, guards, lets and blocks. */
function randomProgram(n: readonly number[]): Program {
  const ids = new IdSource();
  const out = buffer(ids, "out", "float32", [64]);
  let at = 0;
  const next = (m: number): number => Math.abs(n[at++ % n.length]! + at) % m;
  const clamp = (e: Expr): Expr => floormod(e, 64);
  const term = (vars: readonly Var[]): Expr => {
    const v: Expr = vars.length > 0 ? vars[next(vars.length)]! : index(next(9));
    switch (next(7)) {
      case 0:
        return add(mul(v, next(9)), next(5));
      case 1:
        return floordiv(add(mul(v, 4), next(9)), 1 + next(6));
      case 2:
        return floormod(v, 1 + next(5));
      case 3:
        return min(v, next(6));
      case 4:
        return max(sub(v, 2), next(3));
      default:
        return vars.length > 1 ? add(mul(vars[0]!, 4), vars[1]!) : v;
    }
  };
  const condition = (vars: readonly Var[]): Expr => {
    const c = compare((["lt", "ge", "eq", "ne"] as const)[next(4)]!, term(vars), next(8));
    return next(3) === 0 ? and(c, compare("le", term(vars), next(9))) : c;
  };
  const stmt = (depth: number, vars: readonly Var[]): Stmt => {
    const kind = depth === 0 ? 9 : next(10);
    if (kind < 4) {
      const v = variable(ids, `i${at}`);
      const extent = next(3) === 0 ? max(min(term(vars), 3), 0) : index(next(5));
      return forLoop(v, extent, stmt(depth - 1, [v, ...vars]), { min: next(2) });
    }
    if (kind === 4) return ifThen(condition(vars), stmt(depth - 1, vars), next(2) ? stmt(depth - 1, vars) : undefined);
    if (kind === 5) {
      const v = variable(ids, `t${at}`);
      return letIn(v, term(vars), stmt(depth - 1, [v, ...vars]));
    }
    if (kind === 6) return seq([stmt(depth - 1, vars), stmt(depth - 1, vars)]);
    if (kind === 7) {
      const v = variable(ids, `b${at}`);
      const place = [clamp(v)];
      return block(ids, {
        name: `block${at}`,
        iterVars: [iterVar(v, 512, "ordered")],
        bindings: [max(min(term(vars), 511), 0)],
        predicate: condition(vars),
        writes: [pointRegion(out, place)],
        reads: [pointRegion(out, place)],
        body: store(out, place, add(load(out, place), one)),
      });
    }
    const place = [clamp(term(vars))];
    return store(out, place, add(load(out, place), one));
  };
  const body = seq([stmt(4, []), stmt(4, [])]);
  return program([primFunc({ name: "f", params: [{ buffer: out, role: "output" }], body })], ids);
}
function run(p: Program): Float32Array {
  const out = new Float32Array(64);
  interpret(p, "f", { out });
  return out;
}

describe("simplifyProgram", () => {
  it("is tested on programs that do something", () => {
    const numbers = fc.sample(fc.array(fc.nat(1000), { minLength: 20, maxLength: 60 }), { numRuns: 200, seed: 41 });
    const alive = numbers.filter((n) => run(randomProgram(n)).some((v) => v !== 0));
    expect(alive.length).toBeGreaterThan(100);
  });
  it("keeps values, stays well-formed and is idempotent", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 20, maxLength: 60 }), fc.boolean(), (numbers, keepUnitLoops) => {
        const p = randomProgram(numbers);
        const next = simplifyProgram(p, { keepUnitLoops });
        expect(run(next)).toEqual(run(p));
        expect(simplifyProgram(next, { keepUnitLoops })).toBe(next);
        const issues = (q: Program): string[] => verifyProgram(q).map((issue) => issue.rule);
        if (issues(p).length === 0) expect(issues(next)).toEqual([]);
      }),
      { numRuns: share(1500), seed: 41 },
    );
  });
});

describe("simplifyStmt", () => {
  const ids = new IdSource();
  const [i, j] = [variable(ids, "i"), variable(ids, "j")];
  const a = buffer(ids, "a", "float32", [64]);
  const write = (place: Expr): Stmt => store(a, [place], one);

  it("removes what a loop's bounds or an outer condition decide", () => {
    const guarded = forLoop(i, 8, ifThen(compare("lt", add(i, 56), 64), write(i), write(index(63))));
    expect(simplifyStmt(guarded)).toEqual(forLoop(i, 8, write(i)));
    const nested = forLoop(i, 8, ifThen(compare("lt", i, 5), ifThen(compare("lt", i, 6), write(min(i, 4)))));
    expect(simplifyStmt(nested)).toEqual(forLoop(i, 8, ifThen(compare("lt", i, 5), write(i))));
    const otherwise = forLoop(i, 8, ifThen(compare("lt", i, 5), write(i), write(max(i, 5))));
    expect(simplifyStmt(otherwise)).toEqual(forLoop(i, 8, ifThen(compare("lt", i, 5), write(i), write(i))));
  });
  it("knows that a condition holds, or not, within its own branches", () => {
    const c = compare("lt", add(mul(i, 3), mul(j, 2)), 17);
    const reversed = compare("ge", add(mul(j, 2), mul(i, 3)), 17);
    const nest = (then: Stmt, otherwise: Stmt): Stmt => forLoop(i, 8, forLoop(j, 8, ifThen(c, then, otherwise)));
    expect(simplifyStmt(nest(ifThen(c, write(i), write(j)), ifThen(reversed, write(j))))).toEqual(
      nest(write(i), write(j)),
    );
    const flag = compare("eq", load(a, [i]), one);
    const rewritten = forLoop(i, 8, ifThen(flag, seq([write(i), ifThen(flag, write(add(i, 8)))])));
    expect(simplifyStmt(rewritten)).toBe(rewritten);
  });
  it("removes loops that never run, and what only holds nothing", () => {
    const t: Buffer = buffer(ids, "t", "float32", [4]);
    const dead = allocate(t, forLoop(i, 8, forLoop(j, 0, write(j))));
    expect(simplifyStmt(dead)).toBe(emptyStmt);
    expect(simplifyStmt(seq([dead, write(index(1))]))).toEqual(write(index(1)));
  });
  it("puts the value of a unit loop's variable in its body, unless it is to be kept", () => {
    const unit = forLoop(i, 1, forLoop(j, 4, write(add(mul(i, 4), j))), { min: 2 });
    expect(simplifyStmt(unit)).toEqual(forLoop(j, 4, write(add(j, 8))));
    expect(simplifyStmt(unit, undefined, { keepUnitLoops: true })).toBe(unit);
  });
  it("keeps unit loops of a nest that an intrinsic computes", () => {
    const nest = forLoop(i, 1, forLoop(j, 1, write(add(i, j))), { loopKind: "tensorized" });
    expect(simplifyStmt(nest)).toBe(nest);
    expect(simplifyStmt(forLoop(i, 1, write(i)))).toEqual(write(index(0)));
  });
  it("knows bounds that depend on outer loops", () => {
    const tail = (place: Expr): Stmt => forLoop(i, 3, forLoop(j, min(sub(10, mul(i, 4)), 4), write(place)));
    expect(simplifyStmt(tail(min(j, 3)))).toEqual(tail(j));
    const shrinking = (place: Expr): Stmt => forLoop(i, 3, forLoop(j, sub(4, i), write(place), { min: i }));
    expect(simplifyStmt(shrinking(min(j, 3)))).toEqual(shrinking(j));
  });
  it("gives back the same statement when nothing changes", () => {
    const kept = forLoop(i, 8, forLoop(j, 8, ifThen(compare("lt", add(mul(i, 8), j), 60), write(add(mul(i, 8), j)))));
    expect(simplifyStmt(kept)).toBe(kept);
  });
});
