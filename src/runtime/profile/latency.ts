/** Chains of dependent arithmetic that loops carry from one iteration to the next. */
import type { Instruction } from "./x86.ts";

/** Cycles from the operands of an instruction to its result. */
export interface Latencies {
  readonly multiplyAdd: number;
  readonly add: number;
}

/**
 * Cycles of the longest chain that goes through a vector register from the start of a loop's body to its end: no iteration
 * takes less, however many units there are. What goes through memory or from register to register is not seen.
 */
export function chainCycles(body: readonly Instruction[], latencies: Latencies): number {
  const carried = new Set(body.flatMap((i) => i.writes ?? []));
  return Math.max(0, ...[...carried].map((register) => chainThrough(register, body, latencies)));
}

function chainThrough(register: number, body: readonly Instruction[], latencies: Latencies): number {
  const cycles = new Map([[register, 0]]);
  for (const i of body) {
    if (i.writes === undefined) continue;
    const before = Math.max(-1, ...i.reads.map((r) => cycles.get(r) ?? -1));
    if (before < 0) cycles.delete(i.writes);
    else cycles.set(i.writes, before + latencyOf(i, latencies));
  }
  return cycles.get(register) ?? 0;
}

/** At least so many cycles: products and sums as measured, quotients as products, other arithmetic one. */
function latencyOf(i: Instruction, { multiplyAdd, add }: Latencies): number {
  if (i.unit === "multiplyAdd" || i.unit === "divide") return multiplyAdd;
  if (i.unit === "multiply" || i.unit === "add") return Math.min(add, multiplyAdd);
  return i.unit === "vector" ? 1 : 0;
}
