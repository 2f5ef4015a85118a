/** Groups in blocked layouts with halos compute what the same graph computes in plain layouts. */
import { describe, expect, it } from "vitest";
import { GraphBuilder, staticDims, valueOf } from "../../../ir/graph/build.ts";
import type { FusedGraph, Graph } from "../../../ir/graph/graph.ts";
import { isPlain } from "../../../ir/graph/layout.ts";
import { elementCount, type TensorValue, type TypedArray } from "../../../ir/graph/tensor-value.ts";
import { runProgram } from "../../../ir/interp/run.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { assignLayouts } from "../../../passes/graph/assign-layouts.ts";
import { fuseGroups } from "../../../passes/graph/fuse-groups.ts";
import { genericMachine } from "../../../passes/schedule/library/plan.ts";
import { buildGroupProgram } from "../../../src/operators/build-program.ts";
import { tensorOf } from "../../../src/operators/elements.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import { lookupRow } from "../../../src/operators/registry.ts";
import { packConstant, packedBytes } from "../../../src/runtime/constants.ts";

const machine = { ...genericMachine, lanes: 4, registers: 16 };

function tensor(dims: readonly number[], seed: number): TensorValue {
  const values = Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(seed + i * 0.7));
  return tensorOf("float32", dims, values);
}
/** Runs every group of a fused graph on physical buffers; gives the outputs, which must be plain. */
function interpretFused(fused: FusedGraph, inputs: Readonly<Record<string, TensorValue>>): TypedArray[] {
  const { graph } = fused;
  const buffers = new Map<ValueId, TypedArray>();
  for (const v of graph.values.values()) {
    const value = v.constant ?? inputs[v.name];
    if (!value || (v.constant === undefined && !graph.inputs.includes(v.id))) continue;
    const bytes = new Uint8Array(packedBytes(value, v.layout));
    packConstant(value, v.layout, bytes);
    buffers.set(v.id, new Float32Array(bytes.buffer));
  }
  for (const group of fused.groups) {
    const { program, params } = buildGroupProgram(graph, group, { name: "kernel", math: "strict" });
    const func = program.functions[0]!;
    const named = func.params.flatMap((p, i) =>
      p.role === "output" ? [] : [[p.buffer.name, buffers.get(params[i]!.value)!] as const],
    );
    const results = runProgram(program, Object.fromEntries(named));
    func.params.forEach((p, i) => {
      if (p.role === "output") buffers.set(params[i]!.value, results[p.buffer.name]!);
    });
  }
  return graph.outputs.map((id) => {
    expect(isPlain(valueOf(graph, id).layout)).toBe(true);
    return buffers.get(id)!;
  });
}
function checkLayouts(build: (b: GraphBuilder, x: ValueId) => ValueId, dims: readonly number[]): void {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims });
  const output = build(b, x);
  const graph: Graph = inferGraph(b.finish({ name: "net", inputs: [x], outputs: [output] }));
  const inputs = { x: tensor(dims, 1) };
  const want = Object.values(interpretGraph(graph, inputs))[0]!;
  const fused = assignLayouts(
    fuseGroups(graph, (n) => lookupRow(n.op, n.domain, n.opset)!.pattern),
    machine,
  );
  expect([...fused.graph.values.values()].some((v) => v.layout?.halo)).toBe(true);
  const [got] = interpretFused(fused, inputs);
  expect(elementCount(staticDims(graph, output))).toBe(got!.length);
  want.data.forEach((e, i) => void expect(Number(got![i])).toBeCloseTo(Number(e), 4));
}
const one = (ids: readonly ValueId[]): ValueId => ids[0]!;
function conv(b: GraphBuilder, x: ValueId, w: readonly number[], attributes: Record<string, number | number[]> = {}) {
  const weights = b.constant("w", tensor(w, w[0]!));
  const bias = b.constant("b", tensor([w[0]!], 3));
  return one(b.node("Conv", [x, weights, bias], { attributes }));
}
const pads = [1, 1, 1, 1];

describe("blocked layouts", () => {
  it.each([3, 4, 6, 8])("a network of %i channels keeps its values", (channels) => {
    checkLayouts(
      (b, x) => {
        const a = one(b.node("Relu", [conv(b, x, [channels, 3, 3, 3], { pads })]));
        const d = conv(b, a, [channels, 1, 3, 3], { group: channels, pads, strides: [2, 2] });
        const clipped = one(b.node("HardSwish", [d]));
        const pooled = one(
          b.node("MaxPool", [a], { attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } }),
        );
        const added = one(b.node("Add", [conv(b, clipped, [channels, channels, 1, 1]), pooled]));
        const both = one(b.node("Concat", [added, clipped], { attributes: { axis: 1 } }));
        const scales = b.constant("scales", tensorOf("float32", [4], [1, 1, 2, 2]));
        const up = one(
          b.node("Resize", [both, undefined, scales], {
            attributes: { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" },
          }),
        );
        const gate = conv(b, one(b.node("GlobalAveragePool", [up])), [2 * channels, 2 * channels, 1, 1]);
        const gated = one(b.node("Mul", [up, one(b.node("Sigmoid", [gate]))]));
        const averaged = one(
          b.node("AveragePool", [conv(b, gated, [5, 2 * channels, 3, 3], { pads })], {
            attributes: { kernel_shape: [2, 2], pads: [0, 0, 1, 1] },
          }),
        );
        return one(b.node("Flatten", [averaged], { attributes: { axis: 1 } }));
      },
      [1, 3, 7, 6],
    );
  });
});
