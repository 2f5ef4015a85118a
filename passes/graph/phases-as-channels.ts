/**
 * A strided convolution of a map with few channels (an image) as one of stride 1: the s × s phases of the map become
 * channels, and those of the filter with them. A first layer then has channels enough for blocked layouts, and steps of 1
 * for Winograd's algorithm.
 */
import { attributesOf, type GraphBuilder } from "../../ir/graph/build.ts";
import type { Node } from "../../ir/graph/graph.ts";
import { tensorValue } from "../../ir/graph/tensor-value.ts";
import type { ConvShape } from "./contraction-shapes.ts";

/** A convolution of stride 1 that computes what another one of stride `stride` does. */
export interface Phases {
  readonly shape: ConvShape;
  readonly stride: number;
  /** Zero taps in front of the filter, along height and width, so that its padding is a multiple of the stride. */
  readonly lead: readonly [number, number];
}

/** The same convolution of stride 1; undefined where strides differ or nothing is gained. */
export function phasesAsChannels(s: ConvShape): Phases | undefined {
  const [stride, other] = s.strides;
  if (stride !== other || stride === 1 || s.group !== 1 || Math.max(...s.dilations) > 1) return undefined;
  const extents = [s.inputHeight, s.inputWidth];
  const outputs = [s.outputHeight, s.outputWidth];
  const axes = ([0, 1] as const).map((i) => {
    const lead = (stride - (s.pads[i] % stride)) % stride;
    const taps = Math.ceil((s.kernel[i] + lead) / stride);
    const before = (s.pads[i] + lead) / stride;
    const extent = Math.ceil(extents[i]! / stride);
    return { lead, taps, before, extent, after: outputs[i]! - extent - before + taps - 1 };
  });
  const [h, w] = axes as [(typeof axes)[0], (typeof axes)[0]];
  if (h.after < 0 || w.after < 0) return undefined;
  const shape: ConvShape = {
    ...s,
    inputChannels: s.inputChannels * stride * stride,
    inputHeight: h.extent,
    inputWidth: w.extent,
    kernel: [h.taps, w.taps],
    strides: [1, 1],
    pads: [h.before, w.before, h.after, w.after],
  };
  return { shape, stride, lead: [h.lead, w.lead] };
}

/** The filters [o, c, height, width] of `s` as those of its phases: [o, phase of height · phase of width · c, …]. */
export function phasesOfWeights(weights: Float32Array, s: ConvShape, { shape, stride, lead }: Phases): Float32Array {
  const [height, width] = s.kernel;
  const [rows, columns] = shape.kernel;
  const out = new Float32Array(s.outputChannels * shape.inputChannels * rows * columns);
  for (let o = 0; o < s.outputChannels; o++)
    for (let c = 0; c < s.inputChannels; c++)
      for (let i = 0; i < height; i++)
        for (let j = 0; j < width; j++) {
          const [y, x] = [i + lead[0], j + lead[1]];
          const channel = ((y % stride) * stride + (x % stride)) * s.inputChannels + c;
          const row = (o * shape.inputChannels + channel) * rows + Math.floor(y / stride);
          out[row * columns + Math.floor(x / stride)] = weights[((o * s.inputChannels + c) * height + i) * width + j]!;
        }
  return out;
}

/** The nodes that give the phases of the map that `n` reads, which computes `s`. */
export function phasesOfMap(builder: GraphBuilder, n: Node, s: ConvShape, { shape, stride }: Phases): Node[] {
  const x = builder.values.get(n.inputs[0]!)!;
  const node = (op: string, inputs: Node["inputs"], dims: readonly number[], ints: Record<string, number>): Node => ({
    id: builder.ids.fresh<"node">(),
    name: `${n.name}_${op}`,
    op,
    domain: "",
    opset: 13,
    inputs,
    outputs: [builder.value(`${x.name}_${op}`, { dtype: "float32", dims })],
    attributes: attributesOf(ints),
  });
  const even = [s.batch, s.inputChannels, shape.inputHeight * stride, shape.inputWidth * stride] as const;
  const nodes: Node[] = [];
  if (even[2] !== s.inputHeight || even[3] !== s.inputWidth) {
    const pads = [0, 0, 0, 0, 0, 0, even[2] - s.inputHeight, even[3] - s.inputWidth].map(BigInt);
    const amounts = builder.constant(`${x.name}_pads`, tensorValue("int64", [8], BigInt64Array.from(pads)));
    nodes.push(node("Pad", [n.inputs[0], amounts], even, {}));
  }
  const dims = [s.batch, shape.inputChannels, shape.inputHeight, shape.inputWidth];
  nodes.push(node("SpaceToDepth", [nodes[0]?.outputs[0] ?? n.inputs[0]], dims, { blocksize: stride }));
  return nodes;
}
