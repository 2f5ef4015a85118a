/** tensorize: shipped and user-declared intrinsics, values by the interpreter and on this machine, refusals. */
import { expect, test } from "vitest";
import { emitLlvm } from "../../../codegen/llvm/index.ts";
import { cast, floordiv, floormod, mul } from "../../../ir/expr/build.ts";
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import { ComputeBuilder, sum } from "../../../ir/loop/compute.ts";
import type { MathPolicy, Program } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { lowerProgram } from "../../../passes/lower/index.ts";
import { bf16Dot, fmaOuterProduct, neonSdot, vnniDot } from "../../../passes/schedule/library/intrinsics.ts";
import type { TensorIntrinsic } from "../../../passes/schedule/primitive/tensorize.ts";
import { replay, Schedule } from "../../../passes/schedule/schedule.ts";
import { indexSimplifier } from "../../../passes/simplify/index.ts";
import { assemblyOf, describeNative, runNative } from "../../codegen/native-run.ts";
import { difference, randomInputs, run } from "../../property/support/judge.ts";
import { Random } from "../../property/support/random.ts";
import { keepsValues, type Refused, refusals } from "./fixtures.ts";
import { matmul, scale } from "./loop-programs.ts";

interface Dot {
  readonly lanes: number;
  readonly width: number;
  readonly types: readonly [ScalarType, ScalarType, ScalarType];
  readonly math?: MathPolicy;
}
const vnni: Dot = { lanes: 16, width: 4, types: ["int32", "uint8", "int8"] };
const bf16: Dot = { lanes: 16, width: 2, types: ["float32", "bfloat16", "bfloat16"] };
const sdot: Dot = { lanes: 4, width: 4, types: ["int32", "int8", "int8"] };

/** C = A · B with B in panels of [columns / lanes, depth / width, lanes, width]. */
function packed(m: number, n: number, depth: number, d: Dot): Program {
  const [c, a, b] = d.types;
  const builder = new ComputeBuilder(new IdSource(), indexSimplifier);
  const A = builder.param("A", a, [m, depth], "input");
  const B = builder.param("B", b, [n / d.lanes, depth / d.width, d.lanes, d.width], "input");
  const k = builder.reduceAxis("k", depth);
  const C = builder.compute("C", c, [m, n], (i, j) => {
    const panel = [floordiv(j!, d.lanes), floordiv(k.var, d.width), floormod(j!, d.lanes), floormod(k.var, d.width)];
    return sum(mul(cast(c, A.at(i!, k.var)), cast(c, B.at(...panel))), k);
  });
  return builder.finish("dot", [C], { math: d.math ?? "default" });
}
function dots(program: Program, d: Dot, intrinsic: TensorIntrinsic): Schedule {
  return withDots(new Schedule(program), d, intrinsic);
}
function withDots(s: Schedule, d: Dot, intrinsic: TensorIntrinsic): Schedule {
  const [i, j, k] = s.loops("C");
  const [jo, ji] = s.split(j!, { factor: d.lanes, tail: "exact" });
  const [ko, ki] = s.split(k!, { factor: d.width, tail: "exact" });
  s.reorder(i!, jo, ko, ji, ki);
  s.decomposeReduction(s.block("C"), ko);
  s.tensorize(ji, intrinsic);
  return s;
}
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

const fixtures: Record<string, Refused> = {
  "tensorize/serial-loops": {
    program: () => matmul(4, 16, 3),
    steps: (s) => {
      s.vectorize(s.loop("j"));
      s.tensorize(s.loop("i"), fmaOuterProduct(4));
    },
    at: "j",
  },
  "tensorize/scalar-around": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.vectorize(s.loop("i"));
      s.tensorize(s.loop("j"), fmaOuterProduct(4));
    },
    at: "i",
  },
  "tensorize/store-nest": {
    program: () => matmul(4, 16, 3),
    steps: (s) => s.tensorize(s.loop("i"), fmaOuterProduct(4)),
    at: "i",
  },
  "tensorize/valid-meaning": {
    program: () => scale(4, 4),
    steps: (s) => s.tensorize(s.loop("i"), { ...vnniDot, meaning: "nothing" }),
    at: "i",
  },
  "tensorize/matches-meaning": {
    program: () => scale(4, 4),
    steps: (s) => s.tensorize(s.loop("i"), fmaOuterProduct(4, 4)),
    at: "i",
  },
  "tensorize/reassociation-allowed": {
    program: () => packed(2, 16, 8, { ...bf16, math: "strict" }),
    steps: (s) => withDots(s, bf16, bf16Dot),
    at: "j_i",
  },
};
refusals(["tensorize"], fixtures);
