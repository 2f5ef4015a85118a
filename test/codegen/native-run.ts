/** Compiles a program for this machine, runs it, and hands back its outputs, as `runProgram` does. */
import { describe } from "vitest";
import { defaultPassPipeline, emitLlvm } from "../../codegen/llvm/index.ts";
import type { CodegenTarget } from "../../codegen/llvm/module.ts";
import { arrayTypeOf, type TypedArray } from "../../ir/graph/tensor-value.ts";
import { entryFunction } from "../../ir/interp/run.ts";
import type { Program } from "../../ir/loop/program.ts";
import {
  addonAvailable,
  addressOf,
  allocAligned,
  compileIr,
  invokeKernel,
  jitCreate,
  jitDispose,
  jitLookup,
  type PoolHandle,
  serial,
} from "../../native/addon.ts";
import { lowerProgram } from "../../passes/lower/index.ts";
import { hostTarget } from "./host.ts";

/** `describe`, skipped where the add-on is not built. */
export const describeNative = addonAvailable() ? describe : describe.skip;
if (!addonAvailable()) console.warn("skipped: the native add-on is not built (npm run setup)");

/** The elements as numbers. */
export const numbers = (a: TypedArray): number[] => Array.from(a as ArrayLike<number | bigint>, Number);

/** The text of a scheduled program for this machine. */
export const textOf = (program: Program, vectorBits = 512, other: Partial<CodegenTarget> = {}) =>
  emitLlvm(lowerProgram(program, { vectorBits }), hostTarget(vectorBits, other));

/** Assembly of a scheduled program for this machine. */
export function assemblyOf(program: Program, vectorBits = 512): string {
  const target = hostTarget(vectorBits);
  const { text } = textOf(program, vectorBits);
  return new TextDecoder().decode(compileIr(text, { ...target, passes: defaultPassPipeline, emit: "assembly" }));
}

/** Runs the first function of a scheduled program on arrays by buffer name. */
export function runNative(
  program: Program,
  inputs: Readonly<Record<string, TypedArray>>,
  options: { pool?: PoolHandle; vectorBits?: number; processor?: Partial<CodegenTarget> } = {},
): Record<string, TypedArray> {
  const target = hostTarget(options.vectorBits, options.processor);
  const { text, functions } = textOf(program, options.vectorBits, options.processor);
  const signature = functions.find((f) => f.name === entryFunction(program).name)!;
  const jit = jitCreate([compileIr(text, { ...target, passes: defaultPassPipeline })]);
  try {
    const outputs: Record<string, TypedArray> = {};
    const views = signature.params.map((p) => {
      const array = new (arrayTypeOf(p.dtype))(allocAligned(Math.max(64, p.bytes!)), 0, elements(p.bytes!, p.dtype));
      const given = inputs[p.name];
      if (given) (array.set as (source: ArrayLike<unknown>) => void)(given as ArrayLike<unknown>);
      if (p.role === "output") outputs[p.name] = array;
      return array;
    });
    const args = BigUint64Array.from(views.map((v) => addressOf(v)));
    invokeKernel(jitLookup(jit, signature.packedSymbol), options.pool ?? serial, args);
    return outputs;
  } finally {
    jitDispose(jit);
  }
}
const elements = (bytes: number, dtype: Parameters<typeof arrayTypeOf>[0]): number =>
  bytes / arrayTypeOf(dtype).BYTES_PER_ELEMENT;
