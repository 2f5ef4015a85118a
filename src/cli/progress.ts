/** Progress on stderr: a bar that rewrites its line in a terminal, else plain lines now and then. */
import type { CompileProgress } from "../runtime/compile.ts";
import type { Terminal } from "./terminal.ts";

const barWidth = 30;
const plainEveryMs = 2000;

/** Shows how far something is. */
export interface Progress {
  readonly step: (done: number, total: number) => void;
  /** Clears the bar. */
  readonly end: () => void;
}

/** Shows `label` with a count. */
export function progress(terminal: Terminal, label: string): Progress {
  if (terminal.quiet) return { step: () => {}, end: () => {} };
  const { errorColors } = terminal;
  let spokenMs = performance.now();
  let drawn = false;
  return {
    step(done, total) {
      if (terminal.animated) {
        const filled = total === 0 ? barWidth : Math.round((done / total) * barWidth);
        const bar = errorColors.cyan("█".repeat(filled)) + errorColors.dim("░".repeat(barWidth - filled));
        process.stderr.write(`\r${label} ${bar} ${done}/${total}\x1b[K`);
        drawn = true;
      } else if (performance.now() - spokenMs > plainEveryMs) {
        spokenMs = performance.now();
        terminal.note(`${label}: ${done} of ${total}`);
      }
    },
    end() {
      if (drawn) process.stderr.write("\r\x1b[K");
      drawn = false;
    },
  };
}

/** Shows the progress of a compilation; gives the listener and what ends it. */
export function compileProgress(terminal: Terminal): {
  readonly onProgress: (p: CompileProgress) => void;
  readonly end: () => void;
} {
  const bar = progress(terminal, "compiling kernels");
  return {
    onProgress: (p) => {
      if (p.stage === "kernels") bar.step(p.done, p.total);
      else if (p.stage === "link") bar.end();
    },
    end: bar.end,
  };
}
