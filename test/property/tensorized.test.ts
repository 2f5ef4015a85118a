/** Random programs that shipped intrinsics match, tensorized after and before random steps, keep their values. */
import { expect, test } from "vitest";
import { cast, floordiv, floormod, mul } from "../../ir/expr/build.ts";
import type { ScalarType } from "../../ir/expr/dtype.ts";
import { ComputeBuilder, sum } from "../../ir/loop/compute.ts";
import type { Program } from "../../ir/loop/program.ts";
import { IdSource } from "../../ir/support/ids.ts";
import { assertWellFormed } from "../../ir/verify/verify.ts";
import { bf16Dot, fmaOuterProduct, neonSdot, vnniDot } from "../../passes/schedule/library/intrinsics.ts";
import type { TensorIntrinsic } from "../../passes/schedule/primitive/tensorize.ts";
import { Schedule } from "../../passes/schedule/schedule.ts";
import { indexSimplifier } from "../../passes/simplify/index.ts";
import { drawPrimitive, proposers } from "./support/actions.ts";
import { difference, randomInputs, run, scrambled } from "./support/judge.ts";
import { Random } from "./support/random.ts";

const cases = Number(process.env.TILEWRIGHT_PAIRS ?? 2000) / 20;
const firstSeed = Number(process.env.TILEWRIGHT_SEED ?? 1);

interface Dot {
  readonly intrinsic: TensorIntrinsic;
  readonly lanes: number;
  readonly width: number;
  readonly types: readonly [ScalarType, ScalarType, ScalarType];
}
const dots: readonly Dot[] = [
  { intrinsic: vnniDot, lanes: 16, width: 4, types: ["int32", "uint8", "int8"] },
  { intrinsic: bf16Dot, lanes: 16, width: 2, types: ["float32", "bfloat16", "bfloat16"] },
  { intrinsic: neonSdot, lanes: 4, width: 4, types: ["int32", "int8", "int8"] },
];
/** C = A · B, B in panels of lanes and width. */
function panels(r: Random, d: Dot): Program {
  const b = new ComputeBuilder(new IdSource(), indexSimplifier);
  const [rows, blocks, steps] = [r.int(1, 4), r.int(1, 3), r.int(1, 4)];
  const [c, x, y] = d.types;
  const A = b.param("A", x, [rows, steps * d.width], "input");
  const B = b.param("B", y, [blocks, steps, d.lanes, d.width], "input");
  const k = b.reduceAxis("k", steps * d.width);
  const C = b.compute("C", c, [rows, blocks * d.lanes], (i, j) => {
    const at = [floordiv(j!, d.lanes), floordiv(k.var, d.width), floormod(j!, d.lanes), floormod(k.var, d.width)];
    return sum(mul(cast(c, A.at(i!, k.var)), cast(c, B.at(...at))), k);
  });
  return b.finish("panels", [C]);
}
function product(r: Random, rows: number, lanes: number): Program {
  const b = new ComputeBuilder(new IdSource(), indexSimplifier);
  const [m, n, depth] = [rows * r.int(1, 3), lanes * r.int(1, 3), r.int(1, 5)];
  const A = b.param("A", "float32", [m, depth], "input");
  const B = b.param("B", "float32", [depth, n], "input");
  const k = b.reduceAxis("k", depth);
  const C = b.compute("C", "float32", [m, n], (i, j) => sum(mul(A.at(i!, k.var), B.at(k.var, j!)), k));
  return b.finish("product", [C]);
}
/** Random legal steps. */
function steps(r: Random, s: Schedule, tries: number): void {
  for (; tries > 0; tries--) {
    const name = drawPrimitive(r);
    const args = proposers[name](r, s);
    if (args && s.probe(name, args as never) === undefined) s.apply(name, args);
  }
}
/** The nest in the order of the intrinsic, its init decomposed; as a block or not. */
function prepared(
  r: Random,
  program: Program,
  [inner, depth]: readonly [readonly [number, number], boolean],
): Schedule {
  const s = new Schedule(program);
  const [i, j, k] = s.loops("C");
  if (depth) {
    const [jo, ji] = s.split(j!, { factor: inner[0], tail: "exact" });
    const [ko, ki] = s.split(k!, { factor: inner[1], tail: "exact" });
    s.reorder(...r.shuffle([i!, jo]), ko, ji, ki);
    if (r.chance(0.5)) s.blockize(ji);
    s.decomposeReduction(outer(s), ko);
  } else {
    const { outer: tiles, inner: tile } = s.tile([i!, j!], inner, "exact");
    s.reorder(...r.shuffle([...tiles]), k!, ...tile);
    if (r.chance(0.5)) s.blockize(tile[0]!);
    s.decomposeReduction(outer(s), k!);
  }
  return s;
}
const outer = (s: Schedule) => s.blocks().find((b) => b.name === "C_o") ?? s.block("C");

test(`${cases} programs that intrinsics match keep their values when tensorized among random steps`, () => {
  const faults: string[] = [];
  let accepted = 0;
  for (let seed = firstSeed; seed < firstSeed + cases && faults.length < 3; seed++) {
    const r = new Random(seed * 31);
    const d = r.chance(0.6) ? r.pick(dots) : undefined;
    const [rows, lanes] = [r.pick([1, 2, 4]), r.pick([4, 8, 16])];
    const program = d ? panels(r, d) : product(r, rows, lanes);
    const intrinsic = d?.intrinsic ?? fmaOuterProduct(rows, lanes);
    const s = prepared(r, program, d ? [[d.lanes, d.width], true] : [[rows, lanes], false]);
    steps(r, s, r.int(0, 3));
    const loops = [...new Map(s.blocks().flatMap((b) => s.loops(b).map((l) => [l.id, l] as const))).values()];
    const found = [...loops, ...s.blocks()].find((loop) => s.probe("tensorize", { loop, intrinsic }) === undefined);
    if (!found) continue;
    s.tensorize(found, intrinsic);
    accepted++;
    steps(r, s, r.int(0, 6));
    const inputs = randomInputs(program, new Random(seed));
    const expected = run(program, inputs);
    try {
      assertWellFormed(s.program);
      const why =
        difference(expected, run(s.program, inputs), 32) ??
        difference(expected, run(scrambled(s.program, new Random(seed)), inputs), 32);
      if (why) throw new Error(why);
    } catch (e) {
      faults.push(`seed ${seed}: ${e instanceof Error ? e.message : String(e)}\n${s.trace.toSource()}\n${s.print()}`);
    }
  }
  console.log(`${accepted} of ${cases} tensorized`);
  expect(faults.join("\n\n")).toBe("");
  expect(accepted).toBeGreaterThan(cases / 4);
}, 600_000);
