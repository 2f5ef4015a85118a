/** What the hottest loop of a kernel's x86 assembly is made of. */

const label = /^(\.L\w+):/;
const jump = /^\s+(j\w+)\s+(\.L\w+)/;
const multiplyAdd = /^\s+vf(n?m)(add|sub)\d*p[sd]/;
const vectorArithmetic = /^\s+v[a-z0-9]+\s.*%[xyz]mm/;

/**
 * Of the innermost loops, the one with the most multiply-adds, else with the most vector instructions: how many
 * instructions it has, multiply-adds, references to the stack, those of them that move vectors (spills and reloads of
 * accumulators), and instructions on 256-bit and 512-bit registers. Undefined where the kernel has no loop.
 */
export function hottestLoop(assembly) {
  const loops = assembly.split(/^\s*\.cfi_startproc$/m).flatMap(innermostLoops);
  const measured = loops.map(composition);
  const score = (l) => l.multiplyAdds * 1e6 + l.vectorInstructions;
  return measured.reduce((best, l) => (best === undefined || score(l) > score(best) ? l : best), undefined);
}

/** Line ranges between a label and a jump back to it that hold no other such range. */
function innermostLoops(functionText) {
  const lines = functionText.split("\n");
  const places = new Map();
  lines.forEach((line, i) => {
    const name = label.exec(line)?.[1];
    if (name) places.set(name, i);
  });
  const ranges = [];
  lines.forEach((line, end) => {
    const start = places.get(jump.exec(line)?.[2]);
    if (start !== undefined && start < end) ranges.push({ start, end });
  });
  const inside = (a, b) => a !== b && a.start >= b.start && a.end <= b.end && !(a.start === b.start && a.end === b.end);
  const innermost = ranges.filter((r) => !ranges.some((other) => inside(other, r)));
  const framePointer = lines.some((line) => /movq\s+%rsp, %rbp/.test(line));
  return innermost.map(({ start, end }) => ({ lines: lines.slice(start + 1, end + 1), framePointer }));
}

function composition({ lines, framePointer }) {
  const instructions = lines.filter((line) => /^\s+[a-z]/.test(line));
  const count = (pattern) => instructions.filter((line) => pattern.test(line)).length;
  const stack = framePointer ? /\(%r[sb]p[,)]/ : /\(%rsp[,)]/;
  return {
    instructions: instructions.length,
    multiplyAdds: count(multiplyAdd),
    vectorInstructions: count(vectorArithmetic),
    stackReferences: instructions.filter((line) => stack.test(line)).length,
    vectorSpills: instructions.filter((line) => stack.test(line) && /%[xyz]mm/.test(line)).length,
    bits256: count(/%ymm/),
    bits512: count(/%zmm/),
  };
}
