/** What the ONNX node tests leave out: older opsets, empty tensors, NaN, hostile integers, half precision. */
import { describe, expect, it } from "vitest";
import { InputError, UnsupportedError } from "../../../ir/support/errors.ts";
import { fromHalf, numbersOf, tensorOf } from "../../../src/operators/elements.ts";
import { interpretNode } from "../../../src/operators/interpret-node.ts";
import { f32, i64, makeNode, run, runNumbers } from "./nodes.ts";

const counting = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe("element-wise rows", () => {
  it("hand NaN on through Relu, Clip, Max and Min", () => {
    const x = f32([3], [Number.NaN, -1, 7]);
    expect(runNumbers("Relu", [x])).toEqual([Number.NaN, 0, 7]);
    expect(runNumbers("Clip", [x, f32([], [0]), f32([], [6])])).toEqual([Number.NaN, 0, 6]);
    expect(runNumbers("Clip", [x], { min: 0, max: 6 }, { opset: 10 })).toEqual([Number.NaN, 0, 6]);
    const y = f32([3], [1, Number.NaN, 2]);
    expect(runNumbers("Max", [x, y])).toEqual([Number.NaN, Number.NaN, 7]);
    expect(runNumbers("Min", [y, x, y])).toEqual([Number.NaN, Number.NaN, 2]);
  });
  it("let the upper limit of Clip win where the limits cross", () => {
    expect(runNumbers("Clip", [f32([2], [0, 9]), f32([], [5]), f32([], [3])])).toEqual([3, 3]);
    expect(runNumbers("Clip", [f32([2], [0, 9]), undefined, f32([], [3])])).toEqual([0, 3]);
  });
  it("divide integers by zero without failing", () => {
    const [a, b] = [tensorOf("int32", [3], [7, -7, 5]), tensorOf("int32", [3], [2, 2, 0])];
    expect(runNumbers("Div", [a, b])).toEqual([3, -3, 5]);
    expect(runNumbers("Mod", [a, b])).toEqual([1, 1, 0]);
    expect(runNumbers("Mod", [a, b], { fmod: 1 })).toEqual([1, -1, 0]);
  });
  it("refuse what earlier opsets and other types ask for", () => {
    const x = f32([2], [1, 2]);
    expect(() => run("Add", [x, x], { broadcast: 1 }, { opset: 6 })).toThrow(/broadcasting by attributes/);
    expect(() => run("Sigmoid", [i64(1)])).toThrow(/Sigmoid "node" \(opset 22\): element type int64 of input 0/);
    expect(() => run("Where", [tensorOf("bool", [2], [1, 0]), x, i64(1, 2)])).toThrow(/float32 and int64/);
    expect(() => run("Add", [x, f32([3], [1, 2, 3])])).toThrow(/do not broadcast/);
  });
  it("compute half precision in float32 and round once", () => {
    const x = tensorOf("float16", [2], [0.1, 3]);
    const y = run("Gelu", [x]);
    expect(y.type).toBe("float16");
    expect(fromHalf(Number(y.data[1]))).toBeCloseTo(2.99595, 2);
  });
  it("raise integers and mixed types to powers", () => {
    expect(runNumbers("Pow", [i64(2, -3), f32([2], [10, 3])])).toEqual([1024, -27]);
    expect(runNumbers("Pow", [f32([2], [2, -3]), f32([], [2])])).toEqual([4, 9]);
  });
  it("give the mask of Dropout and refuse training", () => {
    const x = f32([2], [1, 2]);
    const [y, mask] = interpretNode(makeNode("Dropout", [x], {}, { outputs: 2 }), [x]);
    expect([numbersOf(y!), numbersOf(mask!)]).toEqual([
      [1, 2],
      [1, 1],
    ]);
    const inputs = [x, f32([], [0.5]), tensorOf("bool", [], [1])];
    expect(() => run("Dropout", inputs)).toThrow(UnsupportedError);
  });
});

describe("reductions", () => {
  it("give the neutral element over empty axes", () => {
    const x = f32([2, 0], []);
    expect(runNumbers("ReduceSum", [x, i64(1)])).toEqual([0, 0]);
    expect(runNumbers("ReduceProd", [x, i64(1)])).toEqual([1, 1]);
    expect(runNumbers("ReduceMax", [x, i64(1)])).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  });
  it("take axes from attributes in earlier opsets", () => {
    const x = f32([2, 3], counting(6));
    expect(runNumbers("ReduceSum", [x], { axes: [1], keepdims: 0 }, { opset: 11 })).toEqual([3, 12]);
    expect(runNumbers("ReduceMean", [x], { axes: [-2] }, { opset: 13 })).toEqual([1.5, 2.5, 3.5]);
    expect(runNumbers("ReduceSum", [x, i64()], { noop_with_empty_axes: 1 })).toEqual(counting(6));
  });
  it("keep infinite maxima in ReduceLogSumExp", () => {
    const inf = Number.POSITIVE_INFINITY;
    expect(runNumbers("ReduceLogSumExp", [f32([2, 2], [-inf, -inf, inf, 0]), i64(1)])).toEqual([-inf, inf]);
    expect(runNumbers("ReduceLogSumExp", [f32([2], [1000, 1000]), i64(0)])[0]).toBeCloseTo(1000 + Math.LN2, 3);
  });
  it("normalise over all later axes in Softmax before opset 13", () => {
    const x = f32([1, 2, 2], [0, 0, 0, 0]);
    expect(runNumbers("Softmax", [x], { axis: 1 }, { opset: 11 })).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect(runNumbers("Softmax", [x], { axis: 1 })).toEqual([0.5, 0.5, 0.5, 0.5]);
    expect(runNumbers("Hardmax", [x], { axis: 1 }, { opset: 11 })).toEqual([1, 0, 0, 0]);
  });
  it("accumulate half-precision products in float32", () => {
    const ones = tensorOf("float16", [1, 4096], Array(4096).fill(1));
    const column = tensorOf("float16", [4096, 1], Array(4096).fill(1));
    expect(runNumbers("MatMul", [ones, column])).toEqual([4096]);
  });
});

describe("normalizations", () => {
  it("give only the statistics that are asked for", () => {
    const inputs = [f32([1, 4], [1, 3, 1, 3]), f32([4], [1, 1, 1, 1])];
    const node = makeNode("LayerNormalization", inputs, { epsilon: 0 }, { outputs: 3 });
    const last = { ...node, outputs: [node.outputs[0], undefined, node.outputs[2]] };
    expect(interpretNode(last, inputs).map(numbersOf)).toEqual([[-1, 1, -1, 1], [1]]);
  });
  it("train batch statistics with one output", () => {
    const one = f32([1], [1]);
    const zero = f32([1], [0]);
    const x = f32([2, 1], [1, 3]);
    expect(runNumbers("BatchNormalization", [x, one, zero, zero, one], { training_mode: 1, epsilon: 0 })).toEqual([
      -1, 1,
    ]);
  });
});

describe("windows", () => {
  it("clamp taps of MaxPool into the input", () => {
    const x = f32([1, 1, 2, 2], [-1, -2, -3, -4]);
    const attributes = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
    expect(runNumbers("MaxPool", [x], attributes)).toEqual([-1, -1, -1, -1]);
    expect(runNumbers("MaxPool", [x], { ...attributes, kernel_shape: [2, 2], dilations: [2, 2] })).toEqual([
      -4, -3, -2, -1,
    ]);
  });
  it("drop windows of ceil_mode that start in the padding", () => {
    const x = f32([1, 1, 3], [1, 2, 3]);
    const attributes = { kernel_shape: [1], strides: [2], pads: [1, 1], ceil_mode: 1 };
    expect(run("AveragePool", [x], attributes).dims).toEqual([1, 1, 2]);
  });
  it("refuse a window that does not fit and pads of the wrong length", () => {
    const x = f32([1, 1, 3], [1, 2, 3]);
    expect(() => run("MaxPool", [x], { kernel_shape: [5] })).toThrow(/does not fit axis 0/);
    expect(() => run("MaxPool", [x], { kernel_shape: [2], pads: [1] })).toThrow(/pads \[1\]/);
    expect(() => run("Conv", [x, f32([1, 2, 1], [1, 1])])).toThrow(InputError);
  });
  it("convolve with groups that are not depthwise", () => {
    const x = f32([1, 4, 2], counting(8));
    const w = f32([2, 2, 1], [1, 10, 1, 10]);
    expect(runNumbers("Conv", [x, w, f32([2], [0.5, -0.5])], { group: 2 })).toEqual([20.5, 31.5, 63.5, 74.5]);
  });
});

describe("data movement", () => {
  it("takes shapes and axes from attributes in earlier opsets", () => {
    const x = f32([1, 4], counting(4));
    expect(run("Squeeze", [x], { axes: [0] }, { opset: 11 }).dims).toEqual([4]);
    expect(run("Unsqueeze", [x], { axes: [0, -1] }, { opset: 11 }).dims).toEqual([1, 1, 4, 1]);
    expect(runNumbers("Slice", [x], { starts: [1], ends: [3], axes: [1] }, { opset: 9 })).toEqual([1, 2]);
    expect(runNumbers("Upsample", [f32([1, 2], [1, 2])], { scales: [1, 2] }, { opset: 7 })).toEqual([1, 1, 2, 2]);
    expect(runNumbers("Resize", [f32([1, 2], [1, 2]), f32([2], [1, 1.5])], {}, { opset: 10 })).toEqual([1, 1, 2]);
  });
  it("slices backwards and to the far ends", () => {
    const x = f32([5], counting(5));
    expect(runNumbers("Slice", [x, i64(-1), i64(-6), i64(0), i64(-2)])).toEqual([4, 2, 0]);
    expect(runNumbers("Slice", [x, i64(2), i64(Number.MAX_SAFE_INTEGER)])).toEqual([2, 3, 4]);
    expect(runNumbers("Slice", [x, i64(4), i64(2)])).toEqual([]);
  });
  it("reshapes with kept, inferred and empty extents", () => {
    const x = f32([2, 3, 4], counting(24));
    expect(run("Reshape", [x, i64(0, -1)]).dims).toEqual([2, 12]);
    expect(runNumbers("Reshape", [x, i64(4, 3, 2)])).toEqual(counting(24));
    expect(run("Reshape", [f32([0, 3], []), i64(3, 0)], { allowzero: 1 }).dims).toEqual([3, 0]);
    expect(() => run("Reshape", [x, i64(5, -1)])).toThrow(/cannot become/);
  });
  it("keeps gathers inside their tensor", () => {
    const x = f32([3], [10, 20, 30]);
    const clamped = interpretNode(makeNode("Gather", [x, i64(-1, 99, -99)]), [x, i64(-1, 99, -99)]);
    expect(numbersOf(clamped[0]!)).toEqual([30, 30, 10]);
    expect(() => run("Gather", [f32([0], []), i64(0)])).toThrow(/empty axis/);
  });
});
