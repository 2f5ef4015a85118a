/** Kernels with what they achieve. */

import { digits } from "../../ir/text/units.ts";
import type { Refusal } from "../../passes/schedule/library/recipe.ts";
import type { StepReport } from "../runtime/executable.ts";
import { clip, duration, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** One kernel call of a run. */
export interface KernelRow {
  readonly step: number;
  readonly name: string;
  readonly symbol: string;
  readonly ns: number;
  /** 2 operations a multiply-add, by the direct algorithm. */
  readonly gflops: number;
  /** Of the measured multiply-add peak. */
  readonly ofPeak: number;
  readonly gigabytesPerSecond: number;
  /** Of the time of all kernels. */
  readonly share: number;
  /** The recipes that could not schedule it; absent where none was refused. */
  readonly refusals?: readonly Refusal[];
}

/** Rates of kernels from their times in nanoseconds. */
export function kernelRows(steps: readonly StepReport[], times: readonly number[], peakGflops: number): KernelRow[] {
  const total = times.reduce((a, b) => a + b, 0);
  return steps.map(({ name, symbol, flops, bytes, refusals }, step) => {
    const ns = times[step]!;
    const per = (amount: number): number => (ns > 0 ? amount / ns : 0);
    return {
      step,
      name,
      symbol,
      ns,
      gflops: per(flops),
      ofPeak: per(flops) / peakGflops,
      gigabytesPerSecond: per(bytes),
      share: total > 0 ? ns / total : 0,
      ...(refusals ? { refusals } : {}),
    };
  });
}

const columns = [
  { title: "#", right: true },
  { title: "kernel" },
  { title: "time", right: true },
  { title: "share", right: true },
  { title: "GFLOP/s", right: true },
  { title: "of peak", right: true },
  { title: "GB/s", right: true },
];

/** The rows as a table, in the order of execution; `most` keeps the slowest ones and sums up the rest. */
export function kernelTable(rows: readonly KernelRow[], terminal: Terminal, most = Number.POSITIVE_INFINITY): string {
  const slowest = [...rows].sort((a, b) => b.ns - a.ns);
  const kept = new Set(slowest.slice(0, most));
  const rest = slowest.slice(most);
  const cells = rows
    .filter((r) => kept.has(r))
    .map((r) => [
      String(r.step),
      clip(r.name, 44),
      duration(r.ns),
      percent(r.share),
      digits(r.gflops),
      percent(r.ofPeak),
      digits(r.gigabytesPerSecond),
    ]);
  const sum = (f: (r: KernelRow) => number): number => rest.reduce((total, r) => total + f(r), 0);
  if (rest.length > 0)
    cells.push(["", `${rest.length} others`, duration(sum((r) => r.ns)), percent(sum((r) => r.share)), "", "", ""]);
  return table(columns, cells, terminal.colors);
}
const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;
