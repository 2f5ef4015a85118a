/** Vectorized reductions of any length, against the loops they came from. */
import { describe, expect, test } from "vitest";
import { add, binary, buffer, cast, constant, constantValue, load, mul, variable } from "../../../ir/expr/build.ts";
import { dtype, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { Var } from "../../../ir/expr/expr.ts";
import { some } from "../../../ir/expr/traverse.ts";
import { runProgram } from "../../../ir/interp/run.ts";
import { forLoop, primFunc, program, seq, store } from "../../../ir/loop/build.ts";
import type { Stmt } from "../../../ir/loop/program.ts";
import { visitStmt } from "../../../ir/loop/traverse.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { vectorizeLoops } from "../../../passes/lower/vectorize-loops.ts";

type Op = "add" | "mul" | "min" | "max";
/** S[i] = S[i] op T[i·n + k], vectorized along k. */
function reduction(n: number, op: Op, type: ScalarType, term: ScalarType = type) {
  const ids = new IdSource();
  const [T, S] = [buffer(ids, "T", term, [2 * n]), buffer(ids, "S", type, [2])];
  const [i, k] = [variable(ids, "i"), variable(ids, "k")];
  const element = load(T, [binary("add", mul(i, n), k)]);
  const body = store(S, [i], binary(op, load(S, [i]), cast(type, element)));
  const along = forLoop(k, n, body, { loopKind: "vectorized" });
  const make = (inner: Stmt) =>
    program(
      [
        primFunc({
          name: "f",
          params: [
            { buffer: T, role: "input" },
            { buffer: S, role: "output" },
          ],
          body: forLoop(i, 2, seq([store(S, [i], constant(dtype(type), 3)), inner])),
        }),
      ],
      ids,
    );
  return { before: make({ ...along, loopKind: "serial" }), after: make(vectorizeLoops(along, 512, ids)) };
}
/**
 * S[i, j] = S[i, j] + A[i, k] · B[j, k] for a tile of results, whose rows are `stride` elements apart, vectorized along k;
 * the lanes of all partial results, and how many results have theirs combined on their own.
 */
function tile(n: number, rows: number, columns: number, stride = columns) {
  const ids = new IdSource();
  const [A, B] = [buffer(ids, "A", "float32", [rows * n]), buffer(ids, "B", "float32", [columns * n])];
  const S = buffer(ids, "S", "float32", [rows * stride]);
  const [k, i, j, z] = ["k", "i", "j", "z"].map((name) => variable(ids, name)) as [Var, Var, Var, Var];
  const at = add(mul(i, stride), j);
  const product = mul(load(A, [add(mul(i, n), k)]), load(B, [add(mul(j, n), k)]));
  const body = store(S, [at], add(load(S, [at]), product));
  const nest = forLoop(i, rows, forLoop(j, columns, body, { loopKind: "unrolled" }), { loopKind: "unrolled" });
  const along = forLoop(k, n, nest, { loopKind: "vectorized" });
  const make = (inner: Stmt) =>
    program(
      [
        primFunc({
          name: "f",
          params: [
            { buffer: A, role: "input" },
            { buffer: B, role: "input" },
            { buffer: S, role: "output" },
          ],
          body: seq([forLoop(z, rows * stride, store(S, [z], constant(dtype("float32"), 3))), inner]),
        }),
      ],
      ids,
    );
  const after = make(vectorizeLoops(along, 512, ids));
  let accumulators: number | undefined;
  visitStmt(after.functions[0]!.body, (s) => {
    if (s.kind === "allocate") accumulators = constantValue(s.buffer.shape[0]!);
  });
  let alone = 0;
  visitStmt(after.functions[0]!.body, (s) => {
    if (s.kind === "store" && some(s.value, (e) => e.kind === "vectorReduce")) alone++;
  });
  return { before: make({ ...along, loopKind: "serial" }), after, accumulators, alone };
}
const lengths = [1, 2, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100, 127, 128, 129, 197, 257, 300];

describe("vectorized reductions", () => {
  test.each(["add", "mul", "min", "max"] as const)("%s of integers is what the loop gives", (op) => {
    for (const n of lengths) {
      const { before, after } = reduction(n, op, "int32");
      const inputs = {
        T: Int32Array.from({ length: 2 * n }, (_, j) => ((j * 7919) % 23) - 11),
      };
      expect(runProgram(after, inputs).S, `${n}`).toEqual(runProgram(before, inputs).S);
    }
  });
  test("sums of floats agree but for the order", () => {
    for (const n of lengths) {
      const { before, after } = reduction(n, "add", "float32");
      const inputs = { T: Float32Array.from({ length: 2 * n }, (_, j) => Math.sin(j)) };
      const [want, got] = [runProgram(before, inputs).S!, runProgram(after, inputs).S!];
      for (const j of [0, 1]) expect(Math.abs(Number(want[j]) - Number(got[j])), `${n}`).toBeLessThan(n * 2 ** -22);
    }
  });
  test("long ones keep four vectors of partial results, short ones none", () => {
    const partials = (n: number): number | undefined => {
      let lanes: number | undefined;
      visitStmt(reduction(n, "add", "float32").after.functions[0]!.body, (s) => {
        if (s.kind === "allocate") lanes = Number(s.buffer.shape[0]!.kind === "const" && s.buffer.shape[0]!.value);
      });
      return lanes;
    };
    expect([16, 32, 64, 128, 1000].map(partials)).toEqual([undefined, 16, 32, 64, 64]);
  });
  test("a tile of results has one vector of partial results each", () => {
    for (const n of lengths) {
      const { before, after, accumulators } = tile(n, 3, 2);
      const inputs = {
        A: Float32Array.from({ length: 3 * n }, (_, j) => Math.sin(j)),
        B: Float32Array.from({ length: 2 * n }, (_, j) => Math.cos(3 * j)),
      };
      const [want, got] = [runProgram(before, inputs).S!, runProgram(after, inputs).S!];
      for (let j = 0; j < 6; j++) expect(Math.abs(Number(want[j]) - Number(got[j])), `${n}`).toBeLessThan(n * 2 ** -22);
      expect(accumulators, `${n}`).toBe(n < 32 ? undefined : n < 64 ? 96 : 192);
    }
  });
  test.each([
    [3, 2, 2],
    [4, 5, 5],
    [7, 4, 4],
    [3, 5, 8],
  ])("%i × %i results, rows %i apart", (rows, columns, stride) => {
    for (const n of [33, 160, 197]) {
      const { before, after, alone } = tile(n, rows, columns, stride);
      const inputs = {
        A: Float32Array.from({ length: rows * n }, (_, j) => Math.sin(j)),
        B: Float32Array.from({ length: columns * n }, (_, j) => Math.cos(3 * j)),
      };
      const [want, got] = [runProgram(before, inputs).S!, runProgram(after, inputs).S!];
      for (let j = 0; j < want.length; j++)
        expect(Math.abs(Number(want[j]) - Number(got[j])), `${n}`).toBeLessThan(n * 2 ** -22);
      expect(alone, "statements that combine the lanes of one result").toBe(stride === columns ? 0 : 1);
    }
  });
  test("a tile that does not fit into registers has none", () => {
    expect(tile(300, 7, 5).accumulators).toBeUndefined();
  });
  test("halves are rounded as before: no partial results", () => {
    let allocations = 0;
    visitStmt(reduction(256, "add", "float16").after.functions[0]!.body, (s) => {
      if (s.kind === "allocate") allocations++;
    });
    expect(allocations).toBe(0);
  });
});
