/** Facts that must stand in the text, whatever the machine. */
import { expect, it } from "vitest";
import { emitLlvm } from "../../codegen/llvm/index.ts";
import { binary, buffer, compare, load, mul, variable } from "../../ir/expr/build.ts";
import { forLoop, ifThen, primFunc, program, store } from "../../ir/loop/build.ts";
import type { MathPolicy, Program } from "../../ir/loop/program.ts";
import { IdSource } from "../../ir/support/ids.ts";
import { parseProgram } from "../../ir/text/parser.ts";
import { lowerProgram } from "../../passes/lower/index.ts";
import { elementwise } from "./programs.ts";

const target = { cpu: "x86-64-v4", features: "+fma", vectorBits: 512 };
const textOf = (p: Program): string => emitLlvm(lowerProgram(p, target), target).text;

function product(math: MathPolicy): string {
  return textOf(
    elementwise(["float32", "float32"], "float32", ([a, b]) => binary("add", mul(a!, b!), a!), {
      n: 16,
      loopKind: "vectorized",
      math,
    }),
  );
}

it("contracts products and sums unless strict, and never assumes that NaN or infinity do not occur", () => {
  expect(product("default")).toContain("fmul contract <16 x float>");
  expect(product("strict")).not.toContain("contract");
  for (const math of ["strict", "default", "fast"] as const) expect(product(math)).not.toMatch(/nnan|ninf|fast/);
});
it("states that parameters do not alias and that the vectors are aligned", () => {
  const text = product("default");
  expect(text).toMatch(
    /ptr noalias readonly align 64 %p0, ptr noalias readonly align 64 %p1, ptr noalias align 64 %p2/,
  );
  expect(text).toMatch(/load <16 x float>, ptr %p0, align 64/);
});
it("names from a model never reach the text unescaped, and never take a function of the runtime", () => {
  const names = ['x" }\n; evil', "expf", "tw_parallel_for", "llvm.fma.f32", "main", "ok"];
  const ids = new IdSource();
  const out = buffer(ids, 'o"\n', "float32", [4]);
  const i = variable(ids, "i\n");
  const body = forLoop(i, 4, store(out, [i], binary("add", load(out, [i]), load(out, [i]))));
  const functions = names.map((name) => primFunc({ name, params: [{ buffer: out, role: "output" }], body }));
  const { text, functions: signatures } = emitLlvm(lowerProgram(program(functions, ids), target), target);
  expect(text).not.toContain('evil"');
  expect(text).not.toContain("i\n;");
  expect(signatures.map((f) => f.symbol)).toEqual([
    "x______evil",
    "f_expf",
    "f_tw_parallel_for",
    "f_llvm.fma.f32",
    "f_main",
    "ok",
  ]);
});
it("the rest of a float32 loop is one masked vector, which leaves buffers in registers", () => {
  const text = textOf(
    parseProgram(`program f(a: float32[13], out: output float32[13]):
  allocate t: float32[13] in register
  vectorized for i in 0..13:
    block t(v: spatial 13 = i):
      reads a[v]
      writes t[v]
      t[v] = a[v]
  vectorized for j in 0..13:
    block out(w: spatial 13 = j):
      reads t[w]
      writes out[w]
      out[w] = t[w] + t[w]
`),
  );
  expect(text.match(/call .*@llvm\.masked\.load\.v16f32/g)).toHaveLength(1);
  expect(text.match(/call .*@llvm\.masked\.store\.v16f32/g)).toHaveLength(1);
  expect(text).not.toContain("select <16 x i1>");
  expect(text).not.toContain("<8 x float>");
});
it("a masked store to a register keeps the lanes that others use", () => {
  const text = textOf(
    parseProgram(`program f(a: float32[13], out: output float32[16]):
  allocate t: float32[16] in register
  vectorized for h in 0..16:
    block zero(u: spatial 16 = h):
      writes t[u]
      t[u] = 7.0
  vectorized for i in 0..13:
    block t(v: spatial 13 = i):
      reads a[v]
      writes t[v]
      t[v] = a[v]
  vectorized for j in 0..16:
    block out(w: spatial 16 = j):
      reads t[w]
      writes out[w]
      out[w] = t[w] + t[w]
`),
  );
  expect(text).toContain("select <16 x i1>");
  expect(text).not.toContain("@llvm.masked.store");
});
it("a guarded tail becomes masked accesses", () => {
  const ids = new IdSource();
  const [a, out] = [buffer(ids, "a", "float32", [13]), buffer(ids, "out", "float32", [13])];
  const i = variable(ids, "i");
  const guarded = ifThen(compare("lt", i, 13), store(out, [i], load(a, [i])));
  const body = forLoop(i, 16, guarded, { loopKind: "vectorized" });
  const params = [
    { buffer: a, role: "input" as const },
    { buffer: out, role: "output" as const },
  ];
  const text = textOf(program([primFunc({ name: "f", params, body })], ids));
  expect(text).toContain("@llvm.masked.load.v16f32.p0");
  expect(text).toContain("@llvm.masked.store.v16f32.p0");
});
