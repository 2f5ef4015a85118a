/** Access regions against enumeration, and what counts as an access. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  add,
  buffer,
  cast,
  compare,
  constant,
  floordiv,
  floormod,
  index,
  load,
  min,
  mul,
  select,
  sub,
  variable,
} from "../../../ir/expr/build.ts";
import { float32 } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { evaluateExpr } from "../../../ir/interp/interpret.ts";
import { block, forLoop, ifThen, iterVar, letIn, pointRegion, range, region, store } from "../../../ir/loop/build.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import { accessesIn, blockAccesses, regionCovers, regionOf, unionRegions } from "../../../passes/analysis/accesses.ts";
import { extentRanges, type Interval } from "../../../passes/analysis/interval.ts";
import { sameExpr } from "../../../passes/analysis/order.ts";
import { share } from "../../property/support/share.ts";

const ids = new IdSource();
const [io, ii, j, v] = ["io", "ii", "j", "v"].map((n) => variable(ids, n)) as [
  ReturnType<typeof variable>,
  ReturnType<typeof variable>,
  ReturnType<typeof variable>,
  ReturnType<typeof variable>,
];
const a = buffer(ids, "a", "float32", [64]);
const b = buffer(ids, "b", "float32", [64]);

describe("accessesIn", () => {
  it("gives indices in terms of the loops around, with conditions and kinds", () => {
    const body = block(ids, {
      name: "s",
      iterVars: [iterVar(v, 64)],
      bindings: [add(mul(io, 8), ii)],
      predicate: compare("lt", add(mul(io, 8), ii), 60),
      body: store(b, [v], add(load(b, [v]), load(a, [sub(63, v)]))),
    });
    const nest = forLoop(io, 8, forLoop(ii, 8, body));
    const found = accessesIn(nest);
    expect(found.map((x) => [x.buffer.name, x.kind, x.op])).toEqual([
      ["a", "read", undefined],
      ["b", "update", "add"],
    ]);
    expect(sameExpr(found[1]!.indices[0]!, add(mul(io, 8), ii))).toBe(true);
    expect(found[1]!.loops.map((l) => l.var.name)).toEqual(["io", "ii"]);
    expect(found[1]!.conditions).toHaveLength(1);
    expect(found[1]!.block).toBe(body);
    expect(blockAccesses(body)[1]!.indices).toEqual([v]);
  });

  it("reads an arm of a select only under its condition, and lets stand for their values", () => {
    const t = variable(ids, "t");
    const inBounds = compare("ge", io, 1);
    const value = select(inBounds, load(a, [t]), constant(float32, 0));
    const nest = forLoop(io, 8, letIn(t, sub(io, 1), store(b, [io], value)));
    const [read, write] = accessesIn(nest);
    expect(read!.conditions).toEqual([inBounds]);
    expect(sameExpr(read!.indices[0]!, sub(io, 1))).toBe(true);
    expect(write!.conditions).toEqual([]);
  });

  it("is not an update when the value reads the buffer elsewhere", () => {
    const value = add(load(b, [io]), load(b, [0]));
    expect(accessesIn(store(b, [io], value)).map((x) => x.kind)).toEqual(["read", "read", "write"]);
    const branch = ifThen(compare("eq", io, 0), store(b, [1], load(a, [2])), store(b, [3], load(a, [4])));
    expect(accessesIn(branch).map((x) => x.conditions.length)).toEqual([1, 1, 1, 1]);
  });
});

describe("regionOf", () => {
  const around = extentRanges([[io.id, 6]]);
  const over = extentRanges([
    [ii.id, 4],
    [j.id, 3],
  ]);
  const regionOfRead = (e: Expr) =>
    regionOf(accessesIn(store(b, [0], load(a, [e]))).find((x) => x.buffer === a)!, over, around);

  it("contains every element, and is as small as can be for affine indices", () => {
    const k = fc.integer({ min: -3, max: 6 });
    const affine = fc.tuple(k, k, k, k).map(([p, q, r, s]) => add(add(mul(io, p), mul(ii, q)), add(mul(j, r), s)));
    const division = fc
      .tuple(affine, fc.integer({ min: 2, max: 5 }), fc.constantFrom(floordiv, floormod))
      .map(([e, d, f]) => f(e, d));
    fc.assert(
      fc.property(
        fc.oneof(
          affine,
          division,
          fc.tuple(affine, division).map(([x, y]) => min(x, y)),
        ),
        (e) => {
          const box = regionOfRead(e).ranges[0]!;
          for (let x = 0; x < 6; x++) {
            const env = new Map<VarId, number>([[io.id, x]]);
            const low = Number(evaluateExpr(box.min, env));
            const high = low + Number(evaluateExpr(box.extent, env)) - 1;
            const seen: number[] = [];
            for (let y = 0; y < 4; y++)
              for (let z = 0; z < 3; z++)
                seen.push(Number(evaluateExpr(e, new Map([...env, [ii.id, y], [j.id, z]] as [VarId, number][]))));
            expect(low).toBeLessThanOrEqual(Math.min(...seen));
            expect(high).toBeGreaterThanOrEqual(Math.max(...seen));
            if (e.kind === "binary" && (e.op === "add" || e.op === "sub" || e.op === "mul"))
              expect([low, high]).toEqual([Math.min(...seen), Math.max(...seen)]);
          }
        },
      ),
      { numRuns: share(1000), seed: 31 },
    );
  });

  it("keeps outer variables symbolic and extents constant", () => {
    const box = regionOfRead(add(mul(io, 8), add(mul(ii, 2), j)));
    expect(box).toEqual(region(a, [range(mul(io, 8), 9)]));
    const halved = regionOfRead(floordiv(add(mul(io, 4), ii), 2));
    expect(halved).toEqual(region(a, [range(mul(io, 2), 2)]));
    const odd = regionOfRead(floordiv(add(io, ii), 3)).ranges[0]!;
    expect(odd.extent).toEqual(index(2));
  });

  it("takes the whole extent where the index is data", () => {
    const table = buffer(ids, "table", "int64", [8]);
    expect(regionOfRead(load(table, [ii]))).toEqual(region(a, [range(0, 64)]));
    const bytes = buffer(ids, "bytes", "uint8", [8]);
    expect(regionOfRead(cast("int64", load(bytes, [ii])))).toEqual(region(a, [range(0, 64)]));
  });
});

describe("unions and covering", () => {
  const around = new Map<VarId, Interval>([[io.id, { min: 0, max: 7 }]]);
  it("joins boxes and proves what they contain", () => {
    const points = [0, 1, 2].map((d) => pointRegion(a, [add(mul(io, 4), d)]));
    const whole = unionRegions(points, around);
    expect(whole).toEqual(region(a, [range(mul(io, 4), 3)]));
    for (const p of points) expect(regionCovers(whole, p, around)).toBe(true);
    expect(regionCovers(whole, pointRegion(a, [add(mul(io, 4), 3)]), around)).toBe(false);
    expect(regionCovers(region(a, [range(0, 32)]), whole, around)).toBe(true);
    expect(regionCovers(region(a, [range(0, 30)]), whole, around)).toBe(false);
    expect(regionCovers(region(b, [range(0, 64)]), whole, around)).toBe(false);
  });
});
