/** The nest as text, with what each loop costs beside it as comments that the parser passes over. */
import type { PrimFunc, Program } from "../../ir/loop/program.ts";
import type { Target } from "../../ir/target/target.ts";
import { comment } from "../../ir/text/color.ts";
import { printProgram, printWithPlaces } from "../../ir/text/printer.ts";
import { byteText, digits } from "../../ir/text/units.ts";
import { type Level, levelsOf } from "./levels.ts";

/** What `print` shows beside the nest. */
export interface NestPrintOptions {
  /** ANSI colours; default false. */
  readonly colour?: boolean;
  /** Iterations of each loop, and of it with the loops around. */
  readonly extents?: boolean;
  /** Bytes that each loop touches of each buffer, and in all. */
  readonly footprints?: boolean;
  /** Operations for each byte. */
  readonly intensity?: boolean;
  /** Says which of its caches a footprint fits. */
  readonly target?: Target;
}

/** The program as text; beside the loops of `func`, what the options ask for. */
export function printNest(program: Program, func: PrimFunc, options: NestPrintOptions = {}): string {
  const { colour: colors = false } = options;
  if (!options.extents && !options.footprints && !options.intensity) return printProgram(program, { colors });
  const { lines, loops } = printWithPlaces(program);
  const notes = new Map<number, string>();
  const runs: number[] = [];
  for (const level of levelsOf(func, options.target?.caches)) {
    runs.length = level.depth;
    runs.push((runs.at(-1) ?? 1) * (level.extent ?? Number.NaN));
    const at = loops.get(level.loop.id);
    if (at) notes.set(at.line, noteOf(level, runs.at(-1)!, options));
  }
  const width = Math.min(70, Math.max(...[...notes.keys()].map((k) => lines[k]!.length)));
  return lines.map((l, k) => comment(l, notes.get(k), width, colors)).join("\n") + "\n";
}
function noteOf(level: Level, runs: number, options: NestPrintOptions): string {
  const parts: string[] = [];
  if (options.extents) {
    const extent = level.extent === undefined ? "?" : String(level.extent);
    parts.push(level.depth > 0 && Number.isFinite(runs) ? `${extent} × (${runs} in all)` : `${extent} ×`);
  }
  if (options.footprints) {
    const each = level.footprints.map((f) => {
      const where = f.buffer.scope === "register" ? " in registers" : "";
      return `${f.buffer.name} ${bound(f.exact)}${bytes(f.bytes)}${where}`;
    });
    const inMemory = level.footprints.filter((f) => f.buffer.scope !== "register");
    const all = ` = ${bound(inMemory.every((f) => f.exact))}${bytes(level.bytes)}${level.fits ? `, fits ${level.fits}` : ""}`;
    parts.push(`${each.join(", ")}${inMemory.length > 0 ? all : ""}`);
  }
  if (options.intensity && level.bytes > 0) parts.push(`${level.exact ? "" : "~"}${digits(level.intensity)} op/B`);
  return parts.join(" | ");
}
const bound = (exact: boolean): string => (exact ? "" : "≤ ");
const bytes = (n: number): string => (Number.isFinite(n) ? byteText(n) : "?");
