/** Patterns for loops and blocks: objects, or a line as it prints with `_` for anything. */
import type { IterKind, LoopKind } from "../../ir/loop/program.ts";
import { InputError } from "../../ir/support/errors.ts";
import type { BlockRef } from "./primitive.ts";

/** A name, in which `*` stands for any characters; or an expression that it matches. */
export type NamePattern = string | RegExp;
/** Loops of this name that also satisfy everything else that is given. */
export interface LoopPattern<Loop> {
  readonly loop: NamePattern;
  readonly block?: never;
  readonly kind?: LoopKind;
  /** The number of iterations. */
  readonly extent?: number;
  /** A block (or block name) that the loop is around. */
  readonly around?: BlockRef | NamePattern;
  /** The loop runs an iteration variable of this kind, of the block in `around` when that is given. */
  readonly drives?: IterKind;
  /** Key of an annotation that the loop has. */
  readonly annotated?: string;
  /** Leaves out loops that are around another match. */
  readonly innermost?: boolean;
  readonly where?: (loop: Loop) => boolean;
}
/** Blocks of this name that also satisfy everything else that is given. */
export interface BlockPattern<Block> {
  readonly block: NamePattern;
  readonly loop?: never;
  /** Name of a buffer that it reads. */
  readonly reads?: NamePattern;
  /** Name of a buffer that it writes. */
  readonly writes?: NamePattern;
  /** It has an iteration variable of this kind. */
  readonly has?: IterKind;
  readonly where?: (block: Block) => boolean;
}
/**
 * What `find` takes: an object, or text. `"i_o"` is anything of that name, `"block C_*"` a block, `"for k"`,
 * `"for _ in 0..16"` and `"vectorized for _"` are loops.
 */
export type PatternOf<Loop, Block> = string | LoopPattern<Loop> | BlockPattern<Block>;

/** Whether a name matches. */
export function matchesName(p: NamePattern, name: string): boolean {
  if (typeof p !== "string") return p.test(name);
  if (p === "_" || p === "*") return true;
  if (!p.includes("*")) return p === name;
  const parts = p.split("*").map((t) => t.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(name);
}

const kinds: readonly LoopKind[] = ["serial", "parallel", "vectorized", "unrolled", "tensorized", "thread"];
/** The pattern that a text says; a bare name stays one. @throws InputError `schedule/pattern` */
export function parsePattern(text: string): PatternOf<unknown, unknown> {
  const block = /^block\s+(\S+)$/.exec(text.trim());
  if (block) return { block: block[1]! };
  const loop = /^(?:(\w+)\s+)?for\s+(\S+)(?:\s+in\s+(?:0\.\.(\d+|_)|_))?$/.exec(text.trim());
  if (!loop) {
    if (/^\S+$/.test(text.trim())) return text.trim();
    throw badPattern(text);
  }
  const [, word, name, extent] = loop;
  const kind = kinds.find((k) => k === word);
  if (word !== undefined && kind === undefined) throw badPattern(text);
  return {
    loop: name!,
    ...(kind ? { kind } : {}),
    ...(extent === undefined || extent === "_" ? {} : { extent: Number(extent) }),
  };
}
const badPattern = (text: string): InputError =>
  new InputError(
    "schedule/pattern",
    `${JSON.stringify(text)} is no pattern; write a name, "block NAME", "for NAME in 0..16" or "vectorized for _", with _ for anything`,
  );
/** A pattern as it is written. */
export function patternText(p: string | object): string {
  if (typeof p === "string") return JSON.stringify(p);
  const text = (v: unknown): string =>
    v instanceof RegExp || typeof v === "function" ? String(v) : isNamed(v) ? v.name : JSON.stringify(v);
  return `{ ${Object.entries(p)
    .map(([k, v]) => `${k}: ${text(v)}`)
    .join(", ")} }`;
}
const isNamed = (v: unknown): v is { readonly name: string } => typeof v === "object" && v !== null && "name" in v;
