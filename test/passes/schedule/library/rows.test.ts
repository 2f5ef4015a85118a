/** Recipes of reductions, softmax, scans, selections and transpositions keep their values, whatever the extents. */
import { expect, test } from "vitest";
import { binary, compare, constant, floordiv, index, max, mul, select, sub } from "../../../../ir/expr/build.ts";
import { dtype } from "../../../../ir/expr/dtype.ts";
import type { Expr } from "../../../../ir/expr/expr.ts";
import { ComputeBuilder, reduce as reduceExpr } from "../../../../ir/loop/compute.ts";
import type { Program } from "../../../../ir/loop/program.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import { scan, topK } from "../../../../passes/schedule/library/ordered.ts";
import { reduction } from "../../../../passes/schedule/library/reduction.ts";
import { softmax } from "../../../../passes/schedule/library/rows.ts";
import { transpose } from "../../../../passes/schedule/library/transpose.ts";
import { Schedule } from "../../../../passes/schedule/schedule.ts";
import { indexSimplifier } from "../../../../passes/simplify/index.ts";
import { compute, placeholder, programOf, reduce, reduceAxis, type Scalar, sum } from "../../../../src/dsl.ts";
import { describeNative, runNative } from "../../../codegen/native-run.ts";
import { difference, randomInputs, run } from "../../../property/support/judge.ts";
import { Random } from "../../../property/support/random.ts";
import { keepsValues } from "../fixtures.ts";

/** Softmax along one axis of a tensor. */
function softmaxProgram(dims: readonly number[], axis: number): Program {
  const X = placeholder("X", dims);
  const kept = dims.filter((_, a) => a !== axis);
  const [k, l] = [reduceAxis("k", dims[axis]!), reduceAxis("l", dims[axis]!)];
  const at = (i: Scalar[], e: Scalar): Scalar[] => [...i.slice(0, axis), e, ...i.slice(axis)];
  const without = (i: Scalar[]): Scalar[] => i.filter((_, a) => a !== axis);
  const peak = compute("peak", kept.length > 0 ? kept : [1], (...i) => reduce("max", X.at(...place(i, k)), k));
  function place(i: Scalar[], e: Scalar): Scalar[] {
    return kept.length > 0 ? at(i, e) : [e];
  }
  const row = (i: Scalar[]): (Scalar | number)[] => (kept.length > 0 ? without(i) : [0]);
  const power = compute("power", dims, (...i) =>
    X.at(...i)
      .sub(peak.at(...row(i)))
      .exp(),
  );
  const total = compute("total", kept.length > 0 ? kept : [1], (...i) => sum(power.at(...place(i, l)), l));
  return programOf(compute("Y", dims, (...i) => power.at(...i).div(total.at(...row(i)))));
}
/** (x - mean of the channel's group) + mean of squares, over groups of `each` channels. */
function grouped(channels: number, each: number, pixels: number): Program {
  const b = new ComputeBuilder(new IdSource(), indexSimplifier);
  const X = b.param("X", "float32", [channels, pixels], "input");
  const [c, p] = [b.reduceAxis("c", each), b.reduceAxis("p", pixels)];
  const mean = b.compute("mean", "float32", [channels / each], (g) =>
    reduceExpr("add", X.at(binary("add", mul(g!, each), c.var), p.var), [c, p]),
  );
  const Y = b.compute("Y", "float32", [channels, pixels], (i, j) => sub(X.at(i!, j!), mean.at(floordiv(i!, each))));
  return b.finish("grouped", [Y]);
}
/** Running sums along an axis, over the axes around it. */
function running(dims: readonly number[], axis: number): Program {
  const b = new ComputeBuilder(new IdSource(), indexSimplifier);
  const X = b.param("X", "int32", dims, "input");
  const t = b.declare("S", "int32", dims);
  b.computeInto(
    t,
    "S",
    (...i) => {
      const before = i.map((e, a) => (a === axis ? max(sub(e, 1), 0) : e));
      return select(compare("eq", i[axis]!, 0), X.at(...i), binary("add", t.at(...before), X.at(...i)));
    },
    { kinds: dims.map((_, a) => (a === axis ? "ordered" : "spatial")) },
  );
  return b.finish("running", [t]);
}
/** The k greatest along an axis of distinct numbers, from 2·x. */
function greatest(dims: readonly number[], axis: number, k: number): Program {
  const b = new ComputeBuilder(new IdSource(), indexSimplifier);
  const X = b.param("X", "int32", dims, "input");
  const key = b.compute("key", "int64", dims, (...i) =>
    binary("add", mul(castLong(X.at(...i)), 1024), binary("add", index(0), i[axis]!)),
  );
  const least = constant(dtype("int64"), -(2n ** 62n));
  const out = dims.map((n, a) => (a === axis ? k : n));
  const best = b.declare("best", "int64", out);
  const j = b.reduceAxis("j", dims[axis]!);
  b.computeInto(
    best,
    "best",
    (...i) => {
      const along = (e: Expr): Expr[] => i.map((x, a) => (a === axis ? e : x));
      const first = compare("eq", i[axis]!, 0);
      const last = select(first, constant(dtype("int64"), 2n ** 62n), best.at(...along(sub(i[axis]!, 1))));
      const candidate = key.at(...along(j.var));
      return reduceExpr("max", select(compare("lt", candidate, last), candidate, least), [j]);
    },
    { kinds: out.map((_, a) => (a === axis ? "ordered" : "spatial")) },
  );
  return b.finish("greatest", [best]);
}
const castLong = (e: Expr): Expr => ({ kind: "cast", value: e, dtype: dtype("int64") });
/** X with its axes in another order. */
function permuted(dims: readonly number[], order: readonly number[], type: "float32" | "int64" | "int8"): Program {
  const X = placeholder("X", dims, type);
  const out = order.map((a) => dims[a]!);
  const from = (i: Scalar[]): Scalar[] => dims.map((_, a) => i[order.indexOf(a)]!);
  return programOf(compute("Y", out, (...i) => X.at(...from(i)), type));
}
function sums(dims: readonly number[], axes: readonly number[]): Program {
  const X = placeholder("X", dims);
  const reduced = axes.map((a) => reduceAxis(`k${a}`, dims[a]!));
  const kept = dims.map((_, a) => a).filter((a) => !axes.includes(a));
  const out = kept.length > 0 ? kept.map((a) => dims[a]!) : [1];
  return programOf(
    compute("Y", out, (...i) => {
      const place = dims.map((_, a) => (axes.includes(a) ? reduced[axes.indexOf(a)]! : i[kept.indexOf(a)]!));
      return sum(X.at(...place), ...reduced);
    }),
  );
}

interface Case {
  readonly name: string;
  readonly program: Program;
  readonly schedule: (s: Schedule) => unknown;
}
const both = (name: string, program: Program, schedule: (s: Schedule, threads: number) => unknown): Case[] =>
  [1, 2].map((threads) => ({ name: `${name}, ${threads} threads`, program, schedule: (s) => schedule(s, threads) }));

const cases: Case[] = [
  ...[
    { dims: [1, 1], axis: 1 },
    { dims: [3, 7], axis: 1 },
    { dims: [5, 33], axis: 1 },
    { dims: [2, 130], axis: 1 },
    { dims: [7, 13], axis: 0 },
    { dims: [5, 64], axis: 0 },
    { dims: [3, 5, 67], axis: 1 },
    { dims: [2, 3, 16], axis: 1 },
    { dims: [37], axis: 0 },
  ].flatMap(({ dims, axis }) =>
    both(`softmax [${dims}] along ${axis}`, softmaxProgram(dims, axis), (s, threads) => softmax(s, "Y", { threads })),
  ),
  ...[
    [6, 2, 17],
    [8, 8, 5],
    [4, 1, 32],
  ].flatMap(([channels, each, pixels]) =>
    both(`groups of ${each} in ${channels}×${pixels}`, grouped(channels!, each!, pixels!), (s, threads) =>
      softmax(s, "Y", { threads }),
    ),
  ),
  ...[
    { dims: [1], axes: [0] },
    { dims: [33, 100], axes: [1] },
    { dims: [100, 33], axes: [0] },
    { dims: [24, 128], axes: [0] },
    { dims: [3, 13, 13], axes: [1, 2] },
    { dims: [5, 6, 7], axes: [0, 2] },
    { dims: [7, 5, 3], axes: [1] },
    { dims: [4, 9, 80], axes: [0, 1] },
    { dims: [12, 11], axes: [0, 1] },
  ].flatMap(({ dims, axes }) =>
    both(`sums of [${dims}] over ${axes}`, sums(dims, axes), (s, threads) => reduction(s, "Y", { threads })),
  ),
  ...[
    { dims: [1, 1], axis: 1 },
    { dims: [17], axis: 0 },
    { dims: [9, 20], axis: 0 },
    { dims: [4, 6, 19], axis: 1 },
    { dims: [5, 31], axis: 1 },
  ].flatMap(({ dims, axis }) =>
    both(`running sums of [${dims}] along ${axis}`, running(dims, axis), (s, threads) => scan(s, "S", { threads })),
  ),
  ...[
    { dims: [1, 1], axis: 1, k: 1 },
    { dims: [3, 40], axis: 1, k: 5 },
    { dims: [50], axis: 0, k: 50 },
    { dims: [20, 17], axis: 0, k: 3 },
    { dims: [2, 9, 5], axis: 1, k: 4 },
  ].flatMap(({ dims, axis, k }) =>
    both(`${k} greatest of [${dims}] along ${axis}`, greatest(dims, axis, k), (s, threads) =>
      topK(s, "best", { threads }),
    ),
  ),
  ...[
    { dims: [1, 1], order: [1, 0] },
    { dims: [4, 4], order: [1, 0] },
    { dims: [16, 64], order: [1, 0] },
    { dims: [37, 19], order: [1, 0] },
    { dims: [3, 50], order: [1, 0] },
    { dims: [2, 9, 21], order: [0, 2, 1] },
    { dims: [5, 6, 7, 8], order: [0, 2, 3, 1] },
    { dims: [5, 6, 7, 8], order: [2, 0, 1, 3] },
  ].flatMap(({ dims, order }) =>
    (["float32", "int64", "int8"] as const).flatMap((type) =>
      both(`${type} [${dims}] as ${order}`, permuted(dims, order, type), (s, threads) =>
        transpose(s, "Y", { threads }),
      ),
    ),
  ),
];

test.each(cases.map((c) => [c.name, c] as const))("%s", (_, { program, schedule }) => {
  const s = new Schedule(program);
  schedule(s);
  keepsValues(program, s, 200);
});

test("all stages of a row stand in its loop", () => {
  const s = new Schedule(softmaxProgram([8, 100], 1));
  expect(softmax(s, "Y")).toBe(1);
  const [row] = s.loops("Y");
  for (const b of s.blocks()) expect(s.loops(b)[0]!.id).toBe(row!.id);
});
test("slices side by side are lanes", () => {
  const s = new Schedule(softmaxProgram([10, 128], 0));
  softmax(s, "Y");
  expect(s.extent(s.loops("peak").at(-1)!)).toBe(64);
});
test("one long sum is cut for the threads, not under strict math", () => {
  const cut = (math: "default" | "strict"): string[] => {
    const X = placeholder("X", [400_000]);
    const k = reduceAxis("k", 400_000);
    const s = new Schedule(
      programOf(
        compute("Y", [1], () => sum(X.at(k), k)),
        { math },
      ),
    );
    reduction(s, "Y", { threads: 2 });
    return s.blocks().map((b) => b.name);
  };
  expect(cut("default")).toContain("Y_rf");
  expect(cut("strict")).not.toContain("Y_rf");
});
test("what is no transposition is left alone", () => {
  const s = new Schedule(permuted([4, 8, 16], [1, 0, 2], "float32"));
  expect(transpose(s, "Y")).toBe(false);
  expect(s.trace.steps).toEqual([]);
});
test("an accumulation may read elements beside its own, not its own", () => {
  const s = new Schedule(greatest([2, 32], 1, 3));
  const j = s.loops("best").at(-1)!;
  s.decomposeReduction(s.block("best"), j);
  expect(s.probe("vectorize", { loop: j })).toBe(undefined);
  const b = new ComputeBuilder(new IdSource(), indexSimplifier);
  const X = b.param("X", "int32", [4, 32], "input");
  const t = b.declare("T", "int32", [4]);
  const k = b.reduceAxis("k", 32);
  b.computeInto(t, "T", (i) => reduceExpr("max", binary("add", X.at(i!, k.var), t.at(max(sub(i!, 1), 0))), [k]), {
    kinds: ["ordered"],
  });
  const own = new Schedule(b.finish("own", [t]));
  own.decomposeReduction(own.block("T"), own.loops("T").at(-1)!);
  const refused = own.probe("vectorize", { loop: own.loops("T").at(-1)! });
  expect([refused?.rule, refused?.at?.name]).toEqual(["independent-iterations", "k"]);
});

describeNative("on this machine", () => {
  const picked = cases.filter((_, i) => i % 4 === 0);
  test.each(picked.map((c) => [c.name, c] as const))("%s", (_, { program, schedule }) => {
    const s = new Schedule(program);
    schedule(s);
    const inputs = randomInputs(program, new Random(5));
    expect(difference(run(program, inputs), runNative(s.program, inputs as never) as never, 400)).toBe(undefined);
  });
});
