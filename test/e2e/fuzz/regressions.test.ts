/** What random networks once brought to light, one graph each, compared with the reference in the ways it went wrong. */
import { describe, expect, it } from "vitest";
import { check, configurations, refusals } from "./check.ts";
import { type Known, Source } from "./source.ts";

type Build = (s: Source) => readonly Known[];

function caseOf(build: Build) {
  const s = new Source(1);
  const outputs = build(s);
  const graph = s.finish("regression", outputs);
  const feeds = [0, 1].map(() =>
    Object.fromEntries(s.inputs.map((i) => [graph.values.get(i.id)!.name, s.values(i.type, i.dims)])),
  );
  return { graph, feeds };
}

const cases: Readonly<Record<string, Build>> = {
  "a slice that reverses an axis is no identity": (s) => {
    const x = s.input([2, 6]);
    return [s.one("Slice", [x, s.ints([-1]), s.ints([-1000]), s.ints([1]), s.ints([-1])])];
  },
  "a pad that shifts is no identity": (s) => [
    s.one("Pad", [s.input([2, 6]), s.ints([0, 1, 0, -1])], { mode: "constant" }),
  ],
  "outputs of equal nodes keep their names": (s) => {
    const x = s.input([3]);
    return [s.one("Unsqueeze", [x, s.ints([0])]), s.one("Unsqueeze", [x, s.ints([0])])];
  },
  "a matrix product of depth one": (s) => [s.one("MatMul", [s.input([5, 1]), s.constant([1, 32])])],
  "a dense convolution of one input channel and pixel": (s) => [
    s.one("Relu", [s.one("Conv", [s.input([1, 1, 5, 7]), s.constant([24, 1, 1, 1])])]),
  ],
  "a convolution to one channel of one pixel": (s) => [
    s.one("Relu", [s.one("Conv", [s.one("GlobalAveragePool", [s.input([1, 17, 3, 3])]), s.constant([1, 17, 1, 1])])]),
  ],
  "a strided depthwise convolution of one element a window": (s) => [
    s.one("Conv", [s.input([1, 20, 6, 16]), s.constant([20, 1, 1, 1])], { group: 20, strides: [3, 3] }),
  ],
  "a pool over row-major maps of three axes": (s) => [s.one("GlobalAveragePool", [s.input([1, 70, 1, 2, 3])])],
};

describe.each(Object.entries(cases))("%s", (_, build) => {
  const { graph, feeds } = caseOf(build);
  it.each(configurations.slice(0, 3))("computes what the reference does: $label", async (options) => {
    expect(await check(graph, feeds, options)).not.toHaveProperty("failure");
  });
  it("is no surprise to a recipe", () => {
    for (const options of configurations)
      expect(refusals(graph, options).refused.filter((r) => r.includes("bug:"))).toEqual([]);
  });
});
