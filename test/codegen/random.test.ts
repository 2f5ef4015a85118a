/** Random loop nests over random expressions: machine code equals the interpreter, bit for bit under `strict`. */
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  add,
  binary,
  buffer,
  cast,
  compare,
  constant,
  floordiv,
  floormod,
  index,
  load,
  mul,
  select,
  unary,
  variable,
} from "../../ir/expr/build.ts";
import { dtype, isFloat, type ScalarType } from "../../ir/expr/dtype.ts";
import type { BinaryOp, Buffer, Expr, Var } from "../../ir/expr/expr.ts";
import { arrayTypeOf, type TypedArray } from "../../ir/graph/tensor-value.ts";
import { runProgram } from "../../ir/interp/run.ts";
import { allocate, forLoop, ifThen, letIn, primFunc, program, seq, store } from "../../ir/loop/build.ts";
import type { LoopKind, Program, Stmt } from "../../ir/loop/program.ts";
import { IdSource } from "../../ir/support/ids.ts";
import { poolCreate, poolDispose } from "../../native/addon.ts";
import { describeNative, runNative } from "./native-run.ts";

const kinds: LoopKind[] = ["serial", "unrolled", "vectorized", "parallel"];
const types: ScalarType[] = ["float32", "int32", "int8", "uint8", "int64", "float64", "float16"];

/** Choices of one random program, taken in turn. */
class Dice {
  readonly #values: readonly number[];
  #at = 0;
  constructor(values: readonly number[]) {
    this.#values = values;
  }
  /** A number from 0 to n - 1. */
  roll(n: number): number {
    return this.#values[this.#at++ % this.#values.length]! % n;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.roll(list.length)]!;
  }
}

interface Scene {
  readonly dice: Dice;
  readonly ids: IdSource;
  readonly type: ScalarType;
  readonly source: Buffer;
  readonly vars: readonly Var[];
}
/** An index expression over the loop variables, of any value ≥ 0. */
function someIndex(s: Scene, depth: number): Expr {
  const { dice } = s;
  if (depth === 0 || dice.roll(3) === 0) return dice.roll(4) === 0 ? index(dice.roll(9)) : dice.pick(s.vars);
  const a = someIndex(s, depth - 1);
  switch (dice.roll(5)) {
    case 0:
      return mul(a, index(1 + dice.roll(4)));
    case 1:
      return floordiv(a, 1 + dice.roll(5));
    case 2:
      return floormod(a, 1 + dice.roll(7));
    default:
      return add(a, someIndex(s, depth - 1));
  }
}
function someValue(s: Scene, depth: number): Expr {
  const { dice } = s;
  const size = Number(s.source.shape[0]?.kind === "const" ? s.source.shape[0].value : 1);
  const element = (): Expr => load(s.source, [floormod(someIndex(s, 2), size)]);
  if (depth === 0) return dice.roll(4) === 0 ? constant(dtype(s.type), 1 + dice.roll(5)) : element();
  const [a, b] = [someValue(s, depth - 1), someValue(s, depth - 1)];
  const ops: BinaryOp[] = isFloat(s.type)
    ? ["add", "sub", "mul", "div", "max", "min"]
    : ["add", "sub", "mul", "max", "xor", "shr"];
  switch (dice.roll(6)) {
    case 0:
      return select(someCondition(s), a, b);
    case 1:
      return unary("abs", a);
    case 2:
      return cast(s.type, cast(dice.pick(types), a));
    case 3:
      return cast(s.type, someIndex(s, 2));
    default:
      return binary(dice.pick(ops), a, b);
  }
}
function someCondition(s: Scene): Expr {
  const op = s.dice.pick(["lt", "ge", "eq", "ne"] as const);
  if (s.dice.roll(2) === 0) return compare(op, someIndex(s, 1), index(s.dice.roll(12)));
  return compare(op, someValue(s, 0), someValue(s, 0));
}

/** Two to three loops around a store to an own element, perhaps guarded, perhaps through a local buffer or a let. */
function randomProgram(values: readonly number[]): Program {
  const dice = new Dice(values);
  const ids = new IdSource();
  const type = dice.pick(types);
  const extents = Array.from({ length: 2 + dice.roll(2) }, () => 1 + dice.roll(19));
  const source = buffer(ids, "in", type, [1 + dice.roll(60)]);
  const out = buffer(ids, "out", type, extents);
  const vars = extents.map((_, k) => variable(ids, `i${k}`));
  const scene: Scene = { dice, ids, type, source, vars };
  const bound = variable(ids, "t", dtype(type));
  const local = buffer(ids, "local", type, [3], { scope: dice.pick(["register", "stack", "global"] as const) });
  const stored = (v: Expr): Stmt => store(out, vars, v);
  const plain = [
    () => stored(someValue(scene, 3)),
    () => letIn(bound, someValue(scene, 2), stored(binary("add", bound, someValue(scene, 1)))),
    () => {
      const k = variable(ids, "k");
      const fill = forLoop(k, 3, store(local, [k], someValue({ ...scene, vars: [...vars, k] }, 1)));
      const sum = binary("add", load(local, [0]), binary("max", load(local, [1]), load(local, [2])));
      return allocate(local, seq([fill, stored(sum)]));
    },
  ];
  const inner = dice.pick(plain)();
  const guarded =
    dice.roll(2) === 0 ? inner : seq([stored(constant(dtype(type), 0)), ifThen(someCondition(scene), inner)]);
  const body = extents.reduceRight<Stmt>((s, n, k) => forLoop(vars[k]!, n, s, { loopKind: dice.pick(kinds) }), guarded);
  const params = [
    { buffer: source, role: "input" as const },
    { buffer: out, role: "output" as const },
  ];
  return program([primFunc({ name: "f", params, body, math: "strict" })], ids);
}

function inputsOf(p: Program): Record<string, TypedArray> {
  const b = p.functions[0]!.params[0]!.buffer;
  const n = Number(b.shape[0]?.kind === "const" ? b.shape[0].value : 0);
  const a = new (arrayTypeOf(b.dtype.scalar))(n);
  const scalar = b.dtype.scalar;
  for (let k = 0; k < n; k++) {
    const v = scalar === "float16" ? 0x3c00 + 37 * k : isFloat(scalar) ? k * 1.37 - 20 : (k * 11) % 120;
    a[k] = (scalar === "int64" ? BigInt(v) : v) as never;
  }
  return { in: a };
}
const text = (a: TypedArray, k: number, half: boolean): string => {
  if (half && (Number(a[k]) & 0x7fff) > 0x7c00) return "NaN";
  return Object.is(a[k], -0) ? "-0" : String(a[k]);
};

describeNative("random programs", () => {
  it("compute what the interpreter computes", () => {
    const pool = poolCreate(2);
    try {
      fc.assert(
        fc.property(
          fc.array(fc.nat(1_000_000), { minLength: 20, maxLength: 60 }),
          fc.constantFrom(128, 256, 512),
          (dice, vectorBits) => {
            const p = randomProgram(dice);
            const inputs = inputsOf(p);
            const [expected, actual] = [runProgram(p, inputs).out!, runNative(p, inputs, { vectorBits, pool }).out!];
            const half = p.functions[0]!.params[1]!.buffer.dtype.scalar === "float16";
            const wrong = Array.from({ length: expected.length }, (_, k) => k).filter(
              (k) => text(expected, k, half) !== text(actual, k, half),
            );
            expect(wrong.slice(0, 3).map((k) => [k, text(actual, k, half), text(expected, k, half)])).toEqual([]);
          },
        ),
        { numRuns: Number(process.env.TILEWRIGHT_RUNS ?? 250) },
      );
    } finally {
      poolDispose(pool);
    }
  });
});
