/** Whether a primitive may be applied, why not, and with which other arguments it may. */
import { rowNamed } from "./apply.ts";
import { threadAxes } from "./kernels.ts";
import type { BlockRef, LoopRef, Violation } from "./primitive.ts";
import { divisorsOf } from "./sampling.ts";

/** Other values of one argument with which the primitive is legal, the others as given. */
export interface Alternative {
  readonly argument: string;
  readonly values: readonly (LoopRef | BlockRef | number | string)[];
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
/** What the search for alternatives asks of a schedule. */
export interface Prober {
  readonly legal: (args: object) => boolean;
  readonly loops: readonly LoopRef[];
  readonly blocks: readonly BlockRef[];
  /** Names of the buffers that a block uses. */
  readonly buffersOf: (block: BlockRef) => readonly string[];
  readonly extent: (loop: LoopRef) => number | undefined;
}
type Value = Alternative["values"][number];
type Arguments = Readonly<Record<string, unknown>>;

/** The most values of one argument that are tried. */
const maxTries = 64;

/** The alternatives, one argument changed at a time. */
export function alternativesOf(name: string, args: object, p: Prober): Alternative[] {
  const given = args as Arguments;
  const found: Alternative[] = [];
  for (const [argument, kind] of Object.entries(rowNamed(name)?.shape ?? {})) {
    const old = given[argument];
    const values = candidates(kind.replace("?", ""), argument, given, p)
      .filter((v) => !same(v, old))
      .slice(0, maxTries)
      .filter((v) => p.legal({ ...given, [argument]: v }));
    if (values.length > 0) found.push({ argument, values });
  }
  return found;
}
const same = (a: Value, b: unknown): boolean =>
  a === b || (typeof a === "object" && typeof b === "object" && b !== null && "id" in b && a.id === b.id);
function candidates(kind: string, argument: string, args: Arguments, p: Prober): readonly Value[] {
  switch (kind) {
    case "loop":
      return p.loops;
    case "block":
      return p.blocks;
    case "scope":
      return ["global", "stack", "register"];
    case "thread axis":
      return threadAxes;
    case "tail":
      return ["guard", "peel", "shift-inwards", "exact"];
    case "pipeline mode":
      return ["peeled", "guarded"];
    case "string":
      return isBlock(args.block) && argument === "buffer" ? p.buffersOf(args.block) : [];
    case "integer":
      return integers(argument, args, p);
    default:
      return [];
  }
}
/** Factors that divide the loop, else small numbers. */
function integers(argument: string, args: Arguments, p: Prober): readonly number[] {
  const extent = isLoop(args.loop) ? p.extent(args.loop) : undefined;
  if (argument === "factor" && extent !== undefined) return divisorsOf(extent);
  return argument === "factor" ? [2, 4, 8, 16, 32, 64] : [0, 1, 2, 3];
}
const isLoop = (v: unknown): v is LoopRef => typeof v === "object" && v !== null && "kind" in v && v.kind === "loop";
const isBlock = (v: unknown): v is BlockRef => typeof v === "object" && v !== null && "kind" in v && v.kind === "block";

/** Alternatives as lines. */
export function alternativeLines(list: readonly Alternative[]): string[] {
  return list.map(({ argument, values }) => {
    const names = values.map((v) => (typeof v === "object" ? v.name : String(v)));
    return `  ${argument} may be: ${names.join(", ")}`;
  });
}
