/** Horizontal reductions of vectors. */
import { type DType, elementOf, isFloat, isSigned, withLanes } from "../../ir/expr/dtype.ts";
import type { VectorReduce } from "../../ir/expr/expr.ts";
import { isNarrow, narrowFloat, widenFloat } from "./conversions.ts";
import type { FunctionContext } from "./function-context.ts";
import { intrinsicSuffix, registerType, vectorOf } from "./types.ts";
import { literal, type Value } from "./writer.ts";

/** Writes the reduction of all lanes of `v`. Floats in lane order where the policy is strict, else as a tree. */
export function reduceLanes(ctx: FunctionContext, op: VectorReduce["op"], v: Value, t: DType): Value {
  if (!isFloat(t.scalar)) return reduceIntegers(ctx, op, v, t);
  if (isNarrow(t.scalar)) {
    const float = withLanes({ scalar: "float32", lanes: 1 }, t.lanes);
    return narrowFloat(ctx, reduceFloats(ctx, op, widenFloat(ctx, v, t), float), elementOf(t));
  }
  return reduceFloats(ctx, op, v, t);
}

const integerNames = { add: "add", mul: "mul", and: "and", or: "or" } as const;
const boolNames = { add: "or", mul: "and", and: "and", or: "or", min: "and", max: "or" } as const;

function reduceIntegers(ctx: FunctionContext, op: VectorReduce["op"], v: Value, t: DType): Value {
  const prefix = isSigned(t.scalar) ? "s" : "u";
  const plain = op === "min" || op === "max" ? `${prefix}${op}` : integerNames[op];
  const name = t.scalar === "bool" ? boolNames[op] : plain;
  const [type, element] = [registerType(t), registerType(elementOf(t))];
  const callee = ctx.module.declare(`llvm.vector.reduce.${name}.${intrinsicSuffix(type)}`, element, [type]);
  return ctx.writer.pure(`call ${element} ${callee}(${type} ${v.ref})`);
}

function reduceFloats(ctx: FunctionContext, op: VectorReduce["op"], v: Value, t: DType): Value {
  if (op !== "add" && op !== "mul") return reduceByHalves(ctx, op === "min" ? "olt" : "ogt", v, t);
  const [type, element] = [registerType(t), registerType(elementOf(t))];
  const name = `llvm.vector.reduce.f${op}.${intrinsicSuffix(type)}`;
  const callee = ctx.module.declare(name, element, [element, type]);
  const flags = ctx.math === "strict" ? "" : "reassoc ";
  return ctx.writer.pure(
    `call ${flags}${element} ${callee}(${element} ${op === "add" ? "-0.0" : "1.0"}, ${type} ${v.ref})`,
  );
}

/** min and max by comparing halves: LLVM's own reductions treat NaN differently. */
function reduceByHalves(ctx: FunctionContext, predicate: string, v: Value, t: DType): Value {
  const { writer } = ctx;
  const element = registerType(elementOf(t));
  const lanes: Value[] = [];
  let value = v;
  let width = t.lanes;
  while (width > 1 && width % 2 === 0) {
    const [type, half] = [vectorOf(element, width), width / 2];
    const part = (from: number): Value => takeLanes(ctx, type, value, from, half);
    const [low, high] = [part(0), part(half)];
    const halfType = vectorOf(element, half);
    const c = writer.pure(`fcmp ${predicate} ${halfType} ${low.ref}, ${high.ref}`);
    value = writer.pure(`select ${vectorOf("i1", half)} ${c.ref}, ${halfType} ${low.ref}, ${halfType} ${high.ref}`);
    width = half;
  }
  if (width === 1) return value;
  for (let k = 0; k < width; k++) lanes.push(takeLanes(ctx, vectorOf(element, width), value, k, 1));
  return lanes.reduce((x, y) => {
    const c = writer.pure(`fcmp ${predicate} ${element} ${x.ref}, ${y.ref}`);
    return writer.pure(`select i1 ${c.ref}, ${element} ${x.ref}, ${element} ${y.ref}`);
  }, lanes.shift() ?? literal("poison"));
}
function takeLanes(ctx: FunctionContext, type: string, v: Value, from: number, count: number): Value {
  if (count === 1) return ctx.writer.pure(`extractelement ${type} ${v.ref}, i64 ${from}`);
  const mask = Array.from({ length: count }, (_, k) => `i32 ${from + k}`).join(", ");
  return ctx.writer.pure(`shufflevector ${type} ${v.ref}, ${type} poison, <${count} x i32> <${mask}>`);
}
