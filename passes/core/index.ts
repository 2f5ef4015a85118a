/** The door of the pass framework. */
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
export {
  type Chained,
  insertPass,
  type OutOfOrder,
  type PassPlace,
  type Pipeline,
  pipeline,
  pipelineOf,
} from "./pipeline.ts";
