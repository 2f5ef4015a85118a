import { describe, expect, it } from "vitest";
import {
  addressOf,
  allocAligned,
  allocatedBytes,
  compileIr,
  compileTimings,
  freeAligned,
  hostCpu,
  invoke,
  invokeKernel,
  jitCreate,
  jitDispose,
  jitLookup,
  llvmVersion,
  serial,
  setLlvmOptions,
  type TimingOptions,
  timeEntry,
  timeKernel,
} from "../../native/addon.ts";

const cpu = hostCpu();
const host = { triple: cpu.triple, cpu: cpu.name, features: cpu.features };
const light = "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg)";

const saxpy = `
define void @saxpy(ptr %rt, ptr %args) nounwind {
entry:
  %px = load ptr, ptr %args
  %slot = getelementptr ptr, ptr %args, i64 1
  %py = load ptr, ptr %slot
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %xi = getelementptr float, ptr %px, i64 %i
  %yi = getelementptr float, ptr %py, i64 %i
  %x = load <4 x float>, ptr %xi, align 16
  %y = load <4 x float>, ptr %yi, align 16
  %t = fmul contract <4 x float> %x, splat (float 3.0)
  %s = fadd contract <4 x float> %t, %y
  store <4 x float> %s, ptr %yi, align 16
  %next = add i64 %i, 4
  %more = icmp ult i64 %next, 64
  br i1 %more, label %loop, label %done
done:
  ret void
}`;

/** An entry point that stores expf(tanhf(x)) of its first float, and gives `code`. */
const entry = (name: string, code = 0) => `
declare float @expf(float)
declare float @tanhf(float)
define i32 @${name}(ptr %rt, ptr %arena, ptr %constants, ptr %io) nounwind {
  %p = load ptr, ptr %io
  %x = load float, ptr %p
  %t = call float @tanhf(float %x)
  %e = call float @expf(float %t)
  store float %e, ptr %arena
  ret i32 ${code}
}`;

function messageOf(run: () => unknown): { code: unknown; message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) return { code: "code" in error ? error.code : undefined, message: error.message };
  }
  throw new Error("nothing was thrown");
}

describe("compileIr", () => {
  it("names the LLVM it is linked with", () => {
    expect(Number.parseInt(llvmVersion(), 10)).toBeGreaterThanOrEqual(19);
    expect(cpu.features).toMatch(/^[+-]/);
  });

  it("compiles a vector kernel that computes what it says", () => {
    const jit = jitCreate([compileIr(saxpy, { ...host, passes: light })]);
    const x = new Float32Array(allocAligned(256)).map((_, i) => i);
    const buffers = [new Float32Array(allocAligned(256)), new Float32Array(allocAligned(256))] as const;
    buffers[0].set(x);
    buffers[1].fill(1);
    invokeKernel(jitLookup(jit, "saxpy"), serial, BigUint64Array.from(buffers, addressOf));
    expect([...buffers[1]]).toEqual([...x].map((v) => 3 * v + 1));
    jitDispose(jit);
  });

  it("times the phases of a compilation", () => {
    compileIr(saxpy, { ...host, passes: "default<O2>" });
    const timings = compileTimings();
    expect(timings.passesMs).toBeGreaterThan(0);
    expect(timings.emitMs).toBeGreaterThan(0);
  });

  it("emits assembly and IR", () => {
    expect(Buffer.from(compileIr(saxpy, { ...host, emit: "assembly" })).toString()).toMatch(/saxpy:/);
    expect(Buffer.from(compileIr(Buffer.from(saxpy), { ...host, emit: "ir" })).toString()).toMatch(
      /define void @saxpy/,
    );
  });

  it("gives line and column of a parse error", () => {
    const failure = messageOf(() => compileIr("define i32 @f() {\n  ret i33 0\n}", host));
    expect(failure.code).toBe("llvm/parse");
    expect(failure.message).toMatch(/ir:2:7: error: value doesn't match function result type 'i32'/);
  });

  it("gives what the verifier says", () => {
    const text =
      "define i32 @f(i1 %c) {\n  br i1 %c, label %a, label %b\na:\n  %v = add i32 1, 1\n  br label %b\nb:\n  ret i32 %v\n}";
    const failure = messageOf(() => compileIr(text, host));
    expect(failure.code).toBe("llvm/verify");
    expect(failure.message).toMatch(/Instruction does not dominate all uses/);
  });

  it("refuses bad options by name", () => {
    expect(messageOf(() => compileIr(saxpy, { ...host, passes: "function(frobnicate)" })).code).toBe("llvm/passes");
    expect(messageOf(() => compileIr(saxpy, { triple: "vax-dec-vms" })).code).toBe("llvm/target");
    expect(messageOf(() => compileIr(saxpy, { ...host, emit: "sound" as "ir" })).message).toMatch(/sound/);
    expect(messageOf(() => compileIr(7 as unknown as string, host)).message).toMatch(/argument 1 must be a string/);
  });

  it("reports bad inline assembly instead of ending the process", () => {
    const text = 'define void @f() {\n  call void asm sideeffect "frobnicate %eax", ""()\n  ret void\n}';
    const failure = messageOf(() => compileIr(text, host));
    expect(failure.code).toBe("llvm/codegen");
    expect(failure.message).toMatch(/invalid instruction mnemonic|frobnicate/);
  });

  it("cross-compiles for AArch64 and NVPTX", () => {
    const arm = compileIr(saxpy, { triple: "aarch64-linux-gnu", cpu: "neoverse-n1", emit: "assembly" });
    expect(Buffer.from(arm).toString()).toMatch(/fmla\s+v\d+\.4s/);
    const object = compileIr(saxpy, { triple: "aarch64-linux-gnu", cpu: "neoverse-n1" });
    expect([...object.subarray(0, 4)]).toEqual([0x7f, 0x45, 0x4c, 0x46]);
    const kernel = "define ptx_kernel void @k(ptr %p) {\n  store i32 1, ptr %p\n  ret void\n}";
    const ptx = compileIr(kernel, { triple: "nvptx64-nvidia-cuda", cpu: "sm_80", emit: "assembly" });
    expect(Buffer.from(ptx).toString()).toMatch(/\.target sm_80[\s\S]*\.visible \.entry k\(/);
  });

  it("takes LLVM's options once", () => {
    setLlvmOptions(["-enable-misched=false"]);
    setLlvmOptions(["-enable-misched=false"]);
    expect(messageOf(() => setLlvmOptions(["-enable-misched=true"])).code).toBe("llvm/options");
  });
});

describe("jit", () => {
  it("resolves the runtime's functions and symbols across objects", () => {
    const caller = `
declare i32 @inner(ptr, ptr, ptr, ptr)
define i32 @outer(ptr %a, ptr %b, ptr %c, ptr %d) nounwind {
  %r = call i32 @inner(ptr %a, ptr %b, ptr %c, ptr %d)
  %s = add i32 %r, 1
  ret i32 %s
}`;
    const jit = jitCreate([compileIr(entry("inner", 4), host), compileIr(caller, host)]);
    const arena = new Float32Array(allocAligned(64));
    const input = Float32Array.of(0.5);
    const io = BigUint64Array.of(addressOf(input));
    expect(invoke(jitLookup(jit, "outer"), serial, addressOf(arena), 0n, io)).toBe(5);
    expect(arena[0]).toBeCloseTo(Math.exp(Math.tanh(0.5)), 6);
    jitDispose(jit);
    expect(messageOf(() => jitLookup(jit, "outer")).code).toBe("native/disposed");
  });

  it("names undefined and duplicate symbols", () => {
    const text = "declare i32 @nowhere()\ndefine i32 @f() {\n  %a = call i32 @nowhere()\n  ret i32 %a\n}";
    const jit = jitCreate([compileIr(text, host)]);
    expect(messageOf(() => jitLookup(jit, "f")).message).toMatch(/Symbols not found: \[ nowhere \]/);
    expect(messageOf(() => jitLookup(jit, "g")).message).toMatch(/Symbols not found: \[ g \]/);
    jitDispose(jit);
    const object = compileIr(entry("twice"), host);
    expect(messageOf(() => jitCreate([object, object])).message).toMatch(/duplicate definition of symbol 'twice'/i);
    expect(messageOf(() => jitCreate([new Uint8Array(64)])).message).toMatch(/object 0 is not an ELF file/);
  });

  it("gives everything back over hundreds of rounds", () => {
    const objects = Array.from({ length: 8 }, (_, i) => compileIr(entry(`entry${i}`), host));
    const round = () => {
      const jit = jitCreate(objects);
      for (let i = 0; i < 8; i++) jitLookup(jit, `entry${i}`);
      jitDispose(jit);
    };
    for (let i = 0; i < 100; i++) round();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 500; i++) round();
    expect(process.memoryUsage().rss - before).toBeLessThan(8 << 20);
  });
});

describe("memory", () => {
  it("is zeroed, aligned and freed once", () => {
    const before = allocatedBytes();
    const buffer = allocAligned(1000, { alignment: 4096 });
    expect(buffer.byteLength).toBe(1000);
    expect(addressOf(buffer) % 4096n).toBe(0n);
    expect(new Uint8Array(buffer).every((byte) => byte === 0)).toBe(true);
    const view = new Float32Array(buffer, 64, 4);
    expect(addressOf(view)).toBe(addressOf(buffer) + 64n);
    freeAligned(buffer);
    freeAligned(buffer);
    expect(view.length).toBe(0);
    expect(allocatedBytes()).toBe(before);
  });

  it("honours huge alignments and empty buffers", () => {
    const huge = allocAligned(5 << 20, { hugePages: true, populate: true });
    expect(addressOf(huge) % BigInt(2 << 20)).toBe(0n);
    freeAligned(huge);
    // Large ones have huge pages as far as these are at hand, and may be freed while others are being made.
    for (const waitMs of [0, 300, 600]) {
      const large = allocAligned((9 << 20) + 5);
      expect(addressOf(large) % BigInt(2 << 20)).toBe(0n);
      expect(Buffer.from(large).equals(Buffer.alloc(large.byteLength))).toBe(true);
      new Uint8Array(large).fill(7);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, waitMs);
      expect(Buffer.from(large).equals(Buffer.alloc(large.byteLength, 7))).toBe(true);
      freeAligned(large);
    }
    expect(allocAligned(0).byteLength).toBe(0);
    expect(messageOf(() => allocAligned(-1)).code).toBe("native/argument");
    expect(messageOf(() => allocAligned(64, { alignment: 3 })).message).toMatch(/power of two/);
    expect(messageOf(() => allocAligned(2 ** 52)).code).toBe("native/out-of-memory");
    expect(messageOf(() => freeAligned(new ArrayBuffer(8))).message).toMatch(/not made by allocAligned/);
  });

  it("does not grow over many rounds", () => {
    for (let i = 0; i < 100; i++) freeAligned(allocAligned(1 << 20, { populate: true }));
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 2000; i++) freeAligned(allocAligned(1 << 20, { populate: true }));
    expect(process.memoryUsage().rss - before).toBeLessThan(16 << 20);
  });
});

describe("timers", () => {
  const jit = jitCreate([compileIr(saxpy, host), compileIr(entry("good"), host), compileIr(entry("bad", 3), host)]);
  const x = allocAligned(4096);
  const io = BigUint64Array.of(addressOf(x), addressOf(x));

  it("times kernels and entries, with a cold cache slower than a warm one", () => {
    const fn = jitLookup(jit, "saxpy");
    const warm = timeKernel(fn, serial, io, { warmup: 10, repeats: 101, batch: 16 }).sort();
    const cold = timeKernel(fn, serial, io, { warmup: 0, repeats: 5, flushBytes: 64 << 20 }).sort();
    expect(warm).toHaveLength(101);
    expect(warm[50]).toBeLessThan(5_000);
    expect(cold[2]).toBeGreaterThan(warm[50] ?? 0);
    const good = jitLookup(jit, "good");
    const time = (options: TimingOptions) => timeEntry(good, serial, addressOf(x), 0n, io, options);
    expect(time({ repeats: 3, minTimeMs: 2 }).length).toBeGreaterThan(3);
    expect(time({ repeats: 1e9, maxTimeMs: 5 }).length).toBeGreaterThan(0);
  });

  it("reports an entry that fails", () => {
    const bad = jitLookup(jit, "bad");
    expect(messageOf(() => timeEntry(bad, serial, addressOf(x), 0n, io)).message).toMatch(/returned 3/);
  });
});
