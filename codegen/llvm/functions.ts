/** Writes functions: signatures, task entry points, the packed wrapper for callers that hold an array of pointers. */
import { bytesOf } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import type { Param, PrimFunc, Stmt } from "../../ir/loop/program.ts";
import { visitStmt } from "../../ir/loop/traverse.ts";
import type { BufferId, VarId } from "../../ir/support/ids.ts";
import { constantCount } from "./address.ts";
import { emitExpr } from "./expressions.ts";
import type { BodyContext, BufferBinding, Workspace } from "./function-context.ts";
import type { ModuleWriter } from "./module.ts";
import { emitStmt } from "./statements.ts";
import { memoryType } from "./types.ts";
import { FunctionWriter, literal, type Value } from "./writer.ts";

/** Writes one function of a flat program into the module. */
export function emitFunction(module: ModuleWriter, func: PrimFunc): void {
  const symbol = module.symbols.symbolOf(func.name);
  const body = functionBody(module, func);
  const args = ["ptr %rt", ...func.params.map((p, i) => paramText(func, p, i)), ...scalarParams(func)];
  if (func.chunk) {
    const all = [...args.slice(1), "i64 %begin", "i64 %end"].join(", ");
    module.addFunction(`define internal void @${symbol}.body(${all}) noinline #0 {\n${body}\n}`);
    module.addFunction(taskEntry(symbol, func));
  } else {
    module.addFunction(`define void @${symbol}(${args.join(", ")}) #0 {\n${body}\n}`);
    module.addFunction(packedEntry(symbol, func));
  }
}
const scalarParams = (func: PrimFunc): string[] => func.scalars.map((v, i) => `${memoryType(v.dtype)} %s${i}`);

function paramText(func: PrimFunc, p: Param, i: number): string {
  const readOnly = p.role === "input" || p.role === "constant" ? " readonly" : "";
  const flags = func.annotations?.aliased === true ? "" : " noalias";
  return `ptr${flags}${readOnly} align ${alignmentOf(p)} %p${i}`;
}
/** Buffers of the arena, the workspace and the stack are aligned to 64 bytes, not to more. */
const alignmentOf = (p: Param): number => Math.max(bytesOf(p.buffer.dtype.scalar), Math.min(64, p.buffer.alignment));

function functionBody(module: ModuleWriter, func: PrimFunc): string {
  const writer = new FunctionWriter();
  const vars = new Map<VarId, Value>();
  const buffers = new Map<BufferId, BufferBinding>();
  func.params.forEach((p, i) => {
    buffers.set(p.buffer.id, { pointer: literal(`%p${i}`), alignment: alignmentOf(p), metadata: "" });
  });
  func.scalars.forEach((v, i) => {
    vars.set(v.id, literal(`%s${i}`));
  });
  const nonNegative = new Set<VarId>();
  if (func.chunk) {
    vars.set(func.chunk.begin.id, literal("%begin"));
    vars.set(func.chunk.end.id, literal("%end"));
    nonNegative.add(func.chunk.begin.id).add(func.chunk.end.id);
  }
  const workspace = workspaceOf(module, func);
  const ctx: BodyContext = {
    module,
    writer,
    math: func.math,
    vars,
    buffers,
    nonNegative,
    emit: (e: Expr) => emitExpr(ctx, e),
    ...(workspace ? { workspace } : {}),
  };
  emitStmt(ctx, func.body);
  // Stores past the caches are ordered by nothing else: other threads see them after the function.
  if (storesPastCaches(func.body)) writer.instruction("fence seq_cst");
  return writer.finish();
}

function storesPastCaches(body: Stmt): boolean {
  let found = false;
  visitStmt(body, (s) => {
    if (s.kind === "store" && s.nontemporal) found = true;
    return !found;
  });
  return found;
}

/** Unpacks the captured pointers and scalars, and calls the body, whose parameters carry the alias facts. */
function taskEntry(symbol: string, func: PrimFunc): string {
  const loads: string[] = [];
  const args: string[] = [];
  const unpack = (type: string, slot: number): void => {
    loads.push(`  %g${slot} = getelementptr i64, ptr %ctx, i64 ${slot}`);
    loads.push(`  %a${slot} = load ${type}, ptr %g${slot}, align 8`);
    args.push(`${type} %a${slot}`);
  };
  func.params.forEach((_, i) => {
    unpack("ptr", i);
  });
  func.scalars.forEach((v, i) => {
    unpack(memoryType(v.dtype), func.params.length + i);
  });
  const call = `  call void @${symbol}.body(${[...args, "i64 %begin", "i64 %end"].join(", ")})`;
  return `define internal void @${symbol}(ptr %ctx, i64 %begin, i64 %end) #0 {\n${[...loads, call].join("\n")}\n  ret void\n}`;
}

/** `void f.packed(ptr rt, ptr args)`: an array of pointers, then the scalars as 8 bytes each. */
function packedEntry(symbol: string, func: PrimFunc): string {
  const types = [...func.params.map(() => "ptr"), ...func.scalars.map((v) => memoryType(v.dtype))];
  const lines = types.flatMap((type, i) => [
    `  %g${i} = getelementptr i64, ptr %args, i64 ${i}`,
    `  %a${i} = load ${type}, ptr %g${i}, align 8`,
  ]);
  const args = ["ptr %rt", ...types.map((type, i) => `${type} %a${i}`)].join(", ");
  return `define void @${symbol}.packed(ptr %rt, ptr %args) #0 {\n${[...lines, `  call void @${symbol}(${args})`].join("\n")}\n  ret void\n}`;
}

/**
 * Alias scopes for the buffers in the workspace. Two of them are declared disjoint only where their bytes are: buffers
 * with different lifetimes may share memory, and reordering their accesses would be wrong.
 */
function workspaceOf(module: ModuleWriter, func: PrimFunc): Workspace | undefined {
  const param = func.params.find((p) => p.role === "workspace");
  if (!param) return undefined;
  const placed = allocatedGlobals(func.body);
  const metadata = new Map<BufferId, string>();
  if (placed.length > 1) {
    const domain = module.metadata((self) => `distinct !{${self}}`);
    const scopes = placed.map(() => module.metadata((self) => `distinct !{${self}, ${domain}}`));
    placed.forEach((p, i) => {
      const apart = placed.flatMap((q, k) => (p.end <= q.begin || q.end <= p.begin ? [scopes[k]!] : []));
      const own = module.metadata(() => `!{${scopes[i]}}`);
      const others = apart.length > 0 ? `, !noalias ${module.metadata(() => `!{${apart.join(", ")}}`)}` : "";
      metadata.set(p.id, `, !alias.scope ${own}${others}`);
    });
  }
  return { buffer: param.buffer.id, metadata };
}
interface PlacedBuffer {
  readonly id: BufferId;
  readonly begin: number;
  readonly end: number;
}
function allocatedGlobals(body: Stmt): PlacedBuffer[] {
  const placed = new Map<BufferId, PlacedBuffer>();
  visitStmt(body, (s) => {
    if (s.kind !== "allocate" || s.buffer.scope !== "global") return;
    const bytes = bytesOf(s.buffer.dtype.scalar);
    const begin = (s.buffer.offset ?? 0) * bytes;
    placed.set(s.buffer.id, { id: s.buffer.id, begin, end: begin + constantCount(s.buffer) * bytes });
  });
  return [...placed.values()];
}
