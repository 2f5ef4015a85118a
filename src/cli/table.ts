/** Numbers and tables as people read them. */
import type { Colors } from "./terminal.ts";

/** `12.3 ms`, `4.56 µs`: three digits and the unit that fits. */
export function duration(ns: number): string {
  if (ns >= 1e9) return `${digits(ns / 1e9)} s`;
  if (ns >= 1e6) return `${digits(ns / 1e6)} ms`;
  return ns >= 1e3 ? `${digits(ns / 1e3)} µs` : `${digits(ns)} ns`;
}
/** `1.5 MiB`. */
export function byteText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let amount = bytes;
  for (; amount >= 1024 && unit < units.length - 1; unit++) amount /= 1024;
  return unit === 0 ? `${amount} B` : `${digits(amount)} ${units[unit]}`;
}
/** `3.50 M`: counts of parameters and operations. */
export function countText(n: number): string {
  const units = ["", " k", " M", " G", " T"];
  let unit = 0;
  let amount = n;
  for (; amount >= 1000 && unit < units.length - 1; unit++) amount /= 1000;
  return unit === 0 ? String(n) : `${digits(amount)}${units[unit]}`;
}
/** Three significant digits, without an exponent for ordinary numbers. */
export function digits(x: number): string {
  if (!Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return x.toExponential(2);
  return x.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size === 0 ? 0 : 4);
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
