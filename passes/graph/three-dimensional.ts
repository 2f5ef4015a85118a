/**
 * Gives three-dimensional convolutions, and what lies between them, batches of frames: [n, c, d, h, w] becomes
 * [n · d, c, h, w]. Layouts, recipes and Winograd's algorithm are made for maps of two axes. A convolution over `kd` frames
 * is one over maps of kd · c channels: those of the frames that each result reads, side by side.
 *
 * Sums run over frames first, so results round differently; it does not run under strict math.
 */
import { type AttributeRecord, attributesOf, GraphBuilder, staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import { elementCount, type TensorValue, tensorValue } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import type { PatternOf } from "./fuse-groups.ts";
import { dropDead } from "./rewriting.ts";

/** The first opset in which all operators that are put in read what they are told from inputs. */
const firstOpset = 13;

export function giveFrames(graph: Graph, patternOf: PatternOf): Graph {
  if (!graph.nodes.some((n) => convolutionOf(graph, n))) return graph;
  const rewriter = new Rewriter(graph, patternOf);
  for (const n of graph.nodes) rewriter.visit(n);
  const { builder } = rewriter;
  return dropDead({ ...graph, nodes: builder.nodes, values: builder.values, nextId: builder.ids.next });
}

/** A window over depth, height and width: one number for each, pads before and after them. */
interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}
interface Convolution extends Window {
  readonly weights: TensorValue;
}
/** A float32 convolution of [n, c, d, h, w] in one group with constant weights. */
function convolutionOf(graph: Graph, n: Node): Convolution | undefined {
  const window = n.op === "Conv" ? windowOf(graph, n) : undefined;
  const weights = window && valueOf(graph, n.inputs[1]!).constant;
  const group = n.attributes.get("group");
  if (weights?.type !== "float32" || (group?.kind === "int" && Number(group.value) !== 1)) return undefined;
  return { ...window!, weights, kernel: weights.dims.slice(2) };
}
/** A pool of the greatest elements, without where they were. */
function poolOf(graph: Graph, n: Node): Window | undefined {
  const float = valueOf(graph, n.outputs[0]!).type?.dtype === "float32";
  const window = n.op === "MaxPool" && n.outputs.length === 1 && float ? windowOf(graph, n) : undefined;
  const ceil = n.attributes.get("ceil_mode");
  return ceil?.kind === "int" && Number(ceil.value) !== 0 ? undefined : window;
}
function windowOf(graph: Graph, n: Node): Window | undefined {
  const mode = n.attributes.get("auto_pad");
  const padded = mode?.kind === "string" && mode.value !== "NOTSET";
  if (n.domain !== "" || padded || staticDims(graph, n.outputs[0]!).length !== 5) return undefined;
  if (staticDims(graph, n.outputs[0]!).includes(0)) return undefined;
  const ints = (name: string, otherwise: number[]): readonly number[] => {
    const a = n.attributes.get(name);
    return a?.kind === "ints" ? a.value.map(Number) : otherwise;
  };
  const each = [1, 1, 1];
  return {
    kernel: ints("kernel_shape", each),
    strides: ints("strides", each),
    dilations: ints("dilations", each),
    pads: ints("pads", [0, 0, 0, 0, 0, 0]),
  };
}

class Rewriter {
  readonly builder: GraphBuilder;
  readonly #graph: Graph;
  readonly #patternOf: PatternOf;
  /** The frames that hold the same elements as a value. */
  readonly #frames = new Map<ValueId, ValueId>();

  constructor(graph: Graph, patternOf: PatternOf) {
    this.#graph = graph;
    this.#patternOf = patternOf;
    this.builder = new GraphBuilder(graph);
  }

  visit(n: Node): void {
    const frames = this.#rewritten(n);
    if (frames === undefined) {
      this.builder.add(n);
      return;
    }
    // For readers that stay as they are; dropped where there are none.
    const [output] = n.outputs as readonly [ValueId];
    this.#frames.set(output, frames);
    const [batch, channels, depth, height, width] = this.#dims(output);
    const apart = this.#reshape(n, frames, [batch, depth, channels, height, width]);
    this.#add(n, "Transpose", [apart], output, { perm: [0, 2, 1, 3, 4] });
  }

  /** The frames of the node's output, made from frames; undefined where the node stays as it is. */
  #rewritten(n: Node): ValueId | undefined {
    const [output] = n.outputs;
    if (n.domain !== "" || n.outputs.length !== 1 || staticDims(this.#graph, output!).length !== 5) return undefined;
    const convolution = convolutionOf(this.#graph, n);
    if (convolution) return this.#convolution(n, convolution);
    if (!n.inputs.some((v) => v !== undefined && this.#frames.has(v))) return undefined;
    const pool = poolOf(this.#graph, n);
    if (pool) return this.#pool(n, pool);
    if (n.op === "BatchNormalization") return this.#alike(n, [this.#framesOf(n, n.inputs[0]!), ...n.inputs.slice(1)]);
    if (this.#patternOf(n) !== "elementwise" || n.attributes.has("axis")) return undefined;
    const inputs = n.inputs.map((v) => (v === undefined ? v : this.#operand(n, v)));
    return inputs.some((v, i) => v === undefined && n.inputs[i] !== undefined) ? undefined : this.#alike(n, inputs);
  }
  /** What an element-wise node reads beside frames: frames, a number for all, or constants for the channels. */
  #operand(n: Node, v: ValueId): ValueId | undefined {
    const dims = staticDims(this.#graph, v);
    if (dims.length === 5 && elementCount(dims) === elementCount(this.#dims(n.outputs[0]!)))
      return this.#framesOf(n, v);
    const { name, constant } = valueOf(this.#graph, v);
    if (elementCount(dims) === 1 && dims.length <= 1) return v;
    const wide = [...Array<number>(5 - dims.length).fill(1), ...dims];
    const along = wide.every((d, axis) => axis === 1 || d === 1);
    if (!constant || !along) return undefined;
    return this.builder.constant(`${name}_frames`, tensorValue(constant.type, [1, wide[1]!, 1, 1], constant.data));
  }
  #alike(n: Node, inputs: Node["inputs"]): ValueId {
    const frames = this.#value(n, this.#framed(n.outputs[0]!));
    this.builder.add({ ...n, id: this.#nodeId(), inputs, outputs: [frames] });
    return frames;
  }

  #convolution(n: Node, c: Convolution): ValueId {
    const [x, , ...bias] = n.inputs;
    const [outputs, channels, depth, height, width] = c.weights.dims as [number, number, number, number, number];
    const [batch, , frames] = this.#dims(n.outputs[0]!);
    const read = this.#framesRead(n, x!, c, 0);
    const [, , , inHeight, inWidth] = this.#dims(x!);
    const joined =
      read.length === 1
        ? read[0]!
        : this.#made(n, "Concat", read, [batch, frames, depth * channels, inHeight, inWidth], { axis: 2 });
    const input = this.#reshape(n, joined, [batch * frames, depth * channels, inHeight, inWidth]);
    const { name } = valueOf(this.#graph, n.inputs[1]!);
    const [data, area] = [c.weights.data as Float32Array, height * width];
    const planes = new Float32Array(data.length);
    for (let o = 0; o < outputs; o++)
      for (let i = 0; i < channels; i++)
        for (let k = 0; k < depth; k++) {
          const from = ((o * channels + i) * depth + k) * area;
          planes.set(data.subarray(from, from + area), ((o * depth + k) * channels + i) * area);
        }
    const dims = [outputs, depth * channels, height, width];
    const weights = this.builder.constant(`${name}_frames`, tensorValue("float32", dims, planes));
    const attributes = { ...plane(c), group: 1 };
    return this.#made(n, "Conv", [input, weights, ...bias], this.#framed(n.outputs[0]!), attributes);
  }
  /** The greatest of each frame's windows, then of the frames of a window. */
  #pool(n: Node, p: Window): ValueId {
    const [x] = n.inputs as readonly [ValueId];
    const [batch, channels, depth] = this.#dims(x);
    const [, , frames, height, width] = this.#dims(n.outputs[0]!);
    const attributes = plane(p);
    const shape = [batch * depth, channels, height, width];
    const pooled = this.#made(n, "MaxPool", [this.#framesOf(n, x)], shape, attributes);
    const apart = this.#reshape(n, pooled, [batch, depth, channels, height, width]);
    const whole = [batch, frames, channels, height, width];
    const read = this.#shifted(n, apart, [batch, depth, channels, height, width], p, Number.NEGATIVE_INFINITY);
    const greatest = read.length === 1 ? read[0]! : this.#made(n, "Max", read, whole, {});
    return this.#reshape(n, greatest, this.#framed(n.outputs[0]!));
  }
  /** [batch, frames of the result, channels, height, width] for each place of a window along the depth. */
  #framesRead(n: Node, x: ValueId, w: Window, beyond: number): readonly ValueId[] {
    const [batch, channels, depth, height, width] = this.#dims(x);
    const dims = [batch, depth, channels, height, width] as const;
    return this.#shifted(n, this.#reshape(n, this.#framesOf(n, x), dims), dims, w, beyond);
  }
  /** The same of a value of these dimensions; `beyond` is what stands around its frames. */
  #shifted(n: Node, x: ValueId, dims: readonly number[], w: Window, beyond: number): readonly ValueId[] {
    const [kernel, stride, dilation] = [w.kernel[0]!, w.strides[0]!, w.dilations[0]!];
    const [before, after] = [w.pads[0]!, w.pads[3]!];
    const [batch, depth, ...frame] = dims as readonly [number, number, number, number, number];
    const count = this.#dims(n.outputs[0]!)[2];
    if (kernel === 1 && stride === 1 && before + after === 0) return [x];
    const pads = this.#integers([0, before, 0, 0, 0, 0, after, 0, 0, 0]);
    const value = this.builder.constant("beyond", tensorValue("float32", [], Float32Array.of(beyond)));
    const padded =
      before + after === 0
        ? x
        : this.#made(n, "Pad", [x, pads, value], [batch, before + depth + after, ...frame], { mode: "constant" });
    return Array.from({ length: kernel }, (_, k) => {
      const start = k * dilation;
      const bounds = [[start], [start + (count - 1) * stride + 1], [1], [stride]].map((i) => this.#integers(i));
      return this.#made(n, "Slice", [padded, ...bounds], [batch, count, ...frame], {});
    });
  }

  #framesOf(n: Node, v: ValueId): ValueId {
    const known = this.#frames.get(v);
    if (known !== undefined) return known;
    const [batch, channels, depth, height, width] = this.#dims(v);
    const turned = this.#made(n, "Transpose", [v], [batch, depth, channels, height, width], { perm: [0, 2, 1, 3, 4] });
    const frames = this.#reshape(n, turned, this.#framed(v));
    this.#frames.set(v, frames);
    return frames;
  }
  /** Dimensions of the frames of a value. */
  #framed(v: ValueId): readonly number[] {
    const [batch, channels, depth, height, width] = this.#dims(v);
    return [batch * depth, channels, height, width];
  }
  #dims(v: ValueId): readonly [number, number, number, number, number] {
    return staticDims(this.#graph, v) as readonly number[] as readonly [number, number, number, number, number];
  }
  #reshape(n: Node, from: ValueId, dims: readonly number[]): ValueId {
    return this.#made(n, "Reshape", [from, this.#integers(dims)], dims, {});
  }
  #made(n: Node, op: string, inputs: Node["inputs"], dims: readonly number[], attributes: AttributeRecord): ValueId {
    const value = this.#value(n, dims);
    this.#add(n, op, inputs, value, attributes);
    return value;
  }
  #value(n: Node, dims: readonly number[]): ValueId {
    const { name, type } = valueOf(this.#graph, n.outputs[0]!);
    return this.builder.value(`${name}_frames`, { dtype: type!.dtype, dims });
  }
  #add(n: Node, op: string, inputs: Node["inputs"], output: ValueId, attributes: AttributeRecord): void {
    const opset = Math.max(n.opset, firstOpset);
    const parts = { id: this.#nodeId(), name: n.name, domain: "", op, opset, attributes: attributesOf(attributes) };
    this.builder.add({ ...parts, inputs, outputs: [output] });
  }
  #integers(values: readonly number[]): ValueId {
    const data = BigInt64Array.from(values, BigInt);
    return this.builder.constant("integers", tensorValue("int64", [values.length], data));
  }
  #nodeId(): Node["id"] {
    return this.builder.ids.fresh<"node">();
  }
}

/** Attributes of the window over a frame. */
const plane = ({ kernel, strides, dilations, pads }: Window): AttributeRecord => ({
  kernel_shape: kernel.slice(1),
  strides: strides.slice(1),
  dilations: dilations.slice(1),
  pads: [pads[1]!, pads[2]!, pads[4]!, pads[5]!],
});
