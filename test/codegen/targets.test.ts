/** Every operator, cast and kind of access is selectable on every processor family. */
import { expect, it } from "vitest";
import { defaultPassPipeline, emitLlvm } from "../../codegen/llvm/index.ts";
import { binary, cast, compare, load, select, unary } from "../../ir/expr/build.ts";
import { isFloat, isSigned, type ScalarType, scalarTypes } from "../../ir/expr/dtype.ts";
import type { BinaryOp, Expr, UnaryOp } from "../../ir/expr/expr.ts";
import type { Program } from "../../ir/loop/program.ts";
import { compileIr } from "../../native/addon.ts";
import { lowerProgram } from "../../passes/lower/index.ts";
import { convTile } from "./conv-tile.ts";
import { describeNative } from "./native-run.ts";
import { elementwise } from "./programs.ts";

const targets = [
  { triple: "x86_64-unknown-linux-gnu", cpu: "x86-64", features: "", vectorBits: 128 },
  { triple: "x86_64-unknown-linux-gnu", cpu: "x86-64-v3", features: "", vectorBits: 256 },
  { triple: "x86_64-unknown-linux-gnu", cpu: "x86-64-v4", features: "", vectorBits: 512 },
  { triple: "aarch64-unknown-linux-gnu", cpu: "generic", features: "", vectorBits: 128 },
  { triple: "aarch64-unknown-linux-gnu", cpu: "neoverse-n1", features: "", vectorBits: 128 },
];
const unaries: UnaryOp[] = [
  "neg",
  "abs",
  "sign",
  "ceil",
  "floor",
  "round",
  "trunc",
  "sqrt",
  "exp",
  "log",
  "sin",
  "tanh",
  "erf",
  "atan",
];
const binaries: BinaryOp[] = ["add", "sub", "mul", "div", "mod", "floordiv", "floormod", "min", "max", "pow"];
const bits: BinaryOp[] = ["and", "or", "xor", "shl", "shr"];

/** One program a dtype, with all its operators in one expression. */
function everything(type: ScalarType): Program {
  const value = ([a, b]: readonly Expr[]): Expr => {
    const used = isFloat(type) ? binaries : [...binaries, ...bits];
    let sum = used.reduce<Expr>((s, op) => binary("add", s, binary(op, a!, b!)), a!);
    if (isFloat(type)) sum = unaries.reduce((s, op) => binary("add", s, unary(op, a!)), sum);
    else sum = binary("add", sum, unary(isSigned(type) ? "neg" : "not", a!));
    for (const other of scalarTypes) sum = binary("add", sum, cast(type, cast(other, a!)));
    return select(compare("lt", a!, b!), sum, b!);
  };
  return elementwise([type, type], type, value, { n: 37, loopKind: "vectorized" });
}
const gathers = elementwise(
  ["float32", "int64"],
  "float32",
  ([a, at]) => {
    if (a?.kind !== "load") return a!;
    const inside = binary("and", compare("ge", at!, 0), compare("lt", at!, 29));
    return select(inside, load(a.buffer, [at!]), a);
  },
  { n: 29, loopKind: "vectorized" },
);

describeNative("code is selectable", () => {
  for (const t of targets) {
    const assembly = (p: Program): string => {
      const { text } = emitLlvm(lowerProgram(p, t), t);
      return new TextDecoder().decode(compileIr(text, { ...t, passes: defaultPassPipeline, emit: "assembly" }));
    };
    it.each(scalarTypes.filter((s) => s !== "bool"))(`${t.cpu}: %s`, (type) => {
      expect(assembly(everything(type))).toContain("f.packed:");
    });
    it(`${t.cpu}: gathers and a convolution tile`, () => {
      expect(assembly(gathers)).toContain("f.packed:");
      const lanes = t.vectorBits / 32;
      const text = assembly(convTile({ ic: 32, oc: 4 * lanes, size: 8, px: 4, ob: 2, lanes, parallel: true }));
      expect(text).toMatch(/tw_parallel_for/);
      if (t.cpu === "neoverse-n1") expect(text).toMatch(/fmla\tv\d+\.4s/);
    });
  }
});
