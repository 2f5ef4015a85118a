/** Whether a primitive may be applied, why not, and with which other arguments it may. */
import { type Choice, candidates, type Prober, shapeOf } from "./alternatives.ts";
import type { Violation } from "./primitive.ts";

/** Other values of one argument with which the primitive is legal, the others as given. */
export interface Alternative {
  readonly argument: string;
  readonly values: readonly Choice[];
  /** There may be more: not all values were tried. */
  readonly more?: true;
}
/** What `why` answers. */
export interface Explanation {
  readonly legal: boolean;
  readonly violation?: Violation;
  /** What the broken rule demands. */
  readonly demand?: string;
  readonly alternatives: readonly Alternative[];
  /** All of it for people. */
  readonly text: string;
}
/** The names of a primitive's arguments, of any of the ways to give them. */
export type ArgumentOf<Args> = Args extends object ? keyof Args & string : never;
type Arguments = Readonly<Record<string, unknown>>;

/** The most values of one argument that are tried. */
const maxTries = 96;

/** The alternatives, one argument changed at a time. */
export function alternativesOf(name: string, args: object, p: Prober): Alternative[] {
  const given = args as Arguments;
  return Object.keys(shapeOf(name)).flatMap((argument) => {
    const found = choicesOf(name, given, argument, p);
    const values = found.values.filter((v) => !same(v, given[argument]));
    return values.length > 0 ? [{ ...found, values }] : [];
  });
}
/** The legal values of one argument, the others as given. */
export function choicesOf(name: string, args: object, argument: string, p: Prober): Alternative {
  const all = candidates(name, argument, args as Arguments, p);
  const values = all.slice(0, maxTries).filter((v) => p.legal({ ...args, [argument]: v }));
  return { argument, values, ...(all.length > maxTries ? { more: true } : {}) };
}
function same(a: Choice, b: unknown): boolean {
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((x, k) => same(x as Choice, b[k]));
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return a === b;
  return "id" in a ? "id" in b && a.id === b.id : JSON.stringify(a) === JSON.stringify(b);
}

/** Alternatives as lines; `around` tells loops of one name apart. */
export function alternativeLines(list: readonly Alternative[], around?: Prober["nests"]): string[] {
  return list.map(({ argument, values, more }) => {
    const texts = values.map((v) => choiceText(v));
    const said = texts.map((t, k) => (texts.indexOf(t) === texts.lastIndexOf(t) ? t : apart(values[k]!, t, around)));
    return `  ${argument} may be: ${said.join(", ")}${more ? ", …" : ""}`;
  });
}
function choiceText(v: Choice): string {
  if (Array.isArray(v)) return `[${v.map((x) => choiceText(x as Choice)).join(", ")}]`;
  if (typeof v !== "object" || v === null) return String(v);
  return "name" in v
    ? String(v.name)
    : `{ ${Object.entries(v)
        .map(([k, x]) => `${k}: ${x}`)
        .join(", ")} }`;
}
/** A loop of a name that others have, with its place: `i (in j_o, i_o)`. */
function apart(v: Choice, text: string, around: Prober["nests"] = []): string {
  if (typeof v !== "object" || v === null || !("id" in v)) return text;
  const nest = around.find((n) => n.some((l) => l.id === v.id));
  const outside =
    nest
      ?.slice(
        0,
        nest.findIndex((l) => l.id === v.id),
      )
      .map((l) => l.name) ?? [];
  return `${text} (${outside.length > 0 ? `in ${outside.toReversed().join(", ")}` : "outermost"})`;
}
