import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PNG } from "pngjs";
import { describe, expect, it } from "vitest";
import { findPeer, openPeer } from "../../../src/cli/peers.ts";
import { readNpy, writeNpy } from "../../../src/formats/npy.ts";
import { readNpz, writeNpz } from "../../../src/formats/npz.ts";
import { Tensor } from "../../../src/tensor.ts";
import { writeAdder, writeClassifier, writeReshaper, writeUnsupported } from "./models.ts";
import { cli, json, spawnCli, temporaryFolder } from "./run-cli.ts";

const folder = temporaryFolder();
const classifier = writeClassifier(folder);
const adder = writeAdder(folder);
const at = (name: string): string => join(folder, name);

describe("inspect", () => {
  it("says what a model is", async () => {
    const { status, document } = await json("inspect", classifier);
    expect(status).toBe(0);
    expect(document).toMatchObject({
      name: "classifier",
      producer: "tests",
      opset: 22,
      inputs: [{ name: "x", type: "float32[1, 3, 8, 8]" }],
      outputs: [{ name: "scores", type: "float32[1, 5]" }],
      operators: { Conv: 1, Relu: 1, GlobalAveragePool: 1, Flatten: 1, Gemm: 1 },
      parameters: 8 * 27 + 40,
      macs: 8 * 64 * 27 + 40,
      nodes: 5,
    });
  });

  it("lists nodes with -v", async () => {
    const { stdout } = await cli("inspect", classifier, "-v");
    expect(stdout).toMatch(/= Conv\(x, w\) \{kernel_shape: \[3, 3\]/);
  });

  it("fails with --check and names every operator that is not supported", async () => {
    const model = writeUnsupported(folder);
    expect((await cli("inspect", model)).status).toBe(0);
    const { status, stderr } = await cli("inspect", model, "--check");
    expect(status).toBe(3);
    expect(stderr).toMatch(/2 operators are not supported[\s\S]*Frobnicate[\s\S]*Wibble/);
  });
});

describe("run", () => {
  it("feeds the same values for the same seed", async () => {
    const [a, b, c] = [
      await json("run", classifier),
      await json("run", classifier, "--seed", "0", "--fill", "random"),
      await json("run", classifier, "--seed", "1"),
    ];
    expect(a.document.outputs).toEqual(b.document.outputs);
    expect(a.document.outputs).not.toEqual(c.document.outputs);
    expect(a.document.outputs).toMatchObject([{ name: "scores", type: "float32", dims: [1, 5] }]);
  });

  it("reads .npy and .npz files and writes outputs to them", async () => {
    const one = Tensor.from({ type: "float32", dims: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) });
    writeNpy(at("a.npy"), one);
    writeNpz(at("feeds.npz"), [
      ["a", one],
      ["b", one],
    ]);
    const named = await cli(
      "run",
      adder,
      "--input",
      `a=${at("a.npy")}`,
      "--input",
      `b=${at("a.npy")}`,
      "-o",
      at("out.npz"),
    );
    expect(named.status).toBe(0);
    expect(named.stdout).toContain(
      "sum: float32[2, 3]  min 2.00  max 12.0  mean 7.00  [2.00, 4.00, 6.00, 8.00, 10.0, 12.0]",
    );
    expect([...readNpz(at("out.npz")).get("sum")!.data]).toEqual([2, 4, 6, 8, 10, 12]);
    expect((await cli("run", adder, "--input", at("feeds.npz"), "-o", at("out.npy"))).status).toBe(0);
    expect(readNpy(at("out.npy")).dims).toEqual([2, 3]);
  });

  it("says which inputs are missing or too many", async () => {
    const half = await cli("run", adder, "--input", `a=${at("a.npy")}`);
    expect(half.status).toBe(2);
    expect(half.stderr).toContain("no values for b: add --input b=FILE, or --fill random");
    const filled = await cli("run", adder, "--input", `a=${at("a.npy")}`, "--fill", "zeros", "-q");
    expect(filled).toMatchObject({ status: 0, stderr: "" });
    const lone = await cli("run", adder, "--input", at("a.npy"));
    expect(lone.stderr).toContain("--input a=FILE --input b=FILE");
    const stranger = await cli("run", adder, "--input", `c=${at("a.npy")}`);
    expect(stranger.status).toBe(3);
    expect(stranger.stderr).toMatch(/no input "c"; .* "?a"?, "?b"?/);
    const shape = await cli("run", classifier, "--input", `x=${at("a.npy")}`);
    expect(shape.status).toBe(3);
  });

  it("asks for open dimensions with the flag to add, and takes them from files", async () => {
    const model = writeClassifier(folder, { batch: { symbol: "N" } });
    const { status, stderr } = await cli("run", model);
    expect(status).toBe(3);
    expect(stderr).toContain("x: [N, 3, 8, 8]");
    expect(stderr).toContain("--shape x=1,3,8,8");
    const given = await json("run", model, "--shape", "x=2,3,8,8");
    expect(given.document.outputs).toMatchObject([{ dims: [2, 5] }]);
    writeNpy(at("x.npy"), Tensor.from({ type: "float32", dims: [3, 3, 8, 8], data: new Float32Array(576) }));
    const told = await json("run", model, "--input", `x=${at("x.npy")}`);
    expect(told.document.outputs).toMatchObject([{ dims: [3, 5] }]);
    writeClassifier(folder);
  });

  it("compiles values in where shapes depend on them", async () => {
    const model = writeReshaper(folder);
    writeNpy(at("shape.npy"), Tensor.from({ type: "int64", dims: [2], data: BigInt64Array.of(3n, 2n) }));
    const flags = ["--input", `shape=${at("shape.npy")}`, "--fill", "zeros"];
    expect((await json("run", model, ...flags)).document.outputs).toMatchObject([{ name: "y", dims: [3, 2], mean: 1 }]);
    for (const against of ["unscheduled", "interpreter", ...(findPeer() ? ["onnxruntime"] : [])])
      expect((await cli("verify", model, ...flags, "--against", against)).status).toBe(0);
    const without = await cli("run", model);
    expect(without.status).toBe(3);
    expect(without.stderr).toContain("must be known at compile time");
  });

  it("classifies images", async () => {
    const png = new PNG({ width: 20, height: 12 });
    for (let i = 0; i < png.data.length; i++) png.data[i] = i % 4 === 3 ? 255 : (i * 7) % 256;
    writeFileSync(at("image.png"), PNG.sync.write(png));
    writeFileSync(at("labels.txt"), "ant\nbee\ncat\ndog\neel\n");
    const flags = ["--image", at("image.png"), "--labels", at("labels.txt"), "--top", "3"];
    const { status, document } = await json<{ top: { index: number; probability: number; label: string }[] }>(
      "run",
      classifier,
      ...flags,
    );
    expect(status).toBe(0);
    expect(document.top).toHaveLength(3);
    const names = ["ant", "bee", "cat", "dog", "eel"];
    for (const c of document.top) expect(c.label).toBe(names[c.index]);
    const ranks = document.top.map((c) => c.probability);
    expect(ranks).toEqual([...ranks].sort((a, b) => b - a));
    const all = await json<{ top: { probability: number }[] }>(
      "run",
      classifier,
      ...flags,
      "--top",
      "5",
      "--normalize",
      "tf",
    );
    expect(all.document.top.reduce((sum, c) => sum + c.probability, 0)).toBeCloseTo(1, 5);
    const text = await cli("run", classifier, ...flags, "--fit", "stretch", "--mean", "0.5", "--std", "0.5,0.5,0.5");
    expect(text.stdout).toMatch(/^ *\d+\.\d %\s+\d {2}(ant|bee|cat|dog|eel)$/m);
    const wrong = await cli("run", adder, "--image", at("image.png"));
    expect(wrong.status).toBe(3);
    expect(wrong.stderr).toContain("takes no image");
  });
});

describe("verify", () => {
  it("compares with the unscheduled lowering and with the interpreter", async () => {
    for (const against of ["unscheduled", "interpreter"]) {
      const { status, document } = await json("verify", classifier, "--against", against);
      expect(status).toBe(0);
      expect(document).toMatchObject({ ok: true, against, rtol: 1e-4, outputs: [{ name: "scores", within: true }] });
    }
  });

  it("ends with 5 and names the first kernel that differs", async () => {
    const { status, document, stderr } = await json("verify", classifier, "--rtol", "0");
    // Reassociated sums differ in the last bits, so a tolerance of 0 finds the first reduction.
    expect(status).toBe(5);
    expect(document).toMatchObject({ ok: false, firstDifference: { operators: expect.stringContaining("Conv") } });
    expect(stderr).toMatch(/first different kernel: k_[0-9a-f]{20} \(step \d+, Conv/);
  });

  it("compares with ONNX Runtime where it is installed", async (context) => {
    if (!findPeer()) context.skip("onnxruntime-node is not installed in bench/");
    const { status, document } = await json("verify", classifier, "--against", "onnxruntime");
    expect(status).toBe(0);
    expect(document).toMatchObject({ ok: true, against: "onnxruntime" });
  });

  it("says how to get ONNX Runtime where it is not", async () => {
    await expect(openPeer(classifier, 1, [folder])).rejects.toThrow(/get it with: npm install .*onnxruntime-node/);
  });
});

describe("bench", () => {
  it("gives latency and kernels beside the peak", async () => {
    const { status, document } = await json<Record<string, unknown>>("bench", classifier, "--repeats", "5");
    expect(status).toBe(0);
    expect(document).toMatchObject({ threads: 1, latencyNs: { median: expect.any(Number), p10: expect.any(Number) } });
    const kernels = document.kernels as { name: string; share: number; gflops: number }[];
    expect(kernels.map((k) => k.name).join()).toContain("Conv");
    expect(kernels.reduce((sum, k) => sum + k.share, 0)).toBeCloseTo(1, 5);
  });

  it("takes turns with ONNX Runtime where it is installed", async (context) => {
    if (!findPeer()) context.skip("onnxruntime-node is not installed in bench/");
    const { status, stdout } = await cli("bench", classifier, "--against", "onnxruntime", "--repeats", "5");
    expect(status).toBe(0);
    expect(stdout).toMatch(/against {3}onnxruntime-node [\d.]+: .* ratio [\d.]+ \(outputs equal to/);
  });
});

describe("demo", () => {
  it("compiles, checks and measures a network, and remembers the reference", async () => {
    const { status, stdout } = await cli("demo", classifier);
    expect(status).toBe(0);
    for (const text of ["5 nodes, read back from ONNX", "scores, 1 thread: equal", "of peak", "Latency", "1 thread: "])
      expect(stdout).toContain(text);
    expect((await cli("demo", classifier)).stdout).toContain("outputs are those of an earlier run");
  });
});

describe("this machine", () => {
  it("is ready, says doctor", async () => {
    const { status, document } = await json("doctor");
    expect(status).toBe(0);
    expect(document).toMatchObject({
      ok: true,
      checks: expect.arrayContaining([expect.objectContaining({ name: "native add-on", required: true })]),
      machine: { cores: expect.any(Number), caches: { l1dBytes: expect.any(Number) } },
      cache: { folder: expect.stringContaining(folder) },
    });
    const text = await cli("doctor");
    for (const word of ["found", "FMA peak", "reading L1", "huge pages", "ready"]) expect(text.stdout).toContain(word);
  });

  it("lacks the add-on, says doctor with status 7, and how to get it", async () => {
    // In a process of its own: a loaded add-on stays loaded.
    const { status, stdout } = await spawnCli(["doctor"], { TILEWRIGHT_ADDON: at("no-addon.node") });
    expect(status).toBe(7);
    expect(stdout).toContain("MISSING  native add-on; get it with: npm run setup");
    expect(stdout).toContain("not ready");
  });

  it("has targets", async () => {
    const { status, document } = await json<{ targets: { name: string; status: string }[] }>("targets");
    expect(status).toBe(0);
    const byName = new Map(document.targets.map((t) => [t.name, t.status]));
    expect(byName.get("host")).toBe("runs here");
    expect(byName.get("nvptx-sm_90")).toBe("not available yet");
    expect(byName.has("aarch64-neoverse-n1")).toBe(true);
  });

  it("has a cache that can be cleared", async () => {
    await cli("run", adder);
    const { document: before } = await json<{ entries: number }>("cache");
    expect(before.entries).toBeGreaterThan(0);
    expect((await json("cache", "clear")).document).toMatchObject({ deleted: before.entries });
    expect((await json("cache", "stats")).document).toMatchObject({ entries: 0, bytes: 0 });
    expect(existsSync(join(folder, "cache"))).toBe(true);
  });
});
