/** `tilewright doctor`: what this machine has for the main job, what is missing, and how to get it. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { byteText, digits } from "../../../ir/text/units.ts";
import { addonAvailable, addonPath, hostCpu, llvmVersion } from "../../../native/addon.ts";
import { type Machine, machineFacts } from "../../../native/machine.ts";
import { type MachineRates, measureMachine } from "../../../native/measure.ts";
import { ObjectCache } from "../../runtime/object-cache.ts";
import { exitCodes } from "../errors.ts";
import { findPeer, peerInstallLine } from "../peers.ts";
import { table } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { packageVersion } from "../version.ts";

/** One thing that is looked at. */
interface Check {
  readonly name: string;
  readonly found: string | undefined;
  /** Whether the main job cannot do without. */
  readonly required: boolean;
  /** The line that gets it, when it is missing. */
  readonly remedy?: string;
}

const leastNode = [20, 19] as const;
const llvmVersions = [22, 21, 20, 19];
/** Features worth naming to people. */
const telling =
  /^\+(avx2|avx512(f|bw|vl|vnni|bf16|fp16)|fma|f16c|avxvnni|amx-\w+|neon|sve2?|dotprod|bf16|i8mm|fullfp16)$/;

/** Prints what was found. Gives 7 where something that compiling needs is missing. */
export async function doctor(terminal: Terminal): Promise<number> {
  const addon = addonAvailable();
  const checks = [...softwareChecks(addon), ...toolChecks(addon), peerCheck()];
  const machine = machineFacts();
  const cpu = addon ? hostCpu() : undefined;
  const features = cpu?.features
    .split(",")
    .filter((f) => telling.test(f))
    .map((f) => f.slice(1));
  if (addon) terminal.note("measuring the machine");
  const rates = addon ? measureMachine() : undefined;
  const { folder, entries, bytes } = ObjectCache.open().stats();
  const ok = checks.every((c) => c.found !== undefined || !c.required);
  const document = {
    ok,
    version: packageVersion(),
    checks,
    machine: { ...machine, ...(cpu ? { cpu: cpu.name, features } : {}) },
    ...(rates ? { rates } : {}),
    cache: { folder, entries, bytes },
  };
  terminal.result(document, () =>
    [
      ...checks.map((c) => checkLine(c, terminal)),
      "",
      ...machineLines(machine, cpu?.name, features),
      ...(rates ? ["", rateTable(rates, terminal)] : []),
      "",
      `cache      ${folder === undefined ? "off" : `${folder}: ${entries} kernels, ${byteText(bytes)}`}`,
      "",
      ok ? terminal.colors.green("ready") : terminal.colors.red("not ready: see what is missing above"),
    ].join("\n"),
  );
  return ok ? exitCodes.ok : exitCodes.unavailable;
}

function softwareChecks(addon: boolean): Check[] {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const isRecent = major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1]);
  return [
    {
      name: "Node",
      found: isRecent ? process.versions.node : undefined,
      required: true,
      remedy: `Node ${leastNode.join(".")} or newer (this is ${process.versions.node}): https://nodejs.org`,
    },
    {
      name: "native add-on",
      found: addon ? addonPath() : undefined,
      required: true,
      remedy: existsSync(addonPath()) ? "it does not load; build it again: npm run setup" : "npm run setup",
    },
    { name: "LLVM in the add-on", found: addon ? llvmVersion() : undefined, required: true, remedy: "npm run setup" },
  ];
}

/** What builds the add-on and links libraries; needed only where the add-on is not built yet. */
function toolChecks(addon: boolean): Check[] {
  return [
    {
      name: "LLVM to build with",
      found: findLlvm(),
      required: !addon,
      remedy: "apt-get install llvm-22-dev zlib1g-dev libzstd-dev (or LLVM_CONFIG=/path/to/llvm-config, 19 or newer)",
    },
    { name: "cmake", found: versionOf("cmake"), required: !addon, remedy: "apt-get install cmake make" },
    { name: "C++ compiler", found: versionOf("g++"), required: !addon, remedy: "apt-get install g++" },
    {
      name: "C compiler (libraries)",
      found: versionOf(process.env.CC || "cc"),
      required: false,
      remedy: "apt-get install gcc libc6-dev",
    },
  ];
}

function peerCheck(): Check {
  const peer = findPeer();
  return {
    name: "onnxruntime-node (peer)",
    found: peer ? peer.version : undefined,
    required: false,
    remedy: peerInstallLine,
  };
}

function findLlvm(): string | undefined {
  const names = process.env.LLVM_CONFIG
    ? [process.env.LLVM_CONFIG]
    : [...llvmVersions.flatMap((v) => [`llvm-config-${v}`, `/usr/lib/llvm-${v}/bin/llvm-config`]), "llvm-config"];
  for (const name of names) {
    const version = versionOf(name);
    if (version !== undefined && Number.parseInt(version, 10) >= llvmVersions.at(-1)!) return `${version} (${name})`;
  }
  return undefined;
}

/** The version number in the first line of `command --version`. */
function versionOf(command: string): string | undefined {
  const result = spawnSync(command, ["--version"], { encoding: "utf8", timeout: 10_000 });
  if (result.status !== 0) return undefined;
  const line = result.stdout.split("\n")[0] ?? "";
  return /\d+(\.\d+)+/.exec(line)?.[0] ?? line;
}

function checkLine(c: Check, { colors }: Terminal): string {
  if (c.found !== undefined) return `${colors.green("found  ")}  ${c.name}: ${c.found}`;
  const mark = c.required ? colors.red("MISSING") : colors.yellow("absent ");
  return `${mark}  ${c.name}${c.remedy ? `; get it with: ${c.remedy}` : ""}`;
}

function machineLines(m: Machine, cpu: string | undefined, features: readonly string[] | undefined): string[] {
  const { l1dBytes, l2Bytes, l3Bytes } = m.caches;
  return [
    `processor  ${m.model}${cpu ? ` (${cpu})` : ""}, ${m.cores} ${m.cores === 1 ? "core" : "cores"}`,
    ...(features ? [`features   ${features.join(" ") || "none beyond the baseline"}`] : []),
    `caches     L1d ${byteText(l1dBytes)}, L2 ${byteText(l2Bytes)}, L3 ${byteText(l3Bytes)}${m.cachesKnown ? "" : " (assumed)"}`,
    `memory     ${byteText(m.memoryBytes)}, transparent huge pages: ${m.hugePages}`,
  ];
}

function rateTable(rates: MachineRates, { colors }: Terminal): string {
  const threads = (n: number): string => `${n} ${n === 1 ? "thread" : "threads"}`;
  const rows = [
    ...rates.fma.map((f) => [`FMA peak, ${f.bits} bits`, threads(f.threads), `${digits(f.gflops)} GFLOP/s`]),
    ...rates.reads.map((r) => [
      `reading ${r.level} (${byteText(r.footprintBytes)})`,
      threads(r.threads),
      `${digits(r.gigabytesPerSecond)} GB/s`,
    ]),
  ];
  return table([{ title: "measured" }, { title: "" }, { title: "", right: true }], rows, colors);
}
