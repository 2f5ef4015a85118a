/**
 * What a function is to give, and how far from it a schedule of it may be. Integers and bools are exact. Floats are exact,
 * bit for bit, unless something changes roundings:
 *
 * - sums in another order (see `reassociating`), or products contracted with sums, where the math policy allows it;
 * - functions such as `exp`, which machine code approximates.
 *
 * For the first, an element may be off by 2·n·u·(1 + n·u)²·M: n roundings on the way to it, u the unit roundoff of the
 * coarsest type, M the element that the same function gives with the magnitudes of its inputs and sums in place of
 * differences (Higham, Accuracy and Stability of Numerical Algorithms, 2002, §3.1 and §4.2). Inputs that are small whole
 * numbers, with M below what the type counts up to, leave nothing to round: then floats are exact in any order. For the
 * second, an element may be off by 4·(n + 4)·u times the largest one.
 */
import { constant, max, unary } from "../../../ir/expr/build.ts";
import { isFloat, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { BinaryOp, Expr, UnaryOp } from "../../../ir/expr/expr.ts";
import { rewrite, some, visit } from "../../../ir/expr/traverse.ts";
import { arrayTypeOf, type TypedArray } from "../../../ir/graph/tensor-value.ts";
import { arrayFor, runProgram } from "../../../ir/interp/run.ts";
import { elementReader, elementWriter } from "../../../ir/interp/storage.ts";
import type { PrimFunc, Program } from "../../../ir/loop/program.ts";
import { rewriteExprs, visitExprs } from "../../../ir/loop/traverse.ts";
import type { PrimitiveName } from "../../../passes/schedule/apply.ts";
import type { Random } from "./random.ts";

export type Values = Record<string, TypedArray>;

/** Whole numbers of few bits, numbers with roundings, or NaN, infinities and zeros of both signs among them. */
type FloatInputs = "whole" | "rough" | "special";

/** A function's inputs and outputs. */
export interface Expected {
  readonly func: PrimFunc;
  readonly inputs: Values;
  readonly outputs: Values;
  /** For each float output how far an element may be off in any order of roundings; absent where it is exact in all. */
  readonly bounds: Readonly<Record<string, Float64Array>>;
  /** Bits decide, also between zeros: math is strict. */
  readonly strict: boolean;
  /** Approximated functions are called: bounds hold in any case. */
  readonly approximate: boolean;
  /** A product may be contracted with a sum. */
  readonly contracts: boolean;
}

const approximated: ReadonlySet<UnaryOp> = new Set(["exp", "log", "sin", "cos", "tan", "tanh", "erf"]);
const jumping: ReadonlySet<UnaryOp> = new Set(["floor", "ceil", "round", "trunc", "sign", "isnan", "isinf"]);
const jumpingBinary: ReadonlySet<BinaryOp> = new Set(["mod", "floordiv", "floormod", "pow"]);
const floats = (e: Expr): boolean => isFloat(e.dtype.scalar);

/** Whether some expression of the function is one of those. */
function has(func: PrimFunc, f: (e: Expr) => boolean): boolean {
  let found = false;
  visitExprs(func.body, (e) => {
    found ||= some(e, f);
  });
  return found;
}
const isApproximated = (e: Expr): boolean => e.kind === "unary" && floats(e) && approximated.has(e.op);
/** Whether a small difference of a float may decide about a large one of something else. */
const jumps = (e: Expr): boolean => {
  if (e.kind === "compare") return floats(e.a);
  if (e.kind === "cast") return floats(e.value) && !floats(e);
  if (e.kind === "unary") return floats(e.value) && jumping.has(e.op);
  return e.kind === "binary" && floats(e) && jumpingBinary.has(e.op);
};
/** Whether more than sums, differences and products of whole numbers happen to floats. */
const leavesWhole = (e: Expr): boolean => {
  if (!floats(e)) return false;
  if (e.kind === "const") return Number.isFinite(Number(e.value)) && !Number.isInteger(e.value);
  if (e.kind === "binary") return e.op === "div" || e.op === "mod" || e.op === "pow";
  return e.kind === "unary" && (approximated.has(e.op) || e.op === "sqrt");
};
const wideFloat = (e: Expr): boolean => e.dtype.scalar === "float32" || e.dtype.scalar === "float64";
/** Whether products and sums of float32 or float64 both occur. */
const mayContract = (func: PrimFunc): boolean =>
  has(func, (e) => e.kind === "binary" && e.op === "mul" && wideFloat(e)) &&
  has(func, (e) => e.kind === "binary" && (e.op === "add" || e.op === "sub") && wideFloat(e));

/** Unit roundoff and the whole numbers that are all representable, by type. */
const precision: Partial<Record<ScalarType, number>> = { bfloat16: 8, float16: 11, float32: 24, float64: 53 };
const largest: Partial<Record<ScalarType, number>> = { float16: 65504, float32: 3.4e38, bfloat16: 3.3e38 };
/** The fewest bits of a float in the function's expressions. */
function coarsest(func: PrimFunc): number {
  let bits = 53;
  visitExprs(func.body, (e) =>
    visit(e, (n) => {
      bits = Math.min(bits, precision[n.dtype.scalar] ?? 53);
    }),
  );
  return bits;
}

/** Whether steps of these primitives may have put a sum of floats into another order. */
export const reassociating = (names: readonly string[]): boolean => names.some((n) => reordering.has(n));
const reordering: ReadonlySet<string> = new Set<PrimitiveName>([
  "reorder",
  "rfactor",
  "vectorize",
  "tensorize",
  "skew",
  "padEinsum",
  "fuse",
]);

/** A program, and what its functions are to give. */
export interface Prepared {
  readonly program: Program;
  readonly expected: readonly Expected[];
}
/** Runs every function; makes math strict where a rounding could decide about more than roundings. */
export function prepared(program: Program, roundings: number, r: Random): Prepared {
  let p = program;
  const wanted = program.functions.map(({ name }) => {
    const first = expected(p, name, roundings, r);
    if (first.strict || !has(first.func, jumps) || Object.keys(first.bounds).length === 0) return first;
    p = { ...p, functions: p.functions.map((f) => (f.name === name ? { ...f, math: "strict" as const } : f)) };
    return expected(p, name, roundings, r);
  });
  return { program: p, expected: wanted };
}

/** Runs a function on random inputs. `roundings` are the most on the way to one element. */
function expected(program: Program, name: string, roundings: number, r: Random): Expected {
  const func = program.functions.find((f) => f.name === name)!;
  const strict = func.math === "strict";
  const sensitive = !strict && has(func, jumps);
  const mode = sensitive || r.chance(0.5) ? "whole" : strict && r.chance(0.4) ? "special" : "rough";
  const inputs = inputsOf(func, mode, r);
  const outputs = runProgram(program, inputs, { func: name });
  const approximate = has(func, isApproximated);
  const facts = { func, inputs, outputs, strict, approximate, contracts: !strict && mayContract(func) };
  if (strict && !approximate) return { ...facts, bounds: {} };
  const bits = coarsest(func);
  const share = roundings * 2 ** -bits;
  const polynomial = !has(func, (e) => leavesWhole(e) && e.kind !== "const");
  const largestOf = polynomial ? magnitudes(program, func, inputs, mode === "whole" ? 1 : 0.123) : undefined;
  const exact = mode === "whole" && !has(func, leavesWhole);
  const bounds: Record<string, Float64Array> = {};
  for (const [out, values] of Object.entries(outputs)) {
    const type = typeOf(func, out);
    if (!isFloat(type)) continue;
    const most = largestOf && numbersOf(type, largestOf[out]!);
    if (exact && most?.every((v) => v < 2 ** (bits - 1))) continue;
    bounds[out] = most
      ? most.map((v) => (v < (largest[type] ?? 1e300) / 4 ? 2 * share * (1 + share) ** 2 * v + tiny(type) : Infinity))
      : scaled(numbersOf(type, values), 4 * (roundings + 4) * 2 ** -bits);
  }
  return { ...facts, bounds };
}
/** Two of the least numbers: results that are not normal round coarsely. */
const tiny = (type: ScalarType): number =>
  2 * (type === "float16" ? 2 ** -24 : type === "float64" ? 5e-324 : 2 ** -126);
function scaled(values: Float64Array, share: number): Float64Array {
  const scale = values.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 1);
  return values.map(() => scale * share);
}

/** What a function gives when inputs and constants are magnitudes, at least `least`, and nothing is taken away. */
function magnitudes(program: Program, func: PrimFunc, inputs: Values, least: number): Values {
  const body = rewriteExprs(func.body, (e) => rewrite(e, magnitude));
  const raised: Values = {};
  for (const { buffer } of func.params) {
    const given = inputs[buffer.name];
    if (!given) continue;
    const type = buffer.dtype.scalar;
    const write = elementWriter(type);
    const copy = given.slice() as TypedArray;
    if (isFloat(type))
      for (const [i, v] of numbersOf(type, given).entries()) write(copy, i, Math.max(Math.abs(v), least));
    raised[buffer.name] = copy;
  }
  const functions = program.functions.map((f) => (f === func ? { ...func, body } : f));
  return runProgram({ ...program, functions }, raised, { func: func.name });
}
function magnitude(e: Expr): Expr {
  if (!floats(e)) return e;
  switch (e.kind) {
    case "const":
      return constant(e.dtype, Number.isFinite(Number(e.value)) ? Math.abs(Number(e.value)) : 0);
    case "binary":
      return e.op === "sub" ? { ...e, op: "add" } : e.op === "min" ? { ...e, op: "max" } : e;
    case "unary":
      return e.op === "neg" ? e.value : jumping.has(e.op) ? unary("ceil", e.value) : e;
    case "select":
      return some(e.condition, (n) => n.kind === "load") ? max(e.then, e.otherwise) : e;
    case "cast":
      return floats(e.value) ? e : unary("abs", e);
    default:
      return e;
  }
}

/** Inputs of a function. */
function inputsOf(func: PrimFunc, mode: FloatInputs, r: Random): Values {
  const inputs: Values = {};
  const widest = r.chance(0.4);
  for (const { buffer, role } of func.params) {
    if (role !== "input" && role !== "constant") continue;
    const type = buffer.dtype.scalar;
    const a = arrayFor(buffer);
    const write = elementWriter(type);
    for (let i = 0; i < a.length; i++) {
      if (isFloat(type)) write(a, i, float(type, mode, r));
      else if (widest && type !== "bool") anyBits(a, i, r);
      else write(a, i, type === "bool" ? r.int(0, 1) : r.int(type.startsWith("u") ? 0 : -9, 9));
    }
    inputs[buffer.name] = a;
  }
  return inputs;
}
const special = [Number.NaN, Infinity, -Infinity, 0, -0, 1e-40, -1e-40, 65504, 1];
function float(type: ScalarType, mode: FloatInputs, r: Random): number {
  if (mode === "whole") return type === "bfloat16" ? r.int(-1, 1) : type === "float16" ? r.int(-2, 2) : r.int(-5, 5);
  if (mode === "special" && r.chance(0.2)) return r.pick(special);
  return r.int(-16, 16) * 0.123;
}
/** Any bits, the extremes more often. */
function anyBits(a: TypedArray, i: number, r: Random): void {
  const words = Array.from({ length: 2 }, () => (r.chance(0.2) ? r.pick([0, 0xffffffff, 0x80000000]) : r.word()));
  const wide = BigInt(words[0]!) | (BigInt(words[1]!) << 32n);
  if (a instanceof BigInt64Array || a instanceof BigUint64Array) a[i] = wide;
  else a[i] = words[0]!;
}

const typeOf = (func: PrimFunc, name: string): ScalarType =>
  func.params.find((p) => p.buffer.name === name)!.buffer.dtype.scalar;
function numbersOf(type: ScalarType, a: TypedArray): Float64Array {
  const read = elementReader(type);
  return Float64Array.from({ length: a.length }, (_, i) => Number(read(a, i)));
}

/** How outputs differ from what is expected; undefined when they do not. `names` are the primitives applied. */
export function mismatch(want: Expected, actual: Values, names: readonly string[]): string | undefined {
  const loose = want.approximate || want.contracts || reassociating(names);
  for (const [name, values] of Object.entries(want.outputs)) {
    const got = actual[name];
    const type = typeOf(want.func, name);
    if (got?.length !== values.length) return `${name} has ${got?.length} elements, not ${values.length}`;
    const bound = loose ? want.bounds[name] : undefined;
    const at = isFloat(type)
      ? firstFar(numbersOf(type, values), numbersOf(type, got), bound, want.strict)
      : (values as Uint8Array).findIndex((v, i) => v !== got[i]);
    if (at < 0) continue;
    const read = elementReader(type);
    const off = bound ? `, which may be off by ${bound[at]}` : "";
    return `${name}[${at}] (${type}) is ${show(read(got, at))}, not ${show(read(values, at))}${off}`;
  }
  return undefined;
}
const show = (v: number | bigint): string => (Object.is(v, -0) ? "-0" : String(v));
function firstFar(want: Float64Array, got: Float64Array, bound: Float64Array | undefined, strict: boolean): number {
  return want.findIndex((w, i) => {
    const g = got[i]!;
    if (strict ? Object.is(w, g) : w === g || (Number.isNaN(w) && Number.isNaN(g))) return false;
    const most = bound?.[i] ?? 0;
    return !(most === Infinity || Math.abs(w - g) <= most);
  });
}

/** The elements of some type in bytes of their own. */
export const elementsOf = (type: ScalarType, bytes: ArrayBuffer): TypedArray => new (arrayTypeOf(type))(bytes);
