/** Combined reductions written by hand: argmin with its index, functions of the user's, factored, compiled. */
import { expect, test } from "vitest";
import { runProgram } from "../../ir/interp/run.ts";
import { UsageError } from "../../ir/support/errors.ts";
import {
  argmin,
  build,
  combiner,
  compute,
  computeTogether,
  placeholder,
  programOf,
  reduceAxis,
  reduceBy,
  schedule,
} from "../../src/index.ts";
import { describeNative } from "../codegen/native-run.ts";

const rows = 5;
const columns = 30;
const A = placeholder("A", [rows, columns]);
const k = reduceAxis("k", columns);
const values = Float32Array.from({ length: rows * columns }, (_, n) => (n * 7) % 11);
const nearest = () =>
  computeTogether(["least", "where"], [rows], (i) => reduceBy(argmin, [A.at(i, k), k], k), ["float32", "int32"]);
/** a·x + b after c·x + d: linear functions, in order. */
const linear = combiner({
  name: "linear",
  identity: [1, 0],
  combine: ([a, b], [c, d]) => [a!.mul(c!), b!.mul(c!).add(d!)],
});

test("argmin gives the value and its first index, which others may read", () => {
  const [least, where] = nearest();
  const shifted = compute("shifted", [rows], (i) => least!.at(i).add(1));
  const { where: at, shifted: one } = runProgram(programOf([where!, shifted]), { A: values });
  for (let row = 0; row < rows; row++) {
    const list = [...values.slice(row * columns, (row + 1) * columns)];
    const best = Math.min(...list);
    expect([Number(at![row]), Number(one![row])]).toEqual([list.indexOf(best), best + 1]);
  }
});
test("a combiner of one's own runs in order", () => {
  const [a, b] = computeTogether(["a", "b"], [rows], (i) => reduceBy(linear, [A.at(i, k).mul(0.1), A.at(i, k)], k));
  const got = runProgram(programOf([a!, b!]), { A: values });
  for (let row = 0; row < rows; row++) {
    let [p, q] = [1, 0];
    for (let c = 0; c < columns; c++) {
      const x = values[row * columns + c]!;
      [p, q] = [p * x * 0.1, q * x * 0.1 + x];
    }
    expect(Number(got.b![row])).toBeCloseTo(q, 2);
    expect(Number(got.a![row])).toBeCloseTo(p, 2);
  }
  const s = schedule([a!, b!]);
  const [, inner] = s.split(s.loop("k"), { factor: 5 });
  expect(s.probe("rfactor", { loop: inner, factorAxis: 0 })?.rule).toBe("keeps-order");
});
test("a tensor without its value is refused", () => {
  const tensors = computeTogether(["a", "b"], [rows], (i) => reduceBy(linear, A.at(i, k), k));
  expect(() => programOf(tensors)).toThrow(UsageError);
});
describeNative("compiled", () => {
  test("argmin in parallel parts", async () => {
    const tensors = nearest();
    const s = schedule(tensors);
    const [outer] = s.split(s.loop("k"), { factor: 6 });
    const parts = s.rfactor(outer, 0);
    s.parallel(s.loops(parts)[0]!);
    const kernel = await build(s, { threads: 2 });
    try {
      const [least, where] = [new Float32Array(rows), new Int32Array(rows)];
      kernel.run({ A: values, least, where });
      const expected = runProgram(programOf(tensors), { A: values });
      expect([...least]).toEqual([...(expected.least as Float32Array)]);
      expect([...where]).toEqual([...(expected.where as Int32Array)]);
    } finally {
      kernel.dispose();
    }
  });
});
