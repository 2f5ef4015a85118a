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
import { samePads } from "./contraction-shapes.ts";
import type { PatternOf } from "./fuse-groups.ts";
import { dropDead } from "./rewriting.ts";

/** The first opset in which all operators that are put in read what they are told from inputs. */
const firstOpset = 13;

export function giveFrames(graph: Graph, patternOf: PatternOf): Graph {
  if (!graph.nodes.some((n) => convolutionOf(graph, n) ?? transposedOf(graph, n))) return graph;
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
  readonly groups: number;
}
/** A float32 convolution of [n, c, d, h, w] with constant weights, several channels a group. */
function convolutionOf(graph: Graph, n: Node): Convolution | undefined {
  if (n.op !== "Conv" || n.domain !== "") return undefined;
  const weights = valueOf(graph, n.inputs[1]!).constant;
  const window = weights?.type === "float32" ? windowOf(graph, n, weights.dims.slice(2)) : undefined;
  const group = n.attributes.get("group");
  const groups = group?.kind === "int" ? Number(group.value) : 1;
  return window && (groups === 1 || weights!.dims[1]! > 1) ? { ...window, groups } : undefined;
}
/**
 * The weights of a float32 ConvTranspose of [n, c, d, h, w] in one group, each of whose frames makes frames of its own: its
 * kernel is as long as its stride.
 */
function transposedOf(graph: Graph, n: Node): TensorValue | undefined {
  if (n.op !== "ConvTranspose" || n.domain !== "" || n.attributes.has("output_shape")) return undefined;
  const weights = valueOf(graph, n.inputs[1]!).constant;
  const window = weights?.type === "float32" ? windowOf(graph, n, weights.dims.slice(2)) : undefined;
  const [, , bias] = n.inputs;
  if (!window || n.attributes.has("auto_pad") || (bias !== undefined && !valueOf(graph, bias).constant))
    return undefined;
  const group = n.attributes.get("group");
  const [input, output] = [n.inputs[0]!, n.outputs[0]!].map((v) => staticDims(graph, v)[2]!) as [number, number];
  const { kernel, strides, dilations, pads } = window;
  const own = kernel[0] === strides[0] && dilations[0] === 1 && pads[0] === 0 && pads[3] === 0;
  const whole = (group?.kind !== "int" || Number(group.value) === 1) && output === input * strides[0]!;
  return own && whole ? weights : undefined;
}
/** A pool of the greatest elements, without where they were. */
function poolOf(graph: Graph, n: Node): Window | undefined {
  const float = valueOf(graph, n.outputs[0]!).type?.dtype === "float32";
  const window = n.op === "MaxPool" && n.outputs.length === 1 && float ? windowOf(graph, n) : undefined;
  const ceil = n.attributes.get("ceil_mode");
  return ceil?.kind === "int" && Number(ceil.value) !== 0 ? undefined : window;
}
function windowOf(graph: Graph, n: Node, kernel = ints(n, "kernel_shape", [1, 1, 1])): Window | undefined {
  const [input, output] = [n.inputs[0]!, n.outputs[0]!].map((v) => staticDims(graph, v));
  if (n.domain !== "" || output!.length !== 5 || output!.includes(0)) return undefined;
  const [strides, dilations] = [ints(n, "strides", [1, 1, 1]), ints(n, "dilations", [1, 1, 1])];
  const mode = n.attributes.get("auto_pad");
  const automatic = mode?.kind === "string" ? mode.value : "NOTSET";
  const none = [0, 0, 0, 0, 0, 0];
  if (automatic === "NOTSET") return { kernel, strides, dilations, pads: ints(n, "pads", none) };
  if (automatic === "VALID") return { kernel, strides, dilations, pads: none };
  const pads = samePads(automatic, { input: input!.slice(2), output: output!.slice(2), kernel, strides, dilations });
  return { kernel, strides, dilations, pads };
}
function ints(n: Node, name: string, otherwise: readonly number[]): readonly number[] {
  const a = n.attributes.get(name);
  return a?.kind === "ints" ? a.value.map(Number) : otherwise;
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
    const transposed = transposedOf(this.#graph, n);
    if (transposed) return this.#transposed(n, transposed);
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
    const depth = c.kernel[0]!;
    const [batch, , frames] = this.#dims(n.outputs[0]!);
    const [, inputs, , inHeight, inWidth] = this.#dims(x!);
    const read = this.#framesRead(n, x!, c, 0);
    const shape = [batch * frames, depth * inputs, inHeight, inWidth];
    const input = this.#reshape(
      n,
      this.#sideBySide(n, read, [batch, frames, inputs, inHeight, inWidth], c.groups),
      shape,
    );
    const weights = this.#planes(n.inputs[1]!);
    const attributes = { ...plane(c), group: c.groups };
    return this.#made(n, "Conv", [input, weights, ...bias], this.#framed(n.outputs[0]!), attributes);
  }
  /** The channels of several values of these dimensions, those of a group next to each other. */
  #sideBySide(n: Node, values: readonly ValueId[], dims: readonly number[], groups: number): ValueId {
    if (values.length === 1) return values[0]!;
    const [batch, frames, channels, ...frame] = dims as readonly [number, number, number, number, number];
    if (groups === 1)
      return this.#made(n, "Concat", values, [batch, frames, channels * values.length, ...frame], { axis: 2 });
    const each = channels / groups;
    const parts = values.map((v) => this.#reshape(n, v, [batch, frames, groups, each, ...frame]));
    return this.#made(n, "Concat", parts, [batch, frames, groups, each * values.length, ...frame], { axis: 3 });
  }
  /** Each frame makes as many as the kernel is long: as channels at first, which lie in the order of frames. */
  #transposed(n: Node, weights: TensorValue): ValueId {
    const [x, , b] = n.inputs;
    const [, outputs, depth, height, width] = weights.dims as [number, number, number, number, number];
    const [batch, , frames] = this.#dims(x!);
    const [, , , outHeight, outWidth] = this.#dims(n.outputs[0]!);
    const operands = [this.#framesOf(n, x!), this.#planes(n.inputs[1]!)];
    if (b !== undefined) {
      const { name, constant } = valueOf(this.#graph, b);
      const bias = constant!.data as Float32Array;
      const repeated = Float32Array.from({ length: depth * outputs }, (_, i) => bias[i % outputs]!);
      operands.push(this.builder.constant(`${name}_frames`, tensorValue("float32", [depth * outputs], repeated)));
    }
    const pads = ints(n, "pads", [0, 0, 0, 0, 0, 0]);
    const attributes = {
      kernel_shape: [height, width],
      strides: ints(n, "strides", [1, 1, 1]).slice(1),
      dilations: ints(n, "dilations", [1, 1, 1]).slice(1),
      pads: [pads[1]!, pads[2]!, pads[4]!, pads[5]!],
      output_padding: ints(n, "output_padding", [0, 0, 0]).slice(1),
    };
    const made = [batch * frames, depth * outputs, outHeight, outWidth];
    return this.#reshape(n, this.#made(n, "ConvTranspose", operands, made, attributes), this.#framed(n.outputs[0]!));
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

  /** Constant weights [a, b, depth, height, width] as [a, depth · b, height, width]. */
  #planes(v: ValueId): ValueId {
    const { name, constant } = valueOf(this.#graph, v);
    const [rows, columns, depth, height, width] = constant!.dims as [number, number, number, number, number];
    const [data, area] = [constant!.data as Float32Array, height * width];
    const planes = new Float32Array(data.length);
    for (let a = 0; a < rows; a++)
      for (let b = 0; b < columns; b++)
        for (let k = 0; k < depth; k++) {
          const from = ((a * columns + b) * depth + k) * area;
          planes.set(data.subarray(from, from + area), ((a * depth + k) * columns + b) * area);
        }
    return this.builder.constant(
      `${name}_frames`,
      tensorValue("float32", [rows, depth * columns, height, width], planes),
    );
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
