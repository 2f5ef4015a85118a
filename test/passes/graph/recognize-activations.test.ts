import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { recognizeActivations } from "../../../passes/graph/recognize-activations.ts";
import { compile, Tensor } from "../../../src/index.ts";

/** x · sigmoid(gate). */
function gated(gate: "x" | "other", count = 7): Graph {
  const g = new GraphBuilder();
  const x = g.value("x", { dtype: "float32", dims: [count] });
  const other = g.value("other", { dtype: "float32", dims: [count] });
  const [s] = g.node("Sigmoid", [gate === "x" ? x : other], { opset: 13 });
  const [y] = g.node("Mul", [s!, x], { opset: 14, outputs: ["y"] });
  return g.finish({ name: "gated", inputs: [x, other], outputs: [y!] });
}
const ops = (g: Graph): readonly string[] => g.nodes.map((n) => n.op);

describe("recognize-activations", () => {
  test("x · sigmoid(x) is one operator, gates by other values are not", () => {
    expect(ops(recognizeActivations(gated("x")))).toEqual(["Swish"]);
    expect(ops(recognizeActivations(gated("other")))).toEqual(["Sigmoid", "Mul"]);
  });
  test("values stay, at both ends too", async () => {
    const x = Float32Array.of(-200, -20, -1, 0, 1, 20, 200, Number.NaN, Number.POSITIVE_INFINITY);
    const feeds = { x: new Tensor("float32", x, [x.length]), other: new Tensor("float32", x, [x.length]) };
    const net = await compile(gated("x", x.length), { cache: false, threads: 1 });
    const got = net.runSync(feeds).y!.data;
    for (const [k, v] of x.entries()) {
      const want = Math.fround(v / (1 + Math.exp(-v)));
      if (Number.isFinite(want)) expect(Math.abs(Number(got[k]) - want)).toBeLessThanOrEqual(2e-7 * Math.abs(want));
      else expect(Number(got[k])).toBe(want);
    }
    net.dispose();
  });
});
