import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import { channelBlocked } from "../../../ir/graph/layout.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import type { Block, For } from "../../../ir/loop/program.ts";
import { visitStmt } from "../../../ir/loop/traverse.ts";
import { InputError } from "../../../ir/support/errors.ts";
import { renderDiagnostic } from "../../../ir/text/diagnostic.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printGraph } from "../../../ir/text/print-graph.ts";
import { printProgram, printStmt } from "../../../ir/text/printer.ts";
import { verifyProgram } from "../../../ir/verify/verify.ts";

const folder = join(import.meta.dirname, "../../fixtures/text");

describe("golden prints: print(parse(text)) is text, and the program is well-formed", () => {
  const files = readdirSync(folder).filter((f) => f.endsWith(".tw"));
  test("there are fixtures", () => expect(files.length).toBeGreaterThanOrEqual(4));
  test.each(files)("%s", (file) => {
    const text = readFileSync(join(folder, file), "utf8");
    const p = parseProgram(text);
    expect(printProgram(p)).toBe(text);
    expect(verifyProgram(p).map((i) => `${i.rule}: ${i.message}`)).toEqual([]);
  });
});

describe("parse errors name the rule and the place", () => {
  const cases: [rule: string, line: number, column: number, text: string][] = [
    ["parse/unknown-name", 2, 10, "program f(A: output float32[4]):\n  A[0] = B[0]\n"],
    ["parse/unknown-name", 2, 5, "program f(A: output float32[4]):\n  A[i] = 1.0\n"],
    ["parse/unexpected-token", 2, 9, "program f(A: output float32[4]):\n  A[0] =\n"],
    ["parse/type-mismatch", 2, 14, "program f(A: output float32[4]):\n  A[0] = 1.0 + 1i32\n"],
    ["parse/type-mismatch", 2, 8, "program f(A: output float32[4]):\n  A[0] = 1\n"],
    ["parse/index-count", 2, 3, "program f(A: output float32[4]):\n  A[0, 1] = 1.0\n"],
    ["parse/indentation", 1, 34, "program f(A: output float32[4]): \n"],
    ["parse/indentation", 3, 5, "program f(A: output float32[4]):\n  A[0] = 1.0\n    A[1] = 1.0\n"],
    ["parse/unknown-type", 1, 21, "program f(A: output floaty[4]):\n  pass\n"],
    ["parse/bad-character", 2, 10, "program f(A: output float32[4]):\n  A[0] = $\n"],
    ["parse/duplicate-name", 1, 33, "program f(A: output float32[4], A: float32[4]):\n  pass\n"],
    ["parse/bad-number", 2, 10, "program f(A: output float32[4]):\n  A[0] = 1.5i32\n"],
    ["parse/bad-range", 2, 13, "program f(A: output float32[4]):\n  for i in 2..A[0]:\n    pass\n"],
    ["parse/argument-count", 2, 13, "program f(A: output float32[4]):\n  A[0] = exp(1.0, 2.0)\n"],
    ["parse/bad-annotation", 2, 17, "program f(A: output float32[4]):\n  for i in 0..4 @{x}:\n    pass\n"],
  ];
  test.each(cases)("%s at %d:%d", (rule, line, column, text) => {
    try {
      parseProgram(text);
    } catch (e) {
      expect(e).toBeInstanceOf(InputError);
      const error = e as InputError;
      const [code, details] = [error.code, error.details];
      expect({ code, ...details, message: error.message }).toMatchObject({ code: rule, line, column });
      expect(error.message.split("\n").at(-1)).toMatch(/│ *\^$/);
      return;
    }
    expect.fail("nothing was thrown");
  });
});

const matmul = readFileSync(join(folder, "matmul.tw"), "utf8");

test("a diagnostic underlines the loop and tells rule, reason and remedy", () => {
  const p = parseProgram(matmul);
  const loop = loopsOf(p.functions[0]!.body)[0]!;
  const text = renderDiagnostic({
    program: p,
    at: { kind: "loop", id: loop.var.id },
    title: "ScheduleError [split/exact-tail]",
    message: "cannot prove that 8 divides n",
    step: 'in step 3: split(i, factor: 8, tail: "exact")',
    rule: 'with tail "exact", the factor provably divides the extent',
    because: "n is only known to be ≥ 1",
    instead: 'use tail: "guard", or declare n as a multiple of 8',
    context: 1,
  });
  expect(text).toBe(
    [
      "ScheduleError [split/exact-tail]: cannot prove that 8 divides n",
      '  in step 3: split(i, factor: 8, tail: "exact")',
      "   1 │ program matmul(n: int64, A: float32[n, 64], B: float32[64, 128], C: output float32[n, 128]):",
      "   2 │   for i in 0..n:",
      "     │   ^^^^^^^^^^^^^",
      "   3 │     for j in 0..128:",
      '  rule:    with tail "exact", the factor provably divides the extent',
      "  because: n is only known to be ≥ 1",
      '  instead: use tail: "guard", or declare n as a multiple of 8',
    ].join("\n"),
  );
});
test("a diagnostic deep inside shows the header and elides what lies between", () => {
  const p = parseProgram(matmul);
  let block: Block | undefined;
  visitStmt(p.functions[0]!.body, (s) => {
    if (s.kind === "block") block = s;
  });
  const lines = renderDiagnostic({ program: p, at: { kind: "block", id: block!.id }, message: "m", context: 1 }).split(
    "\n",
  );
  expect(lines[1]).toMatch(/^ {3}1 │ program matmul/);
  expect(lines[2]).toBe("     ⋮");
  expect(lines[4]).toMatch(/^ {3}5 │ {9}block C/);
  expect(lines[5]).toBe(`     │         ${"^".repeat(lines[4]!.trimEnd().length - 7 - 8 - 1)}`);
});
function loopsOf(s: Parameters<typeof visitStmt>[0]): For[] {
  const loops: For[] = [];
  visitStmt(s, (n) => {
    if (n.kind === "for") loops.push(n);
  });
  return loops;
}

test("colours change nothing but colours; annotations can be left out", () => {
  const p = parseProgram(matmul);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ANSI sequences start with ESC
  const plain = printProgram(p, { colors: true }).replace(/\u001b\[\d+m/g, "");
  expect(plain).toBe(matmul);
  const noted = parseProgram('program f():\n  for i in 0..4 @{"tile": 4}:\n    pass\n');
  expect(printProgram(noted, { annotations: false })).toBe("program f():\n  for i in 0..4:\n    pass\n");
  expect(printStmt(noted.functions[0]!.body)).toBe('for i in 0..4 @{"tile": 4}:\n  pass');
});

test("a graph prints one line a node", () => {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [1, 3, { symbol: "h" }] });
  const w = b.constant("w", tensorValue("float32", [2], Float32Array.from([1, 0.5])));
  const [y] = b.node("Conv", [x, w, undefined], {
    outputs: ["y"],
    attributes: { pads: [1, 1], alpha: 0.5, group: 1, mode: "a" },
  });
  b.update(y!, { type: { dtype: "float32", dims: [1, 16, 4, 4] }, layout: channelBlocked(4, 16) });
  const g = b.finish({ name: "net", inputs: [x], outputs: [y!] });
  expect(printGraph(g)).toBe(
    [
      "graph net(x: float32[1, 3, h]) -> (y: float32[1, 16, 4, 4] NCHW16c):",
      "  constant w: float32[2] = [1, 0.5]",
      '  y: float32[1, 16, 4, 4] NCHW16c = Conv(x, w, _) {pads: [1, 1], alpha: 0.5, group: 1, mode: "a"}',
      "",
    ].join("\n"),
  );
});
