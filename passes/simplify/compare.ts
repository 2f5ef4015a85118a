/** Comparisons: decided by bounds, or brought to `terms op other terms + constant` with the common factor divided out. */
import { bool, broadcast, compare } from "../../ir/expr/build.ts";
import { indexType, isFloat } from "../../ir/expr/dtype.ts";
import type { Compare, CompareOp, Expr } from "../../ir/expr/expr.ts";
import {
  addScaled,
  boundsOfForm,
  fromQuasiAffine,
  gcd,
  mayWrap,
  type QuasiAffine,
  recombine,
  scale,
  splitSum,
} from "../analysis/affine.ts";
import type { Ranges } from "../analysis/bounds.ts";
import { decideCompare } from "../analysis/interval.ts";
import { sameExpr } from "../analysis/order.ts";
import { foldCompare } from "./fold.ts";
import { difference } from "./minmax.ts";
import type { Rule } from "./rule.ts";

const mirrored: Readonly<Record<CompareOp, CompareOp>> = { eq: "eq", ne: "ne", lt: "gt", le: "ge", gt: "lt", ge: "le" };
const truth = (e: Compare, value: boolean): Expr =>
  e.dtype.lanes === 1 ? bool(value) : broadcast(bool(value), e.dtype.lanes);

export const compareRules: readonly Rule<Compare>[] = [
  foldCompare,
  {
    // x < x is false for NaN too; x == x is not decided for floats.
    name: "same",
    apply: (e) => {
      if (!sameExpr(e.a, e.b)) return undefined;
      if (e.op === "lt" || e.op === "gt") return truth(e, false);
      return isFloat(e.a.dtype.scalar) ? undefined : truth(e, e.op === "eq" || e.op === "le" || e.op === "ge");
    },
  },
  {
    name: "decided-by-bounds",
    apply: (e, { ranges }) => {
      if (isFloat(e.a.dtype.scalar)) return undefined;
      const known = decideCompare(e.op, difference(e.a, e.b, ranges));
      return known === undefined ? undefined : truth(e, known);
    },
  },
  {
    name: "constant-right",
    apply: (e) => (e.a.kind === "const" && e.b.kind !== "const" ? compare(mirrored[e.op], e.b, e.a) : undefined),
  },
  {
    name: "canonical-sides",
    apply: (e, { ranges }) => {
      if (e.a.dtype !== indexType) return undefined;
      const next = canonicalSides(e.op, recombine(addScaled(splitSum(e.a), splitSum(e.b), -1), ranges), ranges);
      return next === undefined || sameExpr(next, e) ? undefined : next;
    },
  },
];

/** The comparison d op 0 in canonical form: positive terms left, negative ones and the constant right. */
function canonicalSides(op: CompareOp, d: QuasiAffine, ranges: Ranges): Expr | undefined {
  if (mayWrap(d, ranges) || d.terms.length === 0) return undefined;
  if (d.terms.every((t) => t.coefficient < 0)) return canonicalSides(mirrored[op], scale(d, -1), ranges);
  const reduced = dropRemainder(op, d, ranges) ?? d;
  const g = reduced.terms.reduce((n, t) => gcd(n, t.coefficient), 0);
  const limit = -reduced.constant;
  if (limit % g !== 0 && (op === "eq" || op === "ne")) return bool(op === "ne");
  const bound = op === "lt" || op === "ge" ? Math.ceil(limit / g) : Math.floor(limit / g);
  const terms = g === 1 ? reduced.terms : reduced.terms.map((t) => ({ atom: t.atom, coefficient: t.coefficient / g }));
  const left = terms.filter((t) => t.coefficient > 0);
  const right = terms.filter((t) => t.coefficient < 0).map((t) => ({ atom: t.atom, coefficient: -t.coefficient }));
  return compare(
    op,
    fromQuasiAffine({ terms: left, constant: 0 }),
    fromQuasiAffine({ terms: right, constant: bound === 0 ? 0 : bound }),
  );
}
/**
 * g·Q + R < c says the same as Q < t where every value of R gives the same t = ⌈(c - R)/g⌉: `io*4 + ii < 16` is `io < 4`
 * when ii is in 0..4.
 */
function dropRemainder(op: CompareOp, d: QuasiAffine, ranges: Ranges): QuasiAffine | undefined {
  if (op === "eq" || op === "ne" || d.terms.length < 2) return undefined;
  const strict = op === "lt" || op === "ge";
  const steps = new Set(d.terms.map((t) => Math.abs(t.coefficient)).filter((g) => g > 1));
  for (const g of [...steps].sort((x, y) => y - x)) {
    const q = d.terms.filter((t) => t.coefficient % g === 0);
    if (q.length === d.terms.length || q.every((t) => t.coefficient < 0)) continue;
    const r = boundsOfForm({ terms: d.terms.filter((t) => t.coefficient % g !== 0), constant: 0 }, ranges);
    const limit = -d.constant + (strict ? 0 : 1);
    const threshold = Math.ceil((limit - r.min) / g);
    if (!Number.isFinite(threshold) || Math.ceil((limit - r.max) / g) !== threshold) continue;
    return { terms: q, constant: -(strict ? threshold : threshold - 1) * g };
  }
  return undefined;
}
