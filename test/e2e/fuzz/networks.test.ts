/** Random networks, compiled in several ways, compute what ONNX Runtime (else the interpreter) does. */
import { describe, expect, it } from "vitest";
import { check, configurations, refusals } from "./check.ts";
import { type Family, randomCase } from "./generate.ts";
import { describeGraph } from "./shrink.ts";

/** Seeds a family gets; more run by `npx tsx test/e2e/fuzz/run.mts FROM COUNT`. */
const counts: Readonly<Record<Family, number>> = { images: 55, tokens: 30, tensors: 40, operators: 25 };

describe.each(Object.entries(counts) as [Family, number][])("random graphs of %s", (family, count) => {
  it.each(Array.from({ length: count }, (_, seed) => seed))("seed %i", async (seed) => {
    const { graph, feeds } = randomCase(seed, family);
    const options = configurations[seed % configurations.length]!;
    const outcome = await check(graph, feeds, options);
    expect(outcome.failure, `${options.label}\n${describeGraph(graph)}`).toBe(undefined);
    const { refused } = refusals(graph, options);
    expect(
      refused.filter((r) => r.includes("bug:")),
      `seed ${seed}, ${options.label}`,
    ).toEqual([]);
  });
});
