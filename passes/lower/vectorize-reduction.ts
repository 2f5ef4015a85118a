/**
 * Long reductions along a vectorized loop: vectors of partial results in registers, whose lanes are combined once at the
 * end, instead of every chunk's. Several of them for one result, because one waits for its own last addition; one each
 * for a tile of results, whose loops stand inside, and whose lanes are combined together (`combine-lanes.ts`).
 *
 *   vectorized for k in 0..1000: s = s + A[k]
 *     ⇒ p = 0; for c in 0..15: p[0..64] += A[64·c .. 64·c + 64]; …; s = s + lanes(p[0..16] + … + p[48..64])
 */
import {
  add,
  binary,
  broadcast,
  buffer,
  constantValue,
  identityOf,
  index,
  load,
  mul,
  ramp,
  select,
  variable,
  vectorReduce,
} from "../../ir/expr/build.ts";
import { bitsOf, isFloat } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr, VectorReduce } from "../../ir/expr/expr.ts";
import { freeVars, some, substitute } from "../../ir/expr/traverse.ts";
import { allocate, forLoop, seq, store } from "../../ir/loop/build.ts";
import type { For, Stmt, Store } from "../../ir/loop/program.ts";
import type { IdSource } from "../../ir/support/ids.ts";
import { combineLanes, combines } from "./combine-lanes.ts";
import { linearForm } from "./linear.ts";
import { renameLocals } from "./unroll-loops.ts";
import { reductionOf } from "./vectorize-body.ts";
import type { VectorContext } from "./vectorize-context.ts";
import { mentions } from "./vectorize-context.ts";
import { vectorizeExpr } from "./vectorize-expr.ts";

/** Most vectors of partial results for one result, and for a tile of them. */
const mostPartials = 4;
const mostAccumulators = 28;

/** What of a vectorized loop becomes vectors of partial results. */
export interface Chunks {
  readonly lanes: number;
  /** Whole chunks, from the loop's first iteration on. */
  readonly whole: number;
  /** The mask of the lanes of one more chunk after them, where there is one. */
  readonly rest?: Expr;
}

/**
 * The chunks of a vectorized loop that is one accumulation into one element, or into each element of a tile of constant
 * extents; undefined where it is none, or too short to be worth it.
 */
export function vectorizeReduction(loop: For, chunks: Chunks, ids: IdSource): Stmt | undefined {
  const { lanes, whole } = chunks;
  const { loops, body } = tileOf(loop.body);
  const reduction = body && reductionOf(body);
  if (!body || !reduction || whole < 2 || lanes < 2) return undefined;
  const scalar = body.buffer.dtype.scalar;
  // Halves keep their rounding, chunk by chunk.
  if (body.predicate || scalar === "bool" || (isFloat(scalar) && bitsOf(scalar) < 32)) return undefined;
  const { op, old, update, oldFirst } = reduction;
  const results = loops.reduce((n, l) => n * constantValue(l.extent)!, 1);
  const readsTile = some(update, (n) => n.kind === "load" && n.buffer.id === body.buffer.id);
  if (results > mostAccumulators || (loops.length > 0 && readsTile)) return undefined;
  const at = (start: Expr): VectorContext => ({
    loopVar: loop.var,
    start,
    lanes,
    ids,
    vectors: new Map(),
    expanded: new Map(),
  });
  const first = at(loop.min);
  if (body.indices.some((i) => mentions(first, i))) return undefined;
  const together = Math.min(mostPartials, Math.max(1, Math.floor(mostAccumulators / results / 2)));
  const partials = Math.min(2 ** Math.floor(Math.log2(together)), 2 ** Math.floor(Math.log2(whole / 2)));
  const acc = buffer(ids, `${body.buffer.name}_lanes`, scalar, [results * partials * lanes], { scope: "register" });
  const result = loops.reduce<Expr>(
    (n, l) =>
      add(mul(n, constantValue(l.extent)!), { kind: "binary", op: "sub", a: l.var, b: l.min, dtype: l.var.dtype }),
    index(0),
  );
  const place = (u: number): Expr => ramp(add(mul(result, partials * lanes), u * lanes), 1, lanes);
  /** The loops over the tile around a statement, with variables of their own. */
  const each = (s: Stmt): Stmt =>
    renameLocals(
      loops.reduceRight<Stmt>((inner, l) => ({ ...l, body: inner, loopKind: "unrolled" }), s),
      ids,
    );
  const accumulate = (chunk: Expr, u: number, mask?: Expr): Stmt => {
    const value = vectorizeExpr(at(add(loop.min, mul(chunk, lanes))), update, mask);
    const wide = value.dtype.lanes === 1 ? broadcast(value, lanes) : value;
    const now = load(acc, [place(u)]);
    const next = oldFirst ? binary(op, now, wide) : binary(op, wide, now);
    return each(store(acc, [place(u)], mask ? select(mask, next, now) : next));
  };
  const range = Array.from({ length: partials }, (_, u) => u);
  const zero = range.map((u) => each(store(acc, [place(u)], broadcast(identityOf(op, scalar), lanes))));
  const rounds = Math.floor(whole / partials);
  const round = variable(ids, `${loop.var.name}_v`);
  const main = forLoop(round, rounds, seq(range.map((u) => accumulate(add(mul(round, partials), u), u))));
  const left = whole - rounds * partials;
  const rest = range.slice(0, left).map((u) => accumulate(index(rounds * partials + u), u));
  if (chunks.rest) rest.push(accumulate(index(whole), left % partials, chunks.rest));
  const indices = body.indices.map((i) => vectorizeExpr(first, i, undefined));
  const sums: Partials = { op, buffer: acc, partials, lanes, results };
  const start = combines(lanes) ? startOfRun(indices[0]!, loops) : undefined;
  if (start) return allocate(acc, seq([...zero, main, ...rest, ...togetherInto(body.buffer, start, sums, oldFirst)]));
  const total = vectorReduce(
    op,
    sumOf(
      range.map((u) => load(acc, [place(u)])),
      op,
    ),
  );
  const before = vectorizeExpr(first, old, undefined);
  const done = each(store(body.buffer, indices, oldFirst ? binary(op, before, total) : binary(op, total, before)));
  return allocate(acc, seq([...zero, main, ...rest, done]));
}

/** Vectors of partial results in a buffer: those of one result side by side, one result after the other. */
interface Partials {
  readonly op: VectorReduce["op"];
  readonly buffer: Buffer;
  readonly lanes: number;
  /** Vectors of one result. */
  readonly partials: number;
  readonly results: number;
}
/** Combines the lanes of all results, and stores what they amount to from `start` on. */
function togetherInto(target: Buffer, start: Expr, sums: Partials, oldFirst: boolean): Stmt[] {
  const { op, buffer: acc, lanes, partials, results } = sums;
  const statements: Stmt[] = [];
  const stride = partials * lanes;
  const place = (r: number, u: number): Expr => ramp(r * stride + u * lanes, 1, lanes);
  for (let r = 0; partials > 1 && r < results; r++) {
    const parts = Array.from({ length: partials }, (_, u) => load(acc, [place(r, u)]));
    statements.push(store(acc, [place(r, 0)], sumOf(parts, op)));
  }
  for (let r = 0; r < results; r += lanes) {
    const count = Math.min(lanes, results - r);
    statements.push(...combineLanes(op, { buffer: acc, first: r * stride, stride, count, lanes }));
    for (const [from, width] of powersOfTwo(count)) {
      const at = add(start, r + from);
      const to = width > 1 ? ramp(at, 1, width) : at;
      const total = load(acc, [width > 1 ? ramp(r * stride + from, 1, width) : index(r * stride + from)]);
      const before = load(target, [to]);
      statements.push(store(target, [to], oldFirst ? binary(op, before, total) : binary(op, total, before)));
    }
  }
  return statements;
}
/** Pieces of 0 … count that are powers of two long, the longest first: [start, length]. */
function powersOfTwo(count: number): [number, number][] {
  const pieces: [number, number][] = [];
  for (let from = 0; from < count; from += pieces.at(-1)![1])
    pieces.push([from, 2 ** Math.floor(Math.log2(count - from))]);
  return pieces;
}
/** Where the results of a nest of loops start, if they lie one after the other; undefined where not, or for one result. */
function startOfRun(at: Expr, loops: readonly For[]): Expr | undefined {
  let step = 1;
  for (const l of loops.toReversed()) {
    const terms = linearForm(at).terms.filter((t) => freeVars(t.atom).has(l.var.id));
    const [term] = terms;
    const extent = constantValue(l.extent)!;
    if (extent > 1 && (terms.length !== 1 || term!.atom.kind !== "var" || term!.coefficient !== step)) return undefined;
    step *= extent;
  }
  return step > 1 ? substitute(at, new Map(loops.map((l) => [l.var.id, l.min]))) : undefined;
}
/** The store that a nest of loops of constant bounds holds and nothing else, and these loops. */
function tileOf(s: Stmt): { readonly loops: readonly For[]; readonly body?: Store } {
  if (s.kind === "store") return { loops: [], body: s };
  if (s.kind !== "for" || constantValue(s.extent) === undefined || constantValue(s.min) === undefined)
    return { loops: [] };
  const { loops, body } = tileOf(s.body);
  return { loops: [s, ...loops], ...(body ? { body } : {}) };
}
/** Combines neighbours until one is left. */
function sumOf(parts: readonly Expr[], op: VectorReduce["op"]): Expr {
  if (parts.length === 1) return parts[0]!;
  const half = parts.length / 2;
  return binary(op, sumOf(parts.slice(0, half), op), sumOf(parts.slice(half), op));
}
