/**
 * Long reductions along a vectorized loop: vectors of partial results in registers, whose lanes are combined once at the
 * end, instead of every chunk's. Several of them, because one waits for its own last addition.
 *
 *   vectorized for k in 0..1000: s = s + A[k]
 *     ⇒ p = 0; for c in 0..15: p[0..64] += A[64·c .. 64·c + 64]; …; s = s + lanes(p[0..16] + … + p[48..64])
 */
import {
  add,
  binary,
  broadcast,
  buffer,
  identityOf,
  index,
  load,
  mul,
  ramp,
  variable,
  vectorReduce,
} from "../../ir/expr/build.ts";
import { bitsOf, isFloat } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { allocate, forLoop, seq, store } from "../../ir/loop/build.ts";
import type { For, Stmt } from "../../ir/loop/program.ts";
import type { IdSource } from "../../ir/support/ids.ts";
import { reductionOf } from "./vectorize-body.ts";
import type { VectorContext } from "./vectorize-context.ts";
import { mentions } from "./vectorize-context.ts";
import { vectorizeExpr } from "./vectorize-expr.ts";

/** Most vectors of partial results. */
const mostPartials = 4;

/**
 * The first `chunks` chunks of a vectorized loop that is one accumulation into one element; undefined where it is none,
 * or too short to be worth it.
 */
export function vectorizeReduction(loop: For, lanes: number, chunks: number, ids: IdSource): Stmt | undefined {
  const s = loop.body;
  if (s.kind !== "store" || s.predicate || chunks < 2 || lanes < 2) return undefined;
  const scalar = s.buffer.dtype.scalar;
  const reduction = reductionOf(s);
  // Halves keep their rounding, chunk by chunk.
  if (!reduction || scalar === "bool" || (isFloat(scalar) && bitsOf(scalar) < 32)) return undefined;
  const { op, old, update, oldFirst } = reduction;
  const at = (start: Expr): VectorContext => ({
    loopVar: loop.var,
    start,
    lanes,
    ids,
    vectors: new Map(),
    expanded: new Map(),
  });
  const first = at(loop.min);
  if (s.indices.some((i) => mentions(first, i))) return undefined;
  const partials = Math.min(mostPartials, 2 ** Math.floor(Math.log2(chunks / 2)));
  const acc = buffer(ids, `${s.buffer.name}_lanes`, scalar, [lanes * partials], { scope: "register" });
  const place = (u: number): Expr => ramp(u * lanes, 1, lanes);
  const accumulate = (chunk: Expr, u: number): Stmt => {
    const value = vectorizeExpr(at(add(loop.min, mul(chunk, lanes))), update, undefined);
    const wide = value.dtype.lanes === 1 ? broadcast(value, lanes) : value;
    const now = load(acc, [place(u)]);
    return store(acc, [place(u)], oldFirst ? binary(op, now, wide) : binary(op, wide, now));
  };
  const range = Array.from({ length: partials }, (_, u) => u);
  const zero = range.map((u) => store(acc, [place(u)], broadcast(identityOf(op, scalar), lanes)));
  const rounds = Math.floor(chunks / partials);
  const round = variable(ids, `${loop.var.name}_v`);
  const main = forLoop(round, rounds, seq(range.map((u) => accumulate(add(mul(round, partials), u), u))));
  const rest = range.slice(0, chunks - rounds * partials).map((u) => accumulate(index(rounds * partials + u), u));
  const total = vectorReduce(
    op,
    pairwise(
      range.map((u) => load(acc, [place(u)])),
      (a, b) => binary(op, a, b),
    ),
  );
  const indices = s.indices.map((i) => vectorizeExpr(first, i, undefined));
  const before = vectorizeExpr(first, old, undefined);
  const result = store(s.buffer, indices, oldFirst ? binary(op, before, total) : binary(op, total, before));
  return allocate(acc, seq([...zero, main, ...rest, result]));
}
/** Combines neighbours until one is left. */
function pairwise(parts: readonly Expr[], combine: (a: Expr, b: Expr) => Expr): Expr {
  if (parts.length === 1) return parts[0]!;
  const half = parts.length / 2;
  return combine(pairwise(parts.slice(0, half), combine), pairwise(parts.slice(half), combine));
}
