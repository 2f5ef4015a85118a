/**
 * Turns `vectorized` loops into vector expressions and statements. The loop variable becomes a ramp; an access whose
 * index moves by one element a lane becomes contiguous, one that does not move a broadcast, the rest gathers. Conditions
 * on lanes become predicates; a store that all lanes combine into becomes a horizontal reduction.
 *
 * Note [Lane counts]. An extent is split into chunks of the machine's lanes for the widest element type involved, and a
 * rest of descending powers of two, so that every vector has a legal type. Where machines have masks for it and all
 * elements are float32, the rest is one vector with its last lanes left out. A non-constant extent gets a loop of chunks
 * and a serial rest.
 *
 * Note [Narrow vectors first]. Chunks are independent, and narrower ones come before those that are wider. A scalar that
 * all of them are multiplied by is then last used by a wide one. Where a narrow multiply-add is the last, LLVM gives its sum
 * the register of the broadcast instead of the one it had, and spills a tile of sums to exchange them.
 */
import {
  add,
  broadcast,
  compare,
  constantValue,
  floordiv,
  index,
  mul,
  ramp,
  sub,
  variable,
} from "../../ir/expr/build.ts";
import { bitsOf } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { visit } from "../../ir/expr/traverse.ts";
import { emptyStmt, forLoop, seq } from "../../ir/loop/build.ts";
import type { For, Stmt } from "../../ir/loop/program.ts";
import { mapChildStmts, visitExprs, visitStmt } from "../../ir/loop/traverse.ts";
import type { IdSource, VarId } from "../../ir/support/ids.ts";
import { substituteStmt } from "./substitute.ts";
import { renameLocals } from "./unroll-loops.ts";
import { vectorizeStmt } from "./vectorize-body.ts";
import type { VectorContext } from "./vectorize-context.ts";
import { vectorizeReduction } from "./vectorize-reduction.ts";

/** Chunks up to this number are written out one after the other; more become a loop. */
const maxInlineChunks = 8;

/** Vectorizes every loop marked so within `s`; `vectorBits` is the width of the machine's vectors. */
export function vectorizeLoops(s: Stmt, vectorBits: number, ids: IdSource): Stmt {
  const inner = mapChildStmts(s, (c) => vectorizeLoops(c, vectorBits, ids));
  if (inner.kind !== "for" || inner.loopKind !== "vectorized") return inner;
  // A loop around vectors already made keeps its iterations: vectors have one dimension, and atomic updates one element.
  if (holdsVectors(inner.body) || holdsAtomics(inner.body)) return { ...inner, loopKind: "serial" };
  return vectorize(
    inner,
    { lanes: nativeLanes(inner, vectorBits), masked: hasMasks(vectorBits) && isFloat32(inner) },
    ids,
  );
}
/** How wide vectors are, and whether a rest may be one of them with lanes left out. */
interface Widths {
  readonly lanes: number;
  readonly masked: boolean;
}
/** AVX and AVX-512 load and store any lanes of float32. */
const hasMasks = (vectorBits: number): boolean => vectorBits >= 256;
/** Whether all elements that a loop computes with are float32. */
function isFloat32(loop: For): boolean {
  let only = true;
  visitStmt(loop.body, (s) => {
    if (s.kind === "store") only &&= s.buffer.dtype.scalar === "float32";
    else if (s.kind !== "for" && s.kind !== "seq") only = false;
    return only;
  });
  visitExprs(loop.body, (e) =>
    visit(e, (n) => {
      only &&= plain.has(n.kind) && (n.dtype.scalar === "float32" || n.dtype.scalar === "int64");
      return only && n.kind !== "load";
    }),
  );
  return only;
}
const plain: ReadonlySet<Expr["kind"]> = new Set(["const", "var", "load", "binary", "unary", "call"]);
function holdsAtomics(s: Stmt): boolean {
  let found = false;
  visitStmt(s, (n) => {
    found ||= n.kind === "store" && n.atomic === true;
    return !found;
  });
  return found;
}
function holdsVectors(s: Stmt): boolean {
  let found = false;
  visitExprs(s, (e) =>
    visit(e, (n) => {
      if (n.dtype.lanes > 1) found = true;
      return !found;
    }),
  );
  return found;
}

/** Lanes of the machine's vectors for the widest elements that the loop computes with (indices aside). */
function nativeLanes(loop: For, vectorBits: number): number {
  let bits = 8;
  const widen = (e: Expr): void =>
    visit(e, (n) => {
      if (n.kind === "load") bits = Math.max(bits, bitsOf(n.buffer.dtype.scalar));
      else if (n.kind === "cast") bits = Math.max(bits, bitsOf(n.dtype.scalar));
      return n.kind !== "load";
    });
  visitStmt(loop.body, (s) => {
    if (s.kind !== "store") return;
    bits = Math.max(bits, bitsOf(s.buffer.dtype.scalar));
    widen(s.value);
  });
  visitExprs(loop.body, (e) => {
    if (e.dtype.scalar !== "int64") widen(e);
  });
  return Math.max(1, Math.floor(vectorBits / bits));
}

function vectorize(loop: For, { lanes, masked }: Widths, ids: IdSource): Stmt {
  const extent = constantValue(loop.extent);
  if (extent === undefined) return dynamicExtent(loop, lanes, ids);
  if (extent <= 0) return emptyStmt;
  const chunks: Stmt[] = [];
  const narrow: Stmt[] = [];
  const whole = Math.floor(extent / lanes);
  const rest = extent - whole * lanes;
  const reduced = vectorizeReduction(
    loop,
    { lanes, whole, ...(masked && rest > 0 ? { rest: firstLanes(rest, lanes) } : {}) },
    ids,
  );
  if (reduced) chunks.push(reduced);
  else if (whole > maxInlineChunks) chunks.push(chunkLoop(loop, lanes, index(whole), ids));
  let start = reduced || whole > maxInlineChunks ? whole * lanes : 0;
  const end = reduced && masked ? start : extent;
  while (start < end) {
    const left = extent - start;
    const narrower = 2 ** Math.floor(Math.log2(left));
    const width = Math.min(lanes, masked && narrower < left ? 2 * narrower : narrower);
    const body = start === 0 ? loop.body : renameLocals(loop.body, ids);
    const chunk = vectorizeChunk(loop, body, add(loop.min, start), width, ids, left);
    (width < lanes ? narrow : chunks).push(chunk);
    start += width;
  }
  // Note [Narrow vectors first].
  return seq([...narrow.reverse(), ...chunks]);
}
function chunkLoop(loop: For, lanes: number, count: Expr, ids: IdSource): Stmt {
  const chunk = variable(ids, `${loop.var.name}_v`);
  const start = add(loop.min, mul(chunk, lanes));
  return forLoop(chunk, count, vectorizeChunk(loop, loop.body, start, lanes, ids));
}
function dynamicExtent(loop: For, lanes: number, ids: IdSource): Stmt {
  const whole = floordiv(loop.extent, lanes);
  const done = mul(whole, lanes);
  const rest = variable(ids, `${loop.var.name}_r`);
  const body = substituteStmt(
    renameLocals(loop.body, ids),
    new Map<VarId, Expr>([[loop.var.id, add(add(loop.min, done), rest)]]),
  );
  return seq([chunkLoop(loop, lanes, whole, ids), forLoop(rest, sub(loop.extent, done), body)]);
}

/** One vector of iterations from `start`, of which only the first `left` exist. */
function vectorizeChunk(loop: For, body: Stmt, start: Expr, lanes: number, ids: IdSource, left = lanes): Stmt {
  if (lanes === 1) return substituteStmt(body, new Map<VarId, Expr>([[loop.var.id, start]]));
  const ctx: VectorContext = { loopVar: loop.var, start, lanes, ids, vectors: new Map(), expanded: new Map() };
  return vectorizeStmt(ctx, body, left < lanes ? firstLanes(left, lanes) : undefined);
}
/** The mask of the first `count` lanes. */
const firstLanes = (count: number, lanes: number): Expr =>
  compare("lt", ramp(0, 1, lanes), broadcast(index(count), lanes));
