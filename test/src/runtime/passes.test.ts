/** Pipelines of networks that the user changed. */
import { expect, test } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { definePass, graphPattern, graphRewritePass, graphRule, insertPass } from "../../../passes/core/index.ts";
import { compile, ObjectCache, Tensor } from "../../../src/index.ts";
import { describeNative } from "../../codegen/native-run.ts";
import { temporaryFolder } from "../cli/run-cli.ts";

const folder = temporaryFolder();

/** y = x · sigmoid(x) + x. */
function network(): Graph {
  const g = new GraphBuilder();
  const x = g.value("x", { dtype: "float32", dims: [16] });
  const [s] = g.node("Sigmoid", [x]);
  const [m] = g.node("Mul", [x, s]);
  const y = g.node("Add", [m, x], { outputs: ["y"] });
  return g.finish({ name: "network", inputs: [x], outputs: y });
}
const x = new Tensor(
  "float32",
  Float32Array.from({ length: 16 }, (_, i) => i - 8),
  [16],
);
const expected = Array.from(x.data as Float32Array, (v) => Math.fround(v / (1 + Math.exp(-v)) + v));
const valuesOf = (net: Awaited<ReturnType<typeof compile>>): number[] => [
  ...(net.runSync({ x }).y!.data as Float32Array),
];
const close = (values: readonly number[]): boolean => values.every((v, i) => Math.abs(v - expected[i]!) < 1e-5);

describeNative("pipelines that the user changed", () => {
  test("rewrite the graph", async () => {
    const v = graphPattern.value("v");
    const swish = graphRule(
      "swish",
      graphPattern.node("Mul", [v, graphPattern.node("Sigmoid", [v])]),
      (found, build) => build.node("Swish", [found.values.v], { opset: 24 })[0],
    );
    const fuse = graphRewritePass({ name: "fuse-swish", doc: "Fuses.", requires: ["typed"], rules: [swish] });
    const ops: string[][] = [];
    const look = definePass<"graph", "graph">({
      name: "look",
      doc: "Looks.",
      run: (g) => {
        ops.push(g.nodes.map((n) => n.op));
        return g;
      },
    });
    const net = await compile(network(), {
      passes: {
        graph: (usual) => insertPass(insertPass(usual, fuse, { after: "infer-types" }), look, { after: "fuse-swish" }),
      },
    });
    expect(ops).toEqual([["Swish", "Add"]]);
    expect(close(valuesOf(net))).toBe(true);
    net.dispose();
  });
  test("rewrite the programs of kernels, which are not cached then", async () => {
    const cache = ObjectCache.open({ folder });
    let seen = 0;
    const look = definePass<"flat", "flat">({
      name: "look",
      doc: "Looks.",
      requires: ["explicit-vectors"],
      run: (p) => {
        seen++;
        return p;
      },
    });
    for (let k = 1; k <= 2; k++) {
      const net = await compile(network(), {
        cache,
        passes: { kernels: (usual) => insertPass(usual, look, { before: "place-allocations" }) },
      });
      expect(seen).toBe(k * net.steps.length);
      expect(close(valuesOf(net))).toBe(true);
      net.dispose();
    }
  });
});
