/** What people see when a pass breaks the program: the rule, the node underlined, the place before the pass. */
import { describe, expect, test } from "vitest";
import { constant, index, variable } from "../../../ir/expr/build.ts";
import { dtype } from "../../../ir/expr/dtype.ts";
import { rewrite } from "../../../ir/expr/traverse.ts";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { mapBodies, rewriteExprs, rewriteStmt } from "../../../ir/loop/traverse.ts";
import { InternalError, UsageError } from "../../../ir/support/errors.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import {
  definePass,
  facts,
  insertPass,
  type Pass,
  pipelineOf,
  plainContext,
  verifying,
} from "../../../passes/core/index.ts";
import { loweringPipeline } from "../../../passes/lower/index.ts";

const text = `program scale(A: float32[8, 4], B: output float32[8, 4]):
  for i in 0..8:
    for j in 0..4:
      B[i, j] = A[i, j] * 2.0
`;
const checked = { ...plainContext, instruments: [verifying] };
function failure(f: () => unknown): InternalError {
  try {
    f();
  } catch (error) {
    if (error instanceof InternalError) return error;
    throw error;
  }
  throw new Error("nothing failed");
}
const loopsPass = (name: string, run: (p: Program) => Program, more: Partial<Pass<"loops", "loops">> = {}) =>
  definePass<"loops", "loops">({ name, doc: "A pass with a mistake.", run, ...more });
const runOn = (pass: Pass<"loops", "loops">) => pipelineOf<"loops", "loops">([pass]).run(parseProgram(text), checked);

describe("a pass that makes an ill-formed program", () => {
  test("is shown with the expression underlined, after and before", () => {
    const stray = variable(new IdSource(90), "k");
    const pass = loopsPass("swap-indices", (p) => ({
      ...mapBodies(p, (b) =>
        rewriteExprs(b, (e) => rewrite(e, (n) => (n.kind === "load" ? { ...n, indices: [n.indices[0]!, stray] } : n))),
      ),
      nextId: 100,
    }));
    const error = failure(() => runOn(pass));
    expect(error.code).toBe("pass/swap-indices");
    expect(error.details).toMatchObject({ pass: "swap-indices", code: "verify/variables-defined" });
    expect(error.message).toBe(
      [
        "pass swap-indices failed: it gives an ill-formed program",
        "[variables-defined]: variable k (#90) is used where nothing binds it",
        "  after swap-indices:",
        "   1 │ program scale(A: float32[8, 4], B: output float32[8, 4]):",
        "   2 │   for i in 0..8:",
        "   3 │     for j in 0..4:",
        "   4 │       B[i, j] = A[i, k] * 2.0",
        "     │                      ^ variables-defined",
        "  before swap-indices:",
        "   1 │ program scale(A: float32[8, 4], B: output float32[8, 4]):",
        "   2 │   for i in 0..8:",
        "   3 │     for j in 0..4:",
        "   4 │       B[i, j] = A[i, j] * 2.0",
        "     │       ^^^^^^^^^^^^^^^^^^^^^^^",
        "  rule:    A variable is used only inside the loop, block, let or function that binds it.",
      ].join("\n"),
    );
  });
  test("is shown at a statement, and where that stood before", () => {
    const pass = loopsPass("shrink", (p) =>
      mapBodies(p, (b) =>
        rewriteStmt(b, (s) => (s.kind === "store" ? { ...s, indices: [index(9), s.indices[1]!] } : s)),
      ),
    );
    const { message } = failure(() => runOn(pass));
    expect(message).toContain("[constant-bounds]: index 0 of B is 9, outside 0..8");
    expect(message).toMatch(/4 │ {7}B\[9, j\] = .*\n {5}│ {7}\^+ constant-bounds\n/);
    expect(message).toMatch(/before shrink:[\s\S]*4 │ {7}B\[i, j\] = .*\n {5}│ {7}\^+\n/);
  });
  test("is shown with the loop around what is new", () => {
    const stray = variable(new IdSource(90), "k");
    const pass = loopsPass("wrap", (p) => ({
      ...mapBodies(p, (b) =>
        rewriteStmt(b, (s) =>
          s.kind === "store"
            ? {
                kind: "if",
                condition: { kind: "compare", op: "lt", a: stray, b: index(3), dtype: dtype("bool") },
                then: s,
              }
            : s,
        ),
      ),
      nextId: 100,
    }));
    const { message } = failure(() => runOn(pass));
    expect(message).toMatch(/4 │ {7}if k < 3:\n {5}│ {10}\^ variables-defined\n/);
    expect(message).toMatch(/before wrap:[\s\S]*3 │ {5}for j in 0\.\.4:\n {5}│ {5}\^+\n/);
  });
});

describe("facts", () => {
  test("that a pass breaks are named with the place", () => {
    const usual = loweringPipeline({ vectorBits: 256 });
    const unflat = definePass<"flat", "flat">({
      name: "restore-vectors",
      doc: "Marks loops as vectorized again.",
      requires: ["explicit-vectors"],
      run: (p) =>
        mapBodies(p, (b) => rewriteStmt(b, (s) => (s.kind === "for" ? { ...s, loopKind: "vectorized" as const } : s))),
    });
    const pipeline = insertPass(usual, unflat, { after: "unroll-loops" });
    const error = failure(() => pipeline.run(parseProgram(text), checked));
    expect(error.details.code).toBe("fact/explicit-vectors");
    expect(error.message).toContain(
      `loop i is vectorized, but by what the passes so far declare: ${facts["explicit-vectors"]!.doc}`,
    );
    expect(error.message).toMatch(/vectorized for i in 0\.\.8:\n {5}│ {3}\^+ explicit-vectors/);
  });
  test("that a pass says it breaks may be broken", () => {
    const usual = loweringPipeline({ vectorBits: 256 });
    const spoil = definePass<"loops", "loops">({ name: "spoil", doc: ".", invalidates: ["no-blocks"], run: (p) => p });
    expect(() => insertPass(usual, spoil, { after: "compact-buffers" })).toThrow(
      new UsageError(
        "pipeline/missing-fact",
        "pass flatten-storage requires no-blocks, which spoil before it invalidates: put flatten-storage before spoil",
        { pass: "flatten-storage", missing: ["no-blocks"] },
      ),
    );
  });
  test("that are missing say where the pass would fit", () => {
    const usual = loweringPipeline({ vectorBits: 256 });
    const needs = (fact: string) =>
      definePass<"flat", "flat">({ name: "mine", doc: ".", requires: [fact], run: (p) => p });
    expect(() => insertPass(usual, needs("explicit-vectors"), { before: "predicate-loads" })).toThrow(
      "pass mine requires explicit-vectors, which no pass before it ensures: put mine after vectorize-loops, which does",
    );
    expect(() => insertPass(usual, needs("explicit-vector"), { after: "unroll-loops" })).toThrow(
      "pass mine requires explicit-vector, which no pass before it ensures, nor any other; did you mean explicit-vectors?",
    );
  });
  test("of a pass that is replaced must come from the other one", () => {
    const usual = loweringPipeline({ vectorBits: 256 });
    const flatten = usual.passes.find((p) => p.name === "flatten-storage")!;
    const mine = definePass<"loops", "flat">({
      name: "my-flatten",
      doc: "Does as the usual one.",
      requires: ["no-blocks"],
      ensures: ["no-multi-dim-access"],
      run: (p, c) => flatten.run(p as never, c) as Program,
    });
    const names = insertPass(usual, mine, { replace: "flatten-storage" }).passes.map((p) => p.name);
    expect(names.slice(1, 4)).toEqual(["compact-buffers", "my-flatten", "simplify-statements"]);
    const { ensures: _, ...lazy } = mine;
    expect(() => insertPass(usual, definePass<"loops", "flat">(lazy), { replace: "flatten-storage" })).toThrow(
      /predicate-loads requires no-multi-dim-access, which no pass before it ensures/,
    );
    expect(() => insertPass(usual, mine, { replace: "flatten" })).toThrow(/there is no pass flatten; the passes are/);
  });
});

describe("a graph pass that makes an ill-formed graph", () => {
  function sample(): Graph {
    const g = new GraphBuilder();
    const x = g.value("x", { dtype: "float32", dims: [4] });
    const [a] = g.node("Relu", [x], { outputs: ["a"] });
    const [b] = g.node("Sigmoid", [a!], { outputs: ["b"] });
    return g.finish({ name: "sample", inputs: [x], outputs: [b!] });
  }
  const graphPass = (run: (g: Graph) => Graph) =>
    definePass<"graph", "graph">({ name: "reorder", doc: "Turns round.", ensures: ["typed"], run });
  const runGraph = (run: (g: Graph) => Graph) => pipelineOf<"graph", "graph">([graphPass(run)]).run(sample(), checked);
  test("is shown at the node", () => {
    const error = failure(() => runGraph((g) => ({ ...g, nodes: g.nodes.toReversed() })));
    expect(error.details.code).toBe("verify/topological-order");
    expect(error.message).toMatch(
      /after reorder:\n[\s\S]*2 │ {3}b: \? = Sigmoid\(a\)\n {5}│ {3}\^+ topological-order\n/,
    );
    expect(error.message).toMatch(/before reorder:\n[\s\S]*3 │ {3}b: \? = Sigmoid\(a\)\n {5}│ {3}\^+/);
  });
  test("is shown at the value that lacks what the pass ensures", () => {
    const error = failure(() => runGraph((g) => g));
    expect(error.details.code).toBe("fact/typed");
    expect(error.message).toMatch(/2 │ {3}a: \? = Relu\(x\)\n {5}│ {3}\^+ typed\n/);
  });
});

test("what is not checked is still a fact", () => {
  expect(Object.keys(facts).sort()).toEqual([
    "allocations-placed",
    "explicit-vectors",
    "no-blocks",
    "no-multi-dim-access",
    "typed",
  ]);
  expect(constant(dtype("int32"), 1).kind).toBe("const");
});
