/** Small programs for numeric twins: one loop over n elements, scalar or vectorized. */
import { buffer, load, variable } from "../../ir/expr/build.ts";
import type { ScalarType } from "../../ir/expr/dtype.ts";
import type { Expr, Var } from "../../ir/expr/expr.ts";
import { arrayTypeOf, type TypedArray } from "../../ir/graph/tensor-value.ts";
import { forLoop, primFunc, program, store } from "../../ir/loop/build.ts";
import type { LoopKind, MathPolicy, Program } from "../../ir/loop/program.ts";
import { IdSource } from "../../ir/support/ids.ts";

/** How a generated loop runs. */
export interface LoopStyle {
  readonly n: number;
  readonly loopKind: LoopKind;
  readonly math?: MathPolicy;
}

/** `out[i] = value(in0[i], in1[i], …)`; inputs are named in0, in1, … */
export function elementwise(
  types: readonly ScalarType[],
  out: ScalarType,
  value: (inputs: readonly Expr[], i: Var) => Expr,
  style: LoopStyle,
): Program {
  const ids = new IdSource();
  const inputs = types.map((t, k) => buffer(ids, `in${k}`, t, [style.n]));
  const output = buffer(ids, "out", out, [style.n]);
  const i = variable(ids, "i");
  const result = value(
    inputs.map((b) => load(b, [i])),
    i,
  );
  const body = forLoop(i, style.n, store(output, [i], result), { loopKind: style.loopKind });
  const params = [
    ...inputs.map((b) => ({ buffer: b, role: "input" as const })),
    { buffer: output, role: "output" as const },
  ];
  return program([primFunc({ name: "f", params, body, math: style.math ?? "strict" })], ids);
}

/** Numbers as an array of a type's storage; 16-bit floats by `encode`. */
export function arrayOf(
  type: ScalarType,
  values: readonly (number | bigint)[],
  encode?: (x: number) => number,
): TypedArray {
  const array = new (arrayTypeOf(type))(values.length);
  values.forEach((v, k) => {
    array[k] = (type === "int64" || type === "uint64" ? BigInt(v) : encode ? encode(Number(v)) : Number(v)) as never;
  });
  return array;
}
