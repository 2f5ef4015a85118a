import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeArtifact } from "../../../src/runtime/artifact.ts";
import type { ExecutableParts } from "../../../src/runtime/executable.ts";
import { resolveTarget } from "../../../src/runtime/host.ts";
import { writeAdder, writeClassifier } from "./models.ts";
import { cli, json, temporaryFolder } from "./run-cli.ts";

const folder = temporaryFolder();
const model = writeClassifier(folder, { softmax: true });
const at = (name: string): string => join(folder, name);

describe("compiled files", () => {
  it("run and bench as the model does", async () => {
    const compiled = await json("compile", model, "-o", at("net.tw"), "--threads", "2");
    expect(compiled.status).toBe(0);
    expect(compiled.document).toMatchObject({ files: [{ path: at("net.tw") }], target: "host", threads: 2 });
    const [direct, loaded] = [await json("run", model), await json("run", at("net.tw"))];
    expect(loaded.document.outputs).toEqual(direct.document.outputs);
    expect((await json("run", at("net.tw"), "--threads", "1")).document.outputs).toEqual(direct.document.outputs);
    const bench = await json("bench", at("net.tw"), "--repeats", "3");
    expect(bench.document).toMatchObject({ threads: 2 });
  });

  it("refuse what only models take", async () => {
    await cli("compile", model, "-o", at("one.tw"));
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [["run", at("one.tw"), "--shape", "x=1,3,8,8"], 2, /--shape is for models; one\.tw is compiled already/],
      [["run", at("one.tw"), "--threads", "2"], 2, /was compiled for 1 thread; compile the model with --threads 2/],
      [["verify", at("one.tw")], 3, /is a compiled network; this verb takes the ONNX model/],
      [["inspect", at("one.tw")], 3, /is a compiled network/],
      [["bench", at("one.tw"), "--against", "onnxruntime"], 2, /--against needs the ONNX model/],
    ];
    for (const [argv, status, text] of cases) {
      const result = await cli(...argv);
      expect(result.status).toBe(status);
      expect(result.stderr).toMatch(text);
    }
  });

  it("are refused when they are damaged, of another version or for another machine", async () => {
    await cli("compile", model, "-o", at("good.tw"));
    const good = readFileSync(at("good.tw"));
    const changed = (change: (bytes: Buffer) => void): Buffer => {
      const copy = Buffer.from(good);
      change(copy);
      return copy;
    };
    const cases: readonly (readonly [Buffer, RegExp])[] = [
      [good.subarray(0, 20), /artifact\/damaged\].*it is cut off/],
      [good.subarray(0, good.length - 1), /artifact\/damaged\].*a part of it is cut off/],
      [changed((b) => b.writeUInt8(b.readUInt8(b.length - 200) ^ 1, b.length - 200)), /its checksum is wrong/],
      [changed((b) => b.writeUInt32LE(99, 8)), /artifact\/version\].*format version 99.*compile the model again/],
    ];
    for (const [bytes, text] of cases) {
      writeFileSync(at("bad.tw"), bytes);
      const { status, stderr } = await cli("run", at("bad.tw"));
      expect(status).toBe(3);
      expect(stderr).toMatch(text);
    }
    expect((await cli("compile", model, "--target", "aarch64-neoverse-n1", "-o", at("arm.tw"))).status).toBe(0);
    const other = await cli("run", at("arm.tw"));
    expect(other.status).toBe(3);
    expect(other.stderr).toMatch(/artifact\/other-target\].*compiled for aarch64-neoverse-n1.*aarch64/);
  });
});

describe("files with a right checksum and wrong parts", () => {
  const port = { name: "x", type: "float32", dims: [1] } as const;
  const parts = {
    objects: [],
    entry: "tw_main",
    inputs: [port],
    outputs: [],
    arenaBytes: 64,
    constants: new ArrayBuffer(64),
    steps: [],
    threads: 1,
  };
  const facts = { name: "net", target: resolveTarget("host"), compiler: "a test" };
  const cases: readonly (readonly [string, Partial<ExecutableParts>, RegExp])[] = [
    ["no code", {}, /does not link/],
    ["objects that are none", { objects: [Buffer.from("no object")] }, /does not link/],
    ["entries that are no symbols", { entry: "a b" }, /its header lacks a field/],
    ["types that are none", { inputs: [{ ...port, type: "float33" as never }] }, /its header lacks a field/],
    ["negative dimensions", { inputs: [{ ...port, dims: [-1] }] }, /its header lacks a field/],
    ["no thread", { threads: 0 }, /its header lacks a field/],
  ];
  for (const [what, change, text] of cases)
    it(`are refused: ${what}`, async () => {
      writeFileSync(at("crafted.tw"), encodeArtifact({ ...parts, ...change }, facts));
      const { status, stderr } = await cli("run", at("crafted.tw"));
      expect(stderr).toMatch(text);
      expect(stderr).toContain("artifact/damaged");
      expect(status).toBe(3);
    });
});

describe("--emit", () => {
  const shown: Readonly<Record<string, RegExp>> = {
    graph: /NCHW\d+c = Conv\(/,
    loops: /vectorized for/,
    trace: /s\.vectorize\(/,
    llvm: /define void @k_[0-9a-f]{20}\(/,
    asm: /k_[0-9a-f]{20}:/,
  };
  for (const [stage, text] of Object.entries(shown))
    it(`prints ${stage}`, async () => {
      const { status, stdout } = await cli("compile", model, "--emit", stage);
      expect(status).toBe(0);
      expect(stdout).toMatch(text);
      const { document } = await json<{ kernels: { symbol: string; text: string }[] }>(
        "compile",
        model,
        "--emit",
        stage,
        "--kernel",
        "Gemm",
      );
      expect(document.kernels).toHaveLength(1);
    });

  it("writes text to a file and selects kernels", async () => {
    const { status } = await cli("compile", model, "--emit", "loops", "--kernel", "Conv", "-o", at("conv.txt"));
    expect(status).toBe(0);
    expect(readFileSync(at("conv.txt"), "utf8")).toMatch(/^# k_[0-9a-f]{20}: Conv/);
    const none = await cli("compile", model, "--emit", "loops", "--kernel", "Wibble");
    expect(none.status).toBe(2);
    expect(none.stderr).toMatch(/no kernel's symbol or operators contain "Wibble"; there are .*Conv/);
  });

  for (const [target, text] of [
    ["x86-64-v3", /%ymm\d+/],
    ["znver4", /\{1to8\}/],
    ["aarch64-neoverse-n1", /fmla\s+v\d+\.4s/],
  ] as const)
    it(`writes code for ${target}`, async () => {
      const { status, stdout } = await cli("compile", model, "--emit", "asm", "--target", target, "--kernel", "Conv");
      expect(status).toBe(0);
      expect(stdout).toMatch(text);
    });

  it("refuses what is not there yet, and what is no target", async () => {
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [["--emit", "ptx"], 7, /GPU kernels are not available yet/],
      [["--target", "nvptx-sm_90", "-o", at("gpu.tw")], 7, /GPU kernels are not available yet/],
      [["--target", "znver45", "-o", at("z.tw")], 2, /unknown target "znver45"; the nearest are znver4, znver5/],
      [["--records", at("none.jsonl"), "-o", at("z.tw")], 2, /there is no records file/],
      [["--records", model, "-o", at("z.tw")], 3, /records come with tuning/],
      [[], 2, /say where to with -o FILE\.tw/],
      [["--emit", "object"], 2, /--emit object needs -o FILE/],
      [["--kernel", "Conv", "-o", at("z.tw")], 2, /--kernel goes with --emit graph/],
      [["-o", join(folder, "absent", "z.tw")], 3, /cannot write .* \(ENOENT\)/],
    ];
    for (const [flags, status, text] of cases) {
      const result = await cli("compile", model, ...flags);
      expect(result.stderr).toMatch(text);
      expect(result.status).toBe(status);
    }
    const elsewhere = await cli("run", model, "--target", "aarch64-neoverse-n1");
    expect(elsewhere.status).toBe(7);
    expect(elsewhere.stderr).toContain("this machine cannot run code for aarch64-neoverse-n1");
  });

  it("writes a header", async () => {
    const { stdout } = await cli("compile", writeAdder(folder), "--emit", "header", "--name", "my-adder");
    expect(stdout).toContain("int32_t my_adder_run(void *runtime, const float *a, const float *b, float *sum);");
  });
});
