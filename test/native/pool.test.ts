import { afterAll, describe, expect, it } from "vitest";
import {
  addressOf,
  allocAligned,
  compileIr,
  hostCpu,
  invoke,
  invokeKernel,
  jitCreate,
  jitDispose,
  jitLookup,
  type PoolHandle,
  poolCreate,
  poolDispose,
  poolThreads,
  serial,
  timeEntry,
} from "../../native/addon.ts";

/**
 * `count`: adds 1 to each of n counters in a parallel region. `nested`: for each of 16 rows, a region inside the
 * region adds 1 to the row's 16 counters. `rounds`: an entry that runs `count` k times; arena = counters,
 * constants = { n, k }.
 */
const text = `
declare void @tw_parallel_for(ptr, ptr, ptr, i64)
declare i64 @tw_now()

define internal void @bump(ptr %counters, i64 %begin, i64 %end) nounwind {
entry:
  %any = icmp slt i64 %begin, %end
  br i1 %any, label %loop, label %done
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %p = getelementptr i32, ptr %counters, i64 %i
  %old = load i32, ptr %p
  %new = add i32 %old, 1
  store i32 %new, ptr %p
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}

define void @count(ptr %rt, ptr %args) nounwind {
  %counters = load ptr, ptr %args
  %slot = getelementptr ptr, ptr %args, i64 1
  %n = load i64, ptr %slot
  call void @tw_parallel_for(ptr %rt, ptr @bump, ptr %counters, i64 %n)
  ret void
}

define internal void @rows(ptr %context, i64 %begin, i64 %end) nounwind {
entry:
  %rt = load ptr, ptr %context
  %slot = getelementptr ptr, ptr %context, i64 1
  %counters = load ptr, ptr %slot
  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %offset = mul i64 %i, 16
  %row = getelementptr i32, ptr %counters, i64 %offset
  call void @tw_parallel_for(ptr %rt, ptr @bump, ptr %row, i64 16)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}

define void @nested(ptr %rt, ptr %args) nounwind {
  %context = alloca [2 x ptr]
  store ptr %rt, ptr %context
  %slot = getelementptr ptr, ptr %context, i64 1
  %counters = load ptr, ptr %args
  store ptr %counters, ptr %slot
  call void @tw_parallel_for(ptr %rt, ptr @rows, ptr %context, i64 16)
  ret void
}

define i32 @rounds(ptr %rt, ptr %arena, ptr %constants, ptr %io) nounwind {
entry:
  %n = load i64, ptr %constants
  %slot = getelementptr i64, ptr %constants, i64 1
  %k = load i64, ptr %slot
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  call void @tw_parallel_for(ptr %rt, ptr @bump, ptr %arena, i64 %n)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %k
  br i1 %more, label %loop, label %done
done:
  ret i32 0
}

define void @clock(ptr %rt, ptr %args) nounwind {
  %p = load ptr, ptr %args
  %t = call i64 @tw_now()
  store i64 %t, ptr %p
  ret void
}`;

const cpu = hostCpu();
const jit = jitCreate([compileIr(text, { triple: cpu.triple, cpu: cpu.name, passes: "function(sroa)" })]);
afterAll(() => jitDispose(jit));

function withPool(threads: number, run: (pool: PoolHandle) => void): void {
  const pool = poolCreate(threads);
  try {
    expect(poolThreads(pool)).toBe(threads);
    run(pool);
  } finally {
    poolDispose(pool);
  }
}

describe("tw_parallel_for", () => {
  it.each([1, 2, 4, 7])("covers every iteration once with %i threads", (threads) => {
    const counters = new Int32Array(allocAligned(4 * 100_000));
    const count = jitLookup(jit, "count");
    withPool(threads, (pool) => {
      for (const n of [0, 1, 2, 3, 5, 7, 8, 13, 64, 101, 1000, 99_991]) {
        counters.fill(0);
        for (let round = 0; round < 20; round++) {
          invokeKernel(count, pool, BigUint64Array.of(addressOf(counters), BigInt(n)));
        }
        expect(counters.subarray(0, n).every((value) => value === 20)).toBe(true);
        expect(counters[n]).toBe(0);
      }
    });
  });

  it.each([1, 2, 4])("stands a million regions with %i threads", (threads) => {
    const counters = new Int32Array(allocAligned(4096));
    const rounds = jitLookup(jit, "rounds");
    const k = threads > 2 ? 20_000 : 250_000;
    withPool(threads, (pool) => {
      for (const n of [2, 5, 16, 100]) {
        counters.fill(0);
        const constants = BigUint64Array.of(BigInt(n), BigInt(k));
        invoke(rounds, pool, addressOf(counters), addressOf(constants), new BigUint64Array(1));
        expect(counters.subarray(0, n).every((value) => value === k)).toBe(true);
      }
    });
  });

  it("runs nested regions serially", () => {
    withPool(2, (pool) => {
      const counters = new Int32Array(256);
      for (let round = 0; round < 500; round++) {
        invokeKernel(jitLookup(jit, "nested"), pool, BigUint64Array.of(addressOf(counters)));
      }
      expect(counters.every((value) => value === 500)).toBe(true);
    });
  });

  it("runs without a pool", () => {
    const counters = new Int32Array(10);
    invokeKernel(jitLookup(jit, "count"), serial, BigUint64Array.of(addressOf(counters), 10n));
    expect([...counters]).toEqual(Array(10).fill(1));
  });

  it("goes on after the workers have slept", async () => {
    const counters = new Int32Array(64);
    const pool = poolCreate(3);
    for (let round = 0; round < 20; round++) {
      await new Promise((resolve) => setTimeout(resolve, 3));
      invokeKernel(jitLookup(jit, "count"), pool, BigUint64Array.of(addressOf(counters), 64n));
    }
    poolDispose(pool);
    expect(counters.every((value) => value === 20)).toBe(true);
  });

  it("makes and ends many pools", () => {
    const counters = new Int32Array(64);
    const before = process.memoryUsage().rss;
    for (let round = 0; round < 300; round++) {
      withPool(3, (pool) => invokeKernel(jitLookup(jit, "count"), pool, BigUint64Array.of(addressOf(counters), 64n)));
    }
    expect(counters.every((value) => value === 300)).toBe(true);
    expect(process.memoryUsage().rss - before).toBeLessThan(8 << 20);
    expect(() => poolCreate(0)).toThrow(/between 1 and 1024/);
  });

  it("costs little while hot", () => {
    withPool(2, (pool) => {
      const counters = allocAligned(4096);
      const constants = BigUint64Array.of(2n, 1000n);
      const rounds = jitLookup(jit, "rounds");
      const io = new BigUint64Array(1);
      const options = { warmup: 2, repeats: 21 };
      const samples = timeEntry(rounds, pool, addressOf(counters), addressOf(constants), io, options);
      const perRegionNs = samples.sort()[3]! / 1000;
      expect(perRegionNs).toBeLessThan(20_000);
    });
  });

  it("gives a clock that goes forward", () => {
    const times = new BigInt64Array(2);
    for (let i = 0; i < 2; i++) {
      invokeKernel(jitLookup(jit, "clock"), serial, BigUint64Array.of(addressOf(times.subarray(i))));
    }
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(0n);
  });
});

describe("a process with live pools and linked code", () => {
  it("ends at once", async () => {
    const { spawnSync } = await import("node:child_process");
    const { addonPath } = await import("../../native/addon.ts");
    const program = `const a = require(${JSON.stringify(addonPath())});
const jit = a.jitCreate([a.compileIr(${JSON.stringify(text)}, {})]);
const pool = a.poolCreate(4);
const counters = a.allocAligned(4096);
a.invokeKernel(a.jitLookup(jit, "count"), pool, BigUint64Array.of(a.addressOf(counters), 64n));
if (process.argv[1] === "exit") process.exit(3);
if (process.argv[1] === "throw") throw new Error("on purpose");`;
    const statusOf = (how: string) => spawnSync(process.execPath, ["-e", program, how], { timeout: 20_000 }).status;
    expect(["", "exit", "throw"].map(statusOf)).toEqual([0, 3, 1]);
  });

  it("may use the add-on in worker threads", async () => {
    const { Worker } = await import("node:worker_threads");
    const { addonPath } = await import("../../native/addon.ts");
    const program = `const { parentPort } = require("node:worker_threads");
const a = require(${JSON.stringify(addonPath())});
const jit = a.jitCreate([a.compileIr(${JSON.stringify(text)}, {})]);
const pool = a.poolCreate(2);
const counters = new Int32Array(a.allocAligned(256));
a.invokeKernel(a.jitLookup(jit, "count"), pool, BigUint64Array.of(a.addressOf(counters), 64n));
parentPort.postMessage(counters.reduce((x, y) => x + y, 0));`;
    for (let round = 0; round < 5; round++) {
      const sums = [0, 1].map(
        () =>
          new Promise((resolve, reject) => {
            const worker = new Worker(program, { eval: true });
            let sum: unknown;
            worker.on("message", (value) => (sum = value));
            worker.on("error", reject);
            worker.on("exit", () => resolve(sum));
          }),
      );
      expect(await Promise.all(sums)).toEqual([64, 64]);
    }
  });
});
