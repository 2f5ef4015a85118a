/** `bench --profile` and `bench --explain`. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import { writeOnnx } from "../../../src/onnx/write.ts";
import { writeClassifier } from "./models.ts";
import { cli, json, temporaryFolder } from "./run-cli.ts";

const folder = temporaryFolder();
const classifier = writeClassifier(folder, { softmax: true });
const at = (name: string): string => join(folder, name);

interface Event {
  readonly name: string;
  readonly cat?: string;
  readonly ph: string;
  readonly ts: number;
  readonly dur: number;
  readonly tid: number;
  readonly args?: Readonly<Record<string, unknown>>;
}
const eventsIn = (file: string) => (JSON.parse(readFileSync(file, "utf8")) as { traceEvents: Event[] }).traceEvents;
interface Kernel {
  readonly name: string;
  readonly title: string;
  readonly symbol: string;
  readonly ns: number;
  readonly bound?: string;
  readonly summary: string;
  readonly refusals?: readonly { readonly recipe: string; readonly reason: string }[];
  readonly limits: readonly {
    readonly name: string;
    readonly ns: number;
    readonly amount: number;
    readonly unit: string;
  }[];
}
interface Document {
  readonly kernels: readonly Kernel[];
  readonly missing: readonly string[];
  readonly profile?: { readonly trace: string; readonly report: string };
}

/** A network whose names are markup. */
function writeMarkup(): string {
  const evil = `</title><script>alert("1")</script><b a='`;
  const g = new GraphBuilder();
  const x = g.value(`${evil}x`, { dtype: "float32", dims: [4, 8] });
  const w = g.constant(`${evil}w`, tensorValue("float32", [8, 16], new Float32Array(128).fill(0.5)));
  const y = g.node("MatMul", [x, w], { name: `${evil}product`, outputs: [`${evil}y`] });
  const z = g.node("Softmax", y, { name: `${evil}softmax`, outputs: [`${evil}z`] });
  const path = at("<script>model.onnx");
  writeFileSync(path, writeOnnx(g.finish({ name: evil, inputs: [x], outputs: z })));
  return path;
}

/** A convolution whose recipe gives up: two of the operators that follow read it again after the first one. */
function writeRefused(): string {
  const g = new GraphBuilder();
  const x = g.value("x", { dtype: "float32", dims: [1, 16, 8, 8] });
  const w = g.constant("w", tensorValue("float32", [32, 16, 1, 1], new Float32Array(512).fill(0.5)));
  const y = g.node("Conv", [x, w])[0]!;
  const gate = g.node("Sigmoid", [y])[0]!;
  const product = g.node("Mul", [y, gate])[0]!;
  const path = at("refused.onnx");
  const outputs = g.node("Sum", [y, gate, product]);
  writeFileSync(path, writeOnnx(g.finish({ name: "refused", inputs: [x], outputs })));
  return path;
}

describe("bench --profile", () => {
  it.each(["1", "2"])("writes a trace of real runs and a page (threads: %s)", async (threads) => {
    const flags = ["--threads", threads, "--repeats", "3", "--profile", at(`net${threads}.json`)];
    const { status, document } = await json<Document>("bench", classifier, ...flags);
    expect(status).toBe(0);
    expect(document.profile).toEqual({ trace: at(`net${threads}.json`), report: at(`net${threads}.html`) });
    const events = eventsIn(at(`net${threads}.json`));
    const kernels = events.filter((e) => e.cat === "kernel");
    expect(events.filter((e) => e.cat === "run")).toHaveLength(3);
    expect(kernels.map((e) => e.name)).toEqual(
      Array(3)
        .fill(document.kernels.map((k) => k.name))
        .flat(),
    );
    expect(kernels.every((e) => e.ph === "X" && e.dur > 0 && e.tid === 0)).toBe(true);
    // Microseconds of the trace are sums of nanoseconds, in binary.
    expect(kernels.every((e, i) => i === 0 || e.ts >= kernels[i - 1]!.ts + kernels[i - 1]!.dur - 1e-3)).toBe(true);
    expect(kernels[0]!.args).toMatchObject({
      symbol: document.kernels[0]!.symbol,
      computes: document.kernels[0]!.title,
      flops: expect.any(Number),
      bytes: expect.any(Number),
      explanation: document.kernels[0]!.summary,
    });
    const tracks = events.filter((e) => e.ph === "M").map((e) => e.args!.name);
    expect(tracks[0]).toBe("calling thread");
    const names = new Set(document.kernels.map((k) => k.name));
    expect(events.filter((e) => e.cat === "chunk").every((e) => names.has(e.name) && e.dur > 0)).toBe(true);
    const page = readFileSync(at(`net${threads}.html`), "utf8");
    for (const k of document.kernels) expect(page).toContain(k.symbol);
    expect(page.match(/<circle /g)).toHaveLength(document.kernels.length);
    expect(page.match(/<tr id="kernel-/g)).toHaveLength(document.kernels.length);
  });

  it("names its files after the model where none is given", async () => {
    const { status, stdout } = await cli("bench", classifier, "--repeats", "2", "--profile");
    expect(status).toBe(0);
    expect(stdout).toContain(`profile   ${at("classifier.profile.html")}, ${at("classifier.profile.json")}`);
    for (const name of ["classifier.profile.html", "classifier.profile.json"]) expect(existsSync(at(name))).toBe(true);
  });

  it("shows names as text, whatever they are", async () => {
    const model = writeMarkup();
    expect((await cli("bench", model, "--repeats", "2", "--profile", at("markup"))).status).toBe(0);
    const page = readFileSync(at("markup.html"), "utf8");
    expect(page).toContain("&lt;script&gt;model.onnx");
    expect(page).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&lt;b a=&#39;softmax");
    for (const forbidden of ["<script", "<b ", "src=", "href=", "url(", "http:", "https:"])
      expect(page).not.toContain(forbidden);
    const nodes = eventsIn(at("markup.json")).flatMap((e) => (e.args?.nodes as string[] | undefined) ?? []);
    expect(nodes.join()).toContain("<script>");
  });

  it("says where it cannot write", async () => {
    const { status, stderr } = await cli("bench", classifier, "--repeats", "2", "--profile", at("no/folder"));
    expect(status).toBe(3);
    expect(stderr).toMatch(/file\/unwritable/);
  });
});

describe("bench --explain", () => {
  it("names the limit of each kernel with its counts", async () => {
    const { status, document } = await json<Document>("bench", classifier, "--repeats", "4", "--explain");
    expect(status).toBe(0);
    expect(document.profile).toBe(undefined);
    for (const k of document.kernels) {
      expect(k.summary).toMatch(/^(bound by|nothing counted explains|nothing was counted)/);
      expect(k.limits.map((l) => l.name)).toContain("front end");
      const times = k.limits.map((l) => l.ns);
      expect(times).toEqual([...times].sort((a, b) => b - a));
      expect(k.limits.every((l) => l.ns > 0 && l.amount > 0 && l.unit !== "")).toBe(true);
    }
    expect(document.kernels.map((k) => k.title).join()).toContain("conv 3×3 3→8 at 8×8");
    const text = await cli("bench", classifier, "--repeats", "2", "--explain");
    expect(text.stdout).toMatch(/#\d+ conv 3×3 3→8 at 8×8 {2}Conv.* GFLOP\/s/);
    expect(text.stdout).toMatch(/^ {2}(bound by|nothing counted)/m);
    expect(text.stdout).toMatch(/hot loop: .* instructions/);
  });

  it("says whose recipe was refused and why, from a cache and from a compiled file too", async () => {
    const model = writeRefused();
    expect((await cli("compile", model, "-o", at("refused.tw"))).status).toBe(0);
    for (const file of [model, model, at("refused.tw")]) {
      const { status, document } = await json<Document>("bench", file, "--repeats", "2");
      expect(status).toBe(0);
      const [refused, ...others] = document.kernels.filter((k) => k.refusals);
      expect(others).toEqual([]);
      expect(refused!.name).toContain("Conv");
      expect(refused!.refusals).toEqual([
        { recipe: "convolution", reason: "computeAt/consumers-in-loop: sigmoid also reads conv" },
      ]);
    }
    const { stdout } = await cli("bench", model, "--repeats", "2", "--explain");
    expect(stdout).toContain(
      "  recipe refused: convolution, because of computeAt/consumers-in-loop: sigmoid also reads conv\n",
    );
  });

  it("says of a compiled file what is not in it", async () => {
    expect((await cli("compile", classifier, "-o", at("net.tw"))).status).toBe(0);
    const { status, document } = await json<Document>("bench", at("net.tw"), "--repeats", "2", "--explain");
    expect(status).toBe(0);
    expect(document.missing[0]).toMatch(/a compiled file has neither assembly nor loops/);
    expect(document.kernels.flatMap((k) => k.limits.map((l) => l.name))).toContain("FMA ports");
  });
});
