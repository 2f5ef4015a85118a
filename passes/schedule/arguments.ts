/** The types of primitives' arguments as data: a trace that was read from somewhere is checked against them. */
import type { Scope } from "../../ir/expr/expr.ts";
import { threadAxes } from "./kernels.ts";
import type { Tail } from "./primitive/split.ts";
import type { BlockRef, LoopRef } from "./primitive.ts";

const isHandleOf = (kind: "loop" | "block") => (v: unknown) => isHandle(v) && v.kind === kind;
const isInteger = (v: unknown): boolean => Number.isSafeInteger(v);
const isString = (v: unknown): boolean => typeof v === "string";
const listOf = (f: (v: unknown) => boolean) => (v: unknown) => Array.isArray(v) && v.every(f);
const oneOf = (list: readonly unknown[]) => (v: unknown) => list.includes(v);
const tails: readonly Tail[] = ["guard", "exact", "shift-inwards", "peel"];
const scopes: readonly Scope[] = ["global", "stack", "register", "shared", "local"];
const isPlain = (v: unknown): boolean => isString(v) || typeof v === "number" || typeof v === "boolean";
const isLayoutDim = (v: unknown): boolean =>
  typeof v === "object" &&
  v !== null &&
  "axis" in v &&
  "divisor" in v &&
  Object.values(v).every(isInteger) &&
  Object.keys(v).every((k) => ["axis", "divisor", "modulus"].includes(k));

const isIntrinsic = (v: unknown): boolean =>
  typeof v === "object" &&
  v !== null &&
  Object.keys(v).every((k) => intrinsicKeys.includes(k)) &&
  "name" in v &&
  "meaning" in v &&
  "body" in v &&
  "declarations" in v &&
  "reassociates" in v &&
  [v.name, v.meaning, v.body].every(isString) &&
  listOf(isString)(v.declarations) &&
  typeof v.reassociates === "boolean" &&
  (!("features" in v) || listOf(isString)(v.features));
const intrinsicKeys = ["name", "meaning", "body", "declarations", "reassociates", "features"];

const kinds = {
  loop: isHandleOf("loop"),
  block: isHandleOf("block"),
  loops: listOf(isHandleOf("loop")),
  "loop or block": (v: unknown) => isHandle(v),
  string: isString,
  integer: isInteger,
  "integer or null list": listOf((v) => v === null || isInteger(v)),
  "annotation value": (v: unknown) => isPlain(v) || listOf(isPlain)(v),
  "integer list": listOf(isInteger),
  "number list": listOf((v) => typeof v === "number" && Number.isFinite(v)),
  "value list": listOf((v) => isString(v) || typeof v === "number"),
  intrinsic: isIntrinsic,
  alignment: oneOf(["start", "end"]),
  "pipeline mode": oneOf(["peeled", "guarded"]),
  "layout dimensions": listOf(isLayoutDim),
  scope: oneOf(scopes),
  "thread axis": oneOf(threadAxes),
  tail: oneOf(tails),
};
type Kind = keyof typeof kinds;
/** Argument names, in the order of the method's parameters, and their kinds; `?` marks those that may be absent. */
export type Shape = Readonly<Record<string, Kind | `${Kind}?`>>;

/** What is wrong with an argument object; undefined when it has the shape. */
export function shapeFault(shape: Shape, args: object): string | undefined {
  const given = new Map<string, unknown>(Object.entries(args));
  for (const [name, kind] of Object.entries(shape)) {
    const value = given.get(name);
    given.delete(name);
    const optional = kind.endsWith("?");
    const base = (optional ? kind.slice(0, -1) : kind) as Kind;
    if (value === undefined ? !optional : !kinds[base](value)) return `${name} is not a ${base}`;
  }
  const extra = [...given.keys()][0];
  return extra === undefined ? undefined : `there is no argument ${extra}`;
}

/** Whether a value is a loop or block handle. */
export const isHandle = (v: unknown): v is LoopRef | BlockRef =>
  typeof v === "object" && v !== null && "kind" in v && "id" in v && (v.kind === "loop" || v.kind === "block");
/** The loops and blocks within arguments or a result, in order. */
export function handlesIn(v: unknown): (LoopRef | BlockRef)[] {
  if (isHandle(v)) return [v];
  if (Array.isArray(v)) return v.flatMap(handlesIn);
  return typeof v === "object" && v !== null ? Object.values(v).flatMap(handlesIn) : [];
}
/** Rebuilds arguments with `f` applied to every handle in them. */
export function mapHandles(v: unknown, f: (h: LoopRef | BlockRef) => unknown): unknown {
  if (isHandle(v)) return f(v);
  if (Array.isArray(v)) return v.map((x) => mapHandles(x, f));
  if (typeof v !== "object" || v === null) return v;
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, mapHandles(x, f)]));
}
/** Arguments of their own: lists are copied, what stands in them is shared. */
export const copiedArguments = (args: object): object =>
  Object.fromEntries(Object.entries(args).map(([k, v]) => [k, Array.isArray(v) ? [...v] : v]));
/** Whether two argument objects hold the same values, list by list. */
export function sameArguments(a: object, b: object): boolean {
  const [x, y] = [Object.entries(a), new Map<string, unknown>(Object.entries(b))];
  return x.length === y.size && x.every(([k, v]) => y.has(k) && sameValue(v, y.get(k)));
}
const sameValue = (v: unknown, w: unknown): boolean =>
  Array.isArray(v) && Array.isArray(w) ? v.length === w.length && v.every((x, i) => x === w[i]) : Object.is(v, w);
