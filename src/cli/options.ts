/** Values of command-line options. */
import { UsageError } from "../../ir/support/errors.ts";
import { nearest } from "../../ir/support/nearest.ts";

/** Splits `name=value` at the last `=`, because names come from models and may hold one. */
function splitPair(text: string, option: string, example: string): readonly [string, string] {
  const at = text.lastIndexOf("=");
  if (at < 1) throw new UsageError("usage/option", `${option} takes ${example}, got ${JSON.stringify(text)}`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** Collects `--shape x=1,3,224,224`; `x=` is a scalar. */
export function collectShape(
  text: string,
  before: Readonly<Record<string, readonly number[]>> = {},
): Record<string, readonly number[]> {
  const [name, list] = splitPair(text, "--shape", "NAME=1,3,224,224");
  const dims = list === "" ? [] : list.split(/[,x]/);
  if (!dims.every((d) => /^\d{1,15}$/.test(d)))
    throw new UsageError("usage/option", `--shape takes whole numbers, as x=1,3,224,224, got ${JSON.stringify(text)}`);
  return Object.fromEntries([...Object.entries(before), [name, dims.map(Number)]]);
}

/** Collects `--input x=in.npy`; a lone file (.npz, or for a network with one input) has no name. */
export function collectInput(text: string, before: readonly InputFile[] = []): InputFile[] {
  const at = text.indexOf("=");
  const given = at < 1 ? { path: text } : { name: text.slice(0, at), path: text.slice(at + 1) };
  if (given.path === "") throw new UsageError("usage/option", `--input takes NAME=FILE, got ${JSON.stringify(text)}`);
  return [...before, given];
}

/** One `--input`. */
export interface InputFile {
  readonly name?: string;
  readonly path: string;
}

/** A parser of whole numbers from `least` to `most`. */
export const wholeNumber =
  (option: string, least: number, most = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const n = Number(text);
    if (/^\d+$/.test(text) && n >= least && n <= most) return n;
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw new UsageError("usage/option", `${option} takes a whole number ${range}, got ${JSON.stringify(text)}`);
  };

/** A parser of non-negative numbers. */
export const positiveNumber =
  (option: string) =>
  (text: string): number => {
    const n = Number(text);
    if (text.trim() !== "" && Number.isFinite(n) && n >= 0) return n;
    throw new UsageError("usage/option", `${option} takes a number from 0, got ${JSON.stringify(text)}`);
  };

/** A parser of any finite number. */
export const realNumber =
  (option: string) =>
  (text: string): number => {
    const n = Number(text);
    if (text.trim() !== "" && Number.isFinite(n)) return n;
    throw new UsageError("usage/option", `${option} takes a number, got ${JSON.stringify(text)}`);
  };

/** A parser of `0.5` or `0.485,0.456,0.406`. */
export const numberList =
  (option: string) =>
  (text: string): number | readonly number[] => {
    const list = text.split(",").map((t) => (t.trim() === "" ? Number.NaN : Number(t)));
    if (!list.every(Number.isFinite))
      throw new UsageError("usage/option", `${option} takes a number or one a channel, got ${JSON.stringify(text)}`);
    return list.length === 1 ? list[0]! : list;
  };

/** A parser of one of some words; others are answered with the nearest. */
export const oneOf =
  <T extends string>(option: string, words: readonly T[]) =>
  (text: string): T => {
    const found = words.find((w) => w === text);
    if (found !== undefined) return found;
    const near = nearest(text, words, 1)[0];
    throw new UsageError(
      "usage/option",
      `${option} takes one of ${words.join(", ")}, got ${JSON.stringify(text)}; did you mean ${near}?`,
      { given: text, words },
    );
  };
