/** Einsum as MatMul between transpositions: the same values, and what stays Einsum. */
import { describe, expect, it } from "vitest";
import { GraphBuilder, staticDims } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { replaceEinsums } from "../../../passes/graph/einsum-products.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import { wave } from "./support.ts";

const extents: Readonly<Record<string, number>> = { a: 2, b: 3, c: 4, d: 5, e: 6, f: 7 };
const dimsOf = (labels: string): number[] => [...labels.trim()].map((l) => extents[l]!);
function network(equation: string, operands = equation.split("->")[0]!.split(",")): Graph {
  const b = new GraphBuilder();
  const inputs = operands.map((labels, i) => b.value(`x${i}`, { dtype: "float32", dims: dimsOf(labels) }));
  const [y] = b.node("Einsum", inputs, { attributes: { equation }, outputs: ["y"] });
  return inferGraph(b.finish({ name: "t", inputs, outputs: [y!] }));
}
const opsOf = (graph: Graph): string[] => graph.nodes.map((n) => n.op);
function feedsOf(graph: Graph) {
  return Object.fromEntries(graph.inputs.map((id, i) => [`x${i}`, wave(staticDims(graph, id), 0.3 + i)]));
}

describe("replaceEinsums", () => {
  it.each<[string, string[]]>([
    ["ab,bc->ac", ["MatMul", "Identity"]],
    ["abcd,abed->abce", ["Transpose", "MatMul", "Identity"]],
    ["abce,abed -> abcd", ["MatMul", "Identity"]],
    ["abc,cd->abd", ["Reshape", "MatMul", "Reshape", "Identity"]],
    ["bac,dac->bd", ["Reshape", "Transpose", "Reshape", "MatMul", "Identity"]],
    ["cab,bda->dc", ["Reshape", "Transpose", "Reshape", "MatMul", "Transpose", "Identity"]],
    ["ac,bd->abcd", ["Reshape", "Reshape", "MatMul", "Reshape", "Transpose", "Identity"]],
    ["abc,abc->", ["Reshape", "Reshape", "MatMul", "Reshape", "Identity"]],
    ["ab,ab->ab", ["Reshape", "Reshape", "MatMul", "Reshape", "Identity"]],
    ["abc,bd->dcba", ["Transpose", "Reshape", "Reshape", "MatMul", "Reshape", "Transpose", "Identity"]],
  ])("keeps the values of %s", (equation, ops) => {
    const graph = network(equation);
    const replaced = replaceEinsums(graph);
    expect(opsOf(replaced)).toEqual(ops);
    const feeds = feedsOf(graph);
    const [before, after] = [graph, replaced].map((g) => interpretGraph(inferGraph(g), feeds).y!);
    expect(after!.dims).toEqual(before!.dims);
    (before!.data as Float32Array).forEach((v, i) => void expect(after!.data[i]).toBeCloseTo(v, 5));
  });

  it.each(["aa,ab->ab", "abc->acb", "ab,bc,cd->ad", "ab,bc", "abc,cd->ad", "...a,ab->...b"])("leaves %s alone", (e) => {
    const graph = network(e, e.split("->")[0]!.replaceAll("...", "d").split(","));
    expect(replaceEinsums(graph)).toBe(graph);
  });
});
