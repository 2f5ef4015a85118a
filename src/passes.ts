/** The door to passes: defining them, running them, the default pipeline, and what they rewrite. */
export { binary, call, constant, constantValue, load, select, unary } from "../ir/expr/build.ts";
export type { Expr } from "../ir/expr/expr.ts";
export { rewrite, visit } from "../ir/expr/traverse.ts";
export type { PrimFunc, Program, Stmt } from "../ir/loop/program.ts";
export { mapBodies, rewriteExprs, rewriteStmt, visitExprs, visitStmt } from "../ir/loop/traverse.ts";
export * from "../passes/core/index.ts";
export { type LoweringTarget, loweringPipeline } from "../passes/lower/index.ts";
export { defaultPipeline } from "./runtime/function.ts";
