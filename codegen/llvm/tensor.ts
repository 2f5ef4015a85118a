/** Writes tensorized nests: a call of the intrinsic's own function. */
import type { For } from "../../ir/loop/program.ts";
import { UnsupportedError } from "../../ir/support/errors.ts";
import { parseProgram } from "../../ir/text/parser.ts";
import { matchIntrinsic, type Operand } from "../../passes/analysis/tensor-match.ts";
import { elementAddress } from "./address.ts";
import type { BodyContext } from "./function-context.ts";
import type { ModuleWriter } from "./module.ts";

const textOf = (s: For, key: string): string => {
  const value = s.annotations?.[`intrinsic.${key}`];
  if (typeof value !== "string") throw new UnsupportedError("codegen/intrinsic", `loop ${s.var.name} names no ${key}`);
  return value;
};

/** Writes a tensorized loop nest. */
export function emitTensorized(ctx: BodyContext, s: For): void {
  const meaning = parseProgram(textOf(s, "meaning")).functions[0];
  const operands = meaning && matchIntrinsic(s, meaning);
  if (!meaning || !operands)
    throw new UnsupportedError(
      "codegen/intrinsic",
      `after lowering, the nest at ${s.var.name} is not what ${textOf(s, "name")} means`,
    );
  const names = meaning.params.map((p) => p.buffer.name);
  const callee = defineIntrinsic(ctx.module, s, names, operands);
  const pointers = operands.map((o) => `ptr ${elementAddress(ctx, o.buffer, o.base).pointer.ref}`);
  const steps = operands.flatMap((o) => o.strides.map((n) => `i64 ${n}`));
  ctx.writer.instruction(`call void ${callee}(${[...pointers, ...steps].join(", ")})`);
  meaning.params.forEach((p, k) => {
    if (p.role === "output") ctx.writer.forget(operands[k]!.buffer.id);
  });
}
function defineIntrinsic(module: ModuleWriter, s: For, names: readonly string[], operands: readonly Operand[]): string {
  const symbol = `tensor.${textOf(s, "name").replace(/[^A-Za-z0-9_.]/g, "_")}`;
  const declarations = s.annotations?.["intrinsic.declarations"];
  for (const d of Array.isArray(declarations) ? declarations : []) declareLine(module, String(d));
  const params = [
    ...names.map((n) => `ptr %${n}`),
    ...operands.flatMap((o, k) => o.strides.map((_, d) => `i64 %${names[k]}_s${d}`)),
  ];
  const body = textOf(s, "body");
  const attributes = module.attributesFor(widestVector(body));
  return module.define(
    symbol,
    () => `define internal void @${symbol}(${params.join(", ")}) alwaysinline ${attributes} {\n${body}\n  ret void\n}`,
  );
}
const laneBits: Readonly<Record<string, number>> = { half: 16, bfloat: 16, float: 32, double: 64, ptr: 64 };
/** Bits of the widest vector type in LLVM IR. */
const widestVector = (body: string): number =>
  [...body.matchAll(/<(\d+) x (?:i(\d+)|(\w+))>/g)].reduce(
    (most, [, lanes, bits, type]) => Math.max(most, Number(lanes) * Number(bits ?? laneBits[type!] ?? 0)),
    0,
  );
/** `declare T @name(args)` as the module's own declaration, which another use may share. */
function declareLine(module: ModuleWriter, line: string): void {
  const parts = /^declare (.+) @([\w.]+)\((.*)\)$/.exec(line);
  if (!parts) throw new UnsupportedError("codegen/intrinsic", `${line} is no declaration`);
  module.declare(parts[2]!, parts[1]!, splitTypes(parts[3]!));
}
const splitTypes = (list: string): string[] => list.split(/, (?![^<]*>)/);
