/** tensorize: shipped and user-declared intrinsics, values by the interpreter and on this machine. */
import { expect, test } from "vitest";
import { emitLlvm } from "../../../codegen/llvm/index.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { lowerProgram } from "../../../passes/lower/index.ts";
import { bf16Dot, fmaOuterProduct, neonSdot, vnniDot } from "../../../passes/schedule/library/intrinsics.ts";
import type { TensorIntrinsic } from "../../../passes/schedule/primitive/tensorize.ts";
import { replay, Schedule } from "../../../passes/schedule/schedule.ts";
import { assemblyOf, describeNative, runNative } from "../../codegen/native-run.ts";
import { difference, randomInputs, run } from "../../property/support/judge.ts";
import { Random } from "../../property/support/random.ts";
import { keepsValues } from "./fixtures.ts";
import { matmul, scale } from "./loop-programs.ts";
import { bf16, dots, packed, sdot, vnni } from "./must-fail/tensorize.ts";

/** A matmul by outer products of `rows` × 16. */
function outerProducts(program: Program, rows: number): Schedule {
  const s = new Schedule(program);
  const [i, j, k] = s.loops("C");
  const { inner } = s.tile([i!, j!], [rows, 16], "exact");
  s.reorder(k!, ...inner);
  s.decomposeReduction(s.block("C"), k!);
  s.tensorize(s.loopAt("C", 3), fmaOuterProduct(rows));
  return s;
}

test("shows the nest, its kind and the intrinsic", () => {
  const s = outerProducts(matmul(4, 16, 3), 2);
  expect(s.print()).toMatchSnapshot();
});
for (const m of [1, 2, 7])
  test(`${m} rows of dot products and outer products keep their values`, () => {
    for (const [d, intrinsic] of [
      [vnni, vnniDot],
      [bf16, bf16Dot],
      [sdot, neonSdot],
    ] as const) {
      const program = packed(m, 32, 24, d);
      keepsValues(program, dots(program, d, intrinsic), 24);
    }
    const program = matmul(2 * m, 48, 13);
    const s = outerProducts(program, 2);
    keepsValues(program, s, 13);
    keepsValues(program, replay(program, JSON.parse(JSON.stringify(s.trace))), 13);
  });
test("AArch64 text holds the dot product", () => {
  const program = packed(2, 8, 8, sdot);
  const target = { cpu: "neoverse-n1", features: "+dotprod", vectorBits: 128 };
  const { text } = emitLlvm(lowerProgram(dots(program, sdot, neonSdot).program, target), target);
  expect(text).toContain("sdot $0.4s, $2.16b, $3.16b");
  expect(text).toMatch(/call void @tensor\.neon_sdot\(ptr %\w+, ptr %\w+, ptr %\w+\)/);
});

describeNative("on this machine", () => {
  const same = (program: Program, s: Schedule, roundings: number): void => {
    const inputs = randomInputs(program, new Random(5));
    expect(difference(run(program, inputs), runNative(s.program, inputs as never) as never, roundings)).toBe(undefined);
  };
  test("VNNI dot products", () => {
    const program = packed(5, 48, 20, vnni);
    const s = dots(program, vnni, vnniDot);
    expect(assemblyOf(s.program)).toContain("vpdpbusd");
    same(program, s, 1);
  });
  test("BF16 dot products", () => {
    const program = packed(5, 48, 20, bf16);
    const s = dots(program, bf16, bf16Dot);
    expect(assemblyOf(s.program)).toContain("vdpbf16ps");
    same(program, s, 40);
  });
  test("outer products, unrolled and in parallel", () => {
    const program = matmul(12, 64, 33);
    const s = outerProducts(program, 4);
    s.unroll(s.loopAt("C", 1));
    s.parallel(s.loopAt("C", 0));
    expect(assemblyOf(s.program)).toContain("vfmadd");
    same(program, s, 33);
  });
  test("an intrinsic of one's own", () => {
    const negate: TensorIntrinsic = {
      name: "twice-8",
      meaning: `program twice(A: int32[8], B: output int32[8]):
  for i in 0..8:
    B[i] = A[i] * 2i32
`,
      body: [
        "  %a = load <8 x i32>, ptr %A, align 4",
        "  %r = shl <8 x i32> %a, splat (i32 1)",
        "  store <8 x i32> %r, ptr %B, align 4",
      ].join("\n"),
      declarations: [],
      reassociates: false,
    };
    const program = scale(3, 24);
    const s = new Schedule(program);
    const [, inner] = s.split(s.loop("j"), { factor: 8 });
    s.tensorize(inner, negate);
    same(program, s, 1);
  });
});
