import { describe, expect, it } from "vitest";
import { GraphBuilder, staticDims } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { mergeGroups } from "../../../passes/graph/merge-groups.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { close, machine, meshTarget, ringTarget, targets, wave } from "./support.ts";

/** A padded 3 × 3 convolution with a bias. */
function network(groups: number, inputs: number, outputs: number): Graph {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [1, groups * inputs, 5, 6] });
  const w = b.constant("w", wave([groups * outputs, inputs, 3, 3], 0.7));
  const bias = b.constant("bias", wave([groups * outputs], 0.9));
  const attributes = { group: groups, pads: [1, 1, 1, 1] };
  const [c] = b.node("Conv", [x, w, bias], { attributes });
  const [y] = b.node("Relu", [c], { outputs: ["y"] });
  return inferGraph(b.finish({ name: "t", inputs: [x], outputs: [y!] }));
}

describe("grouped convolutions", () => {
  it.each([
    { groups: 6, inputs: 4, outputs: 4, joined: 2 },
    { groups: 8, inputs: 3, outputs: 2, joined: 4 },
    { groups: 4, inputs: 2, outputs: 12, joined: 2 },
  ])("$groups of $inputs to $outputs channels are joined by $joined", ({ groups, inputs, outputs, joined }) => {
    const graph = network(groups, inputs, outputs);
    const merged = mergeGroups(graph, machine);
    expect(staticDims(merged, merged.nodes[0]!.inputs[1]!)).toEqual([groups * outputs, inputs * joined, 3, 3]);
    const x = wave([1, groups * inputs, 5, 6], 0.3);
    const [before, after] = [graph, merged].map((g) => interpretGraph(g, { x }).y!.data as Float32Array);
    close(after!, before!);
  });

  it.each([
    { groups: 4, joined: 2 },
    { groups: 3, joined: 1 },
  ])(
    "of 8 channels fill whole vectors where those multiply twice as many: $groups by $joined",
    ({ groups, joined }) => {
      const merged = mergeGroups(network(groups, 8, 8), { ...machine, fmaPerCycle: 2 });
      expect(staticDims(merged, merged.nodes[0]!.inputs[1]!)).toEqual([groups * 8, 8 * joined, 3, 3]);
    },
  );

  it.each([
    ["fill blocks", network(3, 8, 8)],
    ["cannot fill any", network(7, 3, 3)],
    ["have one channel", network(16, 1, 1)],
  ])("stay as they are where groups %s", (_, graph) => {
    expect(mergeGroups(graph, machine)).toBe(graph);
  });

  it.each([
    { groups: 3, inputs: 8, outputs: 8 },
    { groups: 13, inputs: 8, outputs: 8 },
    { groups: 4, inputs: 4, outputs: 4 },
    { groups: 3, inputs: 4, outputs: 4 },
    { groups: 2, inputs: 5, outputs: 16 },
    { groups: 3, inputs: 2, outputs: 3 },
  ])("compiled, $groups of $inputs to $outputs channels have their values", async ({ groups, inputs, outputs }) => {
    const graph = network(groups, inputs, outputs);
    const x = wave([1, groups * inputs, 5, 6], 0.3);
    const expected = interpretGraph(graph, { x }).y!.data as Float32Array;
    for (const target of [...targets, ringTarget, meshTarget]) {
      const net = await compile(graph, { target, cache: false });
      close(net.runSync({ x: { ...x, type: "float32" } }).y!.data as Float32Array, expected);
      net.dispose();
    }
  });
});
