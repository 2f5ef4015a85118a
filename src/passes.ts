/** The door to passes: defining them, running them, the default pipeline, and what they rewrite. */
export {
  add,
  binary,
  call,
  cast,
  constant,
  constantValue,
  div,
  floordiv,
  floormod,
  load,
  mul,
  select,
  sub,
  unary,
} from "../ir/expr/build.ts";
export { type DType, dtype } from "../ir/expr/dtype.ts";
export type { Buffer, Expr } from "../ir/expr/expr.ts";
export { rewrite, visit } from "../ir/expr/traverse.ts";
export { GraphBuilder, valueOf } from "../ir/graph/build.ts";
export type { Graph, Node, Value } from "../ir/graph/graph.ts";
export { tensorValue } from "../ir/graph/tensor-value.ts";
export type { PrimFunc, Program, Stmt } from "../ir/loop/program.ts";
export { mapBodies, rewriteExprs, rewriteStmt, visitExprs, visitStmt } from "../ir/loop/traverse.ts";
export { printGraph } from "../ir/text/print-graph.ts";
export { printProgram } from "../ir/text/printer.ts";
export * from "../passes/core/index.ts";
export { type LoweringTarget, loweringPipeline, withBoundsChecks } from "../passes/lower/index.ts";
export { bf16Dot, fmaOuterProduct, neonSdot, vnniDot } from "../passes/schedule/library/intrinsics.ts";
export type { TensorIntrinsic } from "../passes/schedule/primitive/tensorize.ts";
export { defaultPipeline } from "./runtime/function.ts";
export type { ChangePipeline } from "./runtime/prepare.ts";
