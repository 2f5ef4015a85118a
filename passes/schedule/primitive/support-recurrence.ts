/** Blocks that carry a state: each instance updates what the one before left. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer } from "../../../ir/expr/expr.ts";
import type { Block, IterVar } from "../../../ir/loop/program.ts";
import { blockAccesses, iterRanges } from "./support-access.ts";
import { addLinear, linearOf } from "./support-linear.ts";

/** A block with one ordered variable, whose instances read their own buffer only at earlier values of it. */
export interface Recurrence {
  readonly buffer: Buffer;
  readonly ordered: IterVar;
  /** The dimension of the buffer that the ordered variable runs along. */
  readonly dim: number;
}
/** The recurrence that a block is; undefined for other blocks. */
export function recurrenceOf(b: Block): Recurrence | undefined {
  const [ordered, ...others] = b.iterVars.filter((v) => v.kind !== "spatial");
  if (ordered?.kind !== "ordered" || others.length > 0 || b.init) return undefined;
  const accesses = blockAccesses(b);
  const [store, another] = accesses.filter((a) => a.kind === "store");
  if (!store || another) return undefined;
  const ranges = iterRanges(b);
  const place = store.indices.map((e) => linearOf(e, ranges));
  const own = accesses.filter((a) => a.kind === "load" && a.buffer.id === store.buffer.id);
  const apart = own.map((a) => a.indices.map((e, d) => addLinear(linearOf(e, ranges), place[d]!, -1)));
  // A variable with one value stands in no index: what is read before it tells the dimension.
  const along = place.flatMap((l, d) => ([...l.terms.values()].some((t) => isVar(t.atom, ordered)) ? [d] : []));
  const moved = place.flatMap((_, d) => (apart.some((l) => l[d]!.constant !== 0) ? [d] : []));
  const [dim, ...more] = along.length > 0 || constantValue(ordered.extent) !== 1 ? along : [...moved, 0].slice(0, 1);
  if (dim === undefined || more.length > 0 || place[dim]!.terms.size !== along.length) return undefined;
  if ([...place[dim]!.terms.values()].some((t) => t.coefficient !== 1)) return undefined;
  const earlier = apart.every((l) =>
    l.every(({ terms, constant }, d) => terms.size === 0 && (d === dim ? constant < 0 : constant === 0)),
  );
  return earlier ? { buffer: store.buffer, ordered, dim } : undefined;
}
const isVar = (e: { readonly kind: string }, v: IterVar): boolean => e.kind === "var" && "id" in e && e.id === v.var.id;
