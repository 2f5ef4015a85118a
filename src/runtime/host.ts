/** This machine as a target, and the compile workers that every compilation shares. */
import { UnavailableError, UsageError } from "../../ir/support/errors.ts";
import { featuresOf, hostTarget, parseTarget, withFeatures } from "../../ir/target/parse.ts";
import { lanesOf, type Target } from "../../ir/target/target.ts";
import { CompilePool } from "../../native/compile-pool.ts";
import { hostFacts } from "../../native/machine.ts";
import type { Machine } from "../../passes/schedule/library/plan.ts";

let host: Target | undefined;
let pool: CompilePool | undefined;

/** The target of a target string; `host` asks this machine. */
export function resolveTarget(target: string | Target): Target {
  if (typeof target !== "string") return target;
  if (target !== "host" && !target.startsWith("host+") && !target.startsWith("host-")) return parseTarget(target);
  host ??= hostTarget(hostFacts());
  return target === "host" ? host : withFeatures(host, target.slice("host".length), target);
}

/** What of `target` this machine lacks: its architecture, or processor features; empty when it can run the code. */
export function missingHere(target: Pick<Target, "arch" | "cpu" | "features">): readonly string[] {
  const here = resolveTarget("host");
  if (target.arch !== here.arch) return [`a processor of architecture ${target.arch} (this one is ${here.arch})`];
  const own = featuresOf(here);
  return [...featuresOf(target as Target)].filter((f) => !own.has(f));
}

/** @throws UnavailableError [target/not-this-machine] when the code for `target` cannot run here */
export function assertRunnable(target: Target): void {
  const missing = missingHere(target);
  if (missing.length === 0) return;
  throw new UnavailableError(
    "target/not-this-machine",
    `this machine cannot run code for ${target.name}: it lacks ${missing.join(", ")}`,
    { target: target.name, missing },
  );
}

/** What the analytical model needs to know of a target. */
export function machineOf(target: Target): Machine {
  return {
    lanes: lanesOf(target, "float32"),
    registers: target.vectorRegisters,
    l1Bytes: target.caches.l1dBytes,
    l2Bytes: target.caches.l2Bytes,
    fmaPerCycle: target.fmaPerCycle,
    loadsPerCycle: target.loadsPerCycle,
    reads: target.reads,
  };
}

/** The process-wide pool of compile workers; started at first use, never keeps the process alive. */
export function sharedPool(): CompilePool {
  pool ??= new CompilePool({ llvmOptions, timeoutMs: compileLimitMs(process.env.TILEWRIGHT_COMPILE_MS) });
  return pool;
}

/** The longest that LLVM may take over one kernel; 0 for no limit, two minutes if not given. */
export function compileLimitMs(given: string | undefined): number {
  if (given === undefined || given === "") return 120_000;
  const limit = Number(given);
  if (Number.isFinite(limit) && limit >= 0) return limit;
  throw new UsageError(
    "usage/compile-limit",
    `TILEWRIGHT_COMPILE_MS is a number of milliseconds, got ${JSON.stringify(given)}`,
  );
}

/** The pre-allocation scheduler hoists broadcasts out of register tiles until they spill. */
const llvmOptions: readonly string[] = ["-enable-misched=false"];
