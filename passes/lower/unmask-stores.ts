/**
 * Drops the masks of stores to register buffers whose other lanes fall on elements that nobody reads or writes: the pad at
 * the end of a row of a register tile. A masked store to a register keeps the old lanes, one select an accumulation.
 */
import { constantValue } from "../../ir/expr/build.ts";
import type { Expr, Load } from "../../ir/expr/expr.ts";
import { visit } from "../../ir/expr/traverse.ts";
import { constantLanes } from "../../ir/interp/interpret.ts";
import type { Stmt, Store } from "../../ir/loop/program.ts";
import { mapChildStmts, visitExprs, visitStmt } from "../../ir/loop/traverse.ts";
import type { BufferId } from "../../ir/support/ids.ts";
import { withoutMask } from "./unmask-loads.ts";

/** For each register buffer, whether an element is read or written by a lane that counts. */
type Used = ReadonlyMap<BufferId, Uint8Array>;

/** Unmasks stores to register buffers that are allocated within `root`, and the loads of the same lanes in them. */
export function unmaskStores(root: Stmt): Stmt {
  if (!masksRegisters(root)) return root;
  const used = usedElements(root);
  const exists = (l: Load): boolean => {
    const of = used.get(l.buffer.id);
    return of !== undefined && elementsOf(l.indices)?.every((e) => e in of) === true;
  };
  const go = (s: Stmt): Stmt => {
    if (s.kind !== "store") return mapChildStmts(s, go);
    if (!s.predicate || !hitsPadOnly(s, s.predicate, used)) return s;
    const { predicate: _, ...rest } = withoutMask(s, exists);
    return rest;
  };
  return go(root);
}
/** Whether all lanes that the store's mask leaves out go to elements that exist and are never used. */
function hitsPadOnly(s: Store, mask: Expr, used: Used): boolean {
  const [of, on, elements] = [used.get(s.buffer.id), constantLanes(mask), elementsOf(s.indices)];
  return of !== undefined && on !== undefined && elements?.every((e, lane) => on[lane] || of[e] === 0) === true;
}

function masksRegisters(root: Stmt): boolean {
  let found = false;
  visitStmt(root, (s) => {
    found ||= s.kind === "store" && s.predicate !== undefined && s.buffer.scope === "register";
  });
  return found;
}
function usedElements(root: Stmt): Used {
  const used = new Map<BufferId, Uint8Array>();
  visitStmt(root, (s) => {
    if (s.kind !== "allocate" || s.buffer.scope !== "register") return;
    const count = constantValue(s.buffer.shape[0]!);
    if (count !== undefined) used.set(s.buffer.id, new Uint8Array(count));
  });
  const mark = ({ buffer, indices, predicate }: Load | Store): void => {
    const of = used.get(buffer.id);
    if (!of) return;
    const elements = elementsOf(indices);
    const on = predicate && constantLanes(predicate);
    if (!elements) of.fill(1);
    else for (const [lane, e] of elements.entries()) if (e in of && (!on || on[lane])) of[e] = 1;
  };
  visitStmt(root, (s) => {
    if (s.kind === "store") mark(s);
    if (s.kind === "parallelCall") for (const b of s.buffers) used.get(b.id)?.fill(1);
  });
  visitExprs(root, (e) =>
    visit(e, (n) => {
      if (n.kind === "load") mark(n);
    }),
  );
  return used;
}
/** The elements that the lanes of an index of a flat buffer name; undefined where the index is not constant. */
const elementsOf = ([at, ...more]: readonly Expr[]): readonly number[] | undefined =>
  at && more.length === 0 ? constantLanes(at) : undefined;
