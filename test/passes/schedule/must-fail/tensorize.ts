import { cast, floordiv, floormod, mul } from "../../../../ir/expr/build.ts";
import type { ScalarType } from "../../../../ir/expr/dtype.ts";
import { ComputeBuilder, sum } from "../../../../ir/loop/compute.ts";
import type { MathPolicy, Program } from "../../../../ir/loop/program.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import { bf16Dot, fmaOuterProduct, vnniDot } from "../../../../passes/schedule/library/intrinsics.ts";
import { forFeatures, type TensorIntrinsic } from "../../../../passes/schedule/primitive/tensorize.ts";
import { Schedule } from "../../../../passes/schedule/schedule.ts";
import { indexSimplifier } from "../../../../passes/simplify/index.ts";
import type { Refused } from "../fixtures.ts";
import { matmul, scale } from "../loop-programs.ts";

export interface Dot {
  readonly lanes: number;
  readonly width: number;
  readonly types: readonly [ScalarType, ScalarType, ScalarType];
  readonly math?: MathPolicy;
}
export const vnni: Dot = { lanes: 16, width: 4, types: ["int32", "uint8", "int8"] };
export const bf16: Dot = { lanes: 16, width: 2, types: ["float32", "bfloat16", "bfloat16"] };
export const sdot: Dot = { lanes: 4, width: 4, types: ["int32", "int8", "int8"] };

/** C = A · B with B in panels of [columns / lanes, depth / width, lanes, width]. */
export function packed(m: number, n: number, depth: number, d: Dot): Program {
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
export function dots(program: Program, d: Dot, intrinsic: TensorIntrinsic): Schedule {
  return withDots(new Schedule(program), d, intrinsic);
}
export function withDots(s: Schedule, d: Dot, intrinsic: TensorIntrinsic): Schedule {
  const [i, j, k] = s.loops("C");
  const [jo, ji] = s.split(j!, { factor: d.lanes, tail: "exact" });
  const [ko, ki] = s.split(k!, { factor: d.width, tail: "exact" });
  s.reorder(i!, jo, ko, ji, ki);
  s.decomposeReduction(s.block("C"), ko);
  s.tensorize(ji, intrinsic);
  return s;
}
export const fixtures: Record<string, Refused> = {
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
  "tensorize/valid-meaning: a program without a nest": {
    program: () => scale(4, 4),
    steps: (s) =>
      s.tensorize(s.loop("i"), { ...vnniDot, meaning: "program p(A: output float32[4]):\n  A[0] = 1.0\n  A[1] = 2.0" }),
    at: "i",
  },
  "tensorize/store-nest: a block that holds no loop": {
    program: () => scale(4, 4),
    steps: (s) => s.tensorize(s.block("B"), fmaOuterProduct(4)),
    at: "B",
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
  "tensorize/target-features": {
    program: () => forFeatures(packed(2, 16, 8, vnni), ["avx2", "fma"]),
    steps: (s) => withDots(s, vnni, vnniDot),
    at: "j_i",
    twin: { program: () => forFeatures(packed(2, 16, 8, vnni), ["avx512vnni"]) },
  },
};
