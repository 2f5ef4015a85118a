/** Limits on made-up figures, and where bytes come from. */
import { describe, expect, it } from "vitest";
import type { MachineRates } from "../../../../native/measure.ts";
import type { CoreCosts } from "../../../../native/measure-ports.ts";
import {
  type KernelFacts,
  limitsOf,
  type MachineModel,
  phaseTimes,
  verdictOf,
} from "../../../../src/runtime/profile/limits.ts";
import type { Execution, Mix } from "../../../../src/runtime/profile/mix.ts";
import { bytesByLevel } from "../../../../src/runtime/profile/reuse.ts";
import { bytesInto, trafficOf } from "../../../../src/runtime/profile/traffic.ts";
import { matmul } from "../../../passes/schedule/loop-programs.ts";

const none = { 128: 0, 256: 0, 512: 0 };
const empty: Mix = {
  instructions: 0,
  multiplyAdds: none,
  multiplies: none,
  adds: none,
  divides: none,
  vectors: none,
  loads: none,
  stores: none,
  operations: 0,
  stackReferences: 0,
  vectorSpills: 0,
  calls: {},
};
/** 1 GHz; one multiply-add, two loads, one store of 512 bits a cycle, four instructions. */
const core: CoreCosts = {
  cycle: 1,
  instruction: 0.25,
  multiplyAddLatencyCycles: 4,
  addLatencyCycles: 4,
  ports: [{ bits: 512, multiplyAdd: 1, add: 1, divide: 10, logic: 0.5, load: 0.5, store: 1 }],
  forkJoin: 2000,
  threads: 2,
};
const read = (level: "L1" | "L2" | "L3" | "memory", threads: number, gigabytesPerSecond: number) => ({
  level,
  threads,
  gigabytesPerSecond,
  footprintBytes: { L1: 16 << 10, L2: 512 << 10, L3: 8 << 20, memory: 64 << 20 }[level],
});
const rates: MachineRates = {
  fma: [1, 2].map((threads) => ({ bits: 512, threads, gflops: 32 * threads })),
  reads: [
    read("L1", 1, 128),
    read("L2", 1, 64),
    read("L3", 1, 32),
    read("L3", 2, 48),
    read("memory", 1, 8),
    read("memory", 2, 10),
  ],
  elapsedMs: 0,
};
const machine = (threads: number): MachineModel => ({ rates, core, threads });
const executes = (mix: Partial<Mix>, chainCycles = 0): Execution => ({
  total: { ...empty, ...mix },
  hotLoop: undefined,
  chainCycles,
});
const bytes = (from: Partial<Record<"L1" | "L2" | "L3" | "memory", number>>) => {
  const all = { L1: 0, L2: 0, L3: 0, memory: 0, ...from };
  return { touched: Object.values(all).reduce((a, b) => a + b, 0), from: all };
};
const boundOf = (facts: Partial<KernelFacts>, ns: number, threads = 1) =>
  verdictOf(limitsOf({ flops: 0, bytes: 0, ...facts }, machine(threads)), ns).bound;

describe("the limit that binds", () => {
  it.each<[string, Partial<KernelFacts>]>([
    ["FMA ports", { execution: executes({ multiplyAdds: { ...none, 512: 1000 }, loads: { ...none, 512: 500 } }) }],
    ["add ports", { execution: executes({ multiplyAdds: { ...none, 512: 500 }, adds: { ...none, 512: 1000 } }) }],
    ["vector ports", { execution: executes({ vectors: { ...none, 512: 2000 }, multiplyAdds: { ...none, 512: 100 } }) }],
    ["divider", { execution: executes({ multiplyAdds: { ...none, 512: 500 }, divides: { ...none, 512: 100 } }) }],
    ["load ports", { execution: executes({ loads: { ...none, 512: 2000 }, multiplyAdds: { ...none, 512: 500 } }) }],
    ["store ports", { execution: executes({ loads: { ...none, 512: 1000 }, stores: { ...none, 512: 1000 } }) }],
    ["front end", { execution: executes({ instructions: 4000, multiplyAdds: { ...none, 512: 500 } }) }],
    ["latency", { execution: executes({ multiplyAdds: { ...none, 512: 250 } }, 1000) }],
    ["L2", { execution: executes({ multiplyAdds: { ...none, 512: 500 } }), traffic: bytes({ L2: 64_000 }) }],
    ["L3", { execution: executes({ multiplyAdds: { ...none, 512: 500 } }), traffic: bytes({ L3: 32_000 }) }],
    [
      "memory",
      { execution: executes({ multiplyAdds: { ...none, 512: 500 } }), traffic: bytes({ L2: 32_000, memory: 8000 }) },
    ],
  ])("is %s", (name, facts) => expect(boundOf(facts, 1100)).toBe(name));

  it("is none where nothing explains half of the time", () => {
    const facts = { execution: executes({ multiplyAdds: { ...none, 512: 1000 } }) };
    expect(boundOf(facts, 1999)).toBe("FMA ports");
    expect(boundOf(facts, 2001)).toBe(undefined);
  });

  it("is not an estimate that the measured time refutes", () => {
    const again = trafficOf({ L1: 0, L2: 1000, L3: 0, memory: 0 }, { l1: 128_000, l2: 1000, all: 1000 }, 1 << 20);
    expect(again).toEqual({ touched: 1000, from: { L1: 0, L2: 128_000, L3: 0, memory: 0 } });
    const facts = { execution: executes({ multiplyAdds: { ...none, 512: 1000 } }), traffic: again };
    expect(boundOf(facts, 1100)).toBe("FMA ports");
    expect(boundOf(facts, 2100)).toBe("L2");
  });

  it("is shared by threads as evenly as the iterations of parallel regions allow", () => {
    const limits = (regions: readonly number[]) =>
      limitsOf(
        { flops: 0, bytes: 0, regions, execution: executes({ multiplyAdds: { ...none, 512: 9000 } }) },
        machine(2),
      );
    const fma = (regions: readonly number[]) => limits(regions).find((l) => l.name === "FMA ports")!.ns;
    expect(fma([])).toBe(9000);
    expect(fma([100])).toBe(4500);
    expect(fma([3])).toBe(6000);
    expect(limits([3, 8]).find((l) => l.name === "fork-join")).toMatchObject({
      ns: 4000,
      amount: 2,
      unit: "parallel regions",
    });
    expect(boundOf({ regions: [2, 2, 2], execution: executes({ multiplyAdds: { ...none, 512: 100 } }) }, 6500, 2)).toBe(
      "fork-join",
    );
  });

  it("may be another one in each loop", () => {
    const phases = [
      executes({ multiplyAdds: { ...none, 512: 600 }, stores: { ...none, 512: 100 } }),
      executes({ stores: { ...none, 512: 300 }, loads: { ...none, 512: 300 } }),
      executes({ multiplyAdds: { ...none, 512: 10 } }, 50),
      executes({ multiplyAdds: { ...none, 512: 40 } }),
    ];
    expect(phaseTimes(phases, [], machine(1))).toEqual([
      ["FMA ports", 640],
      ["store ports", 300],
      ["latency", 50],
    ]);
    expect(phaseTimes(phases, [4], machine(2))[0]).toEqual(["FMA ports", 320]);
  });

  it("comes from operations and bytes where no code was counted", () => {
    const limits = limitsOf({ flops: 3200, bytes: 1 << 20 }, machine(1));
    expect(limits.map((l) => [l.name, l.amount, l.ns])).toEqual([
      ["L2", 1 << 20, (1 << 20) / 64],
      ["FMA ports", 3200, 100],
    ]);
  });
});

const caches = { l1dBytes: 4 << 10, l2Bytes: 16 << 10, l3Bytes: 64 << 10, lineBytes: 64 };
const span = (area: string, offset: number, count: number) => ({ area, offset, bytes: count });

describe("where bytes come from", () => {
  it("is the cache that holds all that was touched since the last time", () => {
    // 8 KiB made by the first step, read by the second, after 2 KiB of its own; weights of 96 KiB stay in no cache.
    const steps = [
      [span("arena", 0, 8 << 10)],
      [span("io1", 0, 2 << 10), span("arena", 0, 8 << 10)],
      [span("constants", 0, 96 << 10)],
    ];
    const [first, second, third] = bytesByLevel(steps, caches);
    expect(first).toEqual({ L1: 0, L2: 0, L3: 0, memory: 8 << 10 });
    expect(second).toEqual({ L1: 0, L2: 8 << 10, L3: 0, memory: 2 << 10 });
    expect(third).toEqual({ L1: 0, L2: 0, L3: 0, memory: 96 << 10 });
  });
  it("counts private caches once for each thread", () => {
    const steps = [[span("arena", 0, 6 << 10)]];
    expect(bytesByLevel(steps, caches, 1)[0]!.L2).toBe(6 << 10);
    expect(bytesByLevel(steps, caches, 2)[0]!.L1).toBe(6 << 10);
  });
  it("tells places apart by area, and knows parts of them again", () => {
    const steps = [[span("arena", 100, 1000)], [span("arena", 512, 200), span("io0", 512, 200)]];
    const [first, second] = bytesByLevel(steps, caches);
    expect(first!.L1 + second!.L1).toBe(1400);
  });
});

describe("bytes that loops bring into a cache", () => {
  it("come once where they fit, and again where they do not", () => {
    const func = matmul(16, 32, 8).functions[0]!;
    const all = 4 * (16 * 8 + 8 * 32 + 16 * 32);
    expect(bytesInto(func, 1 << 20)).toBe(all);
    // A row of A, all of B, a row of C.
    const row = 4 * (8 + 8 * 32 + 32);
    expect(bytesInto(func, row)).toBe(all);
    expect(bytesInto(func, row - 1)).toBe(16 * row);
  });
});
