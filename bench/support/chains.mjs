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
 * A graph of exactly `operators` nodes. With `distinct`, channels are drawn anew for every block and height and width
 * take every pair of `extents` in turn, so that no two blocks share a kernel; else one residual block repeats.
 */
export function chainGraph({ operators, distinct, seed = 1 }) {
  const chain = new Chain(seed, distinct);
  while (chain.count < operators) chain.block(operators - chain.count);
  return chain.finish();
}

/** Heights and widths of distinct blocks: neighbours differ by what padding can add or take. */
const extents = Array.from({ length: 12 }, (_, i) => 20 + 2 * i);

/** The place of block `i` on a path through all pairs of extents, one step at a time; it starts anew after the last. */
function extentsOf(i) {
  const n = extents.length;
  const row = Math.floor(i / n) % n;
  const column = row % 2 === 0 ? i % n : n - 1 - (i % n);
  return [extents[row], extents[column]];
}

class Chain {
  #b = new GraphBuilder();
  #random;
  #distinct;
  #input;
  #x;
  #channels = 64;
  #blocks = 0;
  count = 0;

  constructor(seed, distinct) {
    this.#random = randomNumbers(seed);
    this.#distinct = distinct;
    const dims = [1, this.#channels, ...extentsOf(0)];
    this.#input = this.#x = this.#b.value("x", { dtype: "float32", dims });
  }

  /** At most `room` operators of: expand, activate, depthwise, activate, project, activate or add, pool. */
  block(room) {
    const inner = this.#distinct ? this.#draw(48, 192) : 128;
    const outer = this.#distinct ? this.#draw(16, 96) : 64;
    const shortcut = this.#x;
    const steps = [
      () => this.#convolution(inner, { kernel: 1 }),
      () => this.#node("Relu", [this.#x]),
      () => this.#convolution(inner, { kernel: 3, pads: this.#distinct ? this.#nextPads() : undefined, group: inner }),
      () => this.#node("HardSwish", [this.#x]),
      () => this.#convolution(outer, { kernel: 3 }),
      () => (this.#distinct ? this.#node("Sigmoid", [this.#x]) : this.#node("Add", [this.#x, shortcut])),
      () => this.#node("MaxPool", [this.#x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] }),
    ];
    for (const step of steps.slice(0, room)) step();
    this.#blocks++;
  }

  finish() {
    return this.#b.finish({ name: "chain", inputs: [this.#input], outputs: [this.#x] });
  }

  /** Pads of a 3×3 kernel that take this block's extents to the next one's. */
  #nextPads() {
    const now = extentsOf(this.#blocks);
    const next = extentsOf(this.#blocks + 1);
    const [height, width] = next.map((extent, i) => Math.max(0, Math.min(2, 1 + (extent - now[i]) / 2)));
    return [height, width, height, width];
  }

  /** A multiple of 8. */
  #draw(low, high) {
    return low + 8 * Math.floor((this.#random() * (high - low)) / 8);
  }

  #convolution(channels, { kernel, group = 1, pads = Array(4).fill((kernel - 1) / 2) }) {
    const dims = [channels, this.#channels / group, kernel, kernel];
    const values = new Float32Array(dims.reduce((a, b) => a * b, 1));
    const scale = 2 / Math.sqrt(dims[1] * kernel * kernel);
    for (let i = 0; i < values.length; i++) values[i] = scale * (this.#random() - 0.5);
    const weight = this.#b.constant("w", { type: "float32", dims, data: values });
    const bias = this.#b.constant("b", { type: "float32", dims: [channels], data: new Float32Array(channels) });
    this.#node("Conv", [this.#x, weight, bias], { kernel_shape: [kernel, kernel], pads, strides: [1, 1], group });
    this.#channels = channels;
  }

  #node(op, inputs, attributes = {}) {
    const [y] = this.#b.node(op, inputs, { attributes, opset });
    this.#x = y;
    this.count++;
  }
}
