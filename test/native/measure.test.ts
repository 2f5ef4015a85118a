import { describe, expect, it } from "vitest";
import { hostFacts, machineFacts } from "../../native/machine.ts";
import { fmaPeakProbe, measureMachine, peakGflops, vectorWidths } from "../../native/measure.ts";

describe("machineFacts", () => {
  it("gives caches that grow from level to level", () => {
    const machine = machineFacts();
    expect(machine.cores).toBeGreaterThanOrEqual(1);
    expect(machine.caches.l1dBytes).toBeGreaterThanOrEqual(8 << 10);
    expect(machine.caches.l2Bytes).toBeGreaterThan(machine.caches.l1dBytes);
    expect([32, 64, 128, 256]).toContain(machine.caches.lineBytes);
    expect(machine.memoryBytes).toBeGreaterThan(256 << 20);
    expect(hostFacts().triple).toMatch(/-/);
  });
});

describe("measureMachine", () => {
  const rates = measureMachine({ threads: 2, figureMs: 4 });

  it("finds a plausible peak for every vector width", () => {
    for (const peak of rates.fma) {
      // A worker that loses its processor to another process holds the whole region up.
      expect(peak.gflops).toBeGreaterThan(peak.threads === 1 ? 1 : 0.01);
      expect(peak.gflops).toBeLessThan(1000 * peak.threads);
    }
    const single = rates.fma.filter((peak) => peak.threads === 1).map((peak) => peak.gflops);
    expect(single.at(-1)).toBeGreaterThanOrEqual((single[0] ?? 0) * 0.8);
    expect(peakGflops(rates, 1)).toBe(Math.max(...single));
    expect(peakGflops(rates, 99)).toBe(0);
  });

  it("reads caches faster than memory", () => {
    const rate = (level: string) => rates.reads.find((row) => row.level === level && row.threads === 1);
    expect(rate("L1")?.gigabytesPerSecond).toBeGreaterThan(rate("memory")?.gigabytesPerSecond ?? 0);
    expect(rate("memory")?.gigabytesPerSecond).toBeGreaterThan(0.5);
    expect(rate("memory")?.footprintBytes).toBeGreaterThan(rate("L2")?.footprintBytes ?? 0);
  });

  it("takes less than a few seconds even on a busy machine", () => {
    expect(rates.elapsedMs).toBeLessThan(5_000);
  });
});

describe("fmaPeakProbe", () => {
  it.each([1, 2])("measures the same peak again and again with %i threads", (threads) => {
    const probe = fmaPeakProbe({ bits: vectorWidths().at(-1) ?? 128, threads });
    try {
      for (const rates of [probe.measure(3), probe.measure(5)])
        for (const rate of rates) expect(rate).toBeGreaterThan(threads === 1 ? 1 : 0.01);
      expect(probe.measure(4)).toHaveLength(4);
    } finally {
      probe.dispose();
    }
  });
});
