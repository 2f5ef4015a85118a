/** Numbers and tables as people read them. */
import { digits } from "../../ir/text/units.ts";
import type { Colors } from "./terminal.ts";

/** `12.3 ms`, `4.56 µs`: three digits and the unit that fits. */
export function duration(ns: number): string {
  if (ns >= 1e9) return `${digits(ns / 1e9)} s`;
  if (ns >= 1e6) return `${digits(ns / 1e6)} ms`;
  return ns >= 1e3 ? `${digits(ns / 1e3)} µs` : `${digits(ns)} ns`;
}
/** `3.50 M`: counts of parameters and operations. */
export function countText(n: number): string {
  const units = ["", " k", " M", " G", " T"];
  let unit = 0;
  let amount = n;
  for (; amount >= 1000 && unit < units.length - 1; unit++) amount /= 1000;
  return unit === 0 ? String(n) : `${digits(amount)}${units[unit]}`;
}
/** A column: its title; numbers stand right. */
export interface Column {
  readonly title: string;
  readonly right?: boolean;
}

/** Rows under titles, columns as wide as their longest cell. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], colors: Colors): string {
  const widths = columns.map((c, i) => Math.max(c.title.length, ...rows.map((r) => r[i]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (columns[i]!.right ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  return [colors.dim(line(columns.map((c) => c.title))), ...rows.map(line)].join("\n");
}

/** At most `width` characters; longer text ends in an ellipsis. */
export const clip = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, width - 1)}…`;

/** The middle of a sample, and the ends of its middle 80 %. */
export function spread(samples: Float64Array | readonly number[]): { median: number; p10: number; p90: number } {
  const sorted = Float64Array.from(samples).sort();
  const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
  return { median: at(0.5), p10: at(0.1), p90: at(0.9) };
}
