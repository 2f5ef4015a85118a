/** A slice of `npm run check:isl`: dependences of random affine nests beside those of the integer set library. */
import { expect, it } from "vitest";
import { checkNest, emptyTallies } from "./isl/check.ts";
import { loadIsl } from "./isl/isl.ts";

const nests = 200;

it(`misses no dependence of ${nests} affine nests that isl knows, and reports few others`, (context) => {
  const isl = loadIsl();
  if (typeof isl === "string") return context.skip(isl);
  const tallies = emptyTallies();
  const faults = Array.from({ length: nests }, (_, seed) => checkNest(isl, seed, tallies)).flat();
  expect(faults).toEqual([]);
  const { linear, quasi } = tallies;
  console.log(
    `${linear.vectors + quasi.vectors} direction vectors, ${linear.beyond + quasi.beyond} beyond isl's, ` +
      `${linear.undecided + quasi.undecided} nests left open by isl`,
  );
  expect(linear.nests + quasi.nests).toBeGreaterThan(nests * 0.9);
  for (const t of [linear, quasi]) expect(t.beyond / t.vectors).toBeLessThan(0.1);
});
