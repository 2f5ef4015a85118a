import { describe, expect, test } from "vitest";
import { broadcast, buffer, compare, index, load, ramp, variable } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { allocate } from "../../../ir/loop/build.ts";
import type { Stmt } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { unmaskLoads } from "../../../passes/lower/unmask-loads.ts";

const ids = new IdSource();
const local = buffer(ids, "P", "float32", [32]);
const out = buffer(ids, "C", "float32", [100]);
const j = variable(ids, "j");
const mask = (limit: number): Expr => compare("lt", ramp(j, 1, 16), broadcast(index(limit), 16));
const masked = (b: Buffer, base: number, predicate: Expr): Expr => ({
  ...load(b, [index(0)]),
  indices: [ramp(index(base), 1, 16)],
  dtype: { scalar: "float32", lanes: 16 },
  predicate,
});
const copy = (value: Expr): Stmt => ({
  kind: "store",
  buffer: out,
  indices: [ramp(j, 1, 16)],
  value,
  predicate: mask(9),
});
const predicateOf = (s: Stmt): Expr | undefined => {
  const store = s.kind === "allocate" ? s.body : s;
  return store.kind === "store" && store.value.kind === "load" ? store.value.predicate : undefined;
};

describe("unmask-loads", () => {
  test("a local load with the store's mask loses it", () => {
    expect(predicateOf(unmaskLoads(allocate(local, copy(masked(local, 16, mask(9))))))).toBeUndefined();
  });
  test("lanes beyond the buffer keep the mask", () => {
    expect(predicateOf(unmaskLoads(allocate(local, copy(masked(local, 17, mask(9))))))).toEqual(mask(9));
  });
  test("another mask stays: its lanes give zeros", () => {
    expect(predicateOf(unmaskLoads(allocate(local, copy(masked(local, 0, mask(8))))))).toEqual(mask(8));
  });
  test("parameters stay masked", () => {
    expect(predicateOf(unmaskLoads(copy(masked(out, 0, mask(9)))))).toEqual(mask(9));
  });
});
