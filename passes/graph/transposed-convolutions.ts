/**
 * Replaces transposed convolutions by convolutions. With stride s, output s·q + r takes only the taps k ≡ r + pad (mod s),
 * at inputs q + (r + pad − k) / s: each of the s² phases r is a small convolution of stride 1. All phases together are one
 * convolution with s² times the channels, whose pixels DepthToSpace then interleaves (Shi et al., arXiv:1609.07009).
 * Taps that a phase lacks are zeros; where these are too many, phases stay convolutions of their own. Zero times infinity is
 * no zero, so it does not run under strict math.
 */
import { attributesOf, GraphBuilder, staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import { type TensorValue, tensorValue } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";

/** The first opset with DepthToSpace in either order. */
const firstOpset = 11;

/** One spatial axis of the convolution that computes all phases; `lowest` is the input of its first tap for q = 0. */
interface Axis {
  readonly kernel: number;
  readonly pad: number;
  readonly taps: number;
  readonly lowest: number;
  readonly padAfter: number;
  /** Outputs of each phase. */
  readonly extent: number;
}
interface Transposed {
  /** Along height and width. */
  readonly strides: readonly [number, number];
  readonly groups: number;
  readonly rows: Axis;
  readonly columns: Axis;
  /** Every phase along each axis, where phases are convolutions of their own. */
  readonly apart?: readonly [readonly Phase[], readonly Phase[]];
}
/** One phase along one axis: its taps of the transposed kernel, in the order of the inputs they take, and its padding. */
interface Phase {
  readonly taps: readonly number[];
  readonly before: number;
  readonly after: number;
}
/** Products that one convolution of all phases may take for each one of theirs. */
const mostProducts = 1.5;
/** Results of phases lie in one map without being copied if their channels fill whole vectors. */
const vectorChannels = 16;

export function replaceTransposedConvolutions(graph: Graph): Graph {
  const shapes = graph.nodes.map((n) => transposedShape(graph, n));
  if (shapes.every((s) => s === undefined)) return graph;
  const rewriter = new Rewriter(graph);
  for (const [i, n] of graph.nodes.entries()) {
    const shape = shapes[i];
    if (shape) rewriter.replace(n, shape);
    else rewriter.builder.add(n);
  }
  const { builder } = rewriter;
  return { ...graph, nodes: builder.nodes, values: builder.values, nextId: builder.ids.next };
}

/** What is needed of a float32 ConvTranspose with constant weights; undefined where it stays as it is. */
function transposedShape(graph: Graph, n: Node): Transposed | undefined {
  if (n.op !== "ConvTranspose" || n.domain !== "" || n.attributes.has("output_shape")) return undefined;
  const mode = n.attributes.get("auto_pad");
  if (mode?.kind === "string" && mode.value !== "NOTSET") return undefined;
  const [x, w, b] = n.inputs;
  const weights = valueOf(graph, w!).constant;
  const constantBias = b === undefined || valueOf(graph, b).constant !== undefined;
  const input = staticDims(graph, x!);
  if (weights?.type !== "float32" || !constantBias || input.length !== 4) return undefined;
  const group = n.attributes.get("group");
  const ints = (name: string): readonly number[] => {
    const a = n.attributes.get(name);
    return a?.kind === "ints" ? a.value.map(Number) : [];
  };
  const [high = 1, wide = 1] = ints("strides");
  const strides = [high, wide] as const;
  const output = staticDims(graph, n.outputs[0]!);
  if (ints("dilations").some((d) => d !== 1) || output.includes(0)) return undefined;
  const axis = (i: number): Axis =>
    phaseAxis(
      { input: input[i]!, output: output[i]!, kernel: weights.dims[i]!, pad: ints("pads")[i - 2] ?? 0 },
      strides[i - 2]!,
    );
  const [rows, columns] = [axis(2), axis(3)];
  // A crop beyond the first or last window would need a negative padding.
  const fits = [rows, columns].every((a) => a.lowest <= 0 && a.padAfter >= 0);
  if (!fits) return undefined;
  const shape = { strides, groups: group?.kind === "int" ? Number(group.value) : 1, rows, columns };
  const apart = output[1]! % vectorChannels === 0 ? phasesApart(shape, input) : undefined;
  return { ...shape, ...(apart ? { apart } : {}) };
}
function phasesApart({ strides, rows, columns }: Transposed, input: readonly number[]): Transposed["apart"] {
  const phases = [rows, columns].map((axis, i) => phasesOf(axis, strides[i]!, input[i + 2]!)) as [Phase[], Phase[]];
  const products = phases.map((of) => of.reduce((sum, p) => sum + p.taps.length, 0)) as [number, number];
  const together = strides[0] * strides[1] * rows.taps * columns.taps;
  const each = phases.flat().every((p) => p.taps.length > 0 && p.before >= 0 && p.after >= 0);
  return each && together >= mostProducts * products[0] * products[1] ? phases : undefined;
}
function phasesOf(axis: Axis, stride: number, input: number): Phase[] {
  return Array.from({ length: stride }, (_, r) => {
    const taps = Array.from({ length: axis.taps }, (_, u) => tapOf(axis, r, u, stride));
    const first = taps.findIndex((k) => k !== undefined);
    const last = taps.findLastIndex((k) => k !== undefined);
    return {
      taps: taps.filter((k) => k !== undefined),
      before: -(axis.lowest + first),
      after: axis.extent - input + axis.lowest + last,
    };
  });
}
function phaseAxis(a: { input: number; output: number; kernel: number; pad: number }, stride: number): Axis {
  const { input, output, kernel, pad } = a;
  const lowest = Math.ceil((pad - kernel + 1) / stride);
  const highest = Math.floor((pad + stride - 1) / stride);
  const extent = Math.ceil(output / stride);
  return { kernel, pad, taps: highest - lowest + 1, lowest, padAfter: extent - input + highest, extent };
}

class Rewriter {
  readonly builder: GraphBuilder;
  readonly #graph: Graph;
  constructor(graph: Graph) {
    this.#graph = graph;
    this.builder = new GraphBuilder(graph);
  }

  /** Convolution of all phases, their interleaving, and a crop where the output is no multiple of the stride. */
  replace(n: Node, shape: Transposed): void {
    const { strides, rows, columns, apart } = shape;
    const count = strides[0] * strides[1];
    const [x, w, b] = n.inputs;
    const [batch, outputs, height, width] = staticDims(this.#graph, n.outputs[0]!) as [number, number, number, number];
    const whole = [batch, outputs, strides[0] * rows.extent, strides[1] * columns.extent];
    const cropped = whole[2] !== height || whole[3] !== width;
    const done = n.outputs[0]!;
    const phases = count > 1 ? this.#value(n, [batch, outputs * count, rows.extent, columns.extent]) : done;
    if (apart) {
      const parts = apart[0].flatMap((row) =>
        apart[1].map((column) => {
          const part = this.#value(n, [batch, outputs, rows.extent, columns.extent]);
          const pads = [row.before, column.before, row.after, column.after];
          const bias = b === undefined ? [] : [b];
          this.#convolve(n, [x!, this.#weightsOfPhase(w!, shape, row, column), ...bias], part, pads, shape);
          return part;
        }),
      );
      this.#add(n, "Concat", parts, phases, { axis: 1 });
    } else {
      const pads = [-rows.lowest, -columns.lowest, rows.padAfter, columns.padAfter];
      const bias = b === undefined ? [] : [this.#phaseBias(b, count)];
      this.#convolve(n, [x!, this.#phaseWeights(w!, shape), ...bias], phases, pads, shape);
    }
    if (count === 1) return;
    const full = cropped ? this.#value(n, whole) : done;
    this.#interleave(n, shape, phases, full);
    if (!cropped) return;
    const bounds = [
      [0, 0],
      [height, width],
      [2, 3],
    ].map((i) => this.#integers(i));
    this.#add(n, "Slice", [full, ...bounds], done, {});
  }

  #interleave(n: Node, { strides, apart }: Transposed, phases: ValueId, full: ValueId): void {
    const [high, wide] = strides;
    if (high === wide) {
      this.#add(n, "DepthToSpace", [phases], full, { blocksize: high, mode: apart ? "DCR" : "CRD" });
      return;
    }
    const [batch, channels, height, width] = this.builder.values.get(phases)!.type!.dims as number[];
    const outputs = channels! / (high * wide);
    const parts = apart
      ? [batch!, high, wide, outputs, height!, width!]
      : [batch!, outputs, high, wide, height!, width!];
    const perm = apart ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3];
    const [split, turned] = [
      this.#value(n, parts),
      this.#value(
        n,
        perm.map((axis) => parts[axis]!),
      ),
    ];
    this.#add(n, "Reshape", [phases, this.#integers(parts)], split, {});
    this.#add(n, "Transpose", [split], turned, { perm });
    this.#add(n, "Reshape", [turned, this.#integers([batch!, outputs, height! * high, width! * wide])], full, {});
  }
  #convolve(
    n: Node,
    inputs: readonly ValueId[],
    output: ValueId,
    pads: readonly number[],
    { groups }: Transposed,
  ): void {
    const kernel = this.builder.values.get(inputs[1]!)!.constant!.dims.slice(2);
    const attributes = { kernel_shape: kernel, pads, strides: [1, 1], dilations: [1, 1], group: groups };
    this.#add(n, "Conv", inputs, output, attributes);
  }
  /** From [ic, oc of a group, kh, kw] to [oc, ic of a group, taps of the row, taps of the column]. */
  #weightsOfPhase(id: ValueId, { groups }: Transposed, row: Phase, column: Phase): ValueId {
    const { name, constant } = valueOf(this.#graph, id);
    const { inputs, outputs, at } = grouped(constant!, groups);
    const packed = tensorValue("float32", [outputs, inputs, row.taps.length, column.taps.length]);
    let next = 0;
    for (let oc = 0; oc < outputs; oc++)
      for (let ic = 0; ic < inputs; ic++)
        for (const kh of row.taps) for (const kw of column.taps) packed.data[next++] = at(oc, ic, kh, kw);
    return this.builder.constant(`${name}_phase`, packed);
  }
  /** From [ic, oc of a group, kh, kw] to [oc · s², ic of a group, taps, taps], the phases of a channel side by side. */
  #phaseWeights(id: ValueId, { strides, groups, rows, columns }: Transposed): ValueId {
    const [high, wide] = strides;
    const { name, constant } = valueOf(this.#graph, id);
    const { inputs, outputs, at } = grouped(constant!, groups);
    const packed = tensorValue("float32", [outputs * high * wide, inputs, rows.taps, columns.taps]);
    let next = 0;
    for (let oc = 0; oc < outputs; oc++)
      for (let phase = 0; phase < high * wide; phase++)
        for (let ic = 0; ic < inputs; ic++)
          for (let u = 0; u < rows.taps; u++)
            for (let v = 0; v < columns.taps; v++, next++) {
              const kh = tapOf(rows, Math.floor(phase / wide), u, high);
              const kw = tapOf(columns, phase % wide, v, wide);
              if (kh !== undefined && kw !== undefined) packed.data[next] = at(oc, ic, kh, kw);
            }
    return this.builder.constant(`${name}_phases`, packed);
  }
  #phaseBias(id: ValueId, count: number): ValueId {
    const { name, constant } = valueOf(this.#graph, id);
    const values = Float32Array.from(
      { length: constant!.data.length * count },
      (_, i) => constant!.data[Math.floor(i / count)] as number,
    );
    return this.builder.constant(`${name}_phases`, tensorValue("float32", [values.length], values));
  }
  #integers(values: readonly number[]): ValueId {
    const data = BigInt64Array.from(values, BigInt);
    return this.builder.constant("bounds", tensorValue("int64", [values.length], data));
  }
  #value(n: Node, dims: readonly number[]): ValueId {
    return this.builder.value(`${valueOf(this.#graph, n.outputs[0]!).name}_phases`, { dtype: "float32", dims });
  }
  #add(
    n: Node,
    op: string,
    inputs: readonly ValueId[],
    output: ValueId,
    attributes: Parameters<typeof attributesOf>[0],
  ): void {
    const id = this.builder.ids.fresh<"node">();
    const opset = Math.max(n.opset, firstOpset);
    this.builder.add({ ...n, id, op, opset, inputs, outputs: [output], attributes: attributesOf(attributes) });
  }
}

/** Weights [ic, oc of a group, kh, kw] by output channel, input channel of its group, and tap. */
function grouped({ dims, data }: TensorValue, groups: number) {
  const [all, each, height, width] = dims as [number, number, number, number];
  const inputs = all / groups;
  const at = (oc: number, ic: number, kh: number, kw: number): number => {
    const row = Math.floor(oc / each) * inputs + ic;
    return (data as Float32Array)[((row * each + (oc % each)) * height + kh) * width + kw]!;
  };
  return { inputs, outputs: each * groups, at };
}
/** The tap of the transposed kernel that phase `r` has at place `u`; undefined for none. */
function tapOf(axis: Axis, r: number, u: number, stride: number): number | undefined {
  const k = r + axis.pad - stride * (axis.lowest + u);
  return k >= 0 && k < axis.kernel ? k : undefined;
}
