/** Reductions by a stated combiner: rfactor and reorder respect what is stated, values, ties, machine code. */
import { describe, expect, test } from "vitest";
import { add, compare, constant, mul, select } from "../../../ir/expr/build.ts";
import { dtype, type ScalarType } from "../../../ir/expr/dtype.ts";
import { argmax, argmin, type Combiner } from "../../../ir/loop/combine.ts";
import { ComputeBuilder } from "../../../ir/loop/compute.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { describeNative, runNative } from "../../codegen/native-run.ts";
import { difference, randomInputs, run } from "../../property/support/judge.ts";
import { Random } from "../../property/support/random.ts";
import { keepsValues } from "./fixtures.ts";

const integers = (types: readonly ScalarType[], values: readonly number[]) =>
  values.map((v, k) => constant(dtype(types[k]!), v));
/** The product of 2 × 2 matrices, a b / c d: associative, in order. */
const matrices: Combiner = {
  name: "matrices",
  identity: (types) => integers(types, [1, 0, 0, 1]),
  combine: ([a, b, c, d], [p, q, r, s]) => [
    add(mul(a!, p!), mul(b!, r!)),
    add(mul(a!, q!), mul(b!, s!)),
    add(mul(c!, p!), mul(d!, r!)),
    add(mul(c!, q!), mul(d!, s!)),
  ],
  commutative: false,
};
/** The last value that is not 0. */
const last: Combiner = {
  name: "last",
  identity: (types) => integers(types, [0]),
  combine: ([a], [b]) => [select(compare("ne", b!, constant(b!.dtype, 0)), b!, a!)],
  commutative: false,
};

function extreme(combiner: Combiner, m: number, n: number, type: ScalarType = "int32"): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", type, [m, n], "input");
  const k = b.reduceAxis("k", n);
  const outputs = b.computeTuple(["V", "I"], [type, "int64"], [m], (i) => ({
    kind: "combinedReduction",
    axes: [k],
    combiner,
    values: [A.at(i!, k.var), k.var],
  }));
  return b.finish("extreme", outputs);
}
function products(m: number, n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [m, n, 4], "input");
  const k = b.reduceAxis("k", n);
  const outputs = b.computeTuple(["P", "Q", "R", "S"], ["int32", "int32", "int32", "int32"], [m], (i) => ({
    kind: "combinedReduction",
    axes: [k],
    combiner: matrices,
    values: [0, 1, 2, 3].map((d) => A.at(i!, k.var, d)),
  }));
  return b.finish("products", outputs);
}
function lasts(m: number, n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [m, n], "input");
  const k = b.reduceAxis("k", n);
  const outputs = b.computeTuple(["L"], ["int32"], [m], (i) => ({
    kind: "combinedReduction",
    axes: [k],
    combiner: last,
    values: [A.at(i!, k.var)],
  }));
  return b.finish("lasts", outputs);
}
/** Few values, so that most rows have ties. */
function ties(program: Program, seed: number) {
  const inputs = randomInputs(program, new Random(seed));
  const r = new Random(seed);
  const A = inputs.A as unknown as number[];
  for (let k = 0; k < A.length; k++) A[k] = r.int(0, 2);
  return inputs;
}
const firstOf = (row: readonly number[], best: number): number => row.indexOf(best);

describe("a stated combiner", () => {
  test("stands in the block: values, then results, then stores", () => {
    expect(printProgram(extreme(argmin, 2, 3))).toMatchSnapshot();
  });
  for (const [m, n, factor] of [
    [3, 16, 4],
    [2, 13, 4],
    [1, 1, 1],
    [5, 7, 3],
  ] as const)
    for (const inner of [false, true])
      test(`argmin and argmax of ${m} x ${n}, the ${inner ? "inner" : "outer"} half of ${factor}: the first of equal ones wins`, () => {
        for (const combiner of [argmin, argmax]) {
          const program = extreme(combiner, m, n);
          const s = new Schedule(program);
          const [o, i] = s.split(s.loopAt("V_I", 1), { factor });
          if (inner && n < factor) continue;
          const rf = s.rfactor(inner ? i : o, 0);
          s.parallel(s.loops(rf)[0]!);
          keepsValues(program, s);
          const inputs = ties(program, m * n);
          const got = run(s.program, inputs);
          expect(difference(run(program, inputs), got, 1)).toBe(undefined);
          const A = [...(inputs.A as unknown as number[])];
          for (let row = 0; row < m; row++) {
            const list = A.slice(row * n, (row + 1) * n);
            const best = combiner === argmin ? Math.min(...list) : Math.max(...list);
            expect(Number(got.I![row])).toBe(firstOf(list, best));
          }
        }
      });
  test("partial results go on being scheduled", () => {
    const program = extreme(argmax, 6, 24, "float32");
    const s = new Schedule(program);
    const [o] = s.split(s.loopAt("V_I", 1), { factor: 6 });
    const rf = s.rfactor(o, 1);
    s.reorder(...s.loops(rf).slice(0, 2).reverse());
    s.unroll(s.loopAt("V_I", 1));
    s.parallel(s.loopAt("V_I", 0));
    keepsValues(program, s);
    expect(s.print()).toMatchSnapshot();
  });
  test("that is commutative may be reordered, another may not", () => {
    const any = new Schedule(extreme(argmin, 4, 12));
    const [o, i] = any.split(any.loopAt("V_I", 1), { factor: 4 });
    any.reorder(i, o);
    keepsValues(extreme(argmin, 4, 12), any);
    for (const [program, block] of [
      [products(3, 12), "P_Q_R_S"],
      [lasts(3, 12), "L"],
    ] as const) {
      const s = new Schedule(program);
      const [outer, inner] = s.split(s.loopAt(block, 1), { factor: 4 });
      expect(s.probe("reorder", { loops: [inner, outer] })?.rule).toBe("keeps-dependences");
      expect(s.probe("rfactor", { loop: inner, factorAxis: 0 })?.rule).toBe("keeps-order");
      const rf = s.rfactor(outer, 0);
      s.parallel(s.loops(rf)[0]!);
      keepsValues(program, s);
    }
  });
  test("keeps its order inside a block of blocks", () => {
    const s = new Schedule(lasts(3, 12));
    const [outer, inner] = s.split(s.loopAt("L", 1), { factor: 6 });
    const [middle] = s.split(inner, { factor: 3 });
    s.blockize(s.loopAt("L", 3));
    expect(s.probe("reorder", { loops: [middle, outer] })?.rule).toBe("keeps-dependences");
    keepsValues(lasts(3, 12), s);
  });
});

describeNative("on this machine", () => {
  test("argmin, matrix products and others in parts", () => {
    for (const [program, block] of [
      [extreme(argmin, 5, 30), "V_I"],
      [extreme(argmax, 5, 30, "float32"), "V_I"],
      [products(4, 12), "P_Q_R_S"],
      [lasts(4, 20), "L"],
    ] as const) {
      const s = new Schedule(program);
      const [o] = s.split(s.loopAt(block, 1), { factor: 5 });
      const rf = s.rfactor(o, 0);
      s.parallel(s.loops(rf)[0]!);
      const inputs = ties(program, 3);
      expect(difference(run(program, inputs), runNative(s.program, inputs as never) as never, 1)).toBe(undefined);
    }
  });
});
