/** Short programs for the tables of refused steps. */
import type { Program } from "../../../../ir/loop/program.ts";
import { parseProgram } from "../../../../ir/text/parser.ts";
import type { Schedule } from "../../../../passes/schedule/schedule.ts";

/**
 * A program from its parameters and the lines of its body. Every statement under loops becomes a block over all of them
 * that says nothing of itself: its variables are ordered, its regions are whole buffers.
 */
export const text =
  (params: string, ...body: string[]) =>
  (): Program =>
    parseProgram(`program p(${params}):\n${inBlocks(params, body).join("\n")}\n`);

interface Around {
  readonly indent: number;
  readonly name: string;
  readonly min: number;
  readonly extent: string;
}
const indentOf = (line: string): number => line.length - line.trimStart().length;

function inBlocks(params: string, body: readonly string[]): string[] {
  const shapes = new Map<string, string>();
  const declare = (declaration: string): void => {
    for (const [, name, shape] of declaration.matchAll(/(\w+): (?:\w+ )?\w+\[([^\]]*)\]/g)) shapes.set(name!, shape!);
  };
  declare(params);
  const lines: string[] = [];
  const blocks: string[] = [];
  let around: Around[] = [];
  for (let k = 0; k < body.length; k++) {
    const line = body[k]!;
    const indent = indentOf(line);
    around = around.filter((l) => l.indent < indent);
    const part = [line];
    while (k + 1 < body.length && (indentOf(body[k + 1]!) > indent || body[k + 1]!.trimStart() === "else:")) {
      if (/^\s*(for|allocate) /.test(line)) break;
      part.push(body[++k]!);
    }
    const loop = /for (\w+) in (.+)\.\.(\+?)(.+):$/.exec(line);
    if (loop) around.push(loopOf(indent, loop));
    if (line.trimStart().startsWith("allocate")) declare(line);
    if (/^\s*block /.test(line)) blocks.push(line);
    const verbatim = loop || around.length === 0 || /^\s*(allocate|block) /.test(line);
    if (!verbatim) blocks.push(line);
    const name = `S${blocks.length === 1 ? "" : blocks.length}`;
    lines.push(...(verbatim ? part : wrapped(name, part, { around, shapes, indent })).map((l) => `  ${l}`));
  }
  return lines;
}
function loopOf(indent: number, [, name, min, plus, end]: readonly string[]): Around {
  const known = Number(end) - (plus === "+" ? 0 : Number(min));
  const extent = Number.isFinite(known) ? `${known}` : /^n\b/.test(end!) ? "n" : "16";
  return { indent, name: name!, min: Number(min) || 0, extent };
}
interface Place {
  readonly around: readonly Around[];
  readonly shapes: ReadonlyMap<string, string>;
  readonly indent: number;
}
function wrapped(name: string, part: readonly string[], { around, shapes, indent }: Place): string[] {
  const plus = (v: string, k: number): string => (k === 0 ? v : k > 0 ? `${v} + ${k}` : `${v} - ${-k}`);
  const vars = around.map((l) => `v${l.name}: ordered ${l.extent} = ${plus(l.name, -l.min)}`);
  const inner = part.map((line) =>
    around.reduce(
      (text, l) => text.replaceAll(new RegExp(`\\b${l.name}\\b`, "g"), `(${plus(`v${l.name}`, l.min)})`),
      line,
    ),
  );
  const whole = [...shapes].map(
    ([name, shape]) =>
      `${name}[${shape
        .split(", ")
        .map((n) => `0..+${n}`)
        .join(", ")}]`,
  );
  const stored = whole.filter((r) => inner.some((line) => new RegExp(`^\\s*${r.split("[")[0]}\\[.*\\] = `).test(line)));
  const read = whole.filter((r) => inner.some((line) => line.replace(/^\s*\w+\[/, "").includes(`${r.split("[")[0]}[`)));
  const head = [
    `block ${name}(${vars.join(", ")}):`,
    ...(read.length > 0 ? [`  reads ${read.join(", ")}`] : []),
    ...(stored.length > 0 ? [`  writes ${stored.join(", ")}`] : []),
  ];
  return [...head.map((line) => " ".repeat(indent) + line), ...inner.map((line) => `  ${line}`)];
}

/** Loops, outermost first (`i in 0..4`), around the lines of a body. */
export function nest(loops: readonly string[], ...body: string[]): string[] {
  const lines = loops.map((loop, depth) => `${"  ".repeat(depth)}for ${loop}:`);
  return [...lines, ...body.map((line) => "  ".repeat(loops.length) + line)];
}
/** Sets all of an int32 buffer, so that it may be read before it is written again. */
export const fill = (buffer: string, ...extents: number[]): string[] => {
  const vars = extents.map((_, k) => `z${k}`);
  const loops = vars.map((v, k) => `${v} in 0..${extents[k]}`);
  return nest(loops, `${buffer}[${vars.join(", ")}] = 1i32`);
};

type Step = (s: Schedule) => unknown;
export const parallel =
  (loop: string): Step =>
  (s) =>
    s.parallel(s.loop(loop));
export const vectorize =
  (loop: string): Step =>
  (s) =>
    s.vectorize(s.loop(loop));
export const reorder =
  (...loops: string[]): Step =>
  (s) =>
    s.reorder(...loops.map((l) => s.loop(l)));
export const steps =
  (...list: Step[]): Step =>
  (s) => {
    for (const step of list) step(s);
  };
/** A loop around a block of one spatial variable v, which says which buffers it uses, and how far. */
export function point(loop: string, name: string, body: string): string[] {
  const [, v, , end] = /(\w+) in (.+)\.\.(.+)/.exec(loop)!;
  const [target, value] = body.split(" = ") as [string, string];
  const loads = [...value.matchAll(/\w+\[[^\]]*\]/g)].map(([access]) => access);
  return [
    `for ${loop}:`,
    `  block ${name}(v: spatial ${end} = ${v}):`,
    ...(loads.length > 0 ? [`    reads ${[...new Set(loads)].join(", ")}`] : []),
    `    writes ${target}`,
    `    ${body}`,
  ];
}
