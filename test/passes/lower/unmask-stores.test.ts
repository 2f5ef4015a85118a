import { describe, expect, test } from "vitest";
import { add, broadcast, buffer, compare, index, load, ramp, variable } from "../../../ir/expr/build.ts";
import type { Buffer, Expr, Load } from "../../../ir/expr/expr.ts";
import { allocate, forLoop, seq } from "../../../ir/loop/build.ts";
import type { Stmt, Store } from "../../../ir/loop/program.ts";
import { visitStmt } from "../../../ir/loop/traverse.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { unmaskStores } from "../../../passes/lower/unmask-stores.ts";

const ids = new IdSource();
const tile = buffer(ids, "C", "float32", [32], { scope: "register" });
const input = buffer(ids, "A", "float32", [100]);
const output = buffer(ids, "Y", "float32", [100]);
const first = (count: number, lanes = 16): Expr =>
  compare("lt", ramp(index(0), 1, lanes), broadcast(index(count), lanes));
const lanes = (b: Buffer, at: Expr, predicate?: Expr): Load => ({
  ...load(b, [index(0)]),
  indices: [ramp(at, 1, 16)],
  dtype: { scalar: "float32", lanes: 16 },
  ...(predicate ? { predicate } : {}),
});
const set = (b: Buffer, at: Expr, value: Expr, predicate?: Expr): Store => ({
  kind: "store",
  buffer: b,
  indices: [ramp(at, 1, 16)],
  value,
  ...(predicate ? { predicate } : {}),
});
/** How many stores to the tile, and loads of it, have a mask. */
function masks(body: Stmt): { stores: number; loads: number } {
  const found = { stores: 0, loads: 0 };
  visitStmt(unmaskStores(allocate(tile, body)), (s) => {
    if (s.kind !== "store") return;
    if (s.buffer === tile && s.predicate) found.stores++;
    if (s.value.kind === "load" && s.value.buffer === tile && s.value.predicate) found.loads++;
  });
  return found;
}
const row = (at: Expr, count: number): Stmt[] => [
  set(tile, at, lanes(input, index(0), first(count)), first(count)),
  set(tile, at, lanes(tile, at, first(count)), first(count)),
  set(output, index(0), lanes(tile, at, first(count)), first(count)),
];

describe("unmask-stores", () => {
  test("rows whose pad nobody uses lose their masks, and the loads in them", () => {
    // The store to the output keeps its mask, and so the load in it: unmask-loads deals with that.
    expect(masks(seq([...row(index(0), 13), ...row(index(16), 13)]))).toEqual({ stores: 0, loads: 2 });
  });
  test("a pad that another lane reads or writes stays as it is", () => {
    const reader = set(output, index(0), lanes(tile, index(8)));
    expect(masks(seq([...row(index(0), 13), reader])).stores).toBe(2);
    const writer = set(tile, index(0), lanes(input, index(0), first(15)), first(15));
    expect(masks(seq([...row(index(0), 13), writer])).stores).toBe(2);
  });
  test("lanes beyond the buffer stay off", () => {
    expect(masks(seq(row(index(20), 9))).stores).toBe(2);
  });
  test("an index that is not constant may be any element", () => {
    const i = variable(ids, "i");
    const anywhere = forLoop(i, 2, set(output, index(0), lanes(tile, add(i, 0))));
    expect(masks(seq([...row(index(0), 13), anywhere])).stores).toBe(2);
  });
  test("buffers in memory are none of its business", () => {
    const stack = buffer(ids, "S", "float32", [32], { scope: "stack" });
    const body = allocate(stack, set(stack, index(0), lanes(input, index(0)), first(13)));
    expect(unmaskStores(body)).toBe(body);
  });
});
