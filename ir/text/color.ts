/** ANSI colours of printed programs. */
import { reserved } from "./vocabulary.ts";

const paint = (code: number, text: string): string => `\u001b[${code}m${text}\u001b[39m`;

/** Paints reserved words blue, numbers cyan and annotations grey. */
export function colorize(text: string): string {
  return text.replace(/@\{.*\}|`[^`]*`|[A-Za-z_][\w$]*|\d+(\.\d+)?(e[+-]?\d+)?\w*/g, (token) => {
    if (token.startsWith("@")) return paint(90, token);
    if (reserved.has(token)) return paint(34, token);
    return /^\d/.test(token) ? paint(36, token) : token;
  });
}

/** A line of a program, and a remark after column `width` that the parser passes over. */
export function comment(line: string, remark: string | undefined, width: number, colors: boolean): string {
  const text = colors ? colorize(line) : line;
  if (remark === undefined) return text;
  const gap = " ".repeat(Math.max(0, width - line.length) + 2);
  return `${text}${gap}${colors ? paint(90, `# ${remark}`) : `# ${remark}`}`;
}
