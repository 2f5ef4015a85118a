/** blockize: what it makes, what works on it afterwards, regions that follow what happens inside, refusals stand in `must-fail/`. */
import { describe, expect, test } from "vitest";
import type { Program } from "../../../ir/loop/program.ts";
import { fmaOuterProduct } from "../../../passes/schedule/library/intrinsics.ts";
import type { BlockRef } from "../../../passes/schedule/primitive.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { keepsValues } from "./fixtures.ts";
import { matmul, scale } from "./loop-programs.ts";
import { chain, matmul as matmulAndOne } from "./primitive/block-fixtures.ts";

/** Tiles of C = A · B over i, j and k; the tile of one k step is a block. */
function tiled(program: Program, rows: number, columns: number, depth: number): { s: Schedule; tile: BlockRef } {
  const s = new Schedule(program);
  const { outer, inner } = s.tile(s.loops("C"), [rows, columns, depth]);
  s.reorder(...outer, ...inner);
  return { s, tile: s.blockize(inner[0]!) };
}
/** Tiles of 4 × 4 of the block's first two loops, as a block. */
function tileOf(s: Schedule, block: string, size = 4): BlockRef {
  const loops = s.loops(block);
  const { inner } = s.tile(loops.slice(0, 2), [size, size]);
  return s.blockize(inner[0]!);
}
const regions = (s: Schedule, block: string): string[] => {
  const { reads, writes } = s.describe(s.block(block));
  return [reads, writes].map((list) => list.map((r) => `${r.buffer.name} ${r.buffer.scope}`).join(", "));
};

describe("blockize", () => {
  test("makes the inner loops a block over tiles, whose init covers a tile", () => {
    expect(tiled(matmul(6, 8, 6), 4, 8, 3).s.print()).toMatchSnapshot();
  });
  test("starts every tile with the init when all of the reduction is inside", () => {
    const program = matmul(6, 8, 6);
    const s = new Schedule(program);
    const tile = tileOf(s, "C");
    expect(s.describe(s.block("C_o")).iterVars.map((v) => v.kind)).toEqual(["spatial", "spatial"]);
    expect(s.describe(s.block("C_o")).init?.kind).toBe("for");
    keepsValues(program, s, 6);
    s.decomposeReduction(tile, s.loops(tile)[1]!);
    keepsValues(program, s, 6);
  });
  for (const n of [1, 2, 5, 12, 13])
    test(`tiles of ${n} keep their values`, () => {
      const program = matmul(n, n + 2, n + 1);
      const { s } = tiled(program, 4, 5, 3);
      keepsValues(program, s, n);
      const whole = new Schedule(program);
      whole.blockize(whole.loopAt("C", 0));
      keepsValues(program, whole, n);
    });

  test("outer loops are reordered, decomposed, fused, made parallel; inner ones vectorized", () => {
    const program = matmul(13, 16, 12);
    const { s, tile } = tiled(program, 4, 8, 3);
    const [io, jo, ko] = s.loops(tile);
    s.reorder(jo!, io!);
    s.decomposeReduction(tile, ko!);
    s.vectorize(s.loopAt("C", 4));
    s.parallel(s.fuse(jo!, io!));
    keepsValues(program, s, 12);
    expect(s.print()).toMatchSnapshot();
  });
  test("a blockized producer is computed where its tiles are read", () => {
    for (const [m, n, k] of [
      [12, 16, 5],
      [13, 9, 5],
      [3, 5, 1],
    ] as const) {
      const program = matmulAndOne(m, n, k);
      const s = new Schedule(program);
      const tile = tileOf(s, "y");
      const [rows] = s.split(s.loopAt("z", 0), { factor: 6 });
      s.computeAt(tile, rows);
      keepsValues(program, s, k);
    }
  });
  test("a producer is computed at a loop around a blockized consumer, a consumer follows a blockized producer", () => {
    const program = chain(12, 8);
    const s = new Schedule(program);
    const tile = tileOf(s, "z");
    s.computeAt(s.block("y"), s.loops(tile)[1]!);
    keepsValues(program, s);
    const other = new Schedule(program);
    const made = tileOf(other, "y");
    other.reverseComputeAt(other.block("z"), other.loops(made)[1]!);
    keepsValues(program, other);
  });
  test("the nest of a block is computed by an intrinsic", () => {
    const program = matmul(8, 32, 5);
    const s = new Schedule(program);
    const { outer, inner } = s.tile(s.loops("C").slice(0, 2), [2, 16], "exact");
    const k = s.loopAt("C", 4);
    s.reorder(...outer, k, ...inner);
    const tile = s.blockize(inner[0]!);
    s.decomposeReduction(tile, k);
    s.tensorize(tile, fmaOuterProduct(2));
    s.parallel(outer[0]!);
    keepsValues(program, s, 5);
  });
  test("blocks go into blocks again", () => {
    const program = scale(24, 16);
    const s = new Schedule(program);
    const { inner } = s.tile(s.loops("B"), [12, 8]);
    const small = s.tile(inner, [3, 4]);
    const one = s.blockize(small.inner[0]!);
    const two = s.blockize(inner[0] ? s.loops(one)[2]! : small.outer[0]!);
    expect(s.loops(two)).toHaveLength(2);
    s.reorder(...s.loops(two).reverse());
    keepsValues(program, s);
  });
});

describe("the regions of a block around blocks follow", () => {
  const steps: Record<string, (s: Schedule) => void> = {
    setScope: (s) => s.setScope(s.block("z"), "y", "stack"),
    transformLayout: (s) =>
      s.transformLayout(s.block("z_o"), "y", [
        { axis: 1, divisor: 4 },
        { axis: 0, divisor: 1 },
        { axis: 1, divisor: 1, modulus: 4 },
      ]),
    storageAlign: (s) => s.storageAlign(s.block("z"), "y", 0, 16),
    cacheRead: (s) => void s.cacheRead(s.block("z_o"), "y", "stack"),
    cacheWrite: (s) => void s.cacheWrite(s.block("z_o"), "z", "stack"),
    hoistStorage: (s) => s.hoistStorage(s.block("z"), "y"),
    computeInline: (s) => s.computeInline(s.block("y")),
    nontemporal: (s) => s.nontemporal(s.block("z")),
    split: (s) => void s.split(s.loopAt("z", 3), { factor: 2 }),
    cutLoop: (s) => void s.cutLoop(s.loopAt("z_o", 0), 1),
    peel: (s) => void s.peel(s.loopAt("z_o", 1), 1, 0),
    "computeAt another": (s) => s.computeAt(s.block("y"), s.loopAt("z_o", 1)),
  };
  for (const [name, step] of Object.entries(steps))
    test(name, () => {
      const program = chain(12, 8);
      const s = new Schedule(program);
      tileOf(s, "z");
      step(s);
      keepsValues(program, s);
      expect(regions(s, "z_o")).toMatchSnapshot();
    });
  test("storageFold", () => {
    const program = chain(12, 8);
    const s = new Schedule(program);
    const [, inner] = s.split(s.loopAt("z", 1), { factor: 4 });
    s.blockize(inner);
    s.computeAt(s.block("y"), s.loopAt("z_o", 0));
    s.storageFold(s.block("y"), "y", 0, 2);
    keepsValues(program, s);
    expect(s.print()).toContain("reads y[vi % 2, vj_o * 4..+4]");
  });
  test("padEinsum and reindex leave blocks that hold blocks alone", () => {
    const s = new Schedule(matmul(12, 8, 4));
    const tile = tileOf(s, "C");
    expect(s.probe("reindex", { block: tile, buffer: "A" })?.rule).toBe("single-view");
    expect(s.probe("padEinsum", { block: tile, multiples: [4, 4] })?.rule).toBe("einsum");
  });
});
