import { describe, expect, it } from "vitest";
import { vectorWidths } from "../../native/measure.ts";
import { measureCore } from "../../native/measure-ports.ts";

describe("measureCore", () => {
  const core = measureCore(2);

  it("finds a plausible clock and latencies", () => {
    expect(1 / core.cycle).toBeGreaterThan(0.2);
    expect(1 / core.cycle).toBeLessThan(10);
    // What disturbs a measurement may make the clock seem slower.
    expect(core.multiplyAddLatencyCycles).toBeGreaterThan(0);
    expect(core.addLatencyCycles).toBeGreaterThan(0);
  });

  it("costs every kind of instruction for every width", () => {
    expect(core.ports.map((p) => p.bits)).toEqual(vectorWidths());
    for (const { bits: _, ...costs } of core.ports)
      for (const ns of Object.values(costs)) expect(ns).toBeGreaterThan(0);
    expect(core.instruction).toBeGreaterThan(0);
    expect(core.forkJoin).toBeGreaterThan(0);
  });
});
