/** The graph half of compiling: types, folding, fusion into groups, layouts. Pure; the kernel half is `kernels.ts`. */
import type { FusedGraph, Graph, Node } from "../../ir/graph/graph.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import type { MathPolicy } from "../../ir/loop/program.ts";
import type { Instrument } from "../../passes/core/instrument.ts";
import { definePass, type Representation } from "../../passes/core/pass.ts";
import { type Pipeline, pipelineOf } from "../../passes/core/pipeline.ts";
import { assignLayouts } from "../../passes/graph/assign-layouts.ts";
import { eliminateCommonSubexpressions } from "../../passes/graph/common-subexpressions.ts";
import { replaceEinsums } from "../../passes/graph/einsum-products.ts";
import { foldPadsIntoConvolutions } from "../../passes/graph/fold-pads.ts";
import { foldScalesIntoConvolutions } from "../../passes/graph/fold-scales.ts";
import { forwardIdentities } from "../../passes/graph/forward-identities.ts";
import { fuseAttention } from "../../passes/graph/fuse-attention.ts";
import { fuseBlocks } from "../../passes/graph/fuse-blocks.ts";
import { fuseGroups } from "../../passes/graph/fuse-groups.ts";
import { mergeGroups } from "../../passes/graph/merge-groups.ts";
import { moveTransposes } from "../../passes/graph/move-transposes.ts";
import { giveRows } from "../../passes/graph/one-dimensional.ts";
import { recognizeActivations } from "../../passes/graph/recognize-activations.ts";
import { dropDead } from "../../passes/graph/rewriting.ts";
import { scaleWeights } from "../../passes/graph/scale-weights.ts";
import { selectWinograd } from "../../passes/graph/select-winograd.ts";
import { giveFrames } from "../../passes/graph/three-dimensional.ts";
import { replaceTransposedConvolutions } from "../../passes/graph/transposed-convolutions.ts";
import type { Machine } from "../../passes/schedule/library/plan.ts";
import { inferGraph } from "../operators/infer.ts";
import { lookupRow } from "../operators/registry.ts";

export interface PrepareOptions {
  /** Shapes of inputs whose dimensions the model leaves open. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly math: MathPolicy;
  /** Values of inputs that may be fixed at compile time; those that a shape depends on are no inputs afterwards. */
  readonly values?: Readonly<Record<string, TensorValue>>;
  /** Changes the usual pipeline. */
  readonly passes?: ChangePipeline<"graph", "graph">;
  /** Observers of the passes. */
  readonly instruments?: readonly Instrument[];
}
/** Gives a pipeline instead of the usual one, as `(usual) => insertPass(usual, mine, { after: "infer-types" })`. */
export type ChangePipeline<From extends Representation, To extends Representation> = (
  usual: Pipeline<From, To>,
) => Pipeline<From, To>;

/** The graph rewrites that hold for any target, in their order. */
function graphPipeline(options: PrepareOptions): Pipeline<"graph", "graph"> {
  const infer = definePass<"graph", "graph">({
    name: "infer-types",
    doc: "Types every value.",
    ensures: ["typed"],
    run: (g) => inferGraph(g, options.shapes, options.values),
  });
  const typed = (name: string, doc: string, run: (g: Graph) => Graph) =>
    definePass<"graph", "graph">({ name, doc, requires: ["typed"], run });
  const phases = typed(
    "transposed-convolutions",
    "Turns transposed convolutions into convolutions.",
    replaceTransposedConvolutions,
  );
  const frames = typed("three-dimensional", "Gives three-dimensional convolutions batches of frames.", (g) =>
    giveFrames(g, patternOf),
  );
  const scales = typed("fold-scales", "Folds batch norms and scales into convolutions.", foldScalesIntoConvolutions);
  const activations = typed(
    "recognize-activations",
    "Puts one operator for activations that are made of several.",
    recognizeActivations,
  );
  return pipelineOf([
    infer,
    typed("drop-dead", "Drops nodes that no output needs.", dropDead),
    ...(options.math === "strict" ? [] : [typed("einsum-products", "Turns Einsum into MatMul.", replaceEinsums)]),
    typed("forward-identities", "Lets readers of an identity read its input.", forwardIdentities),
    // Before what looks for neighbours: scales of convolutions, epilogues.
    typed("move-transposes", "Lets transpositions meet and cancel.", moveTransposes),
    typed("common-subexpressions", "Computes equal values once.", eliminateCommonSubexpressions),
    typed("fold-pads", "Folds padding into the convolution that reads it.", foldPadsIntoConvolutions),
    typed("one-dimensional", "Gives one-dimensional convolutions maps of one row.", (g) => giveRows(g, patternOf)),
    // The first three change how results are rounded; the last multiplies infinities by zero.
    ...(options.math === "strict" ? [] : [frames, scales, activations, phases]),
  ]);
}

/** Types every value and applies the graph rewrites that hold for any target. */
export function simplifyGraph(graph: Graph, options: PrepareOptions): Graph {
  const usual = graphPipeline(options);
  return (options.passes?.(usual) ?? usual).run(graph, { options: {}, instruments: options.instruments ?? [] });
}

/** How a node may fuse, by its operator row. */
export function patternOf(n: Node): ReturnType<Parameters<typeof fuseGroups>[1]> {
  return lookupRow(n.op, n.domain, n.opset)?.pattern ?? "opaque";
}

/** Algorithms, groups and layouts for a target. Under strict math every convolution stays the direct one. */
export function layOut(graph: Graph, machine: Machine, math: MathPolicy = "default", threads = 1): FusedGraph {
  return fuseBlocks(assignLayouts(groupsFor(graph, machine, math, threads), machine), machine, threads);
}
function groupsFor(graph: Graph, machine: Machine, math: MathPolicy, threads: number): FusedGraph {
  if (math === "strict") return fuseGroups(graph, patternOf);
  const dense = scaleWeights(mergeGroups(graph, machine), machine);
  return fuseAttention(fuseGroups(selectWinograd(dense, machine, threads), patternOf), machine);
}
