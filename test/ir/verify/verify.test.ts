/** Every rule has a program that breaks it; a test asserts that none is forgotten. */
import { describe, expect, test } from "vitest";
import { add, buffer, compare, constant, index, load, mul, variable } from "../../../ir/expr/build.ts";
import { dtype, float32 } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import {
  allocate,
  block,
  forLoop,
  iterVar,
  letIn,
  parallelCall,
  pointRegion,
  primFunc,
  program,
  range,
  region,
  seq,
  store,
} from "../../../ir/loop/build.ts";
import { ComputeBuilder, sum } from "../../../ir/loop/compute.ts";
import type { Program, Stmt } from "../../../ir/loop/program.ts";
import { InternalError } from "../../../ir/support/errors.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { assertGraphWellFormed, verifyGraph } from "../../../ir/verify/graph.ts";
import { assertWellFormed, rules, verifyProgram } from "../../../ir/verify/verify.ts";

const ids = new IdSource();
const out = buffer(ids, "out", "float32", [8]);
const stray = buffer(ids, "stray", "float32", [8]);
const [i, j, v] = ["i", "j", "v"].map((n) => variable(ids, n)) as [
  ReturnType<typeof variable>,
  ReturnType<typeof variable>,
  ReturnType<typeof variable>,
];
const one = constant(float32, 1);
const body = (s: Stmt): Program =>
  program([primFunc({ name: "f", params: [{ buffer: out, role: "output" }], body: s })], ids);
const blockOf = (name: string, inner: Stmt, parts: { at?: Expr; write?: Expr } = {}): Stmt =>
  block(ids, {
    name,
    iterVars: [iterVar(v, 8)],
    bindings: [parts.at ?? index(0)],
    writes: [pointRegion(out, [parts.write ?? v])],
    body: inner,
  });
const good = store(out, [0], one);

const broken: [rule: string, p: Program, message: RegExp][] = [
  ["next-id", { ...body(forLoop(i, 8, good)), nextId: i.id }, /not below nextId/],
  ["unique-names", { ...body(good), functions: [...body(good).functions, ...body(good).functions] }, /called f/],
  ["unique-names", body(seq([blockOf("b", store(out, [v], one)), forLoop(i, 2, blockOf("b", good))])), /called b/],
  ["buffer-geometry", body(allocate({ ...stray, strides: [1, 2] }, good)), /2 strides/],
  ["buffer-geometry", body(allocate({ ...stray, alignment: 24 }, good)), /alignment 24/],
  ["variables-defined", body(store(out, [i], one)), /variable i/],
  ["block-closed", body(forLoop(i, 8, blockOf("b", store(out, [i], one)))), /block b uses i/],
  ["bound-once", body(forLoop(i, 8, forLoop(i, 8, good))), /i is bound within itself/],
  ["bound-once", body(seq([forLoop(i, 2, good), forLoop(i, 2, blockOf("b", store(out, [v], one)))])), /bound twice/],
  ["buffers-in-scope", body(store(stray, [0], one)), /buffer stray/],
  [
    "buffers-in-scope",
    body(store({ ...out, dtype: dtype("int8") }, [0], constant(dtype("int8"), 1))),
    /another type or rank/,
  ],
  ["index-types", body({ ...good, indices: [index(0), index(0)] }), /1 dimensions, accessed with 2/],
  ["index-types", body(store(out, [constant(dtype("int32"), 0)], one)), /of type int32/],
  [
    "expression-types",
    body(store(out, [0], { kind: "binary", op: "add", a: one, b: index(1), dtype: float32 })),
    /right operand is int64/,
  ],
  ["expression-types", body(store(out, [0], { kind: "cast", value: index(1), dtype: dtype("float32", 4) })), /lanes/],
  ["statement-types", body({ ...good, value: index(1) }), /stores int64/],
  ["statement-types", body(letIn(variable(ids, "t", float32), index(1), good)), /its value int64/],
  ["predicates-bool", body({ kind: "if", condition: index(1), then: good }), /int64, not bool/],
  ["loop-kinds", body({ ...forLoop(i, 8, good), loopKind: "thread" }), /without an axis/],
  ["loop-kinds", body(forLoop(i, -1, good)), /negative extent/],
  [
    "block-bindings",
    body({ ...(blockOf("b", store(out, [v], one)) as Stmt & { kind: "block" }), bindings: [] }),
    /0 bindings/,
  ],
  ["regions-cover", body(blockOf("b", store(out, [v], load(out, [v])))), /reads out, which is not among its reads/],
  ["regions-cover", body(blockOf("b", store(out, [add(v, 1)], one))), /outside its writes/],
  ["constant-bounds", body(store(out, [8], one)), /is 8, outside 0\.\.8/],
  ["parallel-calls", body(parallelCall({ callee: "g", extent: index(4), buffers: [], scalars: [] })), /no function g/],
  [
    "parallel-calls",
    body(parallelCall({ callee: "f", extent: index(4), buffers: [out], scalars: [] })),
    /f is no task/,
  ],
];

describe("each rule refuses", () => {
  test.each(broken)("%s (%#)", (rule, p, message) => {
    const issues = verifyProgram(p).filter((x) => x.rule === rule);
    expect(issues.length).toBeGreaterThanOrEqual(1);
    expect(issues[0]!.message).toMatch(message);
  });
  test("no rule is without a broken program", () => {
    const covered = new Set(broken.map(([rule]) => rule));
    expect(rules.map((r) => r.name).filter((r) => !covered.has(r))).toEqual([]);
  });
});

describe("what is well-formed passes", () => {
  test("a matrix product made of blocks", () => {
    const b = new ComputeBuilder(new IdSource());
    const A = b.param("A", "float32", [4, 5], "input");
    const k = b.reduceAxis("k", 5);
    const C = b.compute("C", "float32", [4, 4], (x, y) => sum(mul(A.at(x!, k.var), A.at(y!, k.var)), k));
    expect(verifyProgram(b.finish("f", [C]))).toEqual([]);
  });
  test("an index equal to its region after reordering a sum", () => {
    const s = blockOf("b", store(out, [add(mul(v, 2), add(v, 1))], one), { write: add(add(1, v), mul(v, 2)) });
    expect(verifyProgram(body(s))).toEqual([]);
  });
  test("a constant index outside, where a condition guards it", () => {
    const guarded: Stmt = { kind: "if", condition: compare("lt", i, 8), then: store(out, [9], one) };
    expect(verifyProgram(body(forLoop(i, 8, guarded)))).toEqual([]);
  });
  test("a buffer allocated inside a block is not the regions' business", () => {
    const inner = allocate(stray, seq([store(stray, [0], one), store(out, [v], load(stray, [0]))]));
    expect(verifyProgram(body(blockOf("b", inner)))).toEqual([]);
  });
  test("lowered copies side by side may share a variable", () => {
    expect(verifyProgram(body(seq([forLoop(j, 2, good), forLoop(j, 2, good)])))).toEqual([]);
  });
  test("a whole region covers", () => {
    const s = block(ids, { name: "w", iterVars: [], bindings: [], writes: [region(out, [range(0, 8)])], body: good });
    expect(verifyProgram(body(s))).toEqual([]);
  });
});

test("assertWellFormed shows the program around the broken statement", () => {
  try {
    assertWellFormed(body(forLoop(i, 8, store(out, [j], one))));
  } catch (e) {
    expect(e).toBeInstanceOf(InternalError);
    const error = e as InternalError;
    expect(error.code).toBe("verify/variables-defined");
    expect(error.message).toMatch(/3 │ {5}out\[j\] = 1\.0\n {5}│ {9}\^\n/);
    return;
  }
  expect.fail("nothing was thrown");
});

describe("graphs", () => {
  const build = () => {
    const b = new GraphBuilder();
    const x = b.value("x", { dtype: "float32", dims: [2] });
    const w = b.constant("w", tensorValue("float32", [2]));
    const [y] = b.node("Add", [x, w], { outputs: ["y"] });
    const [z] = b.node("Relu", [y], { outputs: ["z"] });
    return b.finish({ name: "g", inputs: [x], outputs: [z!] });
  };
  const g = build();
  const rulesOf = (changed: Partial<typeof g>): string[] => verifyGraph({ ...g, ...changed }).map((x) => x.rule);
  test("a sound graph passes", () => expect(verifyGraph(g)).toEqual([]));
  test("nodes out of order", () => expect(rulesOf({ nodes: [...g.nodes].reverse() })).toEqual(["topological-order"]));
  test("a value made twice", () =>
    expect(rulesOf({ nodes: [...g.nodes, g.nodes[1]!] })).toEqual(["single-definition"]));
  test("a value nothing makes", () => expect(rulesOf({ inputs: [] })).toEqual(["single-definition"]));
  test("an output never made", () => expect(rulesOf({ nodes: g.nodes.slice(0, 1) })).toEqual(["outputs-defined"]));
  test("ids at or above nextId", () => expect(new Set(rulesOf({ nextId: 1 }))).toEqual(new Set(["next-id"])));
  test("a value the graph does not know", () => {
    const values = new Map(g.values);
    values.delete(g.inputs[0]!);
    expect(rulesOf({ values })).toEqual(["known-values"]);
  });
  test("two values of one name", () => {
    const values = new Map([...g.values].map(([id, x]) => [id, x.name === "w" ? { ...x, name: "x" } : x]));
    expect(rulesOf({ values })).toEqual(["unique-names"]);
  });
  test("a constant that does not fit its type", () => {
    const values = new Map(
      [...g.values].map(([id, x]) => [id, x.constant ? { ...x, type: { dtype: "float32" as const, dims: [3] } } : x]),
    );
    expect(rulesOf({ values })).toEqual(["constants-fit"]);
  });
  test("assertGraphWellFormed throws with the rule", () => {
    try {
      assertGraphWellFormed({ ...g, inputs: [] });
    } catch (e) {
      expect(e).toBeInstanceOf(InternalError);
      expect((e as InternalError).code).toBe("verify/single-definition");
      expect((e as InternalError).message).toContain("Add Add reads x, which nothing makes");
      return;
    }
    expect.fail("nothing was thrown");
  });
});
