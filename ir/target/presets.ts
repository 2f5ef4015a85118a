/** Named targets, and which LLVM features each processor name implies (those that recipes and lowering ask about). */
import type { Caches, GpuLimits, ReadRates, Target } from "./target.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const linux = { x86_64: "x86_64-unknown-linux-gnu", aarch64: "aarch64-unknown-linux-gnu" };

const caches = (l1Kib: number, l2Kib: number, l3Mib: number, lineBytes = 64): Caches => ({
  l1dBytes: l1Kib * KiB,
  l2Bytes: l2Kib * KiB,
  l3Bytes: l3Mib * MiB,
  lineBytes,
});
/** Bytes a cycle, measured on Zen 4 and on Granite Rapids (docs/decisions/0015); nothing reads a GPU's yet. */
const ring: ReadRates = { l2: 32, l3: 26, memory: 8, interconnect: "ring" };
const mesh: ReadRates = { l2: 45, l3: 8, memory: 4.5, interconnect: "mesh" };

type CpuParts = Pick<
  Target,
  "vectorBits" | "vectorRegisters" | "fmaPerCycle" | "caches" | "cores" | "reads" | "maker"
> & {
  /** 2 if absent; Intel's servers have as many, but 1.3 is what the times of register tiles there agree with. */
  readonly loadsPerCycle?: number;
};
const x86 = (name: string, parts: CpuParts): Target => ({
  name,
  arch: "x86_64",
  triple: linux.x86_64,
  cpu: name,
  features: [],
  loadsPerCycle: 2,
  ...parts,
});
const aarch64 = (name: string, cpu: string, parts: CpuParts, triple = linux.aarch64): Target => ({
  name,
  arch: "aarch64",
  triple,
  cpu,
  features: [],
  loadsPerCycle: 2,
  ...parts,
});
const nvptx = (
  sm: string,
  ptx: string,
  cores: number,
  l2Mib: number,
  limits: Omit<GpuLimits, "smVersion">,
): Target => ({
  name: `nvptx-${sm}`,
  arch: "nvptx64",
  triple: "nvptx64-nvidia-cuda",
  cpu: sm,
  features: [ptx],
  vectorBits: 128,
  vectorRegisters: 255,
  fmaPerCycle: 4,
  loadsPerCycle: 2,
  caches: caches(128, l2Mib * 1024, 0, 128),
  reads: mesh,
  cores,
  gpu: { smVersion: Number(/\d+/.exec(sm)![0]), ...limits },
});
const gpu = (sharedKib: number): Omit<GpuLimits, "smVersion"> => ({
  sharedBytes: sharedKib * KiB,
  maxThreads: 1024,
  regsPerThread: 255,
});

const desktop = caches(32, 256, 8);
const avx512 = { vectorBits: 512, vectorRegisters: 32 };
const neon = { vectorBits: 128, vectorRegisters: 32 };
/** Every named target. */
export const presets: readonly Target[] = [
  x86("x86-64-v2", { vectorBits: 128, vectorRegisters: 16, fmaPerCycle: 1, caches: desktop, reads: ring, cores: 2 }),
  x86("x86-64-v3", { vectorBits: 256, vectorRegisters: 16, fmaPerCycle: 2, caches: desktop, reads: ring, cores: 2 }),
  x86("x86-64-v4", { ...avx512, fmaPerCycle: 1, caches: caches(32, 1024, 16), reads: ring, cores: 2 }),
  x86("znver4", { ...avx512, fmaPerCycle: 1, caches: caches(32, 1024, 32), reads: ring, cores: 8, maker: "AMD" }),
  x86("znver5", { ...avx512, fmaPerCycle: 2, caches: caches(48, 1024, 32), reads: ring, cores: 8, maker: "AMD" }),
  ...[
    { name: "skylake-avx512", caches: caches(32, 1024, 24) },
    { name: "icelake-server", caches: caches(48, 1280, 48) },
    { name: "sapphirerapids", caches: caches(48, 2048, 60) },
  ].map(({ name, caches }) =>
    x86(name, { ...avx512, fmaPerCycle: 2, loadsPerCycle: 1.3, caches, reads: mesh, cores: 8, maker: "Intel" }),
  ),
  ...["icelake-client", "tigerlake", "rocketlake"].map((name) =>
    x86(name, { ...avx512, fmaPerCycle: 1, caches: caches(48, 512, 16), reads: ring, cores: 4, maker: "Intel" }),
  ),
  aarch64("aarch64-generic", "generic", { ...neon, fmaPerCycle: 1, caches: caches(32, 512, 4), reads: ring, cores: 4 }),
  ...(
    [
      ["neoverse-n1", 2],
      ["neoverse-v1", 4],
    ] as const
  ).map(([cpu, fmaPerCycle]) =>
    aarch64(`aarch64-${cpu}`, cpu, { ...neon, fmaPerCycle, caches: caches(64, 1024, 32), reads: ring, cores: 8 }),
  ),
  aarch64(
    "apple-m1",
    "apple-m1",
    { ...neon, fmaPerCycle: 4, caches: caches(128, 12288, 8, 128), reads: ring, cores: 4 },
    "arm64-apple-macosx11.0.0",
  ),
  nvptx("sm_70", "+ptx60", 80, 6, gpu(96)),
  nvptx("sm_80", "+ptx70", 108, 40, gpu(163)),
  nvptx("sm_86", "+ptx71", 84, 6, gpu(99)),
  nvptx("sm_90", "+ptx80", 132, 50, gpu(227)),
  nvptx("sm_90a", "+ptx80", 132, 50, gpu(227)),
];

const v2 = ["sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "cx16"];
const v3 = [...v2, "avx", "avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt", "movbe"];
const v4 = [...v3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"];
const icelake = [...v4, "avx512vnni", "avx512vbmi", "avx512vbmi2", "avx512ifma", "avx512bitalg", "avx512vpopcntdq"];
const armv8 = ["neon", "fp-armv8"];
const armv82 = [...armv8, "fullfp16", "dotprod", "lse", "crc"];
/** Features that come with LLVM's processor names. */
export const impliedFeatures: Readonly<Record<string, readonly string[]>> = {
  "x86-64-v2": v2,
  "x86-64-v3": v3,
  "x86-64-v4": v4,
  "skylake-avx512": v4,
  "icelake-server": icelake,
  "icelake-client": icelake,
  tigerlake: icelake,
  rocketlake: icelake,
  znver4: [...icelake, "avx512bf16"],
  znver5: [...icelake, "avx512bf16", "avx512vp2intersect", "avxvnni"],
  sapphirerapids: [...icelake, "avx512bf16", "avx512fp16", "avxvnni", "amx-tile", "amx-int8", "amx-bf16"],
  generic: armv8,
  "neoverse-n1": armv82,
  "neoverse-v1": [...armv82, "sve", "bf16", "i8mm", "fp16fml"],
  "apple-m1": [...armv82, "fp16fml"],
};
/** Features a target string may add or remove, besides those some preset implies. */
export const otherFeatures: Readonly<Record<Target["arch"], readonly string[]>> = {
  x86_64: ["avx512vp2intersect", "amx-fp16", "avxifma", "avxneconvert", "avxvnniint8", "prefer-256-bit", "sha", "vaes"],
  aarch64: ["sve2", "sme", "sme2", "rcpc", "aes", "sha2"],
  nvptx64: [
    "ptx60",
    "ptx63",
    "ptx70",
    "ptx71",
    "ptx74",
    "ptx76",
    "ptx78",
    "ptx80",
    "ptx81",
    "ptx82",
    "ptx83",
    "ptx84",
    "ptx85",
    "ptx86",
  ],
};
