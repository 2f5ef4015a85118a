/** Trees over the lanes of several vectors, against results found one by one. */
import { expect, test } from "vitest";
import { add, buffer, load, variable } from "../../../ir/expr/build.ts";
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import { runProgram } from "../../../ir/interp/run.ts";
import { allocate, forLoop, primFunc, program, seq, store } from "../../../ir/loop/build.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { combineLanes } from "../../../passes/lower/combine-lanes.ts";

type Op = "add" | "max";
/** A program that reads T[count, 2, lanes] and gives S, what the second vectors of each pair amount to. */
function combining(op: Op, type: ScalarType, count: number, lanes: number) {
  const ids = new IdSource();
  const stride = 2 * lanes;
  const length = count * stride;
  const [T, S] = [buffer(ids, "T", type, [length]), buffer(ids, "S", type, [count])];
  const V = buffer(ids, "V", type, [length], { scope: "register" });
  const [i, j] = [variable(ids, "i"), variable(ids, "j")];
  const body = seq([
    forLoop(i, length, store(V, [i], load(T, [i]))),
    ...combineLanes(op, { buffer: V, first: lanes, stride, count, lanes }),
    forLoop(j, count, store(S, [j], load(V, [add(j, lanes)]))),
  ]);
  const params = [
    { buffer: T, role: "input" },
    { buffer: S, role: "output" },
  ] as const;
  return program([primFunc({ name: "f", params, body: allocate(V, body) })], ids);
}
const fold = { add: (a: number, b: number) => a + b, max: Math.max };

test.each([2, 4, 8, 16])("up to as many vectors as they have lanes: %i", (lanes) => {
  for (const [type, arrayOf] of [
    ["int32", (values: number[]) => Int32Array.from(values)],
    ["float64", (values: number[]) => Float64Array.from(values)],
  ] as const)
    for (const op of ["add", "max"] as const)
      for (let count = 1; count <= lanes; count++) {
        const T = arrayOf(Array.from({ length: count * 2 * lanes }, (_, i) => ((i * 7919) % 101) - 50));
        const vector = (n: number): number[] => [...T.subarray((2 * n + 1) * lanes, (2 * n + 2) * lanes)];
        const want = Array.from({ length: count }, (_, n) => vector(n).reduce((a, b) => fold[op](a, b)));
        const got = runProgram(combining(op, type, count, lanes), { T }).S!;
        expect(Array.from(got, Number), `${op} of ${count} ${type}`).toEqual(want);
      }
});
