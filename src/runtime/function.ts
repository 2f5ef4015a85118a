/** Hand-scheduled programs as callable native functions. */
import { emitLlvm, type FunctionSignature } from "../../codegen/llvm/index.ts";
import { constantValue } from "../../ir/expr/build.ts";
import { bytesOf, type ScalarType } from "../../ir/expr/dtype.ts";
import type { Buffer } from "../../ir/expr/expr.ts";
import { arrayTypeOf, elementCount, type TypedArray } from "../../ir/graph/tensor-value.ts";
import type { CheckSite } from "../../ir/loop/check-site.ts";
import type { ParamRole, Program } from "../../ir/loop/program.ts";
import { InputError, UnsupportedError, UsageError } from "../../ir/support/errors.ts";
import { invariant } from "../../ir/support/invariant.ts";
import { featuresOf } from "../../ir/target/parse.ts";
import type { Target } from "../../ir/target/target.ts";
import * as native from "../../native/addon.ts";
import type { Pipeline } from "../../passes/core/pipeline.ts";
import { loweringPipeline, withBoundsChecks } from "../../passes/lower/index.ts";
import { missingFeature } from "../../passes/schedule/primitive/tensorize.ts";
import { Schedule } from "../../passes/schedule/schedule.ts";
import { BoundsRecord, boundsError, boundsRecordIr, type Checks, checksOf } from "./bounds.ts";
import { resolveTarget, sharedPool } from "./host.ts";
import { environmentInstruments } from "./instruments.ts";
import { codegenTarget, nativeOptions } from "./kernels.ts";

/** How a scheduled program is compiled. */
export interface BuildOptions {
  readonly target?: string | Target;
  readonly threads?: number;
  /** The passes from schedule to code; default: `defaultPipeline` of the target. */
  readonly pipeline?: Pipeline<"loops", "tasks">;
  /** `bounds`: every access checks its bounds, and `run` throws a BoundsError that names the first one outside. */
  readonly checks?: Checks;
}

interface Parameter {
  readonly name: string;
  readonly type: ScalarType;
  readonly elements: number;
  readonly role: ParamRole;
}

/** A compiled function over typed arrays by parameter name. */
export class NativeFunction {
  readonly parameters: readonly Parameter[];
  readonly #jit: native.JitHandle;
  readonly #pool: native.PoolHandle;
  readonly #entry: native.Address;
  readonly #staging: readonly ArrayBuffer[];
  readonly #views: readonly TypedArray[];
  readonly #workspace: ArrayBuffer | undefined;
  readonly #sites: readonly CheckSite[];
  readonly #bounds: BoundsRecord | undefined;
  readonly #name: string;
  #disposed = false;

  constructor(
    objects: readonly Uint8Array[],
    signature: Pick<FunctionSignature, "name" | "packedSymbol" | "workspaceBytes" | "checks">,
    parameters: readonly Parameter[],
    threads: number,
  ) {
    const { workspaceBytes } = signature;
    this.parameters = parameters;
    this.#jit = native.jitCreate(objects);
    this.#entry = native.jitLookup(this.#jit, signature.packedSymbol);
    this.#name = signature.name;
    this.#sites = signature.checks;
    this.#bounds = signature.checks.length > 0 ? new BoundsRecord(this.#jit) : undefined;
    this.#pool = threads > 1 ? native.poolCreate(threads) : native.serial;
    this.#staging = parameters.map((p) => native.allocAligned(Math.max(64, p.elements * bytesOf(p.type) + 64)));
    this.#views = parameters.map((p, i) => new (arrayTypeOf(p.type))(this.#staging[i]!, 0, p.elements));
    this.#workspace = workspaceBytes > 0 ? native.allocAligned(workspaceBytes) : undefined;
  }
  /**
   * Runs on the given arrays; outputs are written in place. Arrays that lie on 64-byte boundaries are used without a copy.
   * @throws BoundsError `bounds/load`, `bounds/store` when built with checks; outputs are unfinished then
   */
  run(args: Readonly<Record<string, TypedArray>>): void {
    const { addresses, copied } = this.#addresses(args);
    native.invokeKernel(this.#entry, this.#pool, addresses);
    this.#throwFailure();
    for (const i of copied)
      if (this.parameters[i]!.role === "output")
        (args[this.parameters[i]!.name] as Float32Array).set(this.#views[i] as Float32Array);
  }
  /** Nanoseconds of single runs, timed natively. */
  time(args: Readonly<Record<string, TypedArray>>, options: native.TimingOptions = {}): Float64Array {
    const samples = native.timeKernel(this.#entry, this.#pool, this.#addresses(args).addresses, options);
    this.#throwFailure();
    return samples;
  }
  #throwFailure(): void {
    const failure = this.#bounds?.take();
    if (failure) throw boundsError(failure, this.#sites, "function", this.#name);
  }
  #addresses(args: Readonly<Record<string, TypedArray>>): { addresses: BigUint64Array; copied: number[] } {
    if (this.#disposed) throw new UsageError("runtime/disposed", "this function was disposed");
    const copied: number[] = [];
    const list = this.parameters.map((p, i) => {
      const data = args[p.name];
      if (data === undefined)
        throw new InputError(
          "run/missing-input",
          `argument ${p.name} is missing; wanted: ${this.parameters.map((q) => q.name).join(", ")}`,
        );
      if (data.constructor !== arrayTypeOf(p.type) || data.length !== p.elements)
        throw new InputError(
          "run/input-data",
          `argument ${p.name} is a ${arrayTypeOf(p.type).name} of ${p.elements} elements, got ${data.constructor.name} of ${data.length}`,
        );
      const address = native.addressOf(data);
      if (address % 64n === 0n) return address;
      copied.push(i);
      (this.#views[i] as Float32Array).set(data as Float32Array);
      return native.addressOf(this.#staging[i]!);
    });
    if (this.#workspace) list.push(native.addressOf(this.#workspace));
    return { addresses: BigUint64Array.from(list), copied };
  }
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    native.jitDispose(this.#jit);
    if (this.#pool !== native.serial) native.poolDispose(this.#pool);
    for (const b of this.#staging) native.freeAligned(b);
    if (this.#workspace) native.freeAligned(this.#workspace);
    this.#bounds?.dispose();
  }
}

/** The passes that `build` runs for a target, to insert others between them. */
export const defaultPipeline = (target: string | Target = "host"): Pipeline<"loops", "tasks"> =>
  loweringPipeline(resolveTarget(target));

function lowered(what: Schedule | Program, target: Target, options: BuildOptions) {
  const program = what instanceof Schedule ? what.program : what;
  const missing = missingFeature(program, featuresOf(target));
  if (missing)
    throw new UnsupportedError(
      "build/intrinsic-features",
      `${missing.intrinsic} needs ${missing.feature}, which ${target.name} does not have`,
    );
  const chosen = options.pipeline ?? defaultPipeline(target);
  const passes = checksOf(options.checks) === "bounds" ? withBoundsChecks(chosen) : chosen;
  const tasks = passes.run(program, { target, options: {}, instruments: environmentInstruments() });
  return { program, ...emitLlvm(tasks, codegenTarget(target)) };
}

/** The LLVM IR or assembly that `build` compiles a schedule to. */
export async function compiledText(
  what: Schedule | Program,
  options: BuildOptions,
  as: "llvm" | "asm",
): Promise<string> {
  const target = resolveTarget(options.target ?? "host");
  const { text } = lowered(what, target, options);
  if (as === "llvm") return text;
  const assembly = { irText: text, options: { ...nativeOptions(target), emit: "assembly" as const } };
  return Buffer.from(await sharedPool().compile(assembly)).toString();
}

/** Compiles a schedule (or a program) with one function to native code. */
export async function build(what: Schedule | Program, options: BuildOptions = {}): Promise<NativeFunction> {
  const target = resolveTarget(options.target ?? "host");
  const { program, text, functions } = lowered(what, target, options);
  const func = program.functions[0];
  invariant(func, "a program to build has a function");
  const signature = functions[0]!;
  const texts = [text, ...(signature.checks.length > 0 ? [boundsRecordIr()] : [])];
  const objects = await Promise.all(
    texts.map((irText) => sharedPool().compile({ irText, options: nativeOptions(target) })),
  );
  const parameters = func.params.map(
    (p): Parameter => ({
      name: p.buffer.name,
      type: p.buffer.dtype.scalar,
      elements: elementsOf(p.buffer),
      role: p.role,
    }),
  );
  return new NativeFunction(objects, signature, parameters, options.threads ?? 1);
}
const elementsOf = (b: Buffer): number => elementCount(b.shape.map((e) => constantValue(e) ?? 0));
