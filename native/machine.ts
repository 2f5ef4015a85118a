import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import type { HostFacts } from "../ir/target/parse.ts";
import type { Caches } from "../ir/target/target.ts";
import { hostCpu } from "./addon.ts";

/** What the operating system says of this machine. */
export interface Machine {
  /** The processor's marketing name. */
  readonly model: string;
  /** Threads that this process may run at once: by affinity, and by the container's quota rounded up. */
  readonly cores: number;
  readonly memoryBytes: number;
  readonly caches: Caches;
  /** False when the system does not tell and `caches` holds what is usual. */
  readonly cachesKnown: boolean;
  /** Transparent huge pages. */
  readonly hugePages: "always" | "madvise" | "never" | "unknown";
}

const usualCaches: Caches = { l1dBytes: 32 << 10, l2Bytes: 512 << 10, l3Bytes: 4 << 20, lineBytes: 64 };
const cacheFolder = "/sys/devices/system/cpu/cpu0/cache";

/** Asks the operating system; needs no add-on. */
export function machineFacts(): Machine {
  const caches = readCaches();
  return {
    model: cpus()[0]?.model.trim() ?? "unknown",
    cores: Math.max(1, Math.min(availableParallelism(), quotaCores() ?? Number.POSITIVE_INFINITY)),
    memoryBytes: totalmem(),
    caches: caches ?? usualCaches,
    cachesKnown: caches !== undefined,
    hugePages: readHugePages(),
  };
}

/** What `hostTarget` needs to know of this machine. */
export function hostFacts(): HostFacts {
  const cpu = hostCpu();
  const { caches, cores, model } = machineFacts();
  return { cpuName: cpu.name, model, featureString: cpu.features, triple: cpu.triple, caches, cores };
}

/** Caches as one core sees them; the last level is whole, shared by its cores. */
function readCaches(): Caches | undefined {
  if (!existsSync(cacheFolder)) return undefined;
  const found = { l1dBytes: 0, l2Bytes: 0, l3Bytes: 0, lineBytes: 64 };
  for (const index of readdirSync(cacheFolder).filter((name) => name.startsWith("index"))) {
    const field = (name: string) => readText(join(cacheFolder, index, name)) ?? "";
    if (field("type") === "Instruction") continue;
    const bytes = parseBytes(field("size"));
    if (field("level") === "1") found.l1dBytes = bytes;
    if (field("level") === "2") found.l2Bytes = bytes;
    if (field("level") === "3") found.l3Bytes = bytes;
    found.lineBytes = Number(field("coherency_line_size")) || found.lineBytes;
  }
  return found.l1dBytes > 0 && found.l2Bytes > 0 ? found : undefined;
}

/** `32K` or `1M` in bytes; 0 for anything else. */
function parseBytes(text: string): number {
  const match = /^(\d+)([KMG]?)$/.exec(text);
  return match ? Number(match[1]) * { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2] as "" | "K" | "M" | "G"] : 0;
}

/** Cores that a container's CPU quota grants (control groups, version 2); absent without a quota. */
function quotaCores(): number | undefined {
  const [quota, period] = (readText("/sys/fs/cgroup/cpu.max") ?? "max").split(" ").map(Number);
  return quota && period ? Math.ceil(quota / period) : undefined;
}

function readHugePages(): Machine["hugePages"] {
  const mode = /\[(always|madvise|never)\]/.exec(readText("/sys/kernel/mm/transparent_hugepage/enabled") ?? "");
  return (mode?.[1] as "always" | "madvise" | "never" | undefined) ?? "unknown";
}

function readText(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}
