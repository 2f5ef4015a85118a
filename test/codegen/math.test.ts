import { expect, it } from "vitest";
import { unary } from "../../ir/expr/build.ts";
import type { UnaryOp } from "../../ir/expr/expr.ts";
import { erf } from "../../ir/interp/unary.ts";
import { describeNative, runNative } from "./native-run.ts";
import { elementwise } from "./programs.ts";

const word = new DataView(new ArrayBuffer(4));
/** The distance from a float to the next one. */
function ulp(x: number): number {
  word.setFloat32(0, Math.abs(Math.fround(x)));
  const exponent = Math.max(word.getUint32(0) >>> 23, 1);
  return 2 ** (exponent - 150);
}
/** Error of `actual` in units of the last place of the exact value; 0 where both are the same NaN, infinity or zero. */
function errorUlp(actual: number, exact: number): number {
  if (Number.isNaN(exact)) return Number.isNaN(actual) ? 0 : Number.POSITIVE_INFINITY;
  const rounded = Math.fround(exact);
  if (!Number.isFinite(rounded)) return actual === rounded ? 0 : Number.POSITIVE_INFINITY;
  return Math.abs(actual - exact) / ulp(exact);
}

/** 1e5 arguments: evenly in [low, high], then floats of every exponent, then the special ones. */
function argumentsIn(low: number, high: number): Float32Array {
  const n = 100_000;
  const x = new Float32Array(n);
  for (let k = 0; k < n / 2; k++) x[k] = low + ((high - low) * k) / (n / 2);
  let state = 12345;
  for (let k = n / 2; k < n; k++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    word.setUint32(0, state);
    const v = word.getFloat32(0);
    x[k] = v >= low && v <= high ? v : low + (high - low) * (state / 2 ** 32);
  }
  const infinities = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  x.set([...infinities, 0, -0, 1e-45, -1e-45, 1e-40, 3.4e38, -3.4e38, 1, -1, 88.72283, 88.72284, -103.97, -87.4]);
  return x;
}

const cases: [UnaryOp, (x: number) => number, number, number, number][] = [
  ["exp", Math.exp, -110, 95, 1],
  ["log", Math.log, 0, 1e4, 1],
  ["tanh", Math.tanh, -12, 12, 1.5],
  ["erf", erf, -5, 5, 1.1],
  ["sin", Math.sin, -1e5, 1e5, 1.5],
  ["cos", Math.cos, -1e5, 1e5, 1.5],
  ["sin", Math.sin, -10, 10, 1.5],
  ["cos", Math.cos, -10, 10, 1.5],
];

/** Vectors with tables in registers, with smaller ones, without fused multiply-add; and numbers one by one. */
const ways = [
  { name: "16 lanes", vectorBits: 512 },
  { name: "8 lanes", vectorBits: 256 },
  ...(process.arch === "x64"
    ? [
        { name: "8 lanes of AVX2", vectorBits: 256, processor: { cpu: "x86-64-v3", features: "", avx512: false } },
        {
          name: "4 lanes of SSE",
          vectorBits: 128,
          processor: { cpu: "x86-64-v2", features: "", avx2: false, avx512: false },
        },
      ]
    : []),
  { name: "one number", vectorBits: 512, loopKind: "serial" },
] as const;

describeNative("float32 functions", () => {
  for (const [op, exact, low, high, limit] of cases) {
    for (const { name, ...way } of ways) {
      const loopKind = "loopKind" in way ? way.loopKind : "vectorized";
      it(`${op} in [${low}, ${high}] is within ${limit} ULP, ${name} at a time`, () => {
        const x = argumentsIn(low, high);
        const program = elementwise(["float32"], "float32", ([a]) => unary(op, a!), { n: x.length, loopKind });
        const y = runNative(program, { in0: x }, way).out!;
        let worst = 0;
        let at = 0;
        for (let k = 0; k < x.length; k++) {
          const e = errorUlp(Number(y[k]), exact(x[k]!));
          if (e > worst) [worst, at] = [e, k];
        }
        if (process.env.TILEWRIGHT_ULP) console.log(`${op}, ${name}: ${worst.toFixed(2)} ULP at ${x[at]}`);
        expect(worst, `${op}(${x[at]}) = ${y[at]}, exactly ${exact(x[at]!)}`).toBeLessThanOrEqual(limit);
      });
    }
  }
  const library: UnaryOp[] = ["tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh"];
  it.each(library)("%s is the C library's", (op) => {
    const x = argumentsIn(-3, 3);
    const program = elementwise(["float32"], "float32", ([a]) => unary(op, a!), {
      n: x.length,
      loopKind: "vectorized",
    });
    const y = runNative(program, { in0: x }).out!;
    const f = Math[op as "tan"];
    let worst = 0;
    for (let k = 0; k < x.length; k++) worst = Math.max(worst, errorUlp(Number(y[k]), f(x[k]!)));
    expect(worst).toBeLessThanOrEqual(2);
  });
});
