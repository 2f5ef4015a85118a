/** Random programs: a maker builds one shape of computation at random extents and types, a program has up to three. */
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import { program as programOf } from "../../../ir/loop/build.ts";
import { ComputeBuilder } from "../../../ir/loop/compute.ts";
import type { MathPolicy, Program } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { indexSimplifier } from "../../../passes/simplify/index.ts";
import { dense } from "./dense.ts";
import { indexed } from "./indexed.ts";
import { type Built, type Maker, someExtent, types } from "./makers.ts";
import type { Random } from "./random.ts";
import { staged } from "./stages.ts";

/** A program, and how many roundings there are at most on the way to an element of its outputs. */
export interface Sample {
  readonly kind: string;
  readonly program: Program;
  readonly roundings: number;
}

const makers: readonly ((m: Maker) => Built)[] = [...dense, ...staged, ...indexed];

/** A random program of one function. */
export function randomProgram(r: Random): Sample {
  return functionOf(r, new IdSource(), "");
}
/** A random program of one function or several; functions share the names of blocks and buffers. */
export function randomFunctions(r: Random): Sample {
  const ids = new IdSource();
  const count = r.chance(0.1) ? r.int(2, 3) : 1;
  const samples = Array.from({ length: count }, (_, k) => functionOf(r, ids, k === 0 ? "" : `_${k}`));
  return {
    kind: samples.map((s) => s.kind).join("+"),
    program: programOf(
      samples.flatMap((s) => s.program.functions),
      ids,
    ),
    roundings: Math.max(...samples.map((s) => s.roundings)),
  };
}
function functionOf(r: Random, ids: IdSource, suffix: string): Sample {
  const make = r.pick(makers);
  const b = new ComputeBuilder(ids, indexSimplifier);
  const type: ScalarType = r.pick(types);
  const { outputs, roundings } = make({ r, b, type, n: () => someExtent(r) });
  const math: MathPolicy = r.chance(0.3) ? "strict" : "default";
  return { kind: make.name, program: b.finish(`${make.name}${suffix}`, outputs, { math }), roundings };
}
