/** Functions of x86-64 assembly as basic blocks and innermost loops. */
import { type Instruction, parseInstruction } from "./x86.ts";

/** Instructions that all run when the first one does (functions that are called in between give control back). */
export interface BasicBlock {
  /** Index of the line that its first instruction stands in, or would. */
  readonly line: number;
  /** Labels that jumps to it name. */
  readonly labels: readonly string[];
  readonly instructions: readonly Instruction[];
}

/** Blocks first … last (indices), of which the last jumps to the first, with no such loop inside. */
export interface InnermostLoop {
  readonly first: number;
  readonly last: number;
}

/** The blocks of every function of an assembly file, in order. */
export function basicBlocks(assembly: string): BasicBlock[] {
  const lines = assembly.split("\n");
  const framePointer = lines.some((line) => /movq\s+%rsp, %rbp/.test(line));
  const functions = new Set(lines.flatMap((line) => /^\s+\.type\s+(\S+),@function/.exec(line)?.[1] ?? []));
  const blocks: { line: number; labels: string[]; instructions: Instruction[] }[] = [];
  let inFunction = false;
  let isOpen = false;
  lines.forEach((line, i) => {
    const label = /^([\w.$]+):/.exec(line)?.[1];
    if (label?.startsWith(".Lfunc_end")) inFunction = false;
    else if (label !== undefined && functions.has(label)) inFunction = true;
    if (!inFunction) {
      isOpen = false;
      return;
    }
    if (label !== undefined) {
      const before = blocks.at(-1);
      if (isOpen && before?.instructions.length === 0) before.labels.push(label);
      else blocks.push({ line: i + 1, labels: [label], instructions: [] });
      blocks.at(-1)!.line = i + 1;
      isOpen = true;
      return;
    }
    const instruction = parseInstruction(line, framePointer);
    if (!instruction) return;
    if (!isOpen) blocks.push({ line: i, labels: [], instructions: [] });
    blocks.at(-1)!.instructions.push(instruction);
    isOpen = instruction.unit !== "branch" && !instruction.mnemonic.startsWith("ret");
  });
  return blocks;
}

/** Jumps back, with what lies between the label and the jump, where no other such range lies inside. */
export function innermostLoops(blocks: readonly BasicBlock[]): InnermostLoop[] {
  const places = new Map(blocks.flatMap((b, i) => b.labels.map((label) => [label, i] as const)));
  const ranges = blocks.flatMap((b, last) => {
    const first = b.instructions.flatMap((i) => (i.unit === "branch" ? (places.get(i.target ?? "") ?? []) : []))[0];
    return first !== undefined && first <= last ? [{ first, last }] : [];
  });
  const inside = (a: InnermostLoop, b: InnermostLoop): boolean =>
    a.first >= b.first && a.last <= b.last && !(a.first === b.first && a.last === b.last);
  return ranges.filter((r) => !ranges.some((other) => inside(other, r)));
}

/** The instructions of a loop, in order. */
export const loopBody = (blocks: readonly BasicBlock[], loop: InnermostLoop): Instruction[] =>
  blocks.slice(loop.first, loop.last + 1).flatMap((b) => b.instructions);
