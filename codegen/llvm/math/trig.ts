/**
 * sin and cos in float32 (polynomials of Cephes). The argument is reduced by multiples of π/2 in double; vectors with a
 * lane beyond 1e5 go to the C library as a whole. A function of its own, because it branches.
 */
import { type DType, dtype } from "../../../ir/expr/dtype.ts";
import { type FunctionContext, intrinsic } from "../function-context.ts";
import { floatLiteral, intrinsicSuffix, registerType, splatLiteral, vectorOf } from "../types.ts";
import { FunctionWriter, literal, type Value } from "../writer.ts";
import { perLane } from "./libm.ts";
import { float32Steps, type Steps } from "./steps.ts";

const largest = 1e5;
/** π/2 in two parts; the first has few enough bits that its products with the quotient are exact. */
const halfPi = [1.5707963267341256, 6.077100506506192e-11] as const;
const sinCoefficients = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1];
const cosCoefficients = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2];

/** Calls the vector function for `op`, defining it on first use. */
export function trigonometric(ctx: FunctionContext, op: "sin" | "cos", x: Value, t: DType): Value {
  const type = registerType(t);
  const symbol = `tw.${op}.${intrinsicSuffix(type)}`;
  ctx.module.define(symbol, () => definition(ctx, op, symbol, t));
  return ctx.writer.pure(`call ${type} @${symbol}(${type} ${x.ref})`);
}

function definition(outer: FunctionContext, op: "sin" | "cos", symbol: string, t: DType): string {
  const writer = new FunctionWriter();
  const ctx: FunctionContext = { ...outer, writer };
  const type = registerType(t);
  const s = float32Steps(ctx, t);
  const x = literal("%x");
  const slot = writer.alloca(type, 64);
  const give = (v: Value): void => writer.instruction(`store ${type} ${v.ref}, ptr ${slot.ref}, align 64`);
  writer.branch(
    anyLane(ctx, s.test("ugt", s.abs(x), s.number(largest)), t.lanes),
    () => give(perLane(ctx, op, t, [x])),
    () => give(reduced(ctx, s, op, x)),
  );
  const result = writer.effect(`load ${type}, ptr ${slot.ref}, align 64`);
  return `define internal ${type} @${symbol}(${type} %x) #0 {\n${writer.finish(`ret ${type} ${result.ref}`)}\n}`;
}
function anyLane(ctx: FunctionContext, mask: Value, lanes: number): Value {
  if (lanes === 1) return mask;
  const type = vectorOf("i1", lanes);
  return intrinsic(ctx, `llvm.vector.reduce.or.${intrinsicSuffix(type)}`, "i1", [[type, mask]]);
}

/** x = n·π/2 + r: the quadrant n mod 4 chooses between ±sin r and ±cos r. */
function reduced(ctx: FunctionContext, s: Steps, op: "sin" | "cos", x: Value): Value {
  const n = s.round(s.mul(x, s.number(2 / Math.PI)));
  const r = remainder(ctx, s.lanes, x, n);
  const whole = s.toInteger(n);
  const quadrant = op === "cos" ? s.integer("add", whole, s.whole(1)) : whole;
  const square = s.mul(r, r);
  const sine = s.mad(s.mul(s.polynomial(square, sinCoefficients), square), r, r);
  const even = s.mul(s.polynomial(square, cosCoefficients), s.mul(square, square));
  const cosine = s.add(s.mad(square, s.number(-0.5), even), s.number(1));
  const odd = s.integer("and", quadrant, s.whole(1));
  const word = vectorOf("i32", s.lanes);
  const useCosine = ctx.writer.pure(`icmp ne ${word} ${odd.ref}, ${s.whole(0).ref}`);
  const magnitude = s.select(useCosine, cosine, sine);
  const sign = s.integer("shl", s.integer("and", quadrant, s.whole(2)), s.whole(30));
  return s.fromBits(s.integer("xor", s.bits(magnitude), sign));
}
function remainder(ctx: FunctionContext, lanes: number, x: Value, n: Value): Value {
  const { writer } = ctx;
  const float = registerType(dtype("float32", lanes));
  const double = vectorOf("double", lanes);
  const wide = (v: Value): Value => writer.pure(`fpext ${float} ${v.ref} to ${double}`);
  const [dx, dn] = [wide(x), wide(n)];
  const minus = (a: Value, part: number): Value => {
    const product = writer.pure(`fmul ${double} ${dn.ref}, ${splatLiteral("double", floatLiteral(part), lanes)}`);
    return writer.pure(`fsub ${double} ${a.ref}, ${product.ref}`);
  };
  return writer.pure(`fptrunc ${double} ${minus(minus(dx, halfPi[0]), halfPi[1]).ref} to ${float}`);
}
