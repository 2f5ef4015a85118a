/** What expressions and statements of one function see while they are written. */
import type { Expr } from "../../ir/expr/expr.ts";
import type { MathPolicy } from "../../ir/loop/program.ts";
import type { BufferId, VarId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";
import type { ModuleWriter } from "./module.ts";
import { splatLiteral, vectorOf } from "./types.ts";
import { type FunctionWriter, literal, type Value } from "./writer.ts";

/** A buffer in this function. */
export interface BufferBinding {
  readonly pointer: Value;
  /** Bytes that the pointer is a multiple of. */
  readonly alignment: number;
  /** Metadata on its accesses (alias scopes), starting with a comma; often empty. */
  readonly metadata: string;
}

/** The state of the function being written. */
export interface FunctionContext {
  readonly module: ModuleWriter;
  readonly writer: FunctionWriter;
  readonly math: MathPolicy;
  readonly vars: Map<VarId, Value>;
  readonly buffers: Map<BufferId, BufferBinding>;
  /** Variables known to be ≥ 0. */
  readonly nonNegative: Set<VarId>;
  /** Writes an expression and gives its value. */
  readonly emit: (e: Expr) => Value;
}

/** The workspace parameter, and the alias metadata of the buffers placed in it. */
export interface Workspace {
  readonly buffer: BufferId;
  readonly metadata: ReadonlyMap<BufferId, string>;
}
/** A function's context, with its workspace. */
export interface BodyContext extends FunctionContext {
  readonly workspace?: Workspace;
}

/** The binding of a buffer. */
export function bindingOf(ctx: FunctionContext, id: BufferId, name: string): BufferBinding {
  const binding = ctx.buffers.get(id);
  invariant(binding, `buffer ${name} is neither a parameter nor allocated around its use`);
  return binding;
}

/** A scalar in every lane. */
export function splat(ctx: FunctionContext, element: string, value: Value, lanes: number): Value {
  if (lanes === 1) return value;
  if (!value.ref.startsWith("%")) return literal(splatLiteral(element, value.ref, lanes));
  const type = vectorOf(element, lanes);
  const one = ctx.writer.hoisted(`insertelement ${type} poison, ${element} ${value.ref}, i64 0`, [value]);
  return ctx.writer.hoisted(`shufflevector ${type} ${one.ref}, ${type} poison, <${lanes} x i32> zeroinitializer`, [
    one,
  ]);
}

/** Calls an intrinsic overloaded on its first type. */
export function intrinsic(ctx: FunctionContext, name: string, result: string, args: readonly [string, Value][]): Value {
  const types = args.map(([t]) => t);
  const callee = ctx.module.declare(name, result, types);
  return ctx.writer.pure(`call ${result} ${callee}(${args.map(([t, v]) => `${t} ${v.ref}`).join(", ")})`);
}
