/** This machine as a target, and the compile workers that every compilation shares. */
import { hostTarget, parseTarget, withFeatures } from "../../ir/target/parse.ts";
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

/** What the analytical model needs to know of a target. */
export function machineOf(target: Target): Machine {
  return {
    lanes: lanesOf(target, "float32"),
    registers: target.vectorRegisters,
    l1Bytes: target.caches.l1dBytes,
    l2Bytes: target.caches.l2Bytes,
    fmaPerCycle: target.fmaPerCycle,
  };
}

/** The process-wide pool of compile workers; started at first use, never keeps the process alive. */
export function sharedPool(): CompilePool {
  pool ??= new CompilePool({ llvmOptions });
  return pool;
}

/** The pre-allocation scheduler hoists broadcasts out of register tiles until they spill. */
const llvmOptions: readonly string[] = ["-enable-misched=false"];
