/** Concatenations written in place, and slices read in place: which ones, and that nothing else changes. */
import { describe, expect, it } from "vitest";
import { compileNetwork } from "../../../src/runtime/compile.ts";
import type { Feeds } from "../../../src/runtime/executable.ts";
import { runWithTaps } from "../../../src/runtime/taps.ts";
import type { Tensor } from "../../../src/tensor.ts";
import { check, configurations } from "../../e2e/fuzz/check.ts";
import { type Known, Source } from "../../e2e/fuzz/source.ts";

type Build = (s: Source) => readonly Known[];

const conv = (s: Source, x: Known, channels: number, kernel = 1, input = x.dims[1]!) =>
  s.one("Conv", [x, s.constant([channels, input, kernel, kernel])], { pads: Array(4).fill((kernel - 1) / 2) });
const join = (s: Source, parts: readonly Known[], axis = 1) => s.one("Concat", [...parts], { axis });

/** The parts of a split along an axis. */
const split = (s: Source, x: Known, sizes: readonly number[], axis = 1): readonly Known[] =>
  s.op("Split", [x, s.ints(sizes)], { axis }, { outputs: sizes.length, opset: 17 })!;
/** `x` from one channel to another. */
const cut = (s: Source, x: Known, from: number, to: number, step = 1, axis = 1): Known =>
  s.op("Slice", [x, s.ints([from]), s.ints([to]), s.ints([axis]), s.ints([step])], {}, { opset: 17 })![0]!;

/** Whether a kernel copies, by case. */
const cases: Readonly<Record<string, { readonly copies: number; readonly build: Build }>> = {
  "two convolutions": {
    copies: 0,
    build: (s) => {
      const x = s.input([1, 16, 9, 7]);
      return [s.one("Relu", [conv(s, join(s, [conv(s, x, 32), conv(s, x, 16, 3)]), 20)])];
    },
  },
  "a part that another convolution reads with a halo, and a result read with one": {
    copies: 0,
    build: (s) => {
      const x = s.input([1, 16, 9, 7]);
      const [a, b] = [conv(s, x, 16), conv(s, x, 16)];
      return [conv(s, join(s, [a, b]), 8, 5), conv(s, a, 8, 3)];
    },
  },
  "a dense block: what was joined is part of the next": {
    copies: 0,
    build: (s) => {
      let all = conv(s, s.input([1, 16, 6, 6]), 16);
      for (let i = 0; i < 3; i++) all = join(s, [all, conv(s, all, 16, 3)]);
      return [s.one("Relu", [conv(s, all, 16)])];
    },
  },
  "a last part of half a block": {
    copies: 0,
    build: (s) => {
      const x = s.input([1, 16, 5, 5]);
      return [conv(s, join(s, [conv(s, x, 16), conv(s, x, 24)]), 16)];
    },
  },
  "a first part of half a block": {
    copies: 0,
    build: (s) => {
      const x = s.input([1, 16, 6, 6]);
      return [conv(s, join(s, [conv(s, x, 24), conv(s, x, 16)]), 16)];
    },
  },
  "a part that would not start at a cache line": {
    copies: 1,
    build: (s) => {
      const x = s.input([1, 16, 5, 5]);
      return [conv(s, join(s, [conv(s, x, 24), conv(s, x, 16)]), 16)];
    },
  },
  "a first part of a quarter of a block": {
    copies: 1,
    build: (s) => {
      const x = s.input([1, 16, 5, 5]);
      return [conv(s, join(s, [conv(s, x, 20), conv(s, x, 16)]), 16)];
    },
  },
  "one part twice": {
    copies: 1,
    build: (s) => {
      const a = conv(s, s.input([1, 16, 5, 5]), 16);
      return [conv(s, join(s, [a, a]), 16)];
    },
  },
  "one part in two results": {
    copies: 1,
    build: (s) => {
      const x = s.input([1, 16, 5, 5]);
      const [a, b] = [conv(s, x, 16), conv(s, x, 16, 3)];
      return [conv(s, join(s, [a, b]), 16), conv(s, join(s, [b, a]), 16)];
    },
  },
  "a batch of two": {
    copies: 1,
    build: (s) => {
      const x = s.input([2, 16, 5, 5]);
      return [conv(s, join(s, [conv(s, x, 16), conv(s, x, 16)]), 16)];
    },
  },
  "rows of matrix products, joined along the first axis and given out": {
    copies: 0,
    build: (s) => {
      const x = s.input([4, 16]);
      return [join(s, [s.one("MatMul", [x, s.constant([16, 32])]), s.one("MatMul", [x, s.constant([16, 32])])], 0)];
    },
  },
  "halves of a split, one of them read with a halo": {
    copies: 0,
    build: (s) => {
      const [a, b] = split(s, conv(s, s.input([1, 16, 6, 7]), 64), [32, 32]);
      return [conv(s, a!, 16, 3), s.one("Relu", [conv(s, b!, 16)])];
    },
  },
  "a split whose parts are joined again with what follows": {
    copies: 0,
    build: (s) => {
      const parts = [...split(s, conv(s, s.input([1, 16, 8, 8]), 64), [32, 32])];
      for (let i = 0; i < 2; i++) parts.push(conv(s, parts.at(-1)!, 32));
      return [conv(s, join(s, parts), 32)];
    },
  },
  "parts of a split that are joined in another order": {
    copies: 1,
    build: (s) => {
      const [a, b] = split(s, conv(s, s.input([1, 16, 6, 6]), 32), [16, 16]);
      return [conv(s, join(s, [b!, a!]), 16)];
    },
  },
  "one half of a block's input, joined with a convolution of the other": {
    copies: 1,
    build: (s) => {
      const x = conv(s, s.input([1, 16, 6, 6]), 32);
      return [conv(s, join(s, [cut(s, x, 0, 16), conv(s, cut(s, x, 16, 32), 16)]), 16)];
    },
  },
  "slices of slices, of an input": {
    copies: 0,
    build: (s) => {
      const x = cut(s, s.input([1, 64, 4, 4]), 16, -16);
      return [s.one("Relu", [cut(s, x, 0, 16)]), s.one("Neg", [cut(s, x, 16, 32)])];
    },
  },
  "slices that are a result of the network, take steps, lie apart or begin within a block": {
    copies: 4,
    build: (s) => {
      const x = conv(s, s.input([1, 16, 6, 6]), 64);
      const parts = [cut(s, x, 0, 64, 2), cut(s, x, 0, 3, 1, 2), cut(s, x, 3, 35)];
      return [cut(s, x, 0, 16), ...parts.map((p) => conv(s, p, 16))];
    },
  },
  "slices of shuffled channels, whose order in memory is another": {
    copies: 1,
    build: (s) => {
      const x = s.input([1, 16, 8, 8]);
      let y = join(s, [conv(s, x, 58), conv(s, x, 58)]);
      y = s.one("Reshape", [y, s.ints([1, 2, 58, 8, 8])]);
      y = s.one("Reshape", [s.one("Transpose", [y], { perm: [0, 2, 1, 3, 4] }), s.ints([1, 116, 8, 8])]);
      const [a, b] = [cut(s, y, 0, 58), cut(s, y, 58, 116)];
      return [conv(s, join(s, [a, conv(s, b, 58)]), 16)];
    },
  },
  "columns, of which some are a result of the network": {
    copies: 1,
    build: (s) => {
      const [a, b] = split(s, s.one("Abs", [conv(s, s.input([3, 8, 9, 5]), 17)]), [2, 3], -1);
      return [b!, conv(s, a!, 8)];
    },
  },
  "a batch of two, cut into pictures": {
    copies: 0,
    build: (s) => {
      const [a, b] = split(s, conv(s, s.input([2, 16, 4, 4]), 16), [1, 1], 0);
      return [s.one("Relu", [conv(s, a!, 16)]), conv(s, b!, 16, 3)];
    },
  },
  "an input, a constant and a result of the network": {
    copies: 1,
    build: (s) => {
      const x = s.input([1, 16]);
      const y = s.one("Relu", [x]);
      return [y, join(s, [x, y, s.constant([1, 16])], 0)];
    },
  },
};

describe.each(Object.entries(cases))("%s", (_, { copies, build }) => {
  const s = new Source(1);
  const graph = s.finish("concatenation", build(s));
  const [feeds, others] = [0, 1].map(() =>
    Object.fromEntries(s.inputs.map((i) => [graph.values.get(i.id)!.name, s.values(i.type, i.dims)])),
  ) as [Feeds, Feeds];

  it(`is copied by ${copies} kernels`, async () => {
    const { parts } = await compileNetwork(graph, { cache: false });
    expect(parts.steps.filter((step) => /Concat|Slice|Split/.test(step.name))).toHaveLength(copies);
  });
  it.each(configurations.slice(0, 3))("has its values: $label", async (options) => {
    const { by, failure } = await check(graph, [feeds, others] as never, options);
    expect({ by, failure }).toEqual({ by: expect.not.stringMatching("nobody"), failure: undefined });
  });
  it("can be tapped", async () => {
    const plain = await compileNetwork(graph, { cache: false, schedule: "none" });
    const fast = await compileNetwork(graph, { cache: false });
    const [expected, actual] = await Promise.all([plain, fast].map((net) => runWithTaps(net, feeds)));
    for (const { value, tensor } of actual!) {
      const other = expected!.find((e) => e.value === value);
      // Sums of a deep network reach a thousand, where float32 has steps of 1e-4.
      if (other) expect(maxDifference(tensor, other.tensor) / largest(other.tensor)).toBeLessThan(1e-6);
    }
  });
});

const maxDifference = (a: Tensor, b: Tensor): number =>
  (a.data as Float32Array).reduce((most, x, i) => Math.max(most, Math.abs(x - Number(b.data[i]))), 0);
const largest = (a: Tensor): number => Array.from(a.data as Float32Array).reduce((m, x) => Math.max(m, Math.abs(x)), 0);
