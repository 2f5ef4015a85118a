/** Tilewright: compile ONNX networks and hand-written loop schedules to native kernels. */
export type { ScalarType } from "../ir/expr/dtype.ts";
export type { Graph } from "../ir/graph/graph.ts";
export { argmax, argmin, type Combiner } from "../ir/loop/combine.ts";
export type { MathPolicy, Program } from "../ir/loop/program.ts";
export {
  BoundsError,
  InputError,
  InternalError,
  ScheduleError,
  TilewrightError,
  UnavailableError,
  UnsupportedError,
  UsageError,
} from "../ir/support/errors.ts";
export type { Target } from "../ir/target/target.ts";
export type { Fate } from "../passes/schedule/fate.ts";
export type { Level } from "../passes/schedule/levels.ts";
export type { Refusal } from "../passes/schedule/library/recipe.ts";
export type { NestPrintOptions } from "../passes/schedule/print.ts";
export type { BlockCursor, Cursor, LoopCursor, Pattern } from "../passes/schedule/query.ts";
export { replay, Schedule } from "../passes/schedule/schedule.ts";
export { Trace } from "../passes/schedule/trace.ts";
export type { Alternative, Explanation } from "../passes/schedule/why.ts";
export {
  type Axis,
  type CombineCall,
  combiner,
  compute,
  computeTogether,
  indexMap,
  placeholder,
  programOf,
  reduce,
  reduceAxis,
  reduceBy,
  type Scalar,
  scan,
  schedule,
  sum,
  where,
} from "./dsl.ts";
export {
  centerCrop,
  type Image,
  type ImageTensorOptions,
  imageToTensor,
  type ResizeOptions,
  readImage,
  resizeShorterSide,
} from "./formats/image.ts";
export { buildMobileNetV2 } from "./models/mobilenet-v2.ts";
export { loadOnnx, loadOnnxSync } from "./onnx/load.ts";
export { writeOnnx } from "./onnx/write.ts";
export * as recipes from "./recipes.ts";
export { type CompileOptions, type CompileProgress, compile } from "./runtime/compile.ts";
export { Executable, type Feeds, type Port, type StepReport } from "./runtime/executable.ts";
export { type BuildOptions, build, NativeFunction } from "./runtime/function.ts";
export { machineOf, resolveTarget } from "./runtime/host.ts";
export { ObjectCache } from "./runtime/object-cache.ts";
export { scheduleHtml } from "./schedule-html.ts";
export { Tensor } from "./tensor.ts";
