/** Rows that expand into other operators: names of results, pass-through outputs, nesting and its limit. */
import { expect, it, vi } from "vitest";
import { GraphBuilder, valueOf } from "../../../ir/graph/build.ts";
import { numbersOf } from "../../../src/operators/elements.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import type { OperatorRow } from "../../../src/operators/row.ts";
import { f32 } from "./nodes.ts";

vi.mock("../../../src/operators/rows/loss.ts", () => ({
  lossRows: [
    {
      op: "Twice",
      pattern: "opaque",
      infer: (c) => [c.require(0)],
      expand: (c) => [c.graph.node("Add", [c.inputs[0], c.inputs[0]])[0]!, c.inputs[0]!],
    },
    {
      op: "FourTimes",
      pattern: "opaque",
      infer: (c) => [c.require(0)],
      expand: (c) => c.graph.node("Twice", c.graph.node("Twice", c.inputs)),
    },
    {
      op: "Endless",
      pattern: "opaque",
      infer: (c) => [c.require(0)],
      expand: (c) => c.graph.node("Endless", c.inputs),
    },
  ] satisfies OperatorRow[],
}));

function expanded(op: string, outputs: readonly string[]) {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [2] });
  return inferGraph(b.finish({ name: "g", inputs: [x], outputs: b.node(op, [x], { outputs }) }));
}

it("keeps the node's own outputs, made by the last nodes or by a copy", () => {
  const graph = expanded("Twice", ["double", "same"]);
  expect(graph.nodes.map((n) => n.op)).toEqual(["Add", "Identity"]);
  expect(graph.outputs.map((id) => valueOf(graph, id).name)).toEqual(["double", "same"]);
  const results = interpretGraph(graph, { x: f32([2], [1, 2]) });
  expect([results.double!, results.same!].map(numbersOf)).toEqual([
    [2, 4],
    [1, 2],
  ]);
});
it("expands what an expansion is made of", () => {
  const graph = expanded("FourTimes", ["y"]);
  expect(graph.nodes.map((n) => n.op)).toEqual(["Add", "Add"]);
  expect(numbersOf(interpretGraph(graph, { x: f32([2], [1, 2]) }).y!)).toEqual([4, 8]);
});
it("stops expanding at a limit", () => {
  expect(() => expanded("Endless", ["y"])).toThrow(/Endless .*it expands too deeply/);
});
