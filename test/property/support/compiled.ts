/** Many programs in one module, compiled and run in this process; memory around buffers is watched. */
import { emitLlvm, type FunctionSignature } from "../../../codegen/llvm/index.ts";
import type { PrimFunc, Program } from "../../../ir/loop/program.ts";
import { rewriteStmt } from "../../../ir/loop/traverse.ts";
import {
  addressOf,
  allocAligned,
  type CompileOptions,
  compileIr,
  freeAligned,
  invokeKernel,
  jitCreate,
  jitDispose,
  jitLookup,
  type PoolHandle,
  serial,
} from "../../../native/addon.ts";
import { lowerProgram } from "../../../passes/lower/index.ts";
import { hostTarget } from "../../codegen/host.ts";
import { elementsOf, type Values } from "./expected.ts";

/** How a batch is compiled. */
export interface Build {
  readonly name: string;
  readonly vectorBits: number;
  readonly options: Pick<CompileOptions, "passes" | "optLevel">;
}
/** A program lowered for a build; its functions are called `<prefix><name>`. */
export interface Lowered {
  readonly prefix: string;
  readonly functions: readonly PrimFunc[];
  readonly nextId: number;
}
export function lowered(program: Program, prefix: string, build: Build): Lowered {
  const flat = lowerProgram(program, { vectorBits: build.vectorBits });
  const functions = flat.functions.map((f) => ({
    ...f,
    name: prefix + f.name,
    body: rewriteStmt(f.body, (s) => (s.kind === "parallelCall" ? { ...s, callee: prefix + s.callee } : s)),
  }));
  return { prefix, functions, nextId: flat.nextId };
}

/** A module in memory. */
export class Batch implements Disposable {
  readonly #jit: ReturnType<typeof jitCreate>;
  readonly #signatures: ReadonlyMap<string, FunctionSignature>;

  constructor(programs: readonly Lowered[], build: Build) {
    const target = hostTarget(build.vectorBits);
    const functions = programs.flatMap((p) => p.functions);
    const nextId = Math.max(...programs.map((p) => p.nextId));
    const emitted = emitLlvm({ kind: "program", functions, nextId }, target);
    this.#jit = jitCreate([compileIr(emitted.text, { ...target, ...build.options })]);
    this.#signatures = new Map(emitted.functions.map((f) => [f.name, f]));
  }
  /** Runs a function. @throws Error when it writes outside of its buffers, or to an input */
  run(name: string, inputs: Values, pool: PoolHandle = serial): Values {
    const signature = this.#signatures.get(name)!;
    const memory = new Guarded(signature, inputs);
    try {
      invokeKernel(jitLookup(this.#jit, signature.packedSymbol), pool, memory.addresses);
      return memory.outputs();
    } finally {
      memory.free();
    }
  }
  [Symbol.dispose](): void {
    jitDispose(this.#jit);
  }
}

const margin = 128;
/** What fills memory that nothing has been written to: no small number in any type, NaN in none. */
const poison = 0x5b;

/** The buffers of one call, with margins between them. */
class Guarded {
  readonly #memory: ArrayBuffer;
  readonly #signature: FunctionSignature;
  readonly #inputs: Values;
  readonly #offsets: readonly number[];
  readonly addresses: BigUint64Array;

  constructor(signature: FunctionSignature, inputs: Values) {
    this.#signature = signature;
    this.#inputs = inputs;
    const offsets: number[] = [];
    let end = margin;
    for (const p of signature.params) {
      offsets.push(end);
      end = Math.ceil((end + p.bytes! + margin) / 64) * 64;
    }
    this.#offsets = offsets;
    this.#memory = allocAligned(end);
    const bytes = new Uint8Array(this.#memory).fill(poison);
    signature.params.forEach((p, k) => {
      const given = inputs[p.name];
      if (given) bytes.set(new Uint8Array(given.buffer, given.byteOffset, given.byteLength), offsets[k]!);
    });
    const start = addressOf(bytes);
    this.addresses = BigUint64Array.from(offsets, (o) => start + BigInt(o));
  }
  /** Copies of the outputs. */
  outputs(): Values {
    const bytes = new Uint8Array(this.#memory);
    let clean = 0;
    const found: Values = {};
    this.#signature.params.forEach((p, k) => {
      const at = this.#offsets[k]!;
      for (; clean < at; clean++)
        if (bytes[clean] !== poison) throw new Error(`byte ${clean - at} beside ${p.name} was written`);
      clean = at + p.bytes!;
      const given = this.#inputs[p.name];
      if (given) {
        const before = new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
        const changed = before.findIndex((b, i) => b !== bytes[at + i]);
        if (changed >= 0) throw new Error(`byte ${changed} of the input ${p.name} was written`);
      }
      if (p.role === "output") found[p.name] = elementsOf(p.dtype, this.#memory.slice(at, clean));
    });
    for (; clean < bytes.length; clean++)
      if (bytes[clean] !== poison) throw new Error(`byte ${clean} behind the last buffer was written`);
    return found;
  }
  free(): void {
    freeAligned(this.#memory);
  }
}
