/** Groups of products keep their values when they run tile by tile, and hold no more than a tile between them. */
import { expect, test } from "vitest";
import { fused } from "../../../../passes/schedule/library/fused.ts";
import { Schedule } from "../../../../passes/schedule/schedule.ts";
import { compute, placeholder, programOf, reduce, reduceAxis, type Scalar, sum, where } from "../../../../src/dsl.ts";
import { describeNative, runNative } from "../../../codegen/native-run.ts";
import { difference, randomInputs, run } from "../../../property/support/judge.ts";
import { Random } from "../../../property/support/random.ts";
import { keepsValues } from "../fixtures.ts";

/** softmax(Q·Kᵀ)·V. */
function attention(n: number, d: number) {
  const [Q, K, V] = [placeholder("Q", [n, d]), placeholder("K", [n, d]), placeholder("V", [n, d])];
  const [p, a, b, c] = [reduceAxis("p", d), reduceAxis("a", n), reduceAxis("b", n), reduceAxis("c", n)];
  const scores = compute("scores", [n, n], (i, j) => sum(Q.at(i, p).mul(K.at(j, p)), p));
  const peak = compute("peak", [n], (i) => reduce("max", scores.at(i, a), a));
  const weights = compute("weights", [n, n], (i, j) => scores.at(i, j).sub(peak.at(i)).exp());
  const total = compute("total", [n], (i) => sum(weights.at(i, b), b));
  const mixed = compute("mixed", [n, d], (i, e) => sum(weights.at(i, c).mul(V.at(c, e)), c));
  return programOf(compute("out", [n, d], (i, e) => mixed.at(i, e).div(total.at(i))));
}
/** 1 × 1 expansion, 3 × 3 depthwise, 1 × 1 projection, sum with the input; a window past the border reads zeros. */
function invertedResidual(height: number, width: number, channels: number, wide: number) {
  const X = placeholder("X", [height, width, channels]);
  const [We, Wd] = [placeholder("We", [channels, wide]), placeholder("Wd", [3, 3, wide])];
  const Wp = placeholder("Wp", [wide, channels]);
  const [c, ky, kx, e] = [reduceAxis("c", channels), reduceAxis("ky", 3), reduceAxis("kx", 3), reduceAxis("e", wide)];
  const inside = (y: Scalar, x: Scalar): Scalar => y.ge(1).and(y.le(height)).and(x.ge(1)).and(x.le(width));
  const padded = compute("padded", [height + 2, width + 2, channels], (y, x, o) =>
    where(inside(y, x), X.at(y.sub(1), x.sub(1), o), 0),
  );
  const expand = compute("expand", [height + 2, width + 2, wide], (y, x, o) =>
    sum(padded.at(y, x, c).mul(We.at(c, o)), c),
  );
  const expanded = compute("expanded", [height + 2, width + 2, wide], (y, x, o) => expand.at(y, x, o).max(0));
  const filter = compute("filter", [height, width, wide], (y, x, o) =>
    sum(expanded.at(y.add(ky), x.add(kx), o).mul(Wd.at(ky, kx, o)), ky, kx),
  );
  const depthwise = compute("depthwise", [height, width, wide], (y, x, o) => filter.at(y, x, o).max(0));
  const project = compute("project", [height, width, channels], (y, x, o) =>
    sum(depthwise.at(y, x, e).mul(Wp.at(e, o)), e),
  );
  return programOf(compute("Y", [height, width, channels], (y, x, o) => project.at(y, x, o).add(X.at(y, x, o))));
}

for (const [n, d] of [
  [1, 1],
  [2, 5],
  [13, 16],
  [20, 7],
  [33, 32],
] as const)
  for (const options of [{}, { rows: 3, threads: 2 }])
    test(`attention ${n}×${d} ${JSON.stringify(options)}`, () => {
      const s = new Schedule(attention(n, d));
      fused(s, "out", options);
      keepsValues(attention(n, d), s, 200);
    });
for (const [h, w, c, wide] of [
  [1, 1, 1, 1],
  [4, 5, 3, 7],
  [5, 6, 16, 32],
  [7, 9, 5, 18],
] as const)
  for (const options of [{}, { rows: 2, threads: 2 }])
    test(`inverted residual ${h}×${w}×${c}, ${wide} wide ${JSON.stringify(options)}`, () => {
      const program = invertedResidual(h, w, c, wide);
      const s = new Schedule(program);
      fused(s, "Y", options);
      keepsValues(program, s, 400);
    });

test("every stage but the transposition runs inside the loop over tiles", () => {
  const s = new Schedule(attention(64, 32));
  fused(s, "out", { rows: 4 });
  const [tile] = s.loops("out");
  const apart = s.blocks().filter((b) => s.loops(b)[0]!.id !== tile!.id);
  expect(apart.map((b) => b.name)).toEqual(["K_global_copy"]);
});

describeNative("on this machine", () => {
  test.each([
    ["attention", attention(40, 48), "out"],
    ["inverted residual", invertedResidual(9, 13, 16, 40), "Y"],
  ] as const)("%s", (_, program, last) => {
    const s = new Schedule(program);
    fused(s, last);
    const inputs = randomInputs(program, new Random(5));
    expect(difference(run(program, inputs), runNative(s.program, inputs as never) as never, 400)).toBe(undefined);
  });
});
