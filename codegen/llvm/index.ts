/** LLVM IR text of a flat program. */
import { constantValue } from "../../ir/expr/build.ts";
import type { ScalarType } from "../../ir/expr/dtype.ts";
import { bytesOf } from "../../ir/expr/dtype.ts";
import { type CheckSite, checkSitesOf } from "../../ir/loop/check-site.ts";
import type { ParamRole, PrimFunc, Program } from "../../ir/loop/program.ts";
import { emitFunction } from "./functions.ts";
import { type CodegenTarget, ModuleWriter } from "./module.ts";

/** One pointer parameter of a generated function. */
export interface ParamSignature {
  readonly name: string;
  readonly role: ParamRole;
  readonly dtype: ScalarType;
  /** Bytes behind the pointer; absent when the shape is symbolic. */
  readonly bytes?: number;
  /** Bytes that the pointer must be a multiple of. */
  readonly alignment: number;
}
/** How a generated function is called. */
export interface FunctionSignature {
  /** The name in the program. */
  readonly name: string;
  /** `void symbol(ptr rt, ptr param0, …, scalars…)`. */
  readonly symbol: string;
  /** `void symbol(ptr rt, ptr args)` with the pointers, then the scalars (8 bytes each), in an array. */
  readonly packedSymbol: string;
  readonly params: readonly ParamSignature[];
  readonly scalars: readonly { readonly name: string; readonly dtype: ScalarType }[];
  /** Bytes of the workspace, which is then the last parameter; 0 when there is none. */
  readonly workspaceBytes: number;
  /** The accesses that check their bounds, by number; a module with any is linked with `emitBoundsRecord`. */
  readonly checks: readonly CheckSite[];
}

/**
 * The passes that generated code needs from LLVM, for `compileIr`. The writer leaves little to do: promote accumulators,
 * drop what is computed twice, keep in registers what a serial loop carries. For a 14x2 convolution tile (448
 * multiply-adds) they take 3.4 ms of 28; adding gvn takes 10 ms, `default<O2>` 46 ms more, at the same speed.
 */
export const defaultPassPipeline =
  "function(sroa<modify-cfg>,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm))";

/** Writes a flat program (see `passes/lower`) as one LLVM module. */
export function emitLlvm(
  flat: Program,
  target: CodegenTarget,
): { readonly text: string; readonly functions: readonly FunctionSignature[] } {
  const module = new ModuleWriter(target);
  const entries = flat.functions.filter((f) => !f.chunk);
  for (const f of entries) module.symbols.symbolOf(f.name);
  for (const f of flat.functions) emitFunction(module, f);
  return { text: module.finish(), functions: entries.map((f) => signatureOf(module, f)) };
}

function signatureOf(module: ModuleWriter, f: PrimFunc): FunctionSignature {
  const symbol = module.symbols.symbolOf(f.name);
  const params = f.params.map(({ buffer, role }): ParamSignature => {
    const bytes = buffer.shape.reduce<number | undefined>((n, e) => {
      const extent = constantValue(e);
      return n === undefined || extent === undefined ? undefined : n * extent;
    }, bytesOf(buffer.dtype.scalar));
    const size = bytes === undefined ? {} : { bytes };
    return { name: buffer.name, role, dtype: buffer.dtype.scalar, alignment: buffer.alignment, ...size };
  });
  return {
    name: f.name,
    symbol,
    packedSymbol: `${symbol}.packed`,
    params,
    scalars: f.scalars.map((v) => ({ name: v.name, dtype: v.dtype.scalar })),
    workspaceBytes: params.find((p) => p.role === "workspace")?.bytes ?? 0,
    checks: checkSitesOf(f),
  };
}
