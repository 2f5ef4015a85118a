/** One convolution on its way from ONNX bytes to machine code; ARCHITECTURE.md shows excerpts of what this prints. */
import { GraphBuilder } from "../../ir/graph/build.ts";
import type { Graph } from "../../ir/graph/graph.ts";
import { printGraph, printNode } from "../../ir/text/print-graph.ts";
import { printProgram } from "../../ir/text/printer.ts";
import { llvmVersion } from "../../native/addon.ts";
import { defaultSchedule } from "../../passes/schedule/library/index.ts";
import {
  compute,
  loadOnnxSync,
  placeholder,
  reduceAxis,
  resolveTarget,
  ScheduleError,
  schedule,
  sum,
  writeOnnx,
} from "../../src/index.ts";
import { machineOf, sharedPool } from "../../src/runtime/host.ts";
import { lowerGroup, nativeOptions } from "../../src/runtime/kernels.ts";
import { layOut, simplifyGraph } from "../../src/runtime/prepare.ts";

/** What each stage prints, by its name in the page. */
export async function walk(): Promise<ReadonlyMap<string, string>> {
  const target = resolveTarget("x86-64-v4");
  const machine = machineOf(target);
  const graph = loadOnnxSync(writeOnnx(convolutionModel()));
  const simplified = simplifyGraph(graph, { math: "default" });
  const fused = layOut(simplified, machine);
  const group = fused.groups.find((g) => g.anchor.op === "Conv")!;
  const options = { target, machine, threads: 2, math: "default", schedule: "default" } as const;
  const lowered = lowerGroup(fused.graph, group, options, "conv");
  const asm = await sharedPool().compile({
    irText: lowered.text,
    options: { ...nativeOptions(target), emit: "assembly" },
  });
  return new Map([
    ["onnx", printGraph(graph)],
    ["simplified", printGraph(simplified)],
    ["groups", fused.groups.map((g) => g.nodes.map((n) => printNode(fused.graph, n)).join("\n")).join("\n\n")],
    ["layouts", layoutsOf(fused.graph)],
    ["program", printProgram(lowered.program)],
    ["trace", defaultSchedule(lowered.program, { machine, threads: 2 }).trace.toSource()],
    ["loops", lowered.schedule!.print()],
    ["flat", printProgram(lowered.flat)],
    ["llvm", lowered.text],
    ["asm", innerLoop(new TextDecoder().decode(asm))],
    ["refusal", refusal()],
  ]);
}

/** Machine code is LLVM's: excerpts of it are compared only where the version is the one they were made with. */
export const sameLlvm = (): boolean => llvmVersion().startsWith("22.");

/** A 3×3 convolution with stride and dilation 2, as exporters write it: batch normalization and activation are nodes of their own. */
function convolutionModel(): Graph {
  const b = new GraphBuilder();
  const filled = (name: string, dims: number[], value: (i: number) => number) => {
    const count = dims.reduce((x, y) => x * y, 1);
    return b.constant(name, { type: "float32", dims, data: Float32Array.from({ length: count }, (_, i) => value(i)) });
  };
  const x = b.value("x", { dtype: "float32", dims: [1, 32, 56, 56] });
  const w = filled("w", [64, 32, 3, 3], (i) => ((i % 7) - 3) / 16);
  const [y] = b.node("Conv", [x, w], {
    outputs: ["y"],
    opset: 17,
    attributes: { pads: [2, 2, 2, 2], strides: [2, 2], dilations: [2, 2] },
  });
  const parts = ["scale", "shift", "mean", "variance"].map((name, k) => filled(name, [64], (i) => 1 + ((i + k) % 3)));
  const [z] = b.node("BatchNormalization", [y, ...parts], { outputs: ["z"], opset: 17 });
  const [out] = b.node("Relu", [z], { outputs: ["out"], opset: 17 });
  return b.finish({ name: "one-convolution", inputs: [x], outputs: [out!] });
}

/** Name, type and layout of every value that has a layout. */
function layoutsOf(graph: Graph): string {
  const lines = [...graph.values.values()].flatMap((v) => {
    if (!v.layout || !v.type) return [];
    const halo = v.layout.halo?.map((h) => `${h.before}+${h.after}`).join(" ");
    return [`${v.name}: ${v.type.dtype}[${v.type.dims}] as ${v.layout.name}${halo ? `, halo ${halo}` : ""}`];
  });
  return lines.join("\n");
}

/** The loop with most multiply-adds: from its label to the jump back. */
function innerLoop(assembly: string): string {
  const blocks = assembly.split(/^(?=\.LBB\w+:|# %bb)/m).map((text) => {
    const lines = text.split("\n").filter((line) => /^\t[a-z]/.test(line));
    const jump = lines.findIndex((line) => /^\tj[a-z]+\s/.test(line));
    return jump < 0 ? lines : lines.slice(0, jump + 1);
  });
  const fmas = (lines: readonly string[]) => lines.filter((line) => line.includes("vfmadd")).length;
  const densest = blocks.reduce((best, lines) => (fmas(lines) > fmas(best) ? lines : best), []);
  return densest.map((line) => line.replace(/\t/g, " ").trim()).join("\n");
}

/** What a schedule is told when it would change a value. */
function refusal(): string {
  const A = placeholder("A", [64, 100]);
  const k = reduceAxis("k", 100);
  const s = schedule(compute("C", [64, 64], (i, j) => sum(A.at(i, k).mul(A.at(j, k)), k)));
  try {
    s.split(s.loop("k"), { factor: 8, tail: "exact" });
  } catch (error) {
    if (error instanceof ScheduleError) return error.message;
    throw error;
  }
  return "";
}
