/** The door of the pass framework. */
export { type Fact, facts } from "./facts.ts";
export { type GraphRule, graphPattern, graphRewritePass, graphRule, rewriteGraph } from "./graph-rewriting.ts";
export {
  type Instrument,
  type InstrumentOutput,
  instrumentsFrom,
  type PassEvent,
  PipelineStopped,
  printIr,
  printing,
  stoppingAfter,
  timing,
  verifying,
} from "./instrument.ts";
export {
  type AnyPass,
  definePass,
  type Pass,
  type PassContext,
  type PassOptions,
  plainContext,
  type Representation,
  type Representations,
} from "./pass.ts";
export { type Captures, type ExprPattern, type Pattern, pattern, type StmtPattern } from "./pattern.ts";
export {
  type Chained,
  insertPass,
  type OutOfOrder,
  type PassPlace,
  type Pipeline,
  pipeline,
  pipelineOf,
} from "./pipeline.ts";
export {
  boundsIn,
  type ExprRule,
  type RewriteContext,
  type RuleSet,
  rewritePass,
  rewriteProgram,
  rewriteRule,
  type StmtRule,
} from "./rewriting.ts";
