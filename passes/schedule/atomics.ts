/** Updates that are made in one step, so that iterations which run at once may accumulate into one element. */
import { some } from "../../ir/expr/traverse.ts";
import type { Block, Store } from "../../ir/loop/program.ts";
import { keyOf } from "./iteration.ts";
import { hasKind, type Meeting } from "./legality.ts";

const combining: ReadonlySet<string> = new Set(["add", "mul", "min", "max", "and", "or"]);
/** The store of a block that is one update b[i] = b[i] op value, the value from other buffers. */
export function updateStore(b: Block): Store | undefined {
  const s = b.body;
  if (s.kind !== "store" || s.predicate || s.value.kind !== "binary" || !combining.has(s.value.op)) return undefined;
  const { a, b: value } = s.value;
  const own =
    a.kind === "load" &&
    a.buffer.id === s.buffer.id &&
    !a.predicate &&
    a.indices.every((e, d) => keyOf(e) === keyOf(s.indices[d]!));
  const reads = [value, ...s.indices].some((e) => some(e, (n) => n.kind === "load" && n.buffer.id === s.buffer.id));
  return own && !reads ? s : undefined;
}
/** Whether a block's update is atomic: instances of it may run at once on one element. */
const isAtomic = (b: Block): boolean =>
  b.annotations?.atomic === true && b.init === undefined && !hasKind(b, "ordered") && updateStore(b) !== undefined;
/** Whether a meeting is only of instances of one block whose update is atomic. */
export const meetsAtomically = (m: Meeting): boolean =>
  m.first === m.second && m.first.stmt.kind === "block" && isAtomic(m.first.stmt);
