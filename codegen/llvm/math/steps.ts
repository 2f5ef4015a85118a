/** Float32 arithmetic as the expansions write it: every step takes and gives values of one vector (or scalar) type. */
import { type DType, dtype } from "../../../ir/expr/dtype.ts";
import { type FunctionContext, intrinsic } from "../function-context.ts";
import { floatLiteral, intrinsicSuffix, registerType, splatLiteral, vectorOf } from "../types.ts";
import { literal, type Value } from "../writer.ts";

/** The steps of an expansion. Products and sums carry `contract`, so that they fuse where the target can. */
export interface Steps {
  readonly lanes: number;
  /** A float constant. */
  number(value: number): Value;
  add(a: Value, b: Value): Value;
  sub(a: Value, b: Value): Value;
  mul(a: Value, b: Value): Value;
  div(a: Value, b: Value): Value;
  /** a·b + c. */
  mad(a: Value, b: Value, c: Value): Value;
  /** Horner's scheme, the highest coefficient first. */
  polynomial(x: Value, coefficients: readonly number[]): Value;
  abs(a: Value): Value;
  round(a: Value): Value;
  /** Magnitude of `a`, sign of `b`. */
  copySign(a: Value, b: Value): Value;
  /** A comparison by LLVM predicate, as `olt`. */
  test(predicate: string, a: Value, b: Value): Value;
  select(condition: Value, a: Value, b: Value): Value;
  /** The bits as int32, and back. */
  bits(a: Value): Value;
  fromBits(a: Value): Value;
  /** An int32 constant. */
  whole(value: number): Value;
  /** An int32 instruction, as `add` or `lshr`. */
  integer(name: string, a: Value, b: Value): Value;
  toInteger(a: Value): Value;
  fromInteger(a: Value): Value;
  /** a · 2^n for a whole float `n` by one instruction; undefined where the target has none for these lanes. */
  scale(a: Value, n: Value): Value | undefined;
}

/** Steps on float32 values with the lanes of `t`. */
export function float32Steps(ctx: FunctionContext, t: DType): Steps {
  const { writer } = ctx;
  const { lanes } = t;
  const float = registerType(dtype("float32", lanes));
  const word = vectorOf("i32", lanes);
  const mask = vectorOf("i1", lanes);
  const binary = (name: string) => (a: Value, b: Value) => writer.pure(`${name} ${float} ${a.ref}, ${b.ref}`);
  const unary = (name: string) => (a: Value) => {
    const symbol = `llvm.${name}.${intrinsicSuffix(float)}`;
    return intrinsic(ctx, symbol, float, [[float, a]]);
  };
  const convert = (name: string, from: string, to: string) => (a: Value) =>
    writer.pure(`${name} ${from} ${a.ref} to ${to}`);
  const number = (value: number): Value => literal(splatLiteral("float", floatLiteral(Math.fround(value)), lanes));
  const steps: Steps = {
    lanes,
    number,
    add: binary("fadd contract"),
    sub: binary("fsub contract"),
    mul: binary("fmul contract"),
    div: binary("fdiv"),
    mad: (a, b, c) => steps.add(steps.mul(a, b), c),
    polynomial: (x, coefficients) =>
      coefficients.slice(1).reduce((sum, c) => steps.mad(sum, x, number(c)), number(coefficients[0]!)),
    abs: unary("fabs"),
    round: unary("roundeven"),
    copySign: (a, b) =>
      intrinsic(ctx, `llvm.copysign.${intrinsicSuffix(float)}`, float, [
        [float, a],
        [float, b],
      ]),
    test: (predicate, a, b) => writer.pure(`fcmp ${predicate} ${float} ${a.ref}, ${b.ref}`),
    select: (c, a, b) => writer.pure(`select ${mask} ${c.ref}, ${float} ${a.ref}, ${float} ${b.ref}`),
    bits: convert("bitcast", float, word),
    fromBits: convert("bitcast", word, float),
    whole: (value) => literal(splatLiteral("i32", String(value), lanes)),
    integer: (name, a, b) => writer.pure(`${name} ${word} ${a.ref}, ${b.ref}`),
    toInteger: convert("fptosi", float, word),
    fromInteger: convert("sitofp", word, float),
    scale: (a, n) => (ctx.module.target.avx512 && lanes === 16 ? scalef(ctx, a, n) : undefined),
  };
  return steps;
}

/** AVX-512's `vscalefps`: denormal results, overflow and NaN as the mathematical product has them. */
function scalef(ctx: FunctionContext, a: Value, n: Value): Value {
  const vector = "<16 x float>";
  const name = ctx.module.declare("llvm.x86.avx512.mask.scalef.ps.512", vector, [vector, vector, vector, "i16", "i32"]);
  return ctx.writer.pure(
    `call ${vector} ${name}(${vector} ${a.ref}, ${vector} ${n.ref}, ${vector} zeroinitializer, i16 -1, i32 4)`,
  );
}
