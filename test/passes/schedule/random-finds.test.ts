/** What random schedules of random programs have found: the smallest program that showed it. */
import { expect, test } from "vitest";
import { add, cast, mul } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { program as programOf } from "../../../ir/loop/build.ts";
import { ComputeBuilder, reduce, sum } from "../../../ir/loop/compute.ts";
import { structurallyEqual } from "../../../ir/loop/equality.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { assertWellFormed } from "../../../ir/verify/verify.ts";
import { lowerProgram } from "../../../passes/lower/index.ts";
import { fmaOuterProduct, vnniDot } from "../../../passes/schedule/library/intrinsics.ts";
import { replay, Schedule } from "../../../passes/schedule/schedule.ts";
import { describeNative, runNative } from "../../codegen/native-run.ts";
import { difference, randomInputs, run } from "../../property/support/judge.ts";
import { Random } from "../../property/support/random.ts";
import { keepsValues } from "./fixtures.ts";
import { matmul } from "./loop-programs.ts";

/** A 4 × 4 × 3 product whose inner 4 × 4 loops are one intrinsic. */
function tensorized(): Schedule {
  const s = new Schedule(matmul(4, 4, 3));
  const [i, j, k] = s.loops("C");
  s.reorder(k!, i!, j!);
  s.decomposeReduction(s.block("C"), k!);
  s.tensorize(s.loopAt("C", 1), fmaOuterProduct(4, 4));
  return s;
}
test("what an intrinsic computes stays as it is", () => {
  const s = tensorized();
  const [k, i, j] = s.loops("C");
  const calls = [
    s.probe("vectorize", { loop: j! }),
    s.probe("unroll", { loop: j! }),
    s.probe("cutLoop", { loop: j!, at: 1 }),
    s.probe("prefetch", { block: s.block("C"), buffer: "B", loop: j!, distance: 1 }),
    s.probe("split", { loop: j!, factor: 2 }),
  ];
  expect(calls.map((v) => v?.rule)).toEqual(calls.map(() => "keeps-intrinsics"));
  expect(calls[0]!.because).toBe(`the nest at ${i!.name} would no longer be what fma-outer-4x4 means`);
  s.unroll(k!);
  s.parallel(s.loops("C_init")[0]!);
  keepsValues(matmul(4, 4, 3), s, 3);
});
test("a step is what its own check saw", () => {
  const program = matmul(4, 4, 3);
  const s = new Schedule(program);
  s.cacheWrite(s.block("C"), "C", "stack");
  s.vectorize(s.loopAt("C_stack_copy", 1));
  const args = { block: s.block("C"), loop: s.loopAt("C", 2) };
  s.probe("reverseComputeAt", args);
  s.probe("computeAt", args);
  s.apply("decomposeReduction", args);
  expect(s.blocks().map((b) => b.name)).toContain("C_init");
  const factor = { loop: s.loopAt("C", 0), factor: 2, tail: "exact" as const };
  expect(s.probe("split", factor)).toBe(undefined);
  factor.factor = 3;
  expect(s.probe("split", factor)?.rule).toBe("exact-tail");
  keepsValues(program, s, 3);
});
test("traces name blocks of their own function", () => {
  const ids = new IdSource();
  const functions = ["plain", "summed"].flatMap((name) => {
    const b = new ComputeBuilder(ids);
    const A = b.param("A", "int32", [4, 6], "input");
    const k = b.reduceAxis("k", 6);
    const C =
      name === "plain"
        ? b.compute("C", "int32", [4], (i) => A.at(i!, 0))
        : b.compute("C", "int32", [4], (i) => sum(mul(A.at(i!, k.var), 2), k));
    return b.finish(name, [C]).functions;
  });
  const program: Program = programOf(functions, ids);
  const s = new Schedule(program, { func: "summed" });
  s.decomposeReduction(s.block("C"), s.loopAt("C", 1));
  expect(structurallyEqual(replay(program, s.trace).program, s.program)).toBe(true);
});
test("a partitioned copy no longer names what its tail does not read", () => {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [5, 4], "input");
  const B = b.param("B", "int32", [4, 3], "input");
  const P = b.compute("P", "int32", [5, 4], (i, j) => mul(A.at(i!, j!), 2));
  const k = b.reduceAxis("k", 4);
  const C = b.compute("C", "int32", [5, 3], (i, j) => sum(mul(P.at(i!, k.var), B.at(k.var, j!)), k));
  const program = b.finish("padded", [C]);
  const s = new Schedule(program);
  s.padEinsum(s.block("C"), [2, 1, 1]);
  s.loopPartition(s.loopAt("P_pad_copy", 0));
  expect(s.describe(s.block("P_pad_copy_tail")).reads).toEqual([]);
  s.reverseComputeInline(s.block("P_pad_copy"));
  assertWellFormed(s.program);
  keepsValues(program, s, 4);
});
test("of two blocks that write a buffer, each is inlined where it runs", () => {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [8], "input");
  const B = b.compute("B", "int32", [7], (i) => add(A.at(i!), A.at(add(i!, 1))));
  const C = b.compute("C", "int32", [5], (i) => add(B.at(i!), B.at(add(i!, 2))));
  const program = b.finish("slid", [C]);
  const s = new Schedule(program);
  const head = s.slideAt(s.block("B"), s.loopAt("C", 0));
  s.computeAt(s.cacheRead(head, "A", "stack"), s.loops(head)[0]!);
  const refusal = s.probe("computeInline", { block: head });
  expect([refusal?.rule, refusal?.at?.name]).toEqual(["whole-domains", "B_head"]);
  keepsValues(program, s);
});

test("what an init reads is not set by it", () => {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [4, 2], "input");
  const B = b.compute("B", "int32", [4, 2], (i, j) => mul(A.at(i!, j!), 3));
  const k = b.reduceAxis("k", 2);
  const C = b.compute("C", "int32", [4], (i) => reduce("max", B.at(i!, k.var), [k], B.at(i!, 0)));
  const program = b.finish("largest", [C]);
  const s = new Schedule(program);
  s.computeAt(s.block("B"), s.loopAt("C", 0));
  s.softwarePipeline(s.loopAt("C", 0), [0, 2], "guarded");
  const refusal = s.probe("hoistStorage", { block: s.block("B"), buffer: "B", loop: s.loopAt("C", 0) });
  expect(refusal?.rule).toBe("no-carried-values");
  keepsValues(program, s);
  const inputs = randomInputs(program, new Random(1));
  expect(difference(run(program, inputs), run(lowerProgram(s.program, { vectorBits: 256 }), inputs), 0)).toBe(
    undefined,
  );
});

describeNative("on this machine", () => {
  test("an intrinsic may name wider vectors than the target prefers", () => {
    const b = new ComputeBuilder(new IdSource());
    const A = b.param("A", "uint8", [3, 4], "input");
    const B = b.param("B", "int8", [16, 4], "constant");
    const k = b.reduceAxis("k", 4);
    const wide = (e: Expr): Expr => cast("int32", e);
    const C = b.compute("C", "int32", [3, 16], (i, j) => sum(mul(wide(A.at(i!, k.var)), wide(B.at(j!, k.var))), k));
    const program = b.finish("dots", [C]);
    const s = new Schedule(program);
    s.decomposeReduction(s.block("C"), s.loopAt("C", 1));
    s.tensorize(s.loopAt("C", 1), vnniDot);
    const inputs = randomInputs(program, new Random(1));
    const made = runNative(s.program, inputs, { vectorBits: 256 });
    expect(difference(run(program, inputs), made, 0)).toBe(undefined);
  });
  test("a narrowed vector of which one lane is stored leaves what follows it", () => {
    const program = parseProgram(`program one(A: bfloat16[8], C: output bfloat16[8]):
  for i in 0..8:
    block C(v: spatial 8 = i):
      reads A[v]
      writes C[v]
      C[v] = A[v]
  vectorized for j in 0..4:
    block put(v: spatial 4 = j):
      reads A[v], C[v]
      writes C[v]
      if v ^ 1 == 2:
        C[v] = C[v] + A[v]
`);
    const inputs = randomInputs(program, new Random(2));
    expect(difference(run(program, inputs), runNative(program, inputs), 0)).toBe(undefined);
  });
});
test("a loop without blocks stands in the trace", () => {
  const program = matmul(4, 4, 3);
  const s = new Schedule(program);
  s.prefetch(s.block("C"), "B", s.loop("j"), 1);
  const fetching = s.findAll({ loop: "*" }).find((l) => l.findAll({ block: "*" }).length === 0)!;
  s.unroll(fetching);
  expect(structurallyEqual(replay(program, s.trace.toJSON()).program, s.program)).toBe(true);
  expect(s.trace.toSource()).toContain(`s.findAll({ loop: "${fetching.name}" })[0]!`);
});
test("coordinates that no variable of more than one value solves stay conditions", () => {
  const column = parseProgram(`program column(A: int32[8, 3], C: output int32[8, 1]):
  allocate B: int32[8, 3]
  for i in 0..8:
    for j in 0..3:
      block B(vi: spatial 8 = i, vj: spatial 3 = j):
        reads A[vi, vj]
        writes B[vi, vj]
        B[vi, vj] = A[vi, vj] * 2i32
  for i in 0..8:
    for j in 0..1:
      block C(vi: spatial 8 = i, vj: spatial 1 = j):
        reads B[vi, vj * 3]
        writes C[vi, vj]
        C[vi, vj] = B[vi, vj * 3]
`);
  const folded = new Schedule(column);
  folded.reverseComputeInline(folded.block("C"));
  keepsValues(column, folded);
  const patched = parseProgram(`program patched(A: int32[8], C: output int32[8]):
  allocate B: int32[8]
  for i in 0..8:
    block Z(vi: spatial 8 = i):
      writes B[vi]
      B[vi] = 5i32
  for j in 0..1:
    block P(vj: spatial 1 = j):
      reads A[vj]
      writes B[vj * 3]
      B[vj * 3] = A[vj]
  for i in 0..8:
    block C(vi: spatial 8 = i):
      reads B[vi]
      writes C[vi]
      C[vi] = B[vi]
`);
  const inlined = new Schedule(patched);
  inlined.computeInline(inlined.block("P"));
  keepsValues(patched, inlined);
});
