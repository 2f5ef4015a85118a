/** Gives every graph input a static shape: from the model, from the caller, or from another input with the same symbol. */
import type { TensorType, Value } from "../../ir/graph/graph.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import { InputError } from "../../ir/support/errors.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import type { StaticType } from "./row.ts";

/** The static type of each input that has one. @throws InputError where a shape is missing or contradicts the model */
export function bindShapes(
  inputs: readonly Value[],
  shapes: Readonly<Record<string, readonly number[]>>,
  offered: Readonly<Record<string, TensorValue>>,
): ReadonlyMap<ValueId, StaticType> {
  checkNames(inputs, shapes);
  const symbols = new Map<string, number>();
  const typed = inputs.flatMap((v) => (v.type ? [{ v, type: v.type, shape: shapeFor(v, shapes, offered) }] : []));
  for (const { v, type, shape } of typed) if (shape) bindOne(v.name, type, shape, symbols);
  const missing: string[] = [];
  const bound = typed.map(({ v, type, shape }) => {
    const dims = type.dims.map((d, i) => (typeof d === "number" ? d : (shape?.[i] ?? symbols.get(d.symbol) ?? -1)));
    if (dims.includes(-1))
      missing.push(`${v.name}: [${type.dims.map((d) => (typeof d === "number" ? d : d.symbol)).join(", ")}]`);
    return [v.id, { dtype: type.dtype, dims }] as const;
  });
  if (missing.length > 0)
    throw new InputError("model/unbound-dimension", `give the shapes of these inputs: ${missing.join("; ")}`, {
      inputs: missing,
    });
  return new Map(bound);
}
function checkNames(inputs: readonly Value[], shapes: Readonly<Record<string, readonly number[]>>): void {
  const names = inputs.map((v) => v.name);
  const stranger = Object.keys(shapes).find((n) => !names.includes(n));
  if (stranger === undefined) return;
  throw new InputError("model/no-such-input", `no input ${JSON.stringify(stranger)}; there are ${names.join(", ")}`);
}
function shapeFor(
  v: Value,
  shapes: Readonly<Record<string, readonly number[]>>,
  offered: Readonly<Record<string, TensorValue>>,
): readonly number[] | undefined {
  if (Object.hasOwn(shapes, v.name)) return shapes[v.name];
  return Object.hasOwn(offered, v.name) ? offered[v.name]!.dims : undefined;
}
/** Checks one given shape against the declared one and records what its symbols stand for. */
function bindOne(name: string, type: TensorType, shape: readonly number[], symbols: Map<string, number>): void {
  const refuse = (why: string): never => {
    throw new InputError("model/input-shape", `shape [${shape}] of input ${name}: ${why}`, { input: name, shape });
  };
  if (shape.length !== type.dims.length) refuse(`the model says ${type.dims.length} dimensions`);
  type.dims.forEach((d, i) => {
    const n = shape[i]!;
    if (!Number.isSafeInteger(n) || n < 0) refuse(`${n} is no extent`);
    if (typeof d === "number") {
      if (d !== n) refuse(`the model says ${d} at dimension ${i}`);
      return;
    }
    const known = symbols.get(d.symbol);
    if (known !== undefined && known !== n) refuse(`${d.symbol} is already ${known}`);
    symbols.set(d.symbol, n);
  });
}
