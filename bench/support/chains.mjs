/** Synthetic networks of any number of operators, mixed as in convolutional networks, to see how compile time grows. */
import { GraphBuilder } from "../../dist/ir/graph/build.js";

const opset = 17;

/** Numbers in [0, 1) that a seed decides (mulberry32). */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * A graph of exactly `operators` nodes. With `distinct`, channels and extents are drawn anew for every convolution, so
 * that nearly every fused kernel differs; else one block repeats.
 */
export function chainGraph({ operators, distinct, seed = 1 }) {
  const chain = new Chain(seed, distinct);
  while (chain.count < operators) chain.block(operators - chain.count);
  return chain.finish();
}

class Chain {
  #b = new GraphBuilder();
  #random;
  #distinct;
  #x;
  #input;
  #channels = 64;
  #extent = 28;
  count = 0;

  constructor(seed, distinct) {
    this.#random = randomNumbers(seed);
    this.#distinct = distinct;
    this.#input = this.#x = this.#b.value("x", {
      dtype: "float32",
      dims: [1, this.#channels, this.#extent, this.#extent],
    });
  }

  /** At most `room` operators of: expand, relu, depthwise, clip, project, add, pool. */
  block(room) {
    const kernel = 3;
    const inner = this.#distinct ? this.#draw(48, 192) : 128;
    const outer = this.#distinct ? this.#draw(16, 96) : 64;
    // Extents drift by one where shapes are to differ.
    const pad = this.#distinct && this.#random() < 0.5 ? (this.#extent > 24 ? 0 : 2) : 1;
    const shortcut = this.#x;
    const steps = [
      () => this.#convolution(inner, 1, 0, 1),
      () => this.#node("Relu", [this.#x]),
      () => this.#convolution(inner, kernel, pad, inner),
      () => this.#node("HardSwish", [this.#x]),
      () => this.#convolution(this.#distinct ? outer : 64, kernel, 1, 1),
      () => this.#node(this.#distinct ? "Sigmoid" : "Add", this.#distinct ? [this.#x] : [this.#x, shortcut]),
      () => this.#node("MaxPool", [this.#x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] }),
    ];
    for (const step of steps.slice(0, room)) step();
  }

  finish() {
    return this.#b.finish({ name: "chain", inputs: [this.#input], outputs: [this.#x] });
  }

  #draw(low, high) {
    return low + 8 * Math.floor((this.#random() * (high - low)) / 8);
  }

  #convolution(channels, kernel, pad, group) {
    const dims = [channels, this.#channels / group, kernel, kernel];
    const values = new Float32Array(dims.reduce((a, b) => a * b, 1));
    const scale = 2 / Math.sqrt(dims[1] * kernel * kernel);
    for (let i = 0; i < values.length; i++) values[i] = scale * (this.#random() - 0.5);
    const weight = this.#b.constant("w", { type: "float32", dims, data: values });
    const bias = this.#b.constant("b", { type: "float32", dims: [channels], data: new Float32Array(channels) });
    const pads = [pad, pad, pad, pad];
    this.#node("Conv", [this.#x, weight, bias], { kernel_shape: [kernel, kernel], pads, strides: [1, 1], group });
    this.#channels = channels;
    this.#extent += 2 * pad - (kernel - 1);
  }

  #node(op, inputs, attributes = {}) {
    const [y] = this.#b.node(op, inputs, { attributes, opset });
    this.#x = y;
    this.count++;
  }
}
