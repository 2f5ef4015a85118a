/** The natural logarithm in float32 (coefficients of Cephes, Moshier 1992). */
import type { Value } from "../writer.ts";
import type { Steps } from "./steps.ts";

const coefficients = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
];

/** log(x) = e·ln 2 + log(m) with √½ ≤ m < √2. Denormals are scaled up first; x < 0 gives NaN, 0 gives -inf. */
export function logSteps(s: Steps, x: Value): Value {
  const denormal = s.test("olt", x, s.number(2 ** -126));
  const scaled = s.select(denormal, s.mul(x, s.number(2 ** 23)), x);
  const bits = s.bits(scaled);
  const fraction = s.fromBits(s.integer("or", s.integer("and", bits, s.whole(0x7fffff)), s.whole(0x3f000000)));
  const raw = s.fromInteger(s.integer("sub", s.integer("lshr", bits, s.whole(23)), s.whole(126)));
  const exponent = s.select(denormal, s.sub(raw, s.number(23)), raw);
  const low = s.test("olt", fraction, s.number(Math.SQRT1_2));
  const e = s.select(low, s.sub(exponent, s.number(1)), exponent);
  const m = s.sub(s.select(low, s.add(fraction, fraction), fraction), s.number(1));
  const square = s.mul(m, m);
  const cubic = s.mul(s.mul(s.polynomial(m, coefficients), m), square);
  const tail = s.mad(square, s.number(-0.5), s.mad(e, s.number(-2.1219444e-4), cubic));
  const value = s.mad(e, s.number(0.693359375), s.add(m, tail));
  return edges(s, x, value);
}
function edges(s: Steps, x: Value, value: Value): Value {
  const infinity = s.number(Number.POSITIVE_INFINITY);
  const finite = s.select(s.test("olt", x, infinity), value, x);
  const positive = s.select(s.test("oeq", x, s.number(0)), s.number(Number.NEGATIVE_INFINITY), finite);
  return s.select(s.test("olt", x, s.number(0)), s.number(Number.NaN), positive);
}
