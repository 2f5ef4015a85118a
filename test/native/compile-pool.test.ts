import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { hostCpu, jitCreate, jitDispose, jitLookup, packageRoot } from "../../native/addon.ts";
import { CompileCrashError, CompileError, CompilePool, CompileTimeoutError } from "../../native/compile-pool.ts";

const folder = mkdtempSync(join(tmpdir(), "tilewright-pool-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cpu = hostCpu();
const options = { triple: cpu.triple, cpu: cpu.name, features: cpu.features };
const constant = (name: string, value: number) => `define i32 @${name}() {\n  ret i32 ${value}\n}\n`;
/** Valid IR that cannot be selected: an AVX-512 intrinsic for a processor without AVX-512. */
const hopeless = {
  irText: `declare <16 x i32> @llvm.x86.avx512.pmaddw.d.512(<32 x i16>, <32 x i16>)
define void @f(ptr %p) {
  %a = load <32 x i16>, ptr %p
  %c = call <16 x i32> @llvm.x86.avx512.pmaddw.d.512(<32 x i16> %a, <32 x i16> %a)
  store <16 x i32> %c, ptr %p
  ret void
}
`,
  options: { triple: "x86_64-linux-gnu", cpu: "x86-64" },
} as const;
/** Slow to compile: quadratic in the number of stores. */
const slow = (n: number) =>
  `define void @f(ptr %p) {\n${Array.from({ length: n }, (_, i) => `  %q${i} = getelementptr i32, ptr %p, i64 ${(i * 7919) % n}\n  %v${i} = load volatile i32, ptr %q${i}\n  store volatile i32 %v${i}, ptr %p`).join("\n")}\n  ret void\n}\n`;

const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(condition()).toBe(true);
}

describe("CompilePool", () => {
  it("compiles many modules at once", async () => {
    using pool = new CompilePool({ size: 2 });
    const jobs = Array.from({ length: 20 }, (_, i) => pool.compile({ irText: constant(`f${i}`, i), options }));
    const jit = jitCreate(await Promise.all(jobs));
    expect(jitLookup(jit, "f19")).toBeGreaterThan(0n);
    jitDispose(jit);
    expect(pool.childPids).toHaveLength(2);
  });

  it("rejects what LLVM refuses, with its message", async () => {
    using pool = new CompilePool({ size: 1 });
    const failure = await pool.compile({ irText: "nonsense", options }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CompileError);
    expect(failure).toMatchObject({ code: "llvm/parse", message: expect.stringMatching(/expected top-level entity/) });
  });

  it("survives LLVM's death and keeps the IR", async () => {
    using pool = new CompilePool({ size: 1, crashFolder: folder });
    const [crash, after] = await Promise.allSettled([
      pool.compile(hopeless),
      pool.compile({ irText: constant("f", 1), options }),
    ]);
    expect(after.status).toBe("fulfilled");
    if (crash.status !== "rejected") throw new Error("the hopeless module compiled");
    const error: unknown = crash.reason;
    if (!(error instanceof CompileCrashError)) throw error;
    expect(error.message).toMatch(/LLVM ERROR/);
    expect(readFileSync(String(error.details.irPath), "utf8")).toBe(hopeless.irText);
  });

  it("survives a child that is killed from outside", async () => {
    using pool = new CompilePool({ size: 1, crashFolder: folder });
    await pool.compile({ irText: constant("f", 1), options });
    const job = pool.compile({ irText: slow(20_000), options });
    process.kill(pool.childPids[0] ?? 0, "SIGKILL");
    await expect(job).rejects.toMatchObject({ code: "llvm/crash", message: expect.stringMatching(/SIGKILL/) });
    await expect(pool.compile({ irText: constant("f", 1), options })).resolves.toBeInstanceOf(Uint8Array);
  });

  it("kills a job that takes too long", async () => {
    using pool = new CompilePool({ size: 1, timeoutMs: 2_000, crashFolder: folder });
    const job = pool.compile({ irText: slow(200_000), options });
    await expect(job).rejects.toBeInstanceOf(CompileTimeoutError);
    await expect(pool.compile({ irText: constant("f", 1), options })).resolves.toBeInstanceOf(Uint8Array);
  });

  it("ends its children and rejects what waits when disposed of", async () => {
    const pool = new CompilePool({ size: 1 });
    await pool.compile({ irText: constant("f", 1), options });
    const pids = pool.childPids;
    const waiting = pool.compile({ irText: constant("f", 1), options });
    pool.dispose();
    await expect(waiting).rejects.toMatchObject({ code: "native/disposed" });
    await expect(pool.compile({ irText: "", options })).rejects.toMatchObject({ code: "native/disposed" });
    await until(() => pids.every((pid) => !alive(pid)));
  });

  it("passes LLVM's options to the children, and says so when LLVM does not know one", async () => {
    using good = new CompilePool({ size: 1, llvmOptions: ["-enable-misched=false"] });
    await expect(good.compile({ irText: constant("f", 1), options })).resolves.toBeInstanceOf(Uint8Array);
    using bad = new CompilePool({ size: 1, llvmOptions: ["-frobnicate"] });
    await expect(bad.compile({ irText: constant("f", 1), options })).rejects.toMatchObject({
      code: "native/worker",
      message: expect.stringMatching(/frobnicate/),
    });
  });
});

describe("a process with a pool", () => {
  const script = join(folder, "main.mts");
  /** Runs a program that compiles something, then `body`; gives the process id of its compile worker. */
  const run = (body: string) => {
    const pool = join(packageRoot(), "native", "compile-pool.ts");
    writeFileSync(
      script,
      `import { writeSync } from "node:fs";
import { CompilePool } from ${JSON.stringify(pool)};
const pool = new CompilePool({ size: 1 });
await pool.compile({ irText: ${JSON.stringify(constant("f", 1))}, options: {} });
writeSync(1, String(pool.childPids[0]));
${body}`,
    );
    const tsx = pathToFileURL(join(packageRoot(), "node_modules", "tsx", "dist", "loader.mjs")).href;
    const result = spawnSync(process.execPath, ["--import", tsx, script], { encoding: "utf8", timeout: 30_000 });
    return { pid: Number(result.stdout), status: result.status, signal: result.signal, stderr: result.stderr };
  };

  it("ends without disposing of it, and leaves no child", async () => {
    const { pid, status, stderr } = run("");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    await until(() => pid > 0 && !alive(pid));
  });

  it("leaves no child when it is killed in the middle of a compilation", async () => {
    const { pid, signal } = run(
      `void pool.compile({ irText: ${JSON.stringify(slow(50_000))}, options: {} });
setTimeout(() => process.kill(process.pid, "SIGKILL"), 200);`,
    );
    expect(signal).toBe("SIGKILL");
    await until(() => pid > 0 && !alive(pid));
  });
});
