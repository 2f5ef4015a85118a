/** Calls of the C library's math functions, one lane at a time. */
import { type DType, dtype } from "../../../ir/expr/dtype.ts";
import type { FunctionContext } from "../function-context.ts";
import { registerType } from "../types.ts";
import { literal, type Value } from "../writer.ts";

/** Calls `name` (its float version carries an f) on every lane. */
export function perLane(ctx: FunctionContext, name: string, t: DType, args: readonly Value[]): Value {
  const { writer, module } = ctx;
  const element = registerType(dtype(t.scalar));
  const symbol = t.scalar === "float64" ? name : `${name}f`;
  const callee = module.declare(
    symbol,
    element,
    args.map(() => element),
    " nounwind willreturn memory(none)",
  );
  const one = (values: readonly Value[]): Value =>
    writer.pure(`call ${element} ${callee}(${values.map((v) => `${element} ${v.ref}`).join(", ")})`);
  if (t.lanes === 1) return one(args);
  const type = registerType(t);
  let result = literal("poison");
  for (let k = 0; k < t.lanes; k++) {
    const lane = one(args.map((v) => writer.pure(`extractelement ${type} ${v.ref}, i64 ${k}`)));
    result = writer.pure(`insertelement ${type} ${result.ref}, ${element} ${lane.ref}, i64 ${k}`);
  }
  return result;
}
