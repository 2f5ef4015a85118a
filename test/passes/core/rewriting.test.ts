/** Rules on expressions and statements: what they match, what they keep, how they fail. */
import { describe, expect, test } from "vitest";
import { add, binary, constant, constantValue, index, load, mul } from "../../../ir/expr/build.ts";
import { dtype } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { UsageError } from "../../../ir/support/errors.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { assertWellFormed } from "../../../ir/verify/verify.ts";
import {
  boundsIn,
  type ExprRule,
  pattern as p,
  pipelineOf,
  rewritePass,
  rewriteProgram,
  rewriteRule,
} from "../../../passes/core/index.ts";
import { arithRules } from "../../../passes/simplify/arith.ts";

/** A program of one loop around one store. */
const storing = (value: string, head = "A: float32[16], B: output float32[16]", extent = 16): Program =>
  parseProgram(`program f(${head}):\n  for i in 0..${extent}:\n    B[i] = ${value}\n`);
const valueIn = (program: Program): string => /B\[i\] = (.*)/.exec(printProgram(program))![1]!;
function rewritten(value: string, ...exprs: ExprRule[]): string {
  const program = rewriteProgram(storing(value), { exprs });
  assertWellFormed(program);
  return valueIn(program);
}
const square = rewriteRule("square", p.binary("pow", p.any("x"), 2), ({ x }) => mul(x, x));

describe("expression patterns", () => {
  test("capture parts by name", () => {
    expect(rewritten("pow(A[i], 2.0)", square)).toBe("A[i] * A[i]");
    expect(rewritten("pow(A[i], 3.0)", square)).toBe("pow(A[i], 3.0)");
  });
  test("rewrite operands before what they are part of, again and again", () => {
    expect(rewritten("pow(pow(A[i], 2.0), 2.0)", square)).toBe("A[i] * A[i] * (A[i] * A[i])");
  });
  test("match equal parts only where a name stands twice", () => {
    const twice = rewriteRule("twice", p.binary("add", p.any("x"), p.any("x")), ({ x }) => mul(x, 2));
    expect(rewritten("A[i] + A[i]", twice)).toBe("A[i] * 2.0");
    expect(rewritten("A[i] + A[0]", twice)).toBe("A[i] + A[0]");
  });
  test("take operands either way round when asked to", () => {
    const mad = rewriteRule(
      "mad",
      p.commutative("add", p.binary("mul", p.any("a"), p.any("b")), p.any("c")),
      ({ a, b, c }) => ({ kind: "call", callee: "fma", args: [a, b, c], dtype: a.dtype }) as Expr,
    );
    expect(rewritten("A[0] + A[1] * A[i]", mad)).toBe("fma(A[1], A[i], A[0])");
    expect(rewritten("A[1] * A[i] + A[0]", mad)).toBe("fma(A[1], A[i], A[0])");
  });
  test("see through constants in every lane", () => {
    const program = parseProgram(
      "program f(A: float32[16], B: output float32[16]):\n  B[ramp(0, 1, 16)] = pow(A[ramp(0, 1, 16)], broadcast(2.0, 16))\n",
    );
    expect(printProgram(rewriteProgram(program, { exprs: [square] }))).toContain(
      "= A[ramp(0, 1, 16)] * A[ramp(0, 1, 16)]",
    );
  });
  test("cover every kind of operation", () => {
    const rules = [
      rewriteRule("abs", p.unary("abs", p.as("whole", p.typed(["float32"], p.any("x")))), ({ whole }) => whole),
      rewriteRule("same", p.select(p.compare("lt", p.any("a"), 0), p.any("x"), p.any("x")), ({ x }) => x),
      rewriteRule("again", p.cast("float32", p.cast("float64", p.any("x"))), ({ x }) => x, {
        where: ({ x }) => x.dtype.scalar === "float32",
      }),
      rewriteRule("either", p.oneOf(p.unary("ceil", p.any("x")), p.unary("floor", p.any("x"))), ({ x }) => x),
    ];
    expect(rewritten("abs(floor(float32(float64(select(i < 0, A[i], A[i])))))", ...rules)).toBe("A[i]");
  });
  test("look into loads, variables and calls", () => {
    const rules = [
      rewriteRule("first", p.load("b", p.variable("v")), ({ b }) => load(b, [index(0)]), {
        where: ({ b, v }) => b.name === "A" && v.name === "i",
      }),
      rewriteRule("fma", p.call("fma", p.any("x"), p.any("x"), p.any("x")), ({ x }) => x),
    ];
    expect(rewritten("fma(A[i], A[i], A[i])", ...rules)).toBe("A[0]");
  });
  test("know the bounds of the loops around", () => {
    const small = rewriteRule("small", p.binary("floormod", p.any("a"), p.constant("c")), ({ a }) => a, {
      where: ({ a, c }, ctx) => {
        const { min, max } = boundsIn(a, ctx);
        return min >= 0 && max < constantValue(c)!;
      },
    });
    expect(rewritten("A[i % 16]", small)).toBe("A[i]");
    expect(rewritten("A[i % 15]", small)).toBe("A[i % 15]");
  });
  test("are in the types of what they capture", () => {
    // @ts-expect-error there is no y
    rewriteRule("typo", p.unary("neg", p.any("x")), ({ y }) => y);
    // @ts-expect-error a capture of a buffer is no expression
    rewriteRule("kinds", p.load("b"), ({ b }) => b);
    expect(p.binary(["div", "mod"], p.any("x"), 2).text).toBe("div|mod(x, 2)");
  });
});

describe("rules", () => {
  test("are those of the simplifier: its tables can be mixed in", () => {
    const one = arithRules.find((r) => r.name === "mul-one")!;
    const asRule: ExprRule = {
      name: one.name,
      apply: (e, ctx) => (e.kind === "binary" ? one.apply(e, ctx) : undefined),
    };
    expect(rewritten("pow(A[i], 2.0) * 1.0", square, asRule)).toBe("A[i] * A[i]");
  });
  test("leave the program the same object where none applies", () => {
    const program = storing("A[i] + 1.0");
    expect(rewriteProgram(program, { exprs: [square] })).toBe(program);
  });
  test("may not change a type", () => {
    const wrong = rewriteRule("wrong", p.binary("pow", p.any("x"), 2), () => constant(dtype("int32"), 4));
    expect(() => rewritten("pow(A[i], 2.0)", wrong)).toThrow(
      new UsageError("rewrite/type", "rule wrong (pow(x, 2)) replaces a value of type float32 by one of type int32", {
        rule: "wrong",
        from: "float32",
        to: "int32",
      }),
    );
  });
  test("that undo each other are named", () => {
    const swap = rewriteRule("swap", p.binary("add", p.any("a"), p.any("b")), ({ a, b }) => add(b, a));
    expect(() => rewritten("A[i] + A[0]", swap)).toThrow(/swap rewrote one place 256 times/);
  });
  test("that give nothing leave the node", () => {
    const never = rewriteRule("never", p.any("x"), () => undefined);
    expect(rewritten("A[i]", never)).toBe("A[i]");
  });
});

describe("statement patterns", () => {
  const text = "program f(A: float32[4], B: output float32[4]):\n  for i in 0..4:\n    if i < 3:\n      B[i] = A[i]\n";
  test("match loops, conditions and stores", () => {
    const unroll = rewriteRule("unroll", p.loop("l", { loopKind: "serial", extent: 4 }), ({ l }) => ({
      ...l,
      loopKind: "unrolled" as const,
    }));
    expect(printProgram(rewriteProgram(parseProgram(text), { stmts: [unroll] }))).toContain("unrolled for i in 0..4");
  });
  test("see the whole statement, and its parts", () => {
    const masked = rewriteRule("mask", p.ifThen(p.any("c"), p.asStmt("s", p.store("b", p.any("v")))), ({ c, s }) =>
      s.kind === "store" ? { ...s, predicate: c } : undefined,
    );
    const done = rewriteProgram(parseProgram(text), { stmts: [masked] });
    assertWellFormed(done);
    expect(printProgram(done)).toContain("B[i] = A[i] where i < 3");
  });
  test("of a loop's body, and of any statement", () => {
    const dissolve = rewriteRule("dissolve", p.loop("l", { extent: 1, body: p.stmt("body") }), ({ body }) => body);
    const one = "program f(B: output float32[4]):\n  for i in 0..1:\n    B[0] = 1.0\n";
    expect(printProgram(rewriteProgram(parseProgram(one), { stmts: [dissolve] }))).toBe(
      "program f(B: output float32[4]):\n  B[0] = 1.0\n",
    );
  });
});

test("a pass of rules stands in a pipeline", () => {
  const pass = rewritePass<"loops">({ name: "squares", doc: "Multiplies.", rules: { exprs: [square] } });
  const pipeline = pipelineOf<"loops", "loops">([pass]);
  expect(valueIn(pipeline.run(storing("pow(A[i], 2.0)")))).toBe("A[i] * A[i]");
  expect(binary("pow", index(3), index(2)).kind).toBe("binary");
});
