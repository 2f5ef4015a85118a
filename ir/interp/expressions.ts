/** Turns expressions into thunks. */
import { bytesOf, type ScalarType } from "../expr/dtype.ts";
import type { Call, Expr, Load, Shuffle, VectorReduce } from "../expr/expr.ts";
import { some } from "../expr/traverse.ts";
import { arrayTypeOf } from "../graph/tensor-value.ts";
import type { VarId } from "../support/ids.ts";
import { assertNever } from "../support/invariant.ts";
import { addressOf, reading } from "./access.ts";
import { binaryFunction, compareFunction } from "./arithmetic.ts";
import { InterpreterError } from "./error.ts";
import { castFunction, normalizer, type Scalar } from "./scalar.ts";
import { type Frame, newFrame, SlotScope, type Thunk } from "./scope.ts";
import { elementReader, elementWriter } from "./storage.ts";
import { fusedMultiplyAdd, unaryFunction } from "./unary.ts";

/** Makes an expression ready to run in frames of `scope`. */
export function compileExpr(e: Expr, scope: SlotScope): Thunk {
  const sub = (c: Expr): Thunk => compileExpr(c, scope);
  switch (e.kind) {
    case "const":
      return constantThunk(e.value, e.dtype.scalar);
    case "var":
      return variableThunk(scope.varSlot(e), e.dtype.lanes);
    case "unary": {
      const f = unaryFunction(e.op, e.value.dtype.scalar);
      const v = sub(e.value);
      return (frame, lane) => f(v(frame, lane));
    }
    case "binary":
      return binaryThunk(e.op, e.dtype.scalar, sub(e.a), sub(e.b));
    case "compare": {
      const f = compareFunction(e.op);
      const [a, b] = [sub(e.a), sub(e.b)];
      return (frame, lane) => f(a(frame, lane), b(frame, lane));
    }
    case "select": {
      const [c, t, o] = [sub(e.condition), sub(e.then), sub(e.otherwise)];
      return (frame, lane) => (c(frame, lane) !== 0 ? t(frame, lane) : o(frame, lane));
    }
    case "cast": {
      const f = castFunction(e.value.dtype.scalar, e.dtype.scalar);
      const v = sub(e.value);
      return (frame, lane) => f(v(frame, lane));
    }
    case "load":
      return loadThunk(e, scope);
    case "ramp":
      return rampThunk(e.dtype.scalar, sub(e.base), sub(e.stride));
    case "broadcast": {
      const v = sub(e.value);
      return (frame) => v(frame, 0);
    }
    case "shuffle":
      return shuffleThunk(e, sub);
    case "vectorReduce":
      return reduceThunk(e, sub);
    case "call":
      return callThunk(e, sub);
    default:
      return assertNever(e);
  }
}
function constantThunk(value: Scalar, scalar: ScalarType): Thunk {
  const canonical = typeof value === "number" ? normalizer(scalar)(value) : value;
  return () => canonical;
}
function variableThunk(slot: number, lanes: number): Thunk {
  return lanes === 1
    ? (frame) => frame.vars[slot] as Scalar
    : (frame, lane) => (frame.vars[slot] as readonly Scalar[])[lane]!;
}
/** Index arithmetic gets the operators inline: it is most of what runs. */
function binaryThunk(op: Parameters<typeof binaryFunction>[0], scalar: ScalarType, a: Thunk, b: Thunk): Thunk {
  const f = binaryFunction(op, scalar);
  if (scalar === "int64" && (op === "add" || op === "mul")) return indexThunk(op, f, a, b);
  if (scalar === "float32" && op === "add") {
    return (frame, lane) => Math.fround((a(frame, lane) as number) + (b(frame, lane) as number));
  }
  if (scalar === "float32" && op === "mul") {
    return (frame, lane) => Math.fround((a(frame, lane) as number) * (b(frame, lane) as number));
  }
  return (frame, lane) => f(a(frame, lane), b(frame, lane));
}
function indexThunk(op: "add" | "mul", f: ReturnType<typeof binaryFunction>, a: Thunk, b: Thunk): Thunk {
  const safe = Number.MAX_SAFE_INTEGER;
  return (frame, lane) => {
    const x = a(frame, lane);
    const y = b(frame, lane);
    if (typeof x !== "number" || typeof y !== "number") return f(x, y);
    const r = op === "add" ? x + y : x * y;
    return r <= safe && r >= -safe ? r + 0 : f(x, y);
  };
}
function loadThunk(e: Load, scope: SlotScope): Thunk {
  const compile = (c: Expr): Thunk => compileExpr(c, scope);
  const read = reading(e.buffer, addressOf(e.buffer, e.indices, compile), scope);
  if (!e.predicate) return read;
  const predicate = compile(e.predicate);
  return (frame, lane) => (predicate(frame, lane) !== 0 ? read(frame, lane) : 0);
}
function rampThunk(scalar: ScalarType, base: Thunk, stride: Thunk): Thunk {
  const times = binaryFunction("mul", scalar);
  const plus = binaryFunction("add", scalar);
  return (frame, lane) => plus(base(frame, 0), times(stride(frame, 0), lane));
}
function shuffleThunk(e: Shuffle, sub: (c: Expr) => Thunk): Thunk {
  const sources = e.vectors.flatMap((v) => {
    const thunk = sub(v);
    return Array.from({ length: v.dtype.lanes }, (_, lane) => ({ thunk, lane }));
  });
  const picks = e.lanes.map((lane) => {
    const source = sources[lane];
    if (!source)
      throw new InterpreterError("interp/shuffle-lane", `a shuffle of ${sources.length} lanes has no lane ${lane}`);
    return source;
  });
  return (frame, lane) => {
    const { thunk, lane: from } = picks[lane]!;
    return thunk(frame, from);
  };
}
function reduceThunk(e: VectorReduce, sub: (c: Expr) => Thunk): Thunk {
  const f = binaryFunction(e.op, e.dtype.scalar);
  const v = sub(e.value);
  const lanes = e.value.dtype.lanes;
  return (frame) => {
    let total = v(frame, 0);
    for (let lane = 1; lane < lanes; lane++) total = f(total, v(frame, lane));
    return total;
  };
}
function callThunk(e: Call, sub: (c: Expr) => Thunk): Thunk {
  switch (e.callee) {
    case "prefetch":
    case "scheduleBarrier":
      return () => 0;
    case "checkBounds":
      return boundsThunk(e, sub);
    case "fma": {
      const [a, b, c] = e.args.map(sub) as [Thunk, Thunk, Thunk];
      const f = fusedMultiplyAdd(e.dtype.scalar);
      return (frame, lane) => f(a(frame, lane) as number, b(frame, lane) as number, c(frame, lane) as number);
    }
    case "bitcast":
      return bitcastThunk(e, sub);
    default:
      return assertNever(e.callee);
  }
}
function boundsThunk(e: Call, sub: (c: Expr) => Thunk): Thunk {
  const out = e.args[1]!;
  const v = sub(out);
  return (frame) => {
    for (let lane = 0; lane < out.dtype.lanes; lane++)
      if (Number(v(frame, lane)) !== 0)
        throw new InterpreterError("interp/bounds", "a checked access leaves its buffer");
    return 0;
  };
}
function bitcastThunk(e: Call, sub: (c: Expr) => Thunk): Thunk {
  const argument = e.args[0]!;
  const v = sub(argument);
  const [from, to] = [argument.dtype, e.dtype];
  const bytes = from.lanes * bytesOf(from.scalar);
  if (bytes !== to.lanes * bytesOf(to.scalar)) {
    throw new InterpreterError("interp/bitcast-width", "bitcast between types of different width");
  }
  const memory = new ArrayBuffer(bytes);
  const source = new (arrayTypeOf(from.scalar))(memory);
  const target = new (arrayTypeOf(to.scalar))(memory);
  const [write, read] = [elementWriter(from.scalar), elementReader(to.scalar)];
  return (frame, lane) => {
    for (let i = 0; i < from.lanes; i++) write(source, i, v(frame, i));
    return read(target, lane);
  };
}

/** Evaluates an expression of variables and constants. Vectors give an array of lanes. @throws InterpreterError */
export function evaluateVector(e: Expr, env: ReadonlyMap<VarId, Scalar | readonly Scalar[]>): readonly Scalar[] {
  const { thunk, frame } = prepared(e, env);
  return Array.from({ length: e.dtype.lanes }, (_, lane) => thunk(frame, lane));
}
/** The lanes of an expression without variables, loads and calls; undefined for any other. */
export function constantLanes(e: Expr): readonly number[] | undefined {
  if (some(e, (n) => n.kind === "var" || n.kind === "load" || n.kind === "call")) return undefined;
  return evaluateVector(e, new Map()).map(Number);
}
/**
 * Evaluates a scalar expression of variables and constants: 64-bit integers outside the safe range come as bigint, bools
 * as 0 or 1. @throws InterpreterError where the value is not defined (division by zero, an unbound variable, a load)
 */
export function evaluateExpr(e: Expr, env: ReadonlyMap<VarId, Scalar> = new Map()): Scalar {
  if (e.dtype.lanes !== 1)
    throw new InterpreterError("interp/vector", "evaluateExpr takes scalars, see evaluateVector");
  const { thunk, frame } = prepared(e, env);
  return thunk(frame, 0);
}
function prepared(e: Expr, env: ReadonlyMap<VarId, Scalar | readonly Scalar[]>): { thunk: Thunk; frame: Frame } {
  const scope = new SlotScope(false);
  const frame = newFrame();
  for (const [id, value] of env) {
    frame.vars[scope.bindVar({ id })] = typeof value === "bigint" && isSafe(value) ? Number(value) : value;
  }
  return { thunk: compileExpr(e, scope), frame };
}
const isSafe = (v: bigint): boolean => Number.isSafeInteger(Number(v));
