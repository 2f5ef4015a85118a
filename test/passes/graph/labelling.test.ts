/** The labelling solver against trying everything, on random graphs. */
import { describe, expect, it } from "vitest";
import { type LabellingProblem, labellingCost, solveLabelling } from "../../../passes/graph/labelling.ts";

/** A small linear congruential generator: integers below `n`. */
function random(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}
/** `edges(i)`: the earlier variables that variable i is a neighbour of. */
function problem(sizes: readonly number[], edges: (i: number) => readonly number[], below: (n: number) => number) {
  const cost = (): number => (below(12) === 0 ? Number.POSITIVE_INFINITY : below(100));
  const own = sizes.map((n) => Array.from({ length: n }, () => below(100)));
  const pairs = sizes.flatMap((n, b) =>
    edges(b).map((a) => ({
      a,
      b,
      cost: Array.from({ length: sizes[a]! }, () => Array.from({ length: n }, cost)),
    })),
  );
  return { own, pairs };
}
/** For problems that are solved exactly. */
const never = (): never => {
  throw new Error("an exact solution needs no start");
};
function leastCost(p: LabellingProblem): number {
  let least = Number.POSITIVE_INFINITY;
  const labels: number[] = [];
  const visit = (v: number): void => {
    if (v === p.own.length) least = Math.min(least, labellingCost(p, labels));
    else
      for (let label = 0; label < p.own[v]!.length; label++) {
        labels[v] = label;
        visit(v + 1);
      }
  };
  visit(0);
  return least;
}

describe("labelling", () => {
  it("finds the least cost of 300 random graphs, forbidden pairs included", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const below = random(seed);
      const sizes = Array.from({ length: 1 + below(7) }, () => 1 + below(4));
      const p = problem(sizes, (i) => sizes.flatMap((_, a) => (a < i && below(2) === 0 ? [a] : [])), below);
      const cost = labellingCost(p, solveLabelling(p, never));
      expect(cost, `seed ${seed}`).toBe(leastCost(p));
    }
  });
  it("tells more than 256 labels of a variable apart", () => {
    const own = [Array.from({ length: 300 }, (_, label) => 300 - label), [0, 0]];
    const cost = own[0]!.map((_, label) => [0, label === 299 ? 1 : 0]);
    expect(solveLabelling({ own, pairs: [{ a: 0, b: 1, cost }] }, never)).toEqual([299, 0]);
  });
  it("gives the shortest path on a chain", () => {
    const below = random(7);
    const sizes = Array.from({ length: 4000 }, () => 3);
    const p = problem(sizes, (i) => (i > 0 ? [i - 1] : []), below);
    let reached = p.own[0]!;
    for (const [i, { cost }] of p.pairs.entries())
      reached = p.own[i + 1]!.map((own, label) => own + Math.min(...reached.map((r, from) => r + cost[from]![label]!)));
    expect(labellingCost(p, solveLabelling(p, never))).toBe(Math.min(...reached));
  });
  it("is no worse than the labelling it starts from where tables would be too large", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const below = random(seed);
      const sizes = Array.from({ length: 24 }, () => 4);
      const p = problem(
        sizes,
        (i) => sizes.flatMap((_, a) => (a < i ? [a] : [])),
        (n) => 1 + below(n - 1),
      );
      const start = sizes.map(() => below(4));
      expect(
        labellingCost(
          p,
          solveLabelling(p, () => start),
        ),
      ).toBeLessThanOrEqual(labellingCost(p, start));
      expect(solveLabelling(p, () => start)).toEqual(solveLabelling(p, () => start));
    }
  });
  it("needs no variables", () => {
    expect(solveLabelling({ own: [], pairs: [] }, never)).toEqual([]);
  });
});
