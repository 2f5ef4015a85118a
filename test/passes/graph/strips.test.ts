/** Convolutions whose map is beyond the second cache, on a mesh. */
import { expect, it } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Machine } from "../../../passes/schedule/library/plan.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { machine, meshMachine, schedulesOf, wave } from "./support.ts";

/** A convolution that widens an image's channels and one that narrows them again, both of one pixel. */
function network(size: number, batch: number) {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [batch, 32, size, size] });
  const [wide] = b.node("Conv", [x, b.constant("w0", wave([256, 32, 1, 1], 0.7))]);
  const [y] = b.node("Conv", [wide!, b.constant("w1", wave([64, 256, 1, 1], 1.3))], { outputs: ["y"] });
  return inferGraph(b.finish({ name: "t", inputs: [x], outputs: [y!] }));
}
/** Extents of the four outermost loops of the convolution that narrows. */
const loopsOf = (on: Machine, size: number, batch: number): number[] => {
  const narrow = schedulesOf(network(size, batch), on)[2]!;
  return Array.from(narrow.matchAll(/for \w+ in 0\.\.(\d+)/g), (m) => Number(m[1])).slice(0, 4);
};

it.each([1, 2])("read strips of rows for all channel tiles, batch %i", (batch) =>
  expect(loopsOf(meshMachine, 56, batch)).toEqual([batch, 7, 2, 8]),
);
it.each([
  ["the map stays in the second cache", meshMachine, 14],
  ["the last cache is near", machine, 56],
] as const)("read all rows for each channel tile where %s", (_, on, size) =>
  expect(loopsOf(on, size, 1).slice(0, 3)).toEqual([1, 2, size]),
);
