/** Random well-formed programs: loops, blocks, vectors, every operator and type. */
import {
  broadcast,
  buffer,
  call,
  constant,
  load,
  ramp,
  shuffle,
  unary,
  variable,
  vectorReduce,
} from "../../ir/expr/build.ts";
import { boolType, type DType, dtype, indexType, isFloat, type ScalarType, scalarTypes } from "../../ir/expr/dtype.ts";
import type { BinaryOp, Buffer, CompareOp, Expr, UnaryOp, Var } from "../../ir/expr/expr.ts";
import {
  allocate,
  block,
  evaluate,
  forLoop,
  iterVar,
  letIn,
  pointRegion,
  primFunc,
  program,
  range,
  region,
  seq,
  store,
} from "../../ir/loop/build.ts";
import type { Program, Stmt } from "../../ir/loop/program.ts";
import { IdSource } from "../../ir/support/ids.ts";
import { rawBinary, rawCast, rawCompare, rawIf, rawSelect } from "../../ir/text/nodes.ts";

const arithmetic: BinaryOp[] = ["add", "sub", "mul", "div", "mod", "floordiv", "floormod", "min", "max", "pow"];
const bitwise: BinaryOp[] = ["and", "or", "xor", "shl", "shr"];
const compares: CompareOp[] = ["eq", "ne", "lt", "le", "gt", "ge"];
const anyUnary: UnaryOp[] = ["neg", "abs", "sign", "round"];
const floatUnary: UnaryOp[] = [...anyUnary, "exp", "log", "sqrt", "tanh", "erf", "ceil", "sin"];

/** A generator of one program; equal seeds give equal programs. */
export class ProgramGenerator {
  readonly ids = new IdSource();
  #state: number;
  #vars: Var[] = [];
  #buffers: Buffer[] = [];
  #blocks = 0;
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }
  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * n);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  #chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  program(): Program {
    const n = variable(this.ids, "n");
    this.#vars = [n];
    const shape = (): (number | Expr)[] =>
      Array.from({ length: this.below(3) + 1 }, () => (this.#chance(20) ? n : 8 + this.below(9)));
    const params = Array.from({ length: 2 + this.below(3) }, (_, k) => {
      const options = this.#chance(20) ? { offset: 3, alignment: 16 } : {};
      const b = buffer(this.ids, this.pick(["A", "B", "for", "a b", "A"]), this.pick(scalarTypes), shape(), options);
      return {
        buffer: b,
        role: k === 0 ? ("output" as const) : this.pick(["input", "constant", "workspace"] as const),
      };
    });
    this.#buffers = params.map((p) => p.buffer);
    const body = this.stmt(3);
    const math = this.pick(["strict", "default", "fast"] as const);
    const annotations = this.#chance(30) ? { note: 'a } b " c', sizes: [1, 2], on: true } : undefined;
    return program(
      [primFunc({ name: this.pick(["f", "weird name`"]), params, scalars: [n], body, math, annotations })],
      this.ids,
    );
  }
  stmt(depth: number): Stmt {
    const kinds =
      depth <= 0 ? ["store", "store", "evaluate"] : ["store", "for", "for", "block", "if", "let", "allocate", "seq"];
    switch (this.pick(kinds)) {
      case "for":
        return this.#for(depth);
      case "block":
        return this.#block(depth);
      case "if":
        return rawIf(this.expr(boolType, 2), this.stmt(depth - 1), this.#chance(50) ? this.stmt(depth - 1) : undefined);
      case "let": {
        const value = this.expr(dtype(this.pick(scalarTypes), this.pick([1, 1, 4])), 2);
        const v = variable(this.ids, this.pick(["t", "i"]), value.dtype);
        return letIn(
          v,
          value,
          this.#with([v], () => this.stmt(depth - 1)),
        );
      }
      case "allocate": {
        const scope = this.pick(["global", "stack", "register", "shared"] as const);
        const b = buffer(this.ids, this.pick(["tmp", "A"]), this.pick(scalarTypes), [8, 8], {
          scope,
          strides: this.#chance(30) ? [16, 2] : undefined,
        });
        this.#buffers.push(b);
        const body = this.stmt(depth - 1);
        this.#buffers = this.#buffers.filter((x) => x !== b);
        return allocate(b, body);
      }
      case "seq":
        return seq(Array.from({ length: this.below(4) }, () => this.stmt(depth - 1)));
      case "evaluate":
        return evaluate(call("prefetch", [this.expr(indexType, 1)], dtype("int32")));
      default:
        return this.#store();
    }
  }
  #with<T>(vars: readonly Var[], inner: () => T): T {
    const outer = this.#vars;
    this.#vars = [...outer, ...vars];
    const result = inner();
    this.#vars = outer;
    return result;
  }
  #for(depth: number): Stmt {
    const v = variable(this.ids, this.pick(["i", "j", "i"]));
    const loopKind = this.pick(["serial", "parallel", "vectorized", "unrolled", "thread"] as const);
    const min = this.pick([0, 0, 2, this.expr(indexType, 1)]);
    const extent = this.pick([8, 5, this.expr(indexType, 1)]);
    const annotations = this.#chance(20) ? { tile: 4 } : undefined;
    const axis = loopKind === "thread" ? ("threadIdx.x" as const) : undefined;
    const body = this.#with([v], () => this.stmt(depth - 1));
    return forLoop(v, extent, body, { min, loopKind, axis, annotations });
  }
  #block(depth: number): Stmt {
    const vars = Array.from({ length: this.below(3) }, () => variable(this.ids, this.pick(["i", "k"])));
    const bindings = vars.map(() => this.expr(indexType, 1));
    const predicate = this.#chance(30) ? this.expr(boolType, 1) : undefined;
    const outer = this.#vars;
    const scalar = outer.find((v) => v.name === "n");
    this.#vars = [...(scalar ? [scalar] : []), ...vars];
    const regions = this.#buffers.map((b) =>
      this.#chance(50)
        ? region(
            b,
            b.shape.map((e) => range(0, e)),
          )
        : pointRegion(
            b,
            b.shape.map(() => this.expr(indexType, 1)),
          ),
    );
    const init = this.#chance(40) ? this.stmt(0) : undefined;
    const body = this.stmt(depth - 1);
    this.#vars = outer;
    return block(this.ids, {
      name: `blk${this.#blocks++}`,
      iterVars: vars.map((v) => iterVar(v, 8, this.pick(["spatial", "reduction", "ordered"] as const))),
      bindings,
      predicate,
      reads: regions.slice(0, 2),
      writes: regions.slice(0, 1),
      init,
      body,
    });
  }
  #store(): Stmt {
    const b = this.pick(this.#buffers);
    const lanes = b.shape.length === 1 ? this.pick([1, 4]) : 1;
    const indices = b.shape.map(() => this.expr(dtype("int64", lanes), 1));
    const predicate = this.#chance(20) ? this.expr(dtype("bool", lanes), 1) : undefined;
    return store(b, indices, this.expr(dtype(b.dtype.scalar, lanes), 3), predicate);
  }

  /** A random expression of the given type. */
  expr(type: DType, depth: number): Expr {
    const { scalar, lanes } = type;
    if (depth <= 0) return this.#leaf(type);
    const sub = (t: DType = type): Expr => this.expr(t, depth - 1);
    switch (this.below(9)) {
      case 0:
        return this.#leaf(type);
      case 1:
        return this.#unary(type, sub);
      case 2: {
        const from = dtype(this.pick(scalarTypes.filter((s) => s !== scalar)), lanes);
        return rawCast(dtype(scalar), sub(from));
      }
      case 3:
        return rawSelect(sub(dtype("bool", this.pick([1, lanes]))), sub(), sub());
      case 4:
        return this.#load(type, depth);
      case 5:
        if (lanes > 1) return this.#vector(type, sub);
        return vectorReduce(
          scalar === "bool" ? "or" : this.pick(["add", "min", "max"] as const),
          sub(dtype(scalar, 4)),
        );
      case 6:
        if (isFloat(scalar)) return call("fma", [sub(), sub(), sub()], type);
        if (scalar === "int32") return call("bitcast", [sub(dtype("float32", lanes))], type);
        return this.#binary(type, sub);
      default:
        return this.#binary(type, sub);
    }
  }
  #binary(type: DType, sub: (t?: DType) => Expr): Expr {
    if (type.scalar !== "bool") {
      const ops = isFloat(type.scalar) ? arithmetic : [...arithmetic, ...bitwise];
      return rawBinary(this.pick(ops), sub(), sub());
    }
    if (this.#chance(40)) return rawBinary(this.pick(["and", "or", "xor"] as const), sub(), sub());
    const operand = dtype(this.pick(scalarTypes), type.lanes);
    return rawCompare(this.pick(compares), sub(operand), sub(operand));
  }
  #unary(type: DType, sub: (t?: DType) => Expr): Expr {
    if (type.scalar === "bool")
      return this.#chance(70) ? unary("not", sub()) : unary("isnan", sub(dtype("float32", type.lanes)));
    if (isFloat(type.scalar)) return unary(this.pick(floatUnary), sub());
    return unary(this.pick([...anyUnary, "not" as const]), sub());
  }
  #vector(type: DType, sub: (t?: DType) => Expr): Expr {
    const scalar = dtype(type.scalar);
    if (this.#chance(30) && type.scalar !== "bool") return ramp(sub(scalar), sub(scalar), type.lanes);
    if (this.#chance(50)) return broadcast(sub(scalar), type.lanes);
    const lanes = Array.from({ length: type.lanes }, () => this.below(type.lanes * 2));
    return shuffle([sub(), sub()], lanes);
  }
  #load(type: DType, depth: number): Expr {
    const fits = this.#buffers.filter((b) => b.dtype.scalar === type.scalar);
    if (fits.length === 0) return this.#leaf(type);
    const b = this.pick(fits);
    const indices = b.shape.map(() => this.expr(dtype("int64", type.lanes), depth - 1));
    return load(b, indices, this.#chance(20) ? this.expr(dtype("bool", type.lanes), 1) : undefined);
  }
  #leaf(type: DType): Expr {
    const vars = this.#vars.filter((v) => v.dtype === type);
    if (vars.length > 0 && this.#chance(60)) return this.pick(vars);
    const value = this.#constant(type.scalar);
    return type.lanes === 1 ? value : broadcast(value, type.lanes);
  }
  #constant(scalar: ScalarType): Expr {
    if (scalar === "bool") return constant(boolType, this.below(2));
    const special = [
      0,
      -0,
      0.1,
      -1.5,
      1e30,
      1 / 3,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      1e-7,
      42,
    ];
    if (isFloat(scalar)) return constant(dtype(scalar), this.pick(special));
    const small = scalar.startsWith("u") ? this.below(100) : this.below(200) - 100;
    if (scalar === "int64" && this.#chance(10)) return constant(indexType, this.pick([2n ** 62n, -(2n ** 63n)]));
    return constant(dtype(scalar), small);
  }
}
/** The program of a seed. */
export const randomProgram = (seed: number): Program => new ProgramGenerator(seed).program();
