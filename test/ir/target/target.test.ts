import { describe, expect, test } from "vitest";
import { UsageError } from "../../../ir/support/errors.ts";
import { editDistance, nearest } from "../../../ir/support/nearest.ts";
import { hasFeature, hostTarget, parseTarget } from "../../../ir/target/parse.ts";
import { impliedFeatures, presets } from "../../../ir/target/presets.ts";
import { lanesOf } from "../../../ir/target/target.ts";

test("znver4 is what was measured", () => {
  expect(parseTarget("znver4")).toMatchObject({
    arch: "x86_64",
    vectorBits: 512,
    vectorRegisters: 32,
    caches: { l1dBytes: 32768, l2Bytes: 1048576, l3Bytes: 33554432, lineBytes: 64 },
  });
});
test.each(presets.map((p) => p.name))("%s parses to itself", (name) => {
  expect(parseTarget(name).name).toBe(name);
});
test.each([
  ["x86-64-v2", "float32", 4],
  ["x86-64-v3", "float32", 8],
  ["x86-64-v4", "float32", 16],
  ["znver4", "int8", 64],
  ["aarch64-neoverse-n1", "float16", 8],
  ["x86-64-v2", "float64", 2],
] as const)("lanes of %s for %s", (name, scalar, lanes) => expect(lanesOf(parseTarget(name), scalar)).toBe(lanes));

describe("feature suffixes", () => {
  test("added and removed in order", () => {
    const t = parseTarget("x86-64-v3+avx512f+avx512vl-bmi2");
    expect(t.features).toEqual(["+avx512f", "+avx512vl", "-bmi2"]);
    expect(t).toMatchObject({ name: "x86-64-v3+avx512f+avx512vl-bmi2", vectorBits: 512, vectorRegisters: 32 });
    expect([hasFeature(t, "avx512f"), hasFeature(t, "bmi2"), hasFeature(t, "fma")]).toEqual([true, false, true]);
  });
  test("removing AVX-512 narrows the vectors", () => {
    const t = parseTarget("znver4-avx512f");
    expect(t).toMatchObject({ vectorBits: 256, vectorRegisters: 16 });
    expect(hasFeature(t, "avx512bf16")).toBe(false);
  });
  test("names with a dash", () =>
    expect(parseTarget("sapphirerapids-amx-int8+avxifma").features).toEqual(["-amx-int8", "+avxifma"]));
  test("a longer name is no suffix of a shorter one", () =>
    expect(parseTarget("nvptx-sm_90a").gpu?.smVersion).toBe(90));
});
describe("what is unknown is refused with the nearest names", () => {
  const caught = (text: string): UsageError => {
    try {
      parseTarget(text);
    } catch (e) {
      if (e instanceof UsageError) return e;
      throw e;
    }
    throw new Error(`${text} parsed`);
  };
  test.each([
    ["zenver4", "znver4"],
    ["x86-64-v9", "x86-64-v2"],
    ["nvptx-sm80", "nvptx-sm_80"],
    ["", "host"],
  ])("%s", (text, near) => {
    const error = caught(text);
    expect(error.code).toBe("target/unknown");
    expect(error.details.nearest).toContain(near);
    expect(error.message).toContain(near);
  });
  test("a feature", () => {
    const error = caught("x86-64-v4+avx512bf61");
    expect([error.code, error.details.feature]).toEqual(["target/unknown-feature", "+avx512bf61"]);
    expect(error.details.nearest).toContain("avx512bf16");
  });
});
test("the host takes a preset's numbers and the machine's own facts", () => {
  const caches = { l1dBytes: 32768, l2Bytes: 1048576, l3Bytes: 0, lineBytes: 64 };
  const host = hostTarget({
    cpuName: "znver4",
    featureString: "+avx512f,+avx512vl,+avx512bf16,-amx-int8",
    caches,
    cores: 2,
  });
  expect(host).toMatchObject({
    name: "host",
    cpu: "znver4",
    cores: 2,
    vectorBits: 512,
    triple: "x86_64-unknown-linux-gnu",
  });
  expect(host.caches.l3Bytes).toBe(33554432);
  expect([hasFeature(host, "avx512bf16"), hasFeature(host, "amx-int8")]).toEqual([true, false]);
  const unknown = hostTarget({ cpuName: "alderlake", featureString: "+sse4.2,+avx,+avx2,+fma", caches, cores: 4 });
  expect(unknown).toMatchObject({ vectorBits: 256, vectorRegisters: 16 });
  const arm = hostTarget({ cpuName: "cortex-a76", featureString: "+neon,+fp-armv8", caches, cores: 4 });
  expect(arm).toMatchObject({ arch: "aarch64", vectorBits: 128, triple: "aarch64-unknown-linux-gnu" });
});
describe("the host's preset", () => {
  const caches = { l1dBytes: 0, l2Bytes: 0, l3Bytes: 0, lineBytes: 64 };
  const on = (cpuName: string, preset: string, model: string, without: readonly string[] = []) => {
    const features = impliedFeatures[preset]!.filter((f) => !without.includes(f)).map((f) => `+${f}`);
    const { cpu, fmaPerCycle, reads } = hostTarget({
      cpuName,
      featureString: features.join(),
      caches,
      cores: 2,
      model,
    });
    return { cpu, fmaPerCycle, interconnect: reads.interconnect };
  };
  test("is by features where the name is of an older processor, as virtual machines report it", () => {
    const server = { cpu: "rocketlake", fmaPerCycle: 2, interconnect: "mesh" };
    expect(on("rocketlake", "sapphirerapids", "Intel(R) Xeon(R) Processor")).toEqual(server);
    expect(on("rocketlake", "rocketlake", "11th Gen Intel(R) Core(TM) i9")).toEqual({
      ...server,
      fmaPerCycle: 1,
      interconnect: "ring",
    });
  });
  test("is one of the same maker's", () => {
    const unnamed = (model: string) => on("x86-64-v4", "znver4", model, ["avx512bf16"]).interconnect;
    expect([unnamed("AMD EPYC 9654"), unnamed("Intel(R) Xeon(R)")]).toEqual(["ring", "mesh"]);
  });
  test("is the maker's own of those with the same features", () => {
    const cascadeLake = on("cascadelake", "skylake-avx512", "Intel(R) Xeon(R) Gold 6248");
    expect(cascadeLake).toEqual({ cpu: "cascadelake", fmaPerCycle: 2, interconnect: "mesh" });
  });
  test("is by name where a virtual machine hides features", () =>
    expect(on("sapphirerapids", "sapphirerapids", "Intel(R) Xeon(R)", ["amx-tile", "avx512fp16"])).toEqual({
      cpu: "sapphirerapids",
      fmaPerCycle: 2,
      interconnect: "mesh",
    }));
});
test("edit distance counts insertions, deletions, substitutions, swaps", () => {
  expect([
    editDistance("abc", "abc"),
    editDistance("ab", "abc"),
    editDistance("abcd", "acbd"),
    editDistance("", "xy"),
  ]).toEqual([0, 1, 1, 2]);
  expect(nearest("flot32", ["int8", "float32", "float16"], 1)).toEqual(["float32"]);
});
