/** exp and tanh in float32 (coefficients of Cephes, Moshier 1992). */
import type { Value } from "../writer.ts";
import type { Steps } from "./steps.ts";

const expCoefficients = [1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 1.66666655e-1, 5.00000012e-1];

/**
 * exp(x) = 2^n · exp(r) with |r| ≤ ln 2 / 2. The power of two is multiplied in two halves, so that results may be
 * denormal or overflow to infinity; the argument is clamped to where the result no longer changes. NaN passes through.
 */
export function expSteps(s: Steps, x: Value): Value {
  const above = s.select(s.test("olt", s.number(89), x), s.number(89), x);
  const clamped = s.select(s.test("ogt", s.number(-104), above), s.number(-104), above);
  const n = s.round(s.mul(clamped, s.number(Math.LOG2E)));
  const high = s.mad(n, s.number(-0.693359375), clamped);
  const r = s.mad(n, s.number(2.1219444e-4), high);
  const p = s.polynomial(r, expCoefficients);
  const value = s.add(s.mad(s.mul(r, r), p, r), s.number(1));
  return scaleByPower(s, value, n);
}
/** v · 2^n for -252 ≤ n ≤ 254; a NaN in `v` stays, whatever the conversion of n gives. */
function scaleByPower(s: Steps, v: Value, n: Value): Value {
  const scaled = s.scale(v, n);
  if (scaled) return scaled;
  const whole = s.toInteger(s.select(s.test("uno", n, n), s.number(0), n));
  const first = s.integer("ashr", whole, s.whole(1));
  const second = s.integer("sub", whole, first);
  const power = (e: Value): Value => s.fromBits(s.integer("shl", s.integer("add", e, s.whole(127)), s.whole(23)));
  return s.mul(s.mul(v, power(first)), power(second));
}

const tanhCoefficients = [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1];

/** tanh: a polynomial near 0, 1 - 2/(exp(2|x|) + 1) elsewhere. */
export function tanhSteps(s: Steps, x: Value): Value {
  const magnitude = s.abs(x);
  const square = s.mul(x, x);
  const small = s.mad(s.mul(s.polynomial(square, tanhCoefficients), square), x, x);
  const grown = expSteps(s, s.add(magnitude, magnitude));
  const large = s.sub(s.number(1), s.div(s.number(2), s.add(grown, s.number(1))));
  return s.select(s.test("olt", magnitude, s.number(0.625)), small, s.copySign(large, x));
}
