/**
 * The simplifier of expressions: bottom-up, one dispatch by kind, then the rule tables of the operator family. Index
 * arithmetic (int64 scalars) takes the canonical quasi-affine form instead. Idempotent, gives back the same object when
 * nothing changes, and never reorders floating-point operations.
 */
import { bool } from "../../ir/expr/build.ts";
import { indexType } from "../../ir/expr/dtype.ts";
import type { Binary, Compare, Expr, Select } from "../../ir/expr/expr.ts";
import { mapChildren, some } from "../../ir/expr/traverse.ts";
import type { IndexSimplifier } from "../../ir/loop/compute.ts";
import { type AtomNormalizer, fromQuasiAffine, linearize } from "../analysis/affine.ts";
import { noRanges, type Ranges } from "../analysis/bounds.ts";
import { assume, extentRanges, negate } from "../analysis/interval.ts";
import { sameExpr } from "../analysis/order.ts";
import { arithRules, unaryRules } from "./arith.ts";
import { castRules } from "./cast.ts";
import { compareRules } from "./compare.ts";
import { divmodRules } from "./divmod.ts";
import { isConstant } from "./fold.ts";
import { minmaxRules } from "./minmax.ts";
import { firstMatch, type Rule, type RuleContext } from "./rule.ts";
import { selectRules } from "./select.ts";
import {
  broadcastRules,
  rampRules,
  reduceRules,
  shuffleRules,
  vectorBinaryRules,
  vectorCastRules,
  vectorCompareRules,
  vectorSelectRules,
  vectorUnaryRules,
} from "./vector.ts";

/** Simplifies an expression given what is known of its variables, and comparisons known to hold (`factsOf`). */
export function simplify(e: Expr, ranges: Ranges = noRanges, facts: readonly Expr[] = noFacts): Expr {
  return e.kind === "const" || e.kind === "var" ? e : new Simplifier(ranges, facts).simplify(e);
}
const noFacts: readonly Expr[] = [];
/** The comparisons that a condition asserts, without those that read memory, which may change. */
export function factsOf(condition: Expr): readonly Expr[] {
  if (condition.kind === "binary" && condition.op === "and") return [...factsOf(condition.a), ...factsOf(condition.b)];
  const known =
    condition.kind === "compare" && condition.dtype.lanes === 1 && !some(condition, (n) => n.kind === "load");
  return known ? [condition] : noFacts;
}
/** Simplifies index expressions as a ComputeBuilder builds them. */
export const indexSimplifier: IndexSimplifier = (e, extents) => simplify(e, extentRanges(extents));

const scalarBinaryRules: readonly Rule<Binary>[] = [...arithRules, ...divmodRules];
const vectorRules: readonly Rule<Binary>[] = [...vectorBinaryRules, ...scalarBinaryRules];

/** One simplification under one set of ranges. */
class Simplifier implements RuleContext {
  readonly ranges: Ranges;
  readonly #normalizer: AtomNormalizer;
  readonly #facts: readonly Expr[];
  constructor(ranges: Ranges, facts: readonly Expr[]) {
    this.ranges = ranges;
    this.#facts = facts;
    this.#normalizer = { atom: (e) => this.#node(e), node: (e) => this.#applyRules(e) };
  }

  simplify = (e: Expr): Expr => {
    if (e.kind === "const" || e.kind === "var") return e;
    if (e.dtype !== indexType) return this.#node(e);
    const next = fromQuasiAffine(linearize(e, this.ranges, this.#normalizer));
    return sameExpr(next, e) ? e : next;
  };

  /** Simplifies the operands of a node, then applies the rules of its family. */
  #node(e: Expr): Expr {
    return this.#applyRules(e.kind === "select" ? this.#arms(e) : mapChildren(e, this.simplify));
  }
  /** Each arm may assume what chooses it. */
  #arms(e: Select): Expr {
    const condition = this.simplify(e.condition);
    const then = simplify(e.then, assume(this.ranges, condition), [...this.#facts, ...factsOf(condition)]);
    const denied = negate(condition);
    const otherwise = denied
      ? simplify(e.otherwise, assume(this.ranges, denied), [...this.#facts, ...factsOf(denied)])
      : this.simplify(e.otherwise);
    return condition === e.condition && then === e.then && otherwise === e.otherwise
      ? e
      : { ...e, condition, then, otherwise };
  }
  #applyRules(e: Expr): Expr {
    const next = this.#rewriteOnce(e);
    if (next === undefined || next === e) return e;
    return next.kind === "const" || next.kind === "var" ? next : this.simplify(next);
  }
  /** Whether a fact is this comparison, or the opposite of it. */
  #known(e: Compare): boolean | undefined {
    if (this.#facts.some((f) => sameExpr(f, e))) return true;
    const denied = negate(e);
    return denied && this.#facts.some((f) => sameExpr(f, denied)) ? false : undefined;
  }
  #rewriteOnce(e: Expr): Expr | undefined {
    const vector = e.dtype.lanes > 1;
    switch (e.kind) {
      case "binary":
        if (e.op === "min" || e.op === "max")
          return (vector ? firstMatch(vectorBinaryRules, e, this) : undefined) ?? firstMatch(minmaxRules, e, this);
        return firstMatch(vector ? vectorRules : scalarBinaryRules, e, this);
      case "compare":
        if (this.#facts.length > 0) {
          const known = this.#known(e);
          if (known !== undefined) return bool(known);
        }
        return (vector ? firstMatch(vectorCompareRules, e, this) : undefined) ?? firstMatch(compareRules, e, this);
      case "unary":
        return (vector ? firstMatch(vectorUnaryRules, e, this) : undefined) ?? firstMatch(unaryRules, e, this);
      case "cast":
        return (vector ? firstMatch(vectorCastRules, e, this) : undefined) ?? firstMatch(castRules, e, this);
      case "select":
        return (vector ? firstMatch(vectorSelectRules, e, this) : undefined) ?? firstMatch(selectRules, e, this);
      case "ramp":
        return firstMatch(rampRules, e, this);
      case "broadcast":
        return firstMatch(broadcastRules, e, this);
      case "shuffle":
        return firstMatch(shuffleRules, e, this);
      case "vectorReduce":
        return firstMatch(reduceRules, e, this);
      case "load":
        if (e.predicate && isConstant(e.predicate, 1)) {
          const { predicate: _, ...always } = e;
          return always;
        }
        return undefined;
      default:
        return undefined;
    }
  }
}
