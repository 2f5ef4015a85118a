/** Padding, selection, scans, resampling, quantization and equations on edge values that the ONNX tests leave out. */
import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import { InputError, UnsupportedError } from "../../../ir/support/errors.ts";
import { numbersOf, tensorOf } from "../../../src/operators/elements.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretNode } from "../../../src/operators/interpret-node.ts";
import { f32, i64, makeNode, run, runNumbers } from "./nodes.ts";

const row = f32([4], [1, 2, 3, 4]);

describe("Pad", () => {
  const pad = (mode: string, ...pads: number[]): number[] => runNumbers("Pad", [row, i64(...pads)], { mode });
  it("repeats the pattern as often as it takes", () => {
    expect(pad("reflect", 5, 4)).toEqual([2, 3, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 2]);
    expect(pad("wrap", 5, 1)).toEqual([4, 1, 2, 3, 4, 1, 2, 3, 4, 1]);
    expect(pad("edge", 1, 2)).toEqual([1, 1, 2, 3, 4, 4, 4]);
  });
  it("takes away with negative pads, which the other side does not see", () => {
    expect(pad("constant", -1, 2)).toEqual([2, 3, 4, 0, 0]);
    expect(pad("reflect", -1, 2)).toEqual([2, 3, 4, 3, 2]);
    expect(pad("edge", 2, -3)).toEqual([1, 1, 1]);
    expect(() => pad("constant", -3, -2)).toThrow(/more than axis 0 of 4 has/);
    expect(() => pad("reflect", -4, 2)).toThrow(InputError);
  });
  it("reflects a single element and fills an empty axis", () => {
    expect(runNumbers("Pad", [f32([1], [7]), i64(2, 1)], { mode: "reflect" })).toEqual([7, 7, 7, 7]);
    expect(runNumbers("Pad", [f32([0], []), i64(1, 1), f32([], [9])])).toEqual([9, 9]);
  });
});

describe("TopK", () => {
  const topK = (values: readonly number[], k: number, largest: number): number[][] => {
    const inputs = [f32([values.length], values), i64(k)];
    return interpretNode(makeNode("TopK", inputs, { largest }, { outputs: 2 }), inputs).map(numbersOf);
  };
  it("takes the first of equals first, and numbers that are none first of all", () => {
    expect(topK([2, 5, 2, 5, 1], 4, 1)).toEqual([
      [5, 5, 2, 2],
      [1, 3, 0, 2],
    ]);
    expect(topK([2, 5, 2, 5, 1], 3, 0)).toEqual([
      [1, 2, 2],
      [4, 0, 2],
    ]);
    expect(topK([1, Number.NaN, 3], 2, 1)[1]).toEqual([1, 2]);
    expect(topK([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY], 2, 1)[1]).toEqual([0, 1]);
  });
  it("gives nothing for k of 0 and refuses more than there is", () => {
    expect(topK([1, 2], 0, 1)).toEqual([[], []]);
    expect(() => topK([1, 2], 3, 1)).toThrow(/k \[3\] of an axis of 2/);
  });
});

describe("scans", () => {
  it("start from the neutral element when exclusive, from the end when reversed", () => {
    const scan = (op: string, exclusive: number, reverse: number): number[] =>
      runNumbers(op, [row, tensorOf("int64", [], [0])], { exclusive, reverse }, { opset: 26 });
    expect(scan("CumSum", 0, 0)).toEqual([1, 3, 6, 10]);
    expect(scan("CumSum", 1, 1)).toEqual([9, 7, 4, 0]);
    expect(scan("CumProd", 1, 0)).toEqual([1, 1, 2, 6]);
    expect(scan("CumProd", 0, 1)).toEqual([24, 24, 12, 4]);
  });
});

describe("Einsum", () => {
  it("sums labels that the result leaves out, broadcasts ellipses, takes diagonals", () => {
    const m = f32([2, 2], [1, 2, 3, 4]);
    const einsum = (equation: string, ...inputs: ReturnType<typeof f32>[]): number[] =>
      runNumbers("Einsum", inputs, { equation });
    expect(einsum("ij,jk,kl", m, m, m)).toEqual([37, 54, 81, 118]);
    expect(einsum("ii->", m)).toEqual([5]);
    expect(einsum("...i,i", m, f32([2], [1, 10]))).toEqual([21, 43]);
    expect(einsum("ba", m)).toEqual([1, 3, 2, 4]);
    expect(() => einsum("ij->k", m)).toThrow(InputError);
    expect(() => einsum("ijk", m)).toThrow(/term "ijk" for a tensor \[2,2\]/);
  });
});

describe("Resize", () => {
  it("antialiases, keeps ratios, extrapolates, and rounds integers towards zero", () => {
    const scales = f32([1], [0.5]);
    expect(runNumbers("Resize", [row, undefined, scales], { mode: "linear", antialias: 1 })).toEqual([1.625, 3.375]);
    const sized = run("Resize", [f32([2, 4], Array(8).fill(1)), undefined, undefined, i64(6, 6)], {
      mode: "linear",
      keep_aspect_ratio_policy: "not_larger",
    });
    expect(sized.dims).toEqual([3, 6]);
    const crop = { mode: "linear", coordinate_transformation_mode: "tf_crop_and_resize", extrapolation_value: 9 };
    const got = runNumbers("Resize", [row, f32([2], [0, 2]), undefined, i64(3)], crop);
    expect(got).toEqual([1, 4, 9]);
    const bytes = tensorOf("uint8", [2], [0, 255]);
    expect(runNumbers("Resize", [bytes, undefined, undefined, i64(4)], { mode: "linear" })).toEqual([0, 63, 191, 255]);
  });
});

describe("MaxRoiPool", () => {
  it("takes the greatest of each bin, 0 where a region lies outside", () => {
    const x = f32([1, 1, 2, 4], [1, 2, 3, 4, 5, 6, 7, 8]);
    const regions = f32([2, 5], [0, 0, 0, 3, 1, 0, 9, 9, 12, 12]);
    const got = run("MaxRoiPool", [x, regions], { pooled_shape: [1, 2] });
    expect([got.dims, numbersOf(got)]).toEqual([
      [2, 1, 1, 2],
      [6, 8, 0, 0],
    ]);
  });
});

describe("quantization", () => {
  it("rounds half to even, saturates, and makes zero of what is no number", () => {
    const x = f32([6], [0.5, 1.5, 1000, -1000, Number.NaN, 2.5]);
    const zero = tensorOf("int8", [], [1]);
    expect(runNumbers("QuantizeLinear", [x, f32([], [1]), zero])).toEqual([1, 3, 127, -128, 0, 3]);
    expect(runNumbers("QuantizeLinear", [x, f32([], [1])])).toEqual([0, 2, 255, 0, 0, 2]);
  });
  it("is exact where a product of bytes would not fit float32", () => {
    const k = 4099;
    const a = tensorOf("uint8", [1, k], Array(k).fill(255));
    const b = tensorOf("uint8", [k, 1], Array(k).fill(255));
    expect(runNumbers("MatMulInteger", [a, b])).toEqual([k * 255 * 255]);
  });
});

describe("shapes that depend on data", () => {
  it("are folded where the data is known and refused, with the reason, where not", () => {
    const b = new GraphBuilder();
    const x = b.value("x", { dtype: "float32", dims: [3] });
    const graph = b.finish({ name: "g", inputs: [x], outputs: b.node("NonZero", [x], { name: "where" }) });
    expect(() => inferGraph(graph)).toThrow(UnsupportedError);
    expect(() => inferGraph(graph)).toThrow(/NonZero "where" \(opset 22\): input 0 must be known at compile time/);
    expect(runNumbers("NonZero", [f32([2, 2], [0, 1, 2, 0])])).toEqual([0, 1, 1, 0]);
  });
  it("names what will not come: random numbers, strings, sequences, control flow", () => {
    const reason = (op: string): string => {
      try {
        run(op, [row]);
      } catch (error) {
        if (error instanceof UnsupportedError) return error.items[0]!.reason;
      }
      return "";
    };
    expect(["Bernoulli", "StringSplit", "SequenceInsert", "Loop"].map(reason)).toEqual([
      "random numbers, which no test could reproduce",
      "tensors of strings",
      "sequences of tensors",
      "control flow with inner graphs",
    ]);
  });
});
