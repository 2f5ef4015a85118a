/** RNN, GRU and LSTM against the equations of the ONNX specification, written out once more in plain numbers. */
import { describe, expect, it } from "vitest";
import type { AttributeRecord } from "../../../ir/graph/build.ts";
import { UnsupportedError } from "../../../ir/support/errors.ts";
import { numbersOf, tensorOf } from "../../../src/operators/elements.ts";
import { interpretNode } from "../../../src/operators/interpret-node.ts";
import { f32, makeNode } from "./nodes.ts";

const size = 2;
const inputs = 3;
const gateCount = { RNN: 1, GRU: 3, LSTM: 4 };
type Op = keyof typeof gateCount;
interface Problem {
  readonly op: Op;
  readonly steps: number;
  readonly batch: number;
  readonly directions: number;
  readonly lengths?: readonly number[];
  readonly linear?: boolean;
}
/** Numbers in (-1, 1) that look random. */
const noise = (n: number, seed: number): number[] =>
  Array.from({ length: n }, (_, i) => Math.fround(Math.sin((i + 1) * 12.9898 + seed * 78.233)));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

interface Weights {
  readonly x: number[];
  readonly w: number[];
  readonly r: number[];
  readonly b: number[];
  readonly h0: number[];
}
function weightsOf(p: Problem): Weights {
  const rows = gateCount[p.op] * size;
  return {
    x: noise(p.steps * p.batch * inputs, 1),
    w: noise(p.directions * rows * inputs, 2),
    r: noise(p.directions * rows * size, 3),
    b: noise(p.directions * 2 * rows, 4),
    h0: noise(p.directions * p.batch * size, 5),
  };
}
/** All hidden states [steps, directions, batch, size] and the last ones [directions, batch, size]. */
function reference(p: Problem, v: Weights): { y: number[]; last: number[] } {
  const gates = gateCount[p.op];
  const y = Array<number>(p.steps * p.directions * p.batch * size).fill(0);
  const last: number[] = [];
  for (let d = 0; d < p.directions; d++)
    for (let n = 0; n < p.batch; n++) {
      let h: readonly number[] = v.h0.slice((d * p.batch + n) * size, (d * p.batch + n + 1) * size);
      let c: readonly number[] = Array<number>(size).fill(0);
      const length = p.lengths?.[n] ?? p.steps;
      for (let k = 0; k < length; k++) {
        const t = d === 1 ? length - 1 - k : k;
        const x = v.x.slice((t * p.batch + n) * inputs, (t * p.batch + n + 1) * inputs);
        const row = (g: number, j: number): number => (d * gates + g) * size + j;
        const fromX = (g: number, j: number): number => x.reduce((s, e, i) => s + e * v.w[row(g, j) * inputs + i]!, 0);
        const fromH = (g: number, j: number, state: readonly number[]): number =>
          state.reduce((s, e, i) => s + e * v.r[row(g, j) * size + i]!, 0);
        const bias = (part: number, g: number, j: number): number => v.b[((d * 2 + part) * gates + g) * size + j]!;
        const all = (g: number, j: number, state = h): number =>
          fromX(g, j) + fromH(g, j, state) + bias(0, g, j) + bias(1, g, j);
        [h, c] = stepOf(p, { h, c, all, fromX, fromH, bias });
        h.forEach((e, j) => {
          y[((t * p.directions + d) * p.batch + n) * size + j] = e;
        });
      }
      last.push(...h);
    }
  return { y, last };
}
interface Step {
  readonly h: readonly number[];
  readonly c: readonly number[];
  readonly all: (g: number, j: number, state?: readonly number[]) => number;
  readonly fromX: (g: number, j: number) => number;
  readonly fromH: (g: number, j: number, state: readonly number[]) => number;
  readonly bias: (part: number, g: number, j: number) => number;
}
function stepOf(p: Problem, s: Step): [number[], number[]] {
  const each = (f: (j: number) => number): number[] => Array.from({ length: size }, (_, j) => f(j));
  if (p.op === "RNN") return [each((j) => Math.tanh(s.all(0, j))), [...s.c]];
  if (p.op === "LSTM") {
    const c = each((j) => sigmoid(s.all(2, j)) * s.c[j]! + sigmoid(s.all(0, j)) * Math.tanh(s.all(3, j)));
    return [each((j) => sigmoid(s.all(1, j)) * Math.tanh(c[j]!)), c];
  }
  const reset = each((j) => sigmoid(s.all(1, j)));
  const candidate = each((j) =>
    p.linear
      ? Math.tanh(s.fromX(2, j) + s.bias(0, 2, j) + reset[j]! * (s.fromH(2, j, s.h) + s.bias(1, 2, j)))
      : Math.tanh(
          s.all(
            2,
            j,
            s.h.map((e, i) => e * reset[i]!),
          ),
        ),
  );
  const z = each((j) => sigmoid(s.all(0, j)));
  return [each((j) => (1 - z[j]!) * candidate[j]! + z[j]! * s.h[j]!), [...s.c]];
}
function compute(p: Problem, v: Weights, attributes: AttributeRecord = {}) {
  const rows = gateCount[p.op] * size;
  const values = [
    f32([p.steps, p.batch, inputs], v.x),
    f32([p.directions, rows, inputs], v.w),
    f32([p.directions, rows, size], v.r),
    f32([p.directions, 2 * rows], v.b),
    p.lengths && tensorOf("int32", [p.batch], p.lengths),
    f32([p.directions, p.batch, size], v.h0),
  ];
  const all: AttributeRecord = {
    hidden_size: size,
    direction: p.directions === 2 ? "bidirectional" : "forward",
    linear_before_reset: p.linear ? 1 : 0,
    ...attributes,
  };
  return interpretNode(makeNode(p.op, values, all, { opset: 14, outputs: 2 }), values);
}
function expectClose(got: readonly number[], want: readonly number[]): void {
  expect(got.length).toBe(want.length);
  const worst = got.reduce((w, g, i) => Math.max(w, Math.abs(g - want[i]!)), 0);
  expect(worst).toBeLessThan(1e-5);
}

describe("recurrent operators", () => {
  const problems: Problem[] = (["RNN", "GRU", "LSTM"] as const).flatMap((op) => [
    { op, steps: 4, batch: 2, directions: 1 },
    { op, steps: 4, batch: 3, directions: 2, lengths: [4, 1, 3] },
  ]);
  it.each([...problems, { op: "GRU" as const, steps: 3, batch: 2, directions: 2, linear: true }])(
    "$op over $steps steps in $directions directions, lengths $lengths, linear $linear",
    (p) => {
      const v = weightsOf(p);
      const want = reference(p, v);
      const [y, last] = compute(p, v);
      expect(y!.dims).toEqual([p.steps, p.directions, p.batch, size]);
      expectClose(numbersOf(y!), want.y);
      expectClose(numbersOf(last!), want.last);
    },
  );
  it("splits and joins sequences too long for one node", () => {
    const p: Problem = { op: "RNN", steps: 70, batch: 2, directions: 1 };
    const v = weightsOf(p);
    expectClose(numbersOf(compute(p, v)[0]!), reference(p, v).y);
  });
  it("refuses activations and lengths it does not know", () => {
    const p: Problem = { op: "RNN", steps: 1, batch: 1, directions: 1 };
    expect(() => compute(p, weightsOf(p), { activations: ["Mystery"] })).toThrow(/activation "Mystery"/);
    const long: Problem = { ...p, steps: 5000 };
    expect(() => compute(long, weightsOf(long))).toThrow(UnsupportedError);
  });
});
