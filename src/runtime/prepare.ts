/** The graph half of compiling: types, folding, fusion into groups, layouts. Pure; the kernel half is `kernels.ts`. */
import type { FusedGraph, Graph, Node } from "../../ir/graph/graph.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import type { MathPolicy } from "../../ir/loop/program.ts";
import { assignLayouts } from "../../passes/graph/assign-layouts.ts";
import { eliminateCommonSubexpressions } from "../../passes/graph/common-subexpressions.ts";
import { foldPadsIntoConvolutions } from "../../passes/graph/fold-pads.ts";
import { foldScalesIntoConvolutions } from "../../passes/graph/fold-scales.ts";
import { forwardIdentities } from "../../passes/graph/forward-identities.ts";
import { fuseGroups } from "../../passes/graph/fuse-groups.ts";
import { dropDead } from "../../passes/graph/rewriting.ts";
import type { Machine } from "../../passes/schedule/library/plan.ts";
import { inferGraph } from "../operators/infer.ts";
import { lookupRow } from "../operators/registry.ts";

export interface PrepareOptions {
  /** Shapes of inputs whose dimensions the model leaves open. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly math: MathPolicy;
  /** Values of inputs that may be fixed at compile time; those that a shape depends on are no inputs afterwards. */
  readonly values?: Readonly<Record<string, TensorValue>>;
}

/** Types every value and applies the graph rewrites that hold for any target. */
export function simplifyGraph(graph: Graph, options: PrepareOptions): Graph {
  const typed = dropDead(inferGraph(graph, options.shapes, options.values));
  const shared = eliminateCommonSubexpressions(forwardIdentities(typed));
  const padded = foldPadsIntoConvolutions(shared);
  return options.math === "strict" ? padded : foldScalesIntoConvolutions(padded);
}

/** How a node may fuse, by its operator row. */
export function patternOf(n: Node): ReturnType<Parameters<typeof fuseGroups>[1]> {
  return lookupRow(n.op, n.domain, n.opset)?.pattern ?? "opaque";
}

/** Groups and layouts for a target. */
export function layOut(graph: Graph, machine: Machine): FusedGraph {
  return assignLayouts(fuseGroups(graph, patternOf), machine);
}
