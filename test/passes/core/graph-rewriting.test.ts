/** Patterns over operators: what they match, what they leave, names and types of what they make. */
import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import { UsageError } from "../../../ir/support/errors.ts";
import { verifyGraph } from "../../../ir/verify/graph.ts";
import {
  graphRewritePass,
  graphRule,
  graphPattern as p,
  pipelineOf,
  rewriteGraph,
} from "../../../passes/core/index.ts";

/** y = x · sigmoid(x), with the operands either way round; `tapped`: the sigmoid is an output too. */
function swish(options: { readonly swapped?: boolean; readonly tapped?: boolean } = {}): Graph {
  const g = new GraphBuilder();
  const x = g.value("x", { dtype: "float32", dims: [2, 3] });
  const [s] = g.node("Sigmoid", [x], { outputs: ["s"] });
  const [y] = g.node("Mul", options.swapped ? [s!, x] : [x, s!], { outputs: ["y"] });
  for (const id of [s!, y!]) g.update(id, { type: { dtype: "float32", dims: [2, 3] } });
  return g.finish({ name: "swish", inputs: [x], outputs: options.tapped ? [y!, s!] : [y!] });
}
const x = p.value("x");
const fuse = graphRule(
  "swish",
  p.node("Mul", [x, p.node("Sigmoid", [x])]),
  ({ values }, build) => build.node("Swish", [values.x], { opset: 24 })[0],
);
const ops = (g: Graph): readonly string[] => g.nodes.map((n) => n.op);

describe("a rule on graphs", () => {
  test.each([false, true])("matches either way round (%s), and keeps name and type of the value", (swapped) => {
    const g = rewriteGraph(swish({ swapped }), [fuse]);
    expect(verifyGraph(g)).toEqual([]);
    expect(ops(g)).toEqual(["Swish"]);
    expect(g.values.get(g.outputs[0]!)).toMatchObject({ name: "y", type: { dtype: "float32", dims: [2, 3] } });
  });
  test("leaves what others read", () => {
    const g = swish({ tapped: true });
    expect(rewriteGraph(g, [fuse])).toBe(g);
  });
  test("leaves other values of one name apart", () => {
    const g = new GraphBuilder();
    const [a, b] = ["a", "b"].map((name) => g.value(name, { dtype: "float32", dims: [1] }));
    const [s] = g.node("Sigmoid", [a!]);
    const y = g.node("Mul", [b!, s!]);
    expect(ops(rewriteGraph(g.finish({ name: "g", inputs: [a!, b!], outputs: y }), [fuse]))).toEqual([
      "Sigmoid",
      "Mul",
    ]);
  });
  test("may stand for a value that is there", () => {
    const g = new GraphBuilder();
    const a = g.value("a", { dtype: "float32", dims: [2] });
    const half = g.constant("half", tensorValue("float32", [1], Float32Array.of(0.5)));
    const two = g.constant("two", tensorValue("float32", [], Float32Array.of(2)));
    const [m] = g.node("Mul", [half, a]);
    const [n] = g.node("Mul", [m!, two]);
    const y = g.node("Relu", [n!], { outputs: ["y"] });
    const identity = graphRule(
      "half-of-twice",
      p.node("Mul", [p.scalar(2), p.node("Mul", [p.value("v"), p.scalar(0.5)], { as: "inner" })]),
      ({ values, nodes }) => (nodes.inner.op === "Mul" ? values.v : undefined),
    );
    const done = rewriteGraph(g.finish({ name: "g", inputs: [a], outputs: y }), [identity]);
    expect(verifyGraph(done)).toEqual([]);
    expect(ops(done)).toEqual(["Relu"]);
    expect(done.nodes[0]!.inputs).toEqual([a]);
  });
  test("applies where its condition holds", () => {
    const never = graphRule("never", p.value("v"), ({ values }) => values.v, { where: () => false });
    const g = swish();
    expect(rewriteGraph(g, [never])).toBe(g);
  });
  test("that goes on for ever is named", () => {
    const again = graphRule(
      "again",
      p.node("Sigmoid", [x]),
      ({ values }, build) => build.node("Sigmoid", [values.x])[0],
    );
    expect(() => rewriteGraph(swish(), [again])).toThrow(UsageError);
  });
  test("is in the types of what it captures", () => {
    // @ts-expect-error there is no z
    graphRule("typo", p.node("Sigmoid", [x]), ({ values }) => values.z);
    expect(p.node("Mul", [x, p.scalar(2)]).text).toBe("Mul(x, 2)");
  });
});

test("a pass of rules on graphs stands in a pipeline", () => {
  const pass = graphRewritePass({ name: "fuse-swish", doc: "Fuses.", requires: ["typed"], rules: [fuse] });
  expect(ops(pipelineOf<"graph", "graph">([pass], ["typed"]).run(swish()))).toEqual(["Swish"]);
});
