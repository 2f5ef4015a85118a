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
  /** Whether the sign bit is set, as a condition. */
  signBit(a: Value): Value;
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
  /** How many entries a table in a register has; 1 where a target or vector has no instruction that looks them up. */
  readonly tableEntries: 1 | 8 | 16;
  /** The entries of a table of `tableEntries` that the last bits of the lanes of `index` (floats) name. */
  lookup(table: readonly number[], index: Value): Value;
  /**
   * a · 2^⌊n⌋ in one instruction; denormal results, overflow and NaN as the mathematical product has them. Undefined where
   * there is none.
   */
  readonly scale?: (a: Value, n: Value) => Value;
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
  const number = (value: number): Value => literal(splatLiteral("float", floatEntry(value), lanes));
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
    signBit: (a) => writer.pure(`icmp slt ${word} ${steps.bits(a).ref}, ${steps.whole(0).ref}`),
    select: (c, a, b) => writer.pure(`select ${mask} ${c.ref}, ${float} ${a.ref}, ${float} ${b.ref}`),
    bits: convert("bitcast", float, word),
    fromBits: convert("bitcast", word, float),
    whole: (value) => literal(splatLiteral("i32", String(value), lanes)),
    integer: (name, a, b) => writer.pure(`${name} ${word} ${a.ref}, ${b.ref}`),
    toInteger: convert("fptosi", float, word),
    fromInteger: convert("sitofp", word, float),
    ...registerTables(ctx, lanes),
  };
  return steps;
}

type TableSteps = Pick<Steps, "tableEntries" | "lookup" | "scale">;

/** Tables of as many entries as the target's permutations of registers choose from. */
function registerTables(ctx: FunctionContext, lanes: number): TableSteps {
  const { avx2, avx512 } = ctx.module.target;
  if (avx512 && (lanes === 16 || lanes === 8)) return avx512Tables(ctx, lanes);
  if (avx2 && lanes === 8) return avx2Tables(ctx);
  return { tableEntries: 1, lookup: ([only]) => literal(splatLiteral("float", floatEntry(only!), lanes)) };
}
const floatEntry = (value: number): string => floatLiteral(Math.fround(value));
const floatVector = (values: readonly number[]): string =>
  `<${values.length} x float> <${values.map((v) => `float ${floatEntry(v)}`).join(", ")}>`;

function avx2Tables({ module, writer }: FunctionContext): TableSteps {
  const [floats, words] = ["<8 x float>", "<8 x i32>"];
  return {
    tableEntries: 8,
    lookup: (table, index) => {
      const bits = writer.pure(`bitcast ${floats} ${index.ref} to ${words}`);
      const callee = module.declare("llvm.x86.avx2.permps", floats, [floats, words]);
      return writer.pure(`call ${floats} ${callee}(${floatVector(table)}, ${words} ${bits.ref})`);
    },
  };
}

function avx512Tables({ module, writer }: FunctionContext, lanes: 16 | 8): TableSteps {
  const [floats, words] = [`<${lanes} x float>`, `<${lanes} x i32>`];
  const mask = lanes === 16 ? "i16" : "i8";
  // Only the instruction on whole registers has a rounding mode, of which 4 is the current one.
  const [rounding, modes] = lanes === 16 ? [", i32 4", ["i32"]] : ["", []];
  return {
    tableEntries: 16,
    lookup: (table, index) => {
      const bits = writer.pure(`bitcast ${floats} ${index.ref} to ${words}`);
      if (lanes === 16) {
        const callee = module.declare("llvm.x86.avx512.permvar.sf.512", floats, [floats, words]);
        return writer.pure(`call ${floats} ${callee}(${floatVector(table)}, ${words} ${bits.ref})`);
      }
      const callee = module.declare("llvm.x86.avx512.vpermi2var.ps.256", floats, [floats, words, floats]);
      const [low, high] = [floatVector(table.slice(0, 8)), floatVector(table.slice(8))];
      return writer.pure(`call ${floats} ${callee}(${low}, ${words} ${bits.ref}, ${high})`);
    },
    scale: (a, n) => {
      const name = `llvm.x86.avx512.mask.scalef.ps.${32 * lanes}`;
      const callee = module.declare(name, floats, [floats, floats, floats, mask, ...modes]);
      const operands = `${floats} ${a.ref}, ${floats} ${n.ref}, ${floats} zeroinitializer, ${mask} -1${rounding}`;
      return writer.pure(`call ${floats} ${callee}(${operands})`);
    },
  };
}
