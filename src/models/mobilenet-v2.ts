/** MobileNetV2 (Sandler et al., CVPR 2018) as an operator graph with seeded random weights. */
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { GraphBuilder } from "../../ir/graph/build.ts";
import type { Graph } from "../../ir/graph/graph.ts";
import { elementCount } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";

/** Which MobileNetV2 to build. */
export interface MobileNetV2Options {
  /** Width multiplier of the channels. Default 1. */
  readonly width?: number;
  /** Height and width of the input in pixels. Default 224. */
  readonly resolution?: number;
  /** Seed of the weights. Default 0. */
  readonly seed?: number;
  /** Number of outputs. Default 1000. */
  readonly classes?: number;
}

/** Table 2 of the paper: expansion factor, output channels, repetitions, stride of the first. */
const stages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

const opset = 17;

/**
 * Builds the network as exporters write it: input `x` [1, 3, resolution, resolution], Conv, BatchNormalization and Clip
 * as nodes of their own, output `logits` [1, classes]. Weights are He-normal and depend on the seed only.
 */
export function buildMobileNetV2(options: MobileNetV2Options = {}): Graph {
  const { width = 1, resolution = 224, seed = 0, classes = 1000 } = options;
  const net = new NetworkBuilder(seed);
  const input = net.graph.value("x", { dtype: "float32", dims: [1, 3, resolution, resolution] });
  let channels = roundChannels(32 * width);
  let x = net.convolution("stem", input, { from: 3, to: channels, kernel: 3, stride: 2, clip: true });
  for (const [stage, [expansion, base, repeats, stride]] of stages.entries()) {
    const to = roundChannels(base * width);
    for (let i = 0; i < repeats; i++) {
      const shape = { from: channels, to, expansion, stride: i === 0 ? stride : 1 };
      x = net.invertedResidual(`stage${stage + 1}.${i}`, x, shape);
      channels = to;
    }
  }
  const head = roundChannels(1280 * Math.max(1, width));
  x = net.convolution("head", x, { from: channels, to: head, kernel: 1, stride: 1, clip: true });
  const logits = net.classifier(x, head, classes);
  const metadata = new Map([["producer_name", "tilewright"]]);
  return net.graph.finish({ name: "mobilenet-v2", inputs: [input], outputs: [logits], metadata });
}

/** The nearest multiple of 8, at least 8 and never below 90 % of what is asked. */
function roundChannels(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

interface ConvolutionShape {
  readonly from: number;
  readonly to: number;
  readonly kernel: number;
  readonly stride: number;
  readonly groups?: number;
  /** Whether a ReLU6 follows. */
  readonly clip: boolean;
}
interface BlockShape {
  readonly from: number;
  readonly to: number;
  readonly expansion: number;
  readonly stride: number;
}

class NetworkBuilder {
  readonly graph = new GraphBuilder();
  readonly #normal: () => number;
  readonly #zero: ValueId;
  readonly #six: ValueId;

  constructor(seed: number) {
    this.#normal = normalNumbers(seed);
    this.#zero = this.graph.constant("relu6.min", { type: "float32", dims: [], data: Float32Array.of(0) });
    this.#six = this.graph.constant("relu6.max", { type: "float32", dims: [], data: Float32Array.of(6) });
  }

  /** Expand, filter each channel, project; added to the input where the shape stays. */
  invertedResidual(name: string, x: ValueId, shape: BlockShape): ValueId {
    const { from, to, expansion, stride } = shape;
    const inner = from * expansion;
    const expand = { from, to: inner, kernel: 1, stride: 1, clip: true };
    const depthwise = { from: inner, to: inner, kernel: 3, stride, groups: inner, clip: true };
    const project = { from: inner, to, kernel: 1, stride: 1, clip: false };
    let y = expansion === 1 ? x : this.convolution(`${name}.expand`, x, expand);
    y = this.convolution(`${name}.depthwise`, y, depthwise);
    y = this.convolution(`${name}.project`, y, project);
    return stride === 1 && from === to ? this.#node("Add", `${name}.add`, [x, y], {}) : y;
  }

  /** Convolution without bias, batch normalization, and ReLU6 where asked. */
  convolution(name: string, x: ValueId, shape: ConvolutionShape): ValueId {
    const { from, to, kernel, stride, groups = 1 } = shape;
    const fanIn = (from / groups) * kernel * kernel;
    const deviation = Math.sqrt((shape.clip ? 2 : 1) / fanIn);
    const weight = this.#weights(`${name}.weight`, [to, from / groups, kernel, kernel], deviation);
    const pad = (kernel - 1) / 2;
    const y = this.#node("Conv", `${name}.conv`, [x, weight], {
      dilations: [1, 1],
      group: groups,
      kernel_shape: [kernel, kernel],
      pads: [pad, pad, pad, pad],
      strides: [stride, stride],
    });
    const normalized = this.#batchNormalization(name, y, to);
    return shape.clip ? this.#node("Clip", `${name}.clip`, [normalized, this.#zero, this.#six], {}) : normalized;
  }

  /** Global average pooling and a fully connected layer. */
  classifier(x: ValueId, channels: number, classes: number): ValueId {
    const pooled = this.#node("GlobalAveragePool", "pool", [x], {});
    const flat = this.#node("Flatten", "flatten", [pooled], { axis: 1 });
    const weight = this.#weights("classifier.weight", [classes, channels], Math.sqrt(1 / channels));
    const bias = this.#weights("classifier.bias", [classes], 0.01);
    const logits = this.#node("Gemm", "logits", [flat, weight, bias], { transB: 1 });
    this.graph.update(logits, { type: { dtype: "float32", dims: [1, classes] } });
    return logits;
  }

  #batchNormalization(name: string, x: ValueId, channels: number): ValueId {
    const inputs = [
      x,
      this.#weights(`${name}.bn.scale`, [channels], 0.05, 1),
      this.#weights(`${name}.bn.bias`, [channels], 0.05),
      this.#weights(`${name}.bn.mean`, [channels], 0.05),
      this.#constant(`${name}.bn.variance`, [channels], () => 1 + 0.1 * Math.abs(this.#normal())),
    ];
    return this.#node("BatchNormalization", `${name}.bn`, inputs, { epsilon: Math.fround(1e-5) });
  }

  #weights(name: string, dims: readonly number[], deviation: number, mean = 0): ValueId {
    return this.#constant(name, dims, () => mean + deviation * this.#normal());
  }

  #constant(name: string, dims: readonly number[], element: () => number): ValueId {
    return this.graph.constant(name, {
      type: "float32",
      dims,
      data: Float32Array.from({ length: elementCount(dims) }, element),
    });
  }

  #node(op: string, name: string, inputs: readonly ValueId[], attributes: Record<string, number | number[]>): ValueId {
    return this.graph.node(op, inputs, { attributes, name, outputs: [name], opset })[0]!;
  }
}

/** Standard normal numbers (Box and Muller), the same for the same seed on every machine up to the last bits of log and cos. */
function normalNumbers(seed: number): () => number {
  const generator = xoroshiro128plus(seed);
  const uniform = () => ((generator.next() >>> 0) + 0.5) / 2 ** 32;
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
