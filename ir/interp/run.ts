/** Runs whole programs: makes the outputs, hands them back by name. */

import type { Buffer } from "../expr/expr.ts";
import { arrayTypeOf, type TypedArray } from "../graph/tensor-value.ts";
import type { PrimFunc, Program } from "../loop/program.ts";
import { UsageError } from "../support/errors.ts";
import type { VarId } from "../support/ids.ts";
import { physicalCount } from "./access.ts";
import { evaluateExpr } from "./expressions.ts";
import { type InterpretOptions, interpreter } from "./interpret.ts";
import type { Scalar } from "./scalar.ts";
import { undefinedStorage } from "./storage.ts";

export interface RunOptions extends InterpretOptions {
  /** The function to run. Default: the first one that is no task. */
  readonly func?: string;
}

/** The function a caller enters: the first that is no task. @throws UsageError when there is none */
export function entryFunction(program: Program, name?: string): PrimFunc {
  const entry = program.functions.find((f) => (name === undefined ? f.chunk === undefined : f.name === name));
  if (!entry)
    throw new UsageError("interp/no-function", `the program has no ${name ? `function ${name}` : "entry function"}`);
  return entry;
}

/**
 * Runs a function of `program`: inputs and constants by buffer name; outputs and workspaces start undefined. Gives the
 * outputs (whole physical buffers) by buffer name. @throws InterpreterError where the program is ill-formed
 */
export function runProgram(
  program: Program,
  inputs: Readonly<Record<string, TypedArray>>,
  options: RunOptions = {},
): Record<string, TypedArray> {
  const entry = entryFunction(program, options.func);
  const args: Record<string, TypedArray> = {};
  const outputs: Record<string, TypedArray> = {};
  for (const { buffer, role } of entry.params) {
    if (role === "input" || role === "constant") {
      const given = inputs[buffer.name];
      if (!given) throw new UsageError("interp/missing-argument", `${entry.name}: no array for ${buffer.name}`);
      args[buffer.name] = given;
    } else {
      args[buffer.name] = emptyArray(buffer, entry, options);
      if (role === "output") outputs[buffer.name] = args[buffer.name]!;
    }
  }
  interpreter(program, options)(entry.name, args, options);
  return outputs;
}
/** A zeroed array that holds the whole physical buffer (shapes may use the function's scalars). */
export function arrayFor(buffer: Buffer, func?: PrimFunc, options: InterpretOptions = {}): TypedArray {
  const env = new Map<VarId, Scalar>();
  for (const v of func?.scalars ?? []) {
    const value = options.scalars?.[v.name];
    if (value !== undefined) env.set(v.id, value);
  }
  const extents = buffer.shape.map((e) => Number(evaluateExpr(e, env)));
  return new (arrayTypeOf(buffer.dtype.scalar))(physicalCount(buffer, extents));
}
function emptyArray(buffer: Buffer, func: PrimFunc, options: InterpretOptions): TypedArray {
  const zeros = arrayFor(buffer, func, options);
  return undefinedStorage(buffer.dtype.scalar, zeros.length, false).elements;
}
