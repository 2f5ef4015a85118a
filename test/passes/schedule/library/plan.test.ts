/** The model of tiles: what it prefers where, on a machine with AVX-512 that runs a vector in two halves. */
import { expect, test } from "vitest";
import {
  chooseRegisterTile,
  genericMachine,
  orderOfTiles,
  type TileProblem,
} from "../../../../passes/schedule/library/plan.ts";

const machine = { ...genericMachine, fmaPerCycle: 1 };
const results = (p: TileProblem): number => {
  const { points, vectors } = chooseRegisterTile(machine, p);
  return points * vectors;
};
const thin = { vectorBlocks: 21, ragged: true, extent: 441, depth: 4, outputBytes: 4 * 441 * 327 };
const deep = { ...thin, depth: 512 };

test("a thin product in rows has tiles whose stores fit beside the next tile's sums", () => {
  expect(results({ ...thin, columns: 327 })).toBeLessThanOrEqual(16);
});
test("a deep product fills the registers, as does a thin one in blocks of channels", () => {
  expect(results({ ...deep, columns: 327 })).toBeGreaterThan(20);
  expect(results(thin)).toBeGreaterThan(20);
});
test("a tile of few rows spans several matrices that share their right-hand side", () => {
  const few = { ...deep, vectorBlocks: 24, ragged: false, extent: 3 };
  expect(chooseRegisterTile(machine, few).points).toBe(3);
  const { points, vectors } = chooseRegisterTile(machine, { ...few, alike: 3 });
  expect([points, points * vectors > 20]).toEqual([9, true]);
  // Only whole ones: 7 rows fill the registers by themselves.
  expect(chooseRegisterTile(machine, { ...few, extent: 7, alike: 7 }).points % 7).toBe(0);
});
test("a rest that is a narrower vector gets a strip of its own where masks are dear", () => {
  const avx2 = { ...machine, lanes: 8, registers: 16, fmaPerCycle: 2 };
  const product = { vectorBlocks: 5, ragged: true, extent: 848, depth: 2, outputBytes: 4 * 848 * 36 };
  const { vectors } = chooseRegisterTile(avx2, { ...product, columns: 36 });
  expect(5 % vectors === 1 || vectors === 1).toBe(true);
});
test("tiles of a row follow each other while the right-hand side stays in the first cache", () => {
  const product = { rows: 400, columns: 64, depth: 64 };
  expect(orderOfTiles(machine, product, 100, 1)).toBe("lanes");
  expect(orderOfTiles(machine, { ...product, depth: 65 }, 100, 1)).toBe("points");
  // Too few tiles of rows for the threads.
  expect(orderOfTiles(machine, product, 7, 2)).toBe("points");
});
test("panels that stay in the second cache pass for each row of tiles where the results leave it", () => {
  const product = { rows: 1024, columns: 1024, depth: 128, packed: true };
  expect(orderOfTiles(machine, product, 100, 1)).toBe("lanes");
  expect(orderOfTiles(machine, { ...product, depth: 129 }, 100, 1)).toBe("points");
  // Results that stay there as well are as near in any order; matrices alike are more rows.
  const small = { ...product, rows: 256 };
  expect(orderOfTiles(machine, small, 100, 1)).toBe("points");
  expect(orderOfTiles(machine, { ...small, alike: 5 }, 100, 1)).toBe("lanes");
});
test("a mesh stores short sums line after line", () => {
  const mesh = { ...machine, fmaPerCycle: 2, reads: { ...machine.reads, interconnect: "mesh" as const } };
  const product = { vectorBlocks: 32, ragged: true, extent: 480, outputBytes: 4 * 480 * 501, columns: 501 };
  expect(chooseRegisterTile(mesh, { ...product, depth: 3 }).points).toBe(1);
  expect(chooseRegisterTile(mesh, { ...product, depth: 6 }).points).toBeGreaterThan(1);
  expect(chooseRegisterTile(mesh, { ...product, depth: 3, outputBytes: 1 << 14 }).points).toBeGreaterThan(1);
});
