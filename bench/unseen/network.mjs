/** What the generators of networks share: layers as exporters write them, with seeded random weights. */
import { GraphBuilder } from "../../dist/ir/graph/build.js";

const opset = 17;

/** Standard normal numbers (Box and Muller) that a seed decides; uniform ones by mulberry32. */
function normalNumbers(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

const product = (dims) => dims.reduce((a, b) => a * b, 1);
const pair = (value) => (Array.isArray(value) ? value : [value, value]);

/** A network under construction. Values are ids of its graph; `dims` gives the shape of one. */
export class Network {
  #graph = new GraphBuilder();
  #inputs = [];
  #name;
  #normal;

  constructor(name, seed = 1) {
    this.#name = name;
    this.#normal = normalNumbers(seed);
  }

  input(name, dims) {
    const value = this.#graph.value(name, { dtype: "float32", dims });
    this.#inputs.push(value);
    return value;
  }

  finish(...outputs) {
    return this.#graph.finish({ name: this.#name, inputs: this.#inputs, outputs });
  }

  dims(value) {
    return this.#graph.values.get(value).type.dims;
  }

  /** A node with one output of a given shape, by default that of its first input. */
  op(op, inputs, attributes = {}, dims = this.dims(inputs[0])) {
    const [result] = this.#graph.node(op, inputs, { attributes, opset });
    this.#graph.update(result, { type: { dtype: "float32", dims } });
    return result;
  }

  /** Normal numbers around `mean`. */
  weights(dims, deviation, mean = 0) {
    const data = Float32Array.from({ length: product(dims) }, () => mean + deviation * this.#normal());
    return this.#graph.constant("w", { type: "float32", dims, data });
  }
  scalar(value) {
    return this.#graph.constant("s", { type: "float32", dims: [], data: Float32Array.of(value) });
  }
  integers(values) {
    return this.#graph.constant("i", {
      type: "int64",
      dims: [values.length],
      data: BigInt64Array.from(values, BigInt),
    });
  }
  booleans(dims, element) {
    const data = Uint8Array.from({ length: product(dims) }, (_, i) => Number(element(i)));
    return this.#graph.constant("b", { type: "bool", dims, data });
  }

  /** Convolution [n, c, …] over as many axes as the kernel has, then batch normalization and an activation where asked. */
  convolution(x, channels, kernel, options = {}) {
    const [n, from, ...extents] = this.dims(x);
    const kernels = extents.length === 1 ? [kernel].flat() : pair(kernel);
    const { stride = 1, group = 1, dilation = 1, activation = "Relu", normalize = true } = options;
    const reach = kernels.map((k) => dilation * (k - 1));
    const before = options.pads ?? reach.map((r) => r >> 1);
    const fanIn = (from / group) * product(kernels);
    const deviation = Math.sqrt((activation ? 2 : 1) / fanIn);
    const inputs = [x, this.weights([channels, from / group, ...kernels], deviation)];
    if (!normalize) inputs.push(this.weights([channels], 0.01));
    const every = (value) => extents.map(() => value);
    const attributes = {
      kernel_shape: kernels,
      strides: every(stride),
      dilations: every(dilation),
      pads: [...before, ...before],
      group,
    };
    const made = extents.map((extent, i) => Math.floor((extent + 2 * before[i] - reach[i] - 1) / stride) + 1);
    const y = this.op("Conv", inputs, attributes, [n, channels, ...made]);
    return this.activation(normalize ? this.batchNormalization(y) : y, activation);
  }
  depthwise(x, kernel, options = {}) {
    const [, channels] = this.dims(x);
    return this.convolution(x, channels, kernel, { ...options, group: channels });
  }
  /** A transposed convolution of kernel and stride 2 with `extra` more rows and columns. */
  upConvolution(x, channels, extra) {
    const [n, from, height, width] = this.dims(x);
    const inputs = [x, this.weights([from, channels, 2, 2], Math.sqrt(1 / from)), this.weights([channels], 0.01)];
    const attributes = { kernel_shape: [2, 2], strides: [2, 2], output_padding: extra };
    return this.op("ConvTranspose", inputs, attributes, [n, channels, 2 * height + extra[0], 2 * width + extra[1]]);
  }
  batchNormalization(x) {
    const [, channels] = this.dims(x);
    const around = (mean) => this.weights([channels], 0.05, mean);
    return this.op("BatchNormalization", [x, around(1), around(0), around(0), around(1)], { epsilon: 1e-5 });
  }
  layerNormalization(x) {
    const channels = this.dims(x).at(-1);
    const inputs = [x, this.weights([channels], 0.05, 1), this.weights([channels], 0.05)];
    return this.op("LayerNormalization", inputs, { axis: -1, epsilon: 1e-5 });
  }

  /** An operator of one input, or `Silu`, `Gelu` and `HardSigmoid` as exporters spell them; nothing for undefined. */
  activation(x, kind) {
    if (!kind) return x;
    if (kind === "Silu") return this.op("Mul", [x, this.op("Sigmoid", [x])]);
    if (kind === "HardSigmoid") return this.op(kind, [x], { alpha: 1 / 6, beta: 0.5 });
    if (kind !== "Gelu") return this.op(kind, [x]);
    const erf = this.op("Erf", [this.op("Div", [x, this.scalar(Math.SQRT2)])]);
    const scaled = this.op("Mul", [x, this.op("Add", [erf, this.scalar(1)])]);
    return this.op("Mul", [scaled, this.scalar(0.5)]);
  }
  add(a, b) {
    return this.op("Add", [a, b]);
  }
  multiply(a, b) {
    return this.op("Mul", [a, b]);
  }
  concat(values, axis = 1) {
    const extent = values.reduce((sum, v) => sum + this.dims(v)[axis], 0);
    return this.op("Concat", values, { axis }, this.dims(values[0]).with(axis, extent));
  }
  slice(x, axis, start, end) {
    const bounds = [[start], [end], [axis]].map((i) => this.integers(i));
    return this.op("Slice", [x, ...bounds], {}, this.dims(x).with(axis, end - start));
  }
  reshape(x, dims) {
    return this.op("Reshape", [x, this.integers(dims)], {}, dims);
  }
  transpose(x, perm) {
    return this.op(
      "Transpose",
      [x],
      { perm },
      perm.map((axis) => this.dims(x)[axis]),
    );
  }
  pool(op, x, kernel, { stride = kernel, pad = 0 } = {}) {
    const [n, channels, ...extents] = this.dims(x);
    const attributes = { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad] };
    const made = extents.map((extent) => Math.floor((extent + 2 * pad - kernel) / stride) + 1);
    return this.op(op, [x], attributes, [n, channels, ...made]);
  }
  globalPool(x) {
    const [n, channels] = this.dims(x);
    return this.op("GlobalAveragePool", [x], {}, [n, channels, 1, 1]);
  }
  /** Squeeze and excitation. */
  excite(x, squeezed, gate = "Sigmoid") {
    const [, channels] = this.dims(x);
    const narrow = this.convolution(this.globalPool(x), squeezed, 1, { normalize: false });
    const wide = this.convolution(narrow, channels, 1, { normalize: false, activation: gate });
    return this.multiply(x, wide);
  }
  /** Global average pooling and a fully connected layer. */
  classifier(x, classes) {
    const [n, channels] = this.dims(x);
    return this.dense(this.op("Flatten", [this.globalPool(x)], { axis: 1 }, [n, channels]), classes);
  }
  /** A fully connected layer on [n, features]. */
  dense(x, outputs, activation) {
    const [n, features] = this.dims(x);
    const inputs = [x, this.weights([outputs, features], Math.sqrt(1 / features)), this.weights([outputs], 0.01)];
    return this.activation(this.op("Gemm", inputs, { transB: 1 }, [n, outputs]), activation);
  }
  /** A product with weights over the last axis, and a bias. */
  linear(x, outputs, activation) {
    const dims = this.dims(x);
    const features = dims.at(-1);
    const weight = this.weights([features, outputs], Math.sqrt(1 / features));
    const y = this.op("MatMul", [x, weight], {}, dims.with(-1, outputs));
    return this.activation(this.add(y, this.weights([outputs], 0.01)), activation);
  }
  /** Attention of `heads` heads over [1, tokens, width]; causal: no token sees a later one. */
  attention(x, heads, { causal = false } = {}) {
    const [n, tokens, width] = this.dims(x);
    const depth = width / heads;
    const split = (perm) => this.transpose(this.reshape(this.linear(x, width), [n, tokens, heads, depth]), perm);
    const [queries, keys, values] = [split([0, 2, 1, 3]), split([0, 2, 3, 1]), split([0, 2, 1, 3])];
    const square = [n, heads, tokens, tokens];
    const products = this.op("MatMul", [queries, keys], {}, square);
    let scores = this.op("Div", [products, this.scalar(Math.sqrt(depth))]);
    if (causal) {
      const seen = this.booleans([1, 1, tokens, tokens], (i) => i % tokens <= Math.floor(i / tokens));
      scores = this.op("Where", [seen, scores, this.scalar(-1e9)], {}, square);
    }
    const shares = this.op("Softmax", [scores], { axis: -1 });
    const mixed = this.op("MatMul", [shares, values], {}, [n, heads, tokens, depth]);
    return this.linear(this.reshape(this.transpose(mixed, [0, 2, 1, 3]), [n, tokens, width]), width);
  }
  /** A pre-norm transformer block. */
  transformerBlock(x, heads, options) {
    const attended = this.add(x, this.attention(this.layerNormalization(x), heads, options));
    const width = this.dims(x).at(-1);
    const inner = this.linear(this.layerNormalization(attended), 4 * width, "Gelu");
    return this.add(attended, this.linear(inner, width));
  }
}
