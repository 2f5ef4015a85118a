/** exp and tanh in float32 (coefficients of Cephes, Moshier 1992, where no other source is named). */
import type { Value } from "../writer.ts";
import type { Avx512Steps, Steps } from "./steps.ts";

const expCoefficients = [1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 1.66666655e-1, 5.00000012e-1];
/** ln 2 in two parts, of which the first has so few bits that its products with exponents are exact. */
const [ln2High, ln2Low] = [0.693359375, -2.1219444e-4];

/**
 * exp(x) = 2^n · exp(r) with |r| ≤ ln 2 / 2. The power of two is multiplied in two halves, so that results may be
 * denormal or overflow to infinity; the argument is clamped to where the result no longer changes. NaN passes through.
 */
export function expSteps(s: Steps, x: Value): Value {
  const above = s.select(s.test("olt", s.number(89), x), s.number(89), x);
  const clamped = s.select(s.test("ogt", s.number(-104), above), s.number(-104), above);
  if (s.avx512) return expByTable(s, s.avx512, clamped);
  const n = s.round(s.mul(clamped, s.number(Math.LOG2E)));
  const r = s.mad(n, s.number(-ln2Low), s.mad(n, s.number(-ln2High), clamped));
  const p = s.polynomial(r, expCoefficients);
  const value = s.add(s.mad(s.mul(r, r), p, r), s.number(1));
  return scaleByPower(s, value, n);
}

/** 2^(j/16). */
const roots = Array.from({ length: 16 }, (_, j) => 2 ** (j / 16));
/** exp(r) - 1 = r + c₂·r² + c₃·r³ to 2^-29 for |r| ≤ ln 2 / 32 (minimax). */
const [c2, c3] = [0.50001619, 0.16667039];
/** Adding and taking away this float rounds to sixteenths, which the last bits of the sum count. */
const sixteenths = 1.5 * 2 ** 19;

/**
 * exp(x) = 2^n · 2^(j/16) · exp(r): three multiplications fewer than without the table, on ports that are busy (Tang 1989,
 * "Table-driven implementation of the exponential function").
 */
function expByTable(s: Steps, a: Avx512Steps, x: Value): Value {
  const counted = s.mad(x, s.number(Math.LOG2E), s.number(sixteenths));
  const n = s.sub(counted, s.number(sixteenths));
  const r = s.mad(n, s.number(-ln2Low), s.mad(n, s.number(-ln2High), x));
  const root = a.lookup(roots, counted);
  const q = s.mul(r, s.polynomial(r, [c3, c2, 1]));
  return a.scale(s.mad(root, q, root), n);
}
/** v · 2^n for -252 ≤ n ≤ 254; a NaN in `v` stays, whatever the conversion of n gives. */
function scaleByPower(s: Steps, v: Value, n: Value): Value {
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
