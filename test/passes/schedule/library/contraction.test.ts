/** Recipes of matrix products and convolutions keep their values, whatever the extents. */
import { expect, test } from "vitest";
import { conv2d, depthwise, matmul } from "../../../../passes/schedule/library/contraction.ts";
import { dotProducts } from "../../../../passes/schedule/library/dot-products.ts";
import { Schedule } from "../../../../passes/schedule/schedule.ts";
import { compute, placeholder, programOf, reduceAxis, sum } from "../../../../src/dsl.ts";
import { describeNative, runNative } from "../../../codegen/native-run.ts";
import { difference, randomInputs, run } from "../../../property/support/judge.ts";
import { Random } from "../../../property/support/random.ts";
import { keepsValues } from "../fixtures.ts";

/** relu(A·B), or A·B alone; B may be given with its columns as rows. */
function product(m: number, n: number, k: number, { epilogue = true, transposed = false, batch = 0 } = {}) {
  const lead = batch > 0 ? [batch] : [];
  const [A, B] = [placeholder("A", [...lead, m, k]), placeholder("B", transposed ? [n, k] : [k, n])];
  const p = reduceAxis("p", k);
  const C = compute("C", [...lead, m, n], (...at) => {
    const [i, j] = at.slice(-2);
    return sum(A.at(...at.slice(0, -2), i!, p).mul(transposed ? B.at(j!, p) : B.at(p, j!)), p);
  });
  return programOf(epilogue ? compute("Y", [...lead, m, n], (...at) => C.at(...at).max(0)) : C);
}
/** Pixels last or channels last. */
function convolution(h: number, w: number, ci: number, co: number, kernel: number, last: "channels" | "pixels") {
  const channels = last === "channels";
  const X = placeholder("X", channels ? [h + kernel - 1, w + kernel - 1, ci] : [ci, h + kernel - 1, w + kernel - 1]);
  const W = placeholder("W", channels ? [kernel, kernel, ci, co] : [co, ci, kernel, kernel]);
  const [kh, kw, c] = [reduceAxis("kh", kernel), reduceAxis("kw", kernel), reduceAxis("c", ci)];
  return programOf(
    channels
      ? compute("Y", [h, w, co], (y, x, o) => sum(X.at(y.add(kh), x.add(kw), c).mul(W.at(kh, kw, c, o)), kh, kw, c))
      : compute("Y", [co, h, w], (o, y, x) => sum(X.at(c, y.add(kh), x.add(kw)).mul(W.at(o, c, kh, kw)), kh, kw, c)),
  );
}
function windows(h: number, w: number, c: number, kernel: number) {
  const X = placeholder("X", [h + kernel - 1, w + kernel - 1, c]);
  const W = placeholder("W", [kernel, kernel, c]);
  const [kh, kw] = [reduceAxis("kh", kernel), reduceAxis("kw", kernel)];
  const Y = compute("Y", [h, w, c], (y, x, o) => sum(X.at(y.add(kh), x.add(kw), o).mul(W.at(kh, kw, o)), kh, kw));
  return programOf(compute("Z", [h, w, c], (y, x, o) => Y.at(y, x, o).max(0)));
}

const shapes = [
  [1, 1, 1],
  [1, 16, 7],
  [7, 1, 5],
  [5, 3, 2],
  [6, 64, 24],
  [13, 37, 11],
  [29, 17, 16],
  [33, 48, 9],
] as const;
const products = shapes.flatMap(([m, n, k]) => [
  { name: `${m}×${n}×${k}`, program: () => product(m, n, k), options: {} },
  {
    name: `${m}×${n}×${k} alone, packed`,
    program: () => product(m, n, k, { epilogue: false }),
    options: { pack: true },
  },
  { name: `${m}×${n}×${k} of columns`, program: () => product(m, n, k, { transposed: true }), options: { pack: true } },
  { name: `3 of ${m}×${n}×${k}`, program: () => product(m, n, k, { batch: 3 }), options: { threads: 2 } },
  { name: `${m}×${n}×${k} by 2 × 1`, program: () => product(m, n, k), options: { points: 2, vectors: 1, steps: 3 } },
]);
const convolutions = [
  [1, 1, 1, 1, 1],
  [4, 5, 3, 16, 3],
  [3, 17, 2, 20, 3],
  [5, 33, 4, 5, 2],
  [2, 40, 3, 1, 3],
  [7, 7, 5, 37, 1],
] as const;

for (const { name, program, options } of products)
  test(`matmul ${name}`, () => {
    const s = new Schedule(program());
    matmul(s, "C", options);
    keepsValues(program(), s, 40);
  });
for (const [m, n, k] of [
  [1, 1, 40],
  [5, 2, 1],
  [1, 3, 33],
  [7, 1, 64],
  [9, 2, 100],
  [13, 5, 47],
  [17, 12, 35],
] as const)
  for (const epilogue of [true, false])
    test(`dot products ${m}×${n}×${k}${epilogue ? "" : " alone"}`, () => {
      const program = product(m, n, k, { epilogue, transposed: true });
      const s = new Schedule(program);
      dotProducts(s, "C", { threads: 2 });
      keepsValues(program, s, 40);
    });
test("dot products of several matrices", () => {
  const program = product(6, 3, 50, { batch: 3, transposed: true });
  const s = new Schedule(program);
  dotProducts(s, "C");
  keepsValues(program, s, 40);
});
for (const [h, w, ci, co, k] of convolutions)
  for (const last of ["channels", "pixels"] as const)
    test(`conv2d ${h}×${w}, ${ci} to ${co}, ${k}×${k}, ${last} last`, () => {
      const program = convolution(h, w, ci, co, k, last);
      const s = new Schedule(program);
      conv2d(s, "Y", { threads: 2 });
      keepsValues(program, s, 64);
    });
for (const [h, w, c, k] of [
  [1, 1, 1, 1],
  [3, 5, 16, 3],
  [4, 15, 7, 3],
  [5, 29, 33, 5],
  [2, 14, 48, 3],
] as const)
  test(`depthwise ${h}×${w}×${c}, ${k}×${k}`, () => {
    const program = windows(h, w, c, k);
    const s = new Schedule(program);
    depthwise(s, "Y");
    keepsValues(program, s, 40);
  });

test.each([
  [53, 637, 227],
  [27, 83, 110],
  [40, 100, 60],
  [200, 17, 300],
])("ragged products run in parallel: %i×%i×%i", (m, n, k) => {
  const s = new Schedule(product(m, n, k));
  matmul(s, "C", { threads: 2, pack: false });
  expect(s.print()).toContain("parallel for");
});
test("dot products of rows that tiles share run in parallel", () => {
  const s = new Schedule(product(94, 2, 500, { epilogue: false, transposed: true }));
  dotProducts(s, "C", { threads: 2 });
  expect(s.print()).toContain("parallel for");
});

test("panels hold whole tiles of columns", () => {
  const s = new Schedule(product(12, 128, 30));
  matmul(s, "C", { pack: true, vectors: 4, points: 6 });
  expect(s.blocks().map((b) => b.name)).toContain("B_global_copy");
  expect(s.print()).toMatch(/allocate B_global: float32\[2, 30, 64\]/);
});

describeNative("on this machine", () => {
  test.each([
    ["matmul", product(63, 17, 100), (s: Schedule) => matmul(s, "C")],
    ["packed matmul", product(50, 128, 64), (s: Schedule) => matmul(s, "C", { pack: true })],
    ["dot products", product(29, 5, 77, { transposed: true }), (s: Schedule) => dotProducts(s, "C")],
    ["convolution", convolution(9, 21, 5, 35, 3, "channels"), (s: Schedule) => conv2d(s, "Y")],
    ["planar convolution", convolution(9, 21, 5, 3, 3, "pixels"), (s: Schedule) => conv2d(s, "Y")],
    ["depthwise", windows(6, 19, 40, 3), (s: Schedule) => depthwise(s, "Y")],
  ] as const)("%s", (_, program, schedule) => {
    const s = new Schedule(program);
    schedule(s);
    const inputs = randomInputs(program, new Random(5));
    expect(difference(run(program, inputs), runNative(s.program, inputs as never) as never, 400)).toBe(undefined);
  });
});
