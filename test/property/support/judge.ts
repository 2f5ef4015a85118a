/** Comparing what two programs compute; running parallel and vectorized loops out of order. */
import { add, constantValue, floormod, mul, sub, variable } from "../../../ir/expr/build.ts";
import { isFloat } from "../../../ir/expr/dtype.ts";
import { substitute } from "../../../ir/expr/traverse.ts";
import { arrayFor, runProgram } from "../../../ir/interp/run.ts";
import type { Program, Stmt } from "../../../ir/loop/program.ts";
import { mapBodies, rewriteExprs, rewriteStmt } from "../../../ir/loop/traverse.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import type { Random } from "./random.ts";

type Values = ReturnType<typeof runProgram>;

/** Inputs of a program: small multiples of 1/8, so that most float sums are exact. */
export function randomInputs(program: Program, r: Random): Values {
  const inputs: Values = {};
  for (const { buffer, role } of program.functions[0]!.params) {
    if (role !== "input" && role !== "constant") continue;
    const a = arrayFor(buffer);
    const scale = isFloat(buffer.dtype.scalar) ? 0.123 : 1;
    for (let i = 0; i < a.length; i++) {
      const v = r.int(buffer.dtype.scalar.startsWith("u") ? 0 : -16, 16);
      if (a instanceof BigInt64Array || a instanceof BigUint64Array) a[i] = BigInt(v);
      else a[i] = buffer.dtype.scalar === "bfloat16" ? bfloat16Bits(v * scale) : v * scale;
    }
    inputs[buffer.name] = a;
  }
  return inputs;
}

const bfloat16Bits = (v: number): number => new Uint32Array(Float32Array.of(v).buffer)[0]! >>> 16;

const atOnce: ReadonlySet<string> = new Set(["parallel", "vectorized", "thread"]);
/** The program with the iterations of parallel, vectorized and bound loops in another order, as their meaning allows. */
export function scrambled(program: Program, r: Random): Program {
  const ids = new IdSource(program.nextId);
  const scramble = (s: Stmt): Stmt => {
    if (s.kind !== "for" || !atOnce.has(s.loopKind)) return s;
    const { axis: _, ...bare } = s;
    const n = constantValue(s.extent);
    if (n === undefined || n < 2) return { ...bare, loopKind: "serial" };
    const step = r.shuffle([1, n - 1, ...[2, 3, 5, 7].filter((p) => n % p !== 0)])[0]!;
    const fresh = variable(ids, s.var.name);
    const order = floormod(add(mul(sub(fresh, s.min), step), r.int(0, n - 1)), n);
    const map = new Map([[s.var.id, add(s.min, order)]]);
    return { ...bare, loopKind: "serial", var: fresh, body: rewriteExprs(s.body, (e) => substitute(e, map)) };
  };
  return { ...mapBodies(program, (b) => rewriteStmt(b, scramble)), nextId: ids.next };
}

/** How two results differ; undefined when integers agree exactly and floats within `roundings` roundings. */
export function difference(expected: Values, actual: Values, roundings: number): string | undefined {
  for (const [name, want] of Object.entries(expected)) {
    const got = actual[name];
    if (got?.length !== want.length) return `${name} has ${got?.length} elements, not ${want.length}`;
    const float = want instanceof Float32Array || want instanceof Float64Array;
    const scale = float ? Array.from(want).reduce((m, v) => Math.max(m, Math.abs(v)), 1) : 0;
    const tolerance = float ? scale * (want instanceof Float64Array ? 2 ** -52 : 2 ** -23) * 4 * (roundings + 4) : 0;
    for (let i = 0; i < want.length; i++) {
      const [w, g] = [want[i]!, got[i]!];
      const same = w === g || (float && Math.abs(Number(w) - Number(g)) <= tolerance);
      if (!same) return `${name}[${i}] is ${g}, not ${w}`;
    }
  }
  return undefined;
}
export const run = (program: Program, inputs: Values): Values =>
  runProgram(program, inputs, { checkUninitialized: true });
