/** Random nests whose bounds, conditions and subscripts are affine with floor division and modulo by constants. */
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
  not,
  or,
  select,
  sub,
  variable,
} from "../../../../ir/expr/build.ts";
import { float32 } from "../../../../ir/expr/dtype.ts";
import type { Buffer, CompareOp, Expr, Var } from "../../../../ir/expr/expr.ts";
import { allocate, block, forLoop, ifThen, iterVar, letIn, seq, store } from "../../../../ir/loop/build.ts";
import type { For, Stmt } from "../../../../ir/loop/program.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import { SeededRandom } from "../../../../passes/schedule/sampling.ts";

/** A statement to analyse, the loops around it, and variables that no loop binds. */
export interface RandomNest {
  readonly root: Stmt;
  readonly around: readonly For[];
  readonly parameters: readonly Var[];
  /** Neither division nor minimum nor disjunction anywhere: bounds, conditions and subscripts are linear. */
  readonly linear: boolean;
}

/** The nest of a seed. */
export function randomNest(seed: number): RandomNest {
  return new Maker(seed).nest();
}

const mostStatements = 3;
const comparisons: readonly CompareOp[] = ["lt", "le", "gt", "ge", "eq", "ne"];

class Maker {
  readonly #random: SeededRandom;
  readonly #ids = new IdSource();
  readonly #parameters: Var[] = [];
  readonly #buffers: Buffer[] = [];
  readonly #linear: boolean;
  #statements = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#linear = this.#chance(0.35);
  }
  #chance(p: number): boolean {
    return this.#random.unit() < p;
  }
  #one<T>(list: readonly T[]): T {
    return list[this.#random.int(0, list.length - 1)]!;
  }

  nest(): RandomNest {
    if (this.#chance(0.35)) this.#parameters.push(variable(this.#ids, "N"));
    if (this.#chance(0.1)) this.#parameters.push(variable(this.#ids, "M"));
    const buffers = this.#random.int(1, 2);
    for (let k = 0; k < buffers; k++) this.#buffers.push(this.#buffer(`b${k}`));
    const depth = this.#random.int(1, 4);
    const outer = depth > 1 && this.#chance(0.15) ? 1 : 0;
    const around: For[] = [];
    const vars: Var[] = [];
    for (let k = 0; k < outer; k++) {
      const l = this.#loop(vars, seq([]));
      around.push(l);
      vars.push(l.var);
    }
    const root = this.#level(depth - outer, vars, true);
    return { root, around, parameters: this.#parameters, linear: this.#linear };
  }
  #buffer(name: string): Buffer {
    return buffer(
      this.#ids,
      name,
      "float32",
      Array.from({ length: this.#random.int(1, 3) }, () => 64),
    );
  }

  /** Loops and statements under `vars`; the first of its children goes on to the full depth. */
  #level(depth: number, vars: readonly Var[], deep: boolean): Stmt {
    if (depth === 0) return this.#statement(vars);
    const children: Stmt[] = [];
    const loop = this.#loop(vars, seq([]));
    const inner = [...vars, loop.var];
    const local = deep && this.#chance(0.08) ? this.#buffer("t") : undefined;
    if (local) this.#buffers.push(local);
    children.push(this.#level(deep ? depth - 1 : this.#random.int(0, depth - 1), inner, deep));
    while (this.#statements < mostStatements && this.#chance(0.25))
      children.push(this.#level(this.#random.int(0, Math.min(1, depth - 1)), inner, false));
    if (local) this.#buffers.pop();
    const body = seq(this.#chance(0.5) ? children : children.reverse());
    return { ...loop, body: this.#guarded(local ? allocate(local, body) : body, inner) };
  }
  #guarded(s: Stmt, vars: readonly Var[]): Stmt {
    if (!this.#chance(0.2)) return s;
    const other = this.#statements < mostStatements && this.#chance(0.25) ? this.#statement(vars) : undefined;
    return ifThen(this.#condition(vars), s, other);
  }
  #loop(vars: readonly Var[], body: Stmt): For {
    const v = variable(this.#ids, `i${vars.length}`);
    const [start, extent] = this.#bounds(vars);
    return forLoop(v, extent, body, { min: start });
  }
  /** Rectangular, triangular, trapezoidal, strided and parametric bounds. */
  #bounds(vars: readonly Var[]): [Expr, Expr] {
    const n = this.#random.int(1, 8);
    const kind = this.#random.unit();
    const outer = vars.length > 0 ? this.#one(vars) : undefined;
    const whole = this.#parameters.length > 0 && this.#chance(0.5) ? this.#one(this.#parameters) : index(n);
    if (!outer || kind < 0.45) return [index(this.#chance(0.7) ? 0 : this.#random.int(-2, 4)), whole];
    if (kind < 0.6) return [index(0), add(outer, this.#random.int(0, 3))];
    if (kind < 0.72) return [outer, sub(whole, outer)];
    if (kind < 0.82) return [outer, index(n)];
    if (kind < 0.88) return [index(0), this.#affine(vars)];
    if (this.#linear) return [this.#affine(vars), whole];
    if (kind < 0.92) return [mul(outer, 2), min(index(n), sub(whole, mul(outer, 2)))];
    if (kind < 0.95) return [max(outer, index(2)), whole];
    return [index(0), floordiv(sub(add(whole, 2), outer), this.#random.int(2, 3))];
  }

  #affine(vars: readonly Var[]): Expr {
    let sum: Expr = index(this.#random.int(-3, 4));
    for (const v of vars) {
      if (this.#chance(0.4)) continue;
      sum = add(sum, mul(v, this.#one([1, 1, 1, 2, -1, -1, 3, -2, 4])));
    }
    if (this.#parameters.length > 0 && this.#chance(0.15)) sum = add(sum, this.#one(this.#parameters));
    return sum;
  }
  #subscript(vars: readonly Var[]): Expr {
    const e = this.#affine(vars);
    if (this.#linear) return e;
    const by = this.#random.int(2, 5);
    const kind = this.#random.unit();
    if (kind < 0.55) return e;
    if (kind < 0.67) return floordiv(e, by);
    if (kind < 0.79) return floormod(e, by);
    if (kind < 0.86) return add(mul(floordiv(e, by), this.#random.int(1, 4)), this.#affine(vars.slice(-1)));
    if (kind < 0.91) return floormod(floordiv(e, by), this.#random.int(2, 3));
    if (kind < 0.96) return add(floormod(e, by), this.#affine(vars.slice(0, 1)));
    return this.#chance(0.5) ? min(e, this.#affine(vars)) : max(e, index(this.#random.int(0, 4)));
  }
  #condition(vars: readonly Var[]): Expr {
    const kind = this.#random.unit();
    const op = this.#linear ? this.#one(comparisons.slice(0, 5)) : this.#one(comparisons);
    const plain = compare(
      op,
      this.#affine(vars),
      this.#chance(0.5) ? index(this.#random.int(0, 5)) : this.#affine(vars),
    );
    if (kind < 0.6) return plain;
    if (kind < 0.75) return and(plain, compare("ge", this.#affine(vars), 0));
    if (this.#linear) return plain;
    if (kind < 0.88) return compare(this.#one(["eq", "ne"]), floormod(this.#affine(vars), this.#random.int(2, 3)), 0);
    const both = or(plain, compare("lt", this.#affine(vars), 2));
    return this.#chance(0.5) ? both : not(and(plain, compare("lt", this.#affine(vars), 2)));
  }

  #statement(vars: readonly Var[]): Stmt {
    this.#statements++;
    const kind = this.#random.unit();
    if (kind < 0.12) return this.#block(vars);
    if (kind < 0.2) {
      const t = variable(this.#ids, "t");
      return letIn(t, this.#affine(vars), this.#store([...vars, t]));
    }
    const s = this.#store(vars);
    return kind < 0.32 ? ifThen(this.#condition(vars), s) : s;
  }
  #block(vars: readonly Var[]): Stmt {
    const iters = Array.from({ length: this.#random.int(1, 3) }, (_, k) => variable(this.#ids, `v${k}`));
    return block(this.#ids, {
      name: "s",
      iterVars: iters.map((v) => iterVar(v, 64, "ordered")),
      bindings: iters.map(() => this.#affine(vars)),
      ...(this.#chance(0.4) ? { predicate: this.#condition(vars) } : {}),
      reads: [],
      writes: [],
      body: this.#store(iters),
    });
  }
  #store(vars: readonly Var[]): Stmt {
    const target = this.#one(this.#buffers);
    const place = target.shape.map(() => this.#subscript(vars));
    if (this.#chance(0.12)) return store(target, place, add(load(target, place), constant(float32, 1)));
    const kind = this.#random.unit();
    if (kind < 0.2) return store(target, place, constant(float32, 0));
    const first = this.#chance(0.5) ? this.#shifted(target, place, vars) : this.#load(vars);
    if (kind < 0.7) return store(target, place, first);
    if (kind < 0.85) return store(target, place, add(first, this.#load(vars)));
    return store(target, place, select(this.#condition(vars), first, this.#load(vars)));
  }
  /** An element some steps away from the one that is stored. */
  #shifted(target: Buffer, place: readonly Expr[], vars: readonly Var[]): Expr {
    const at = place.map((e) => (this.#chance(0.15) ? this.#subscript(vars) : add(e, this.#random.int(-2, 2))));
    return load(target, at);
  }
  #load(vars: readonly Var[]): Expr {
    const source = this.#one(this.#buffers);
    return load(
      source,
      source.shape.map(() => this.#subscript(vars)),
    );
  }
}
