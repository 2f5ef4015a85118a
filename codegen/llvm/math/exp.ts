/** exp and tanh in float32 (coefficients of Cephes, Moshier 1992, where no other source is named). */
import type { Value } from "../writer.ts";
import type { Steps } from "./steps.ts";

/** ln 2 in two parts, of which the first has so few bits that its products with exponents are exact. */
const [ln2High, ln2Low] = [0.693359375, -2.1219444e-4];

/**
 * P in exp(r) = 1 + r + r²·P(r) for |r| ≤ ln 2 / (2·entries), by entries of the table; to 2^-29 (minimax) where there is
 * one.
 */
const coefficients = {
  1: [1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 1.66666655e-1, 5.00000012e-1],
  8: [4.16692756e-2, 1.66680247e-1, 0.5],
  16: [0.16667039, 0.50001619],
};

/**
 * exp(x) = 2^n · 2^(j/entries) · exp(r), the second factor looked up where the target has tables in registers: fewer
 * multiplications, on ports that are busy (Tang 1989, "Table-driven implementation of the exponential function"). The
 * argument is clamped to where the result no longer changes. NaN passes through.
 */
export function expSteps(s: Steps, x: Value): Value {
  const above = s.select(s.test("olt", s.number(89), x), s.number(89), x);
  const clamped = s.select(s.test("ogt", s.number(-104), above), s.number(-104), above);
  // Adding and taking away this float rounds to the fractions that entries stand for; the sum's last bits count them.
  const fractions = s.number((1.5 * 2 ** 23) / s.tableEntries);
  const counted = s.mad(clamped, s.number(Math.LOG2E), fractions);
  const n = s.sub(counted, fractions);
  const r = s.mad(n, s.number(-ln2Low), s.mad(n, s.number(-ln2High), clamped));
  const q = s.mad(s.mul(r, r), s.polynomial(r, coefficients[s.tableEntries]), r);
  if (s.scale) {
    const root = s.lookup(roots(s.tableEntries), counted);
    return s.scale(s.mad(root, q, root), n);
  }
  const { power, rest } = powerOfTwo(s, clamped, counted);
  return s.mul(s.mad(power, q, power), rest);
}

/** 2^(j/entries) for every j below `entries`. */
const roots = (entries: number): number[] => Array.from({ length: entries }, (_, j) => 2 ** (j / entries));

/** Half of the exponents that results have, so that neither factor of a result leaves the normal floats. */
const half = 64;

/**
 * 2^(j/entries + n) as power · rest, where rest is 2^-64 for negative `x` and 2^64 for others: only the last product rounds
 * to a denormal or overflows. Exponents are added as bits: the count's last bits are 8n + j, say, and shifted into place
 * they add n to the exponent and j to the mantissa, which the table's roots therefore lack.
 */
function powerOfTwo(s: Steps, x: Value, counted: Value): { power: Value; rest: Value } {
  const shift = 23 - Math.log2(s.tableEntries);
  const table = roots(s.tableEntries).map((root, j) => floatOf(bitsOf(root) + bitsOf(1) - (j << shift)));
  const rest = s.select(s.signBit(x), s.number(2 ** -half), s.number(2 ** half));
  const exponent = s.integer("shl", s.bits(counted), s.whole(shift));
  const root = s.integer("sub", s.bits(s.lookup(table, counted)), s.bits(rest));
  return { power: s.fromBits(s.integer("add", root, exponent)), rest };
}

const word = new DataView(new ArrayBuffer(4));
/** The bits of a float32. */
function bitsOf(value: number): number {
  word.setFloat32(0, value);
  return word.getUint32(0);
}
function floatOf(bits: number): number {
  word.setUint32(0, bits);
  return word.getFloat32(0);
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
