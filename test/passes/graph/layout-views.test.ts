/** Views put every element where its source does: brute force over small shapes. */
import { describe, expect, it } from "vitest";
import { channelBlocked, isPlain, type Layout, physicalShape, plainLayout } from "../../../ir/graph/layout.ts";
import { elementCount } from "../../../ir/graph/tensor-value.ts";
import { reshapedLayout, sameOrder, transposedLayout } from "../../../passes/graph/layout-views.ts";

const digitsOf = (position: number, dims: readonly number[]): number[] =>
  dims.map((n, axis) => Math.floor(position / elementCount(dims.slice(axis + 1))) % n);
/** Where each element lies, in row-major order of the elements. */
function places(layout: Layout, dims: readonly number[]): number[] {
  const shape = physicalShape(layout, dims);
  return Array.from({ length: elementCount(dims) }, (_, position) => {
    const index = digitsOf(position, dims);
    return layout.dims.reduce((place, d, k) => {
      const outer = Math.floor(index[d.axis]! / d.divisor);
      return place * shape[k]! + (d.modulus === undefined ? outer : outer % d.modulus);
    }, 0);
  });
}

const blocked = channelBlocked(4, 4);
const last = transposedLayout(plainLayout(4), [0, 2, 3, 1]);
const shapes: readonly (readonly [Layout, readonly number[], readonly number[]])[] = [
  [plainLayout(3), [2, 6, 5], [2, 3, 2, 5]],
  [plainLayout(4), [1, 8, 3, 2], [1, 8, 6]],
  [blocked, [1, 8, 3, 2], [1, 8, 6]],
  [blocked, [1, 8, 3, 2], [1, 2, 4, 3, 2]],
  [blocked, [1, 8, 3, 2], [1, 1, 8, 3, 2]],
  [blocked, [1, 8, 1, 1], [1, 8]],
  [blocked, [1, 24, 2, 3], [1, 3, 8, 2, 3]],
  [blocked, [1, 8, 2, 2], [1, 16, 2]],
  [last, [1, 8, 3, 2], [1, 2, 4, 6]],
  [transposedLayout(plainLayout(4), [0, 2, 1, 3]), [1, 4, 2, 3], [1, 8, 3]],
];

describe("views", () => {
  it.each(shapes)("of %o: [%s] as [%s]", (layout, from, to) => {
    const view = reshapedLayout(layout, from, to)!;
    expect(places(view, to)).toEqual(places(layout, from));
  });
  it("are plain where plain memory is reshaped", () => {
    expect(isPlain(reshapedLayout(plainLayout(4), [2, 3, 4, 5], [6, 20]))).toBe(true);
    expect(isPlain(reshapedLayout(blocked, [1, 8, 1, 1], [1, 8]))).toBe(true);
  });
  it("do not exist where blocks are padded, or cut by an axis", () => {
    expect(reshapedLayout(blocked, [1, 6, 2, 2], [1, 6, 4])).toBeUndefined();
    expect(reshapedLayout(blocked, [1, 24, 2, 2], [1, 4, 6, 2, 2])).toBeUndefined();
  });
  it("of transpositions put axes where they were", () => {
    const dims = [2, 8, 3, 2];
    const perm = [0, 2, 3, 1];
    const turned = perm.map((axis) => dims[axis]!);
    const from = places(blocked, dims);
    const to = places(transposedLayout(blocked, perm), turned);
    for (const [position, place] of to.entries()) {
      const index = digitsOf(position, turned);
      const source = dims.reduce((p, n, axis) => p * n + index[perm.indexOf(axis)]!, 0);
      expect(place).toBe(from[source]);
    }
  });
  it("are the same memory exactly where all places are", () => {
    const layouts = [plainLayout(4), blocked, channelBlocked(4, 8), last];
    for (const dims of [
      [1, 8, 1, 1],
      [1, 8, 2, 1],
      [2, 4, 1, 1],
      [1, 1, 3, 2],
    ])
      for (const a of layouts)
        for (const b of layouts) {
          const whole = [a, b].every((l) => elementCount(physicalShape(l, dims)) === elementCount(dims));
          const same = JSON.stringify(places(a, dims)) === JSON.stringify(places(b, dims));
          if (whole) expect(sameOrder(a, b, dims), `${a.name} ${b.name} [${dims}]`).toBe(same);
        }
  });
});
