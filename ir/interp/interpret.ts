/**
 * The reference interpreter: `loop/semantics.md` as code. It compiles a program to closures once, so that the same
 * program can be run many times at tens of millions of operations a second.
 */
import type { ScalarType } from "../expr/dtype.ts";
import type { Buffer } from "../expr/expr.ts";
import { arrayTypeOf, type TypedArray } from "../graph/tensor-value.ts";
import type { PrimFunc, Program } from "../loop/program.ts";
import { UsageError } from "../support/errors.ts";
import type { BufferId } from "../support/ids.ts";
import { physicalCount } from "./access.ts";
import { InterpreterError } from "./error.ts";
import { compileExpr } from "./expressions.ts";
import type { Scalar } from "./scalar.ts";
import { type Action, type Frame, newFrame, SlotScope } from "./scope.ts";
import { compileStmt } from "./statements.ts";
import type { Storage } from "./storage.ts";

export { InterpreterError } from "./error.ts";
export { constantLanes, evaluateExpr, evaluateVector } from "./expressions.ts";
export type { Scalar } from "./scalar.ts";

export interface InterpretOptions {
  /** Values of the function's scalar parameters, by name. */
  readonly scalars?: Readonly<Record<string, Scalar>>;
  /** The chunk a task runs over; required for tasks. */
  readonly chunk?: readonly [begin: number, end: number];
  /** Throws when an element of an allocation, output or workspace is read before it is written. Default false. */
  readonly checkUninitialized?: boolean;
  /** Chunks that a `parallelCall` is cut into. Default 3. */
  readonly chunks?: number;
}
/** Typed arrays of a function's parameters, each the whole physical buffer, by id or by name. */
export type BufferArguments = ReadonlyMap<BufferId, TypedArray> | Readonly<Record<string, TypedArray>>;

/** A program made ready: call it with a function's name and arguments. */
export type Interpreter = (
  funcName: string,
  args: BufferArguments,
  options?: Omit<InterpretOptions, "checkUninitialized">,
) => void;

/** Runs one function over `args`, changing its outputs in place. @throws InterpreterError where the program is ill-formed */
export function interpret(
  program: Program,
  funcName: string,
  args: BufferArguments,
  options: InterpretOptions = {},
): void {
  interpreter(program, options)(funcName, args, options);
}

/** Compiles a program once to be run many times. Functions are compiled when they are first called. */
export function interpreter(program: Program, options: InterpretOptions = {}): Interpreter {
  const { checkUninitialized = false, chunks = 3 } = options;
  const ready = new Map<string, ReadyFunction>();
  const functionNamed = (name: string): ReadyFunction => {
    let f = ready.get(name);
    if (!f) {
      const source = program.functions.find((p) => p.name === name);
      if (!source) throw new UsageError("interp/no-function", `the program has no function ${name}`);
      f = new ReadyFunction(source, checkUninitialized, runTask);
      ready.set(name, f);
    }
    return f;
  };
  const runTask = (callee: string, buffers: readonly Storage[], scalars: readonly Scalar[], extent: number): void => {
    const task = functionNamed(callee);
    const step = Math.max(1, Math.ceil(extent / chunks));
    for (let begin = 0; begin < extent; begin += step) {
      task.run(buffers, scalars, [begin, Math.min(begin + step, extent)]);
    }
  };
  return (funcName, args, call = {}) => {
    const f = functionNamed(funcName);
    const scalars = f.source.scalars.map((v) => {
      const value = call.scalars?.[v.name];
      if (value === undefined)
        throw new UsageError("interp/missing-argument", `${funcName}: no value for scalar ${v.name}`);
      return value;
    });
    f.run(f.storages(args, scalars), scalars, call.chunk);
  };
}

/** One function compiled to actions over its own slots. */
class ReadyFunction {
  readonly source: PrimFunc;
  readonly #scope: SlotScope;
  readonly #body: Action;
  readonly #scalars: readonly number[];
  readonly #buffers: readonly number[];
  readonly #chunk: readonly [number, number] | undefined;
  constructor(source: PrimFunc, checkUninitialized: boolean, runTask: Parameters<typeof compileStmt>[2]) {
    this.source = source;
    this.#scope = new SlotScope(checkUninitialized);
    this.#scalars = source.scalars.map((v) => this.#scope.bindVar(v));
    this.#buffers = source.params.map((p) => this.#scope.bindBuffer(p.buffer));
    const { chunk } = source;
    this.#chunk = chunk && [this.#scope.bindVar(chunk.begin), this.#scope.bindVar(chunk.end)];
    this.#body = compileStmt(source.body, this.#scope, runTask);
  }
  run(buffers: readonly Storage[], scalars: readonly Scalar[], chunk?: readonly [number, number]): void {
    const { name } = this.source;
    if (buffers.length !== this.#buffers.length || scalars.length !== this.#scalars.length) {
      throw new InterpreterError(
        "interp/argument-count",
        `${name} takes ${this.#buffers.length} buffers and ${this.#scalars.length} scalars`,
      );
    }
    if ((chunk === undefined) !== (this.#chunk === undefined)) {
      throw new InterpreterError(
        "interp/chunk",
        `${name} ${this.#chunk ? "is a task and needs a chunk" : "is no task"}`,
      );
    }
    const frame = newFrame();
    buffers.forEach((b, k) => {
      frame.buffers[this.#buffers[k]!] = b;
    });
    scalars.forEach((v, k) => {
      frame.vars[this.#scalars[k]!] = v;
    });
    if (chunk && this.#chunk) [frame.vars[this.#chunk[0]], frame.vars[this.#chunk[1]]] = chunk;
    this.#body(frame);
  }
  /** Checks the arrays given for the parameters. */
  storages(args: BufferArguments, scalars: readonly Scalar[]): Storage[] {
    return this.source.params.map(({ buffer, role }) => {
      const elements = argumentFor(args, buffer);
      if (!elements)
        throw new UsageError("interp/missing-argument", `${this.source.name}: no array for ${buffer.name}`);
      const scalar = buffer.dtype.scalar;
      requireType(buffer, scalar, elements);
      const count = physicalCount(buffer, this.extentsOf(buffer, scalars));
      if (elements.length < count) {
        throw new UsageError(
          "interp/argument-length",
          `${buffer.name} needs ${count} elements, got ${elements.length}`,
        );
      }
      const track = this.#scope.checkUninitialized && (role === "output" || role === "workspace");
      return { scalar, elements, ...(track ? { written: new Uint8Array(elements.length) } : {}) };
    });
  }
  /** The extents of a parameter, given the scalar parameters. */
  extentsOf(buffer: Buffer, scalars: readonly Scalar[]): number[] {
    const frame: Frame = newFrame();
    scalars.forEach((v, k) => {
      frame.vars[this.#scalars[k]!] = v;
    });
    return buffer.shape.map((e) => Number(compileExpr(e, this.#scope)(frame, 0)));
  }
}
function argumentFor(args: BufferArguments, buffer: Buffer): TypedArray | undefined {
  if (args instanceof Map) return (args as ReadonlyMap<BufferId, TypedArray>).get(buffer.id);
  return Object.hasOwn(args, buffer.name) ? (args as Readonly<Record<string, TypedArray>>)[buffer.name] : undefined;
}
function requireType(buffer: Buffer, scalar: ScalarType, elements: TypedArray): void {
  const wanted = arrayTypeOf(scalar);
  if (elements instanceof wanted) return;
  throw new UsageError(
    "interp/argument-type",
    `${buffer.name} holds ${scalar}, which takes a ${wanted.name}, got a ${elements.constructor.name}`,
  );
}
