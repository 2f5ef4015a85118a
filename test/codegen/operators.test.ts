import { expect, it } from "vitest";
import { binary, call, cast, compare, constant, select, unary } from "../../ir/expr/build.ts";
import { dtype, isFloat, isInteger, isSigned, isUnsigned, type ScalarType, scalarTypes } from "../../ir/expr/dtype.ts";
import type { BinaryOp, CompareOp, UnaryOp } from "../../ir/expr/expr.ts";
import type { TypedArray } from "../../ir/graph/tensor-value.ts";
import { runProgram } from "../../ir/interp/run.ts";
import type { Program } from "../../ir/loop/program.ts";
import { encodeBfloat16, encodeFloat16 } from "../../ir/support/half.ts";
import { describeNative, runNative } from "./native-run.ts";
import { arrayOf, elementwise } from "./programs.ts";

const floats = [0, -0, 1, -1, 0.5, -2.5, 3.7, -7.25, 1e-3, 1e30, -1e30, 65504, 70000, 1e-40, 1e-45, 5e-8, 1e-6];
const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

/** Values at the edges of a type, as storage. */
function edgeValues(type: ScalarType): (number | bigint)[] {
  if (type === "bool") return [0, 1];
  if (isFloat(type)) return [...floats, ...special, 127.5, 128, 255.5, 2147483648, -2147483904, 9.3e18, 2 ** 31 - 1];
  const bits = BigInt(/\d+/.exec(type)![0]);
  if (isUnsigned(type))
    return [0n, 1n, 2n, 3n, 7n, (1n << bits) - 1n, 1n << (bits - 1n), (1n << (bits - 1n)) - 1n, 100n];
  const half = 1n << (bits - 1n);
  return [0n, 1n, -1n, 2n, 3n, -3n, 7n, -7n, 100n, -100n, half - 1n, -half, -half + 1n];
}
const encoder = (t: ScalarType) => (t === "float16" ? encodeFloat16 : t === "bfloat16" ? encodeBfloat16 : undefined);

/** All pairs of edge values of two types. */
function pairs(a: ScalarType, b: ScalarType, keep: (y: number | bigint) => boolean = () => true) {
  const [xs, ys] = [edgeValues(a), edgeValues(b).filter(keep)];
  const all = xs.flatMap((x) => ys.map((y) => [x, y] as const));
  return {
    in0: arrayOf(
      a,
      all.map((p) => p[0]),
      encoder(a),
    ),
    in1: arrayOf(
      b,
      all.map((p) => p[1]),
      encoder(b),
    ),
    n: all.length,
  };
}

/** Bit-equal, except that any NaN equals any NaN. */
function expectSame(actual: TypedArray, expected: TypedArray, type: ScalarType, what: string, inputs: TypedArray[]) {
  const canonical = (a: TypedArray, k: number): unknown => {
    const v = a[k]!;
    if (type === "float16") return (Number(v) & 0x7fff) > 0x7c00 ? "NaN" : v;
    if (type === "bfloat16") return (Number(v) & 0x7fff) > 0x7f80 ? "NaN" : v;
    return Object.is(v, -0) ? "-0" : String(v);
  };
  const wrong: string[] = [];
  for (let k = 0; k < expected.length; k++) {
    const [x, y] = [canonical(actual, k), canonical(expected, k)];
    if (x !== y && wrong.length < 4) wrong.push(`${what}(${inputs.map((a) => a[k]).join(", ")}) = ${x}, expected ${y}`);
  }
  expect(wrong).toEqual([]);
}

function twin(
  make: (loopKind: "serial" | "vectorized") => Program,
  inputs: Record<string, TypedArray>,
  what: string,
  out: ScalarType,
) {
  const expected = runProgram(make("serial"), inputs).out!;
  for (const kind of ["serial", "vectorized"] as const) {
    const actual = runNative(make(kind), inputs).out!;
    expectSame(actual, expected, out, `${kind} ${what}`, Object.values(inputs));
  }
}

const arithmetic: BinaryOp[] = ["add", "sub", "mul", "div", "mod", "floordiv", "floormod", "min", "max"];
const bitwise: BinaryOp[] = ["and", "or", "xor", "shl", "shr"];
const comparisons: CompareOp[] = ["eq", "ne", "lt", "le", "gt", "ge"];
const exactUnary: UnaryOp[] = ["neg", "abs", "sign", "ceil", "floor", "round", "trunc", "sqrt", "isnan", "isinf"];
const divides = new Set<BinaryOp>(["div", "mod", "floordiv", "floormod"]);

describeNative("operators on edge values equal the interpreter", () => {
  for (const type of scalarTypes.filter((t) => t !== "bool")) {
    const ops = isInteger(type) ? [...arithmetic, ...bitwise, "pow" as const] : arithmetic;
    it.each(ops)(`${type} %s`, (op) => {
      const keep = (y: number | bigint) =>
        !(isInteger(type) && ((divides.has(op) && y === 0n) || (op === "pow" && y < 0n)));
      const { n, ...inputs } = pairs(type, type, keep);
      const make = (loopKind: "serial" | "vectorized") =>
        elementwise([type, type], type, ([a, b]) => binary(op, a!, b!), { n, loopKind });
      twin(make, inputs, op, type);
    });
    it(`${type} comparisons and select`, () => {
      const { n, ...inputs } = pairs(type, type);
      for (const op of comparisons) {
        twin(
          (loopKind) => elementwise([type, type], "bool", ([a, b]) => compare(op, a!, b!), { n, loopKind }),
          inputs,
          op,
          "bool",
        );
      }
      twin(
        (loopKind) =>
          elementwise([type, type], type, ([a, b]) => select(compare("lt", a!, b!), b!, a!), { n, loopKind }),
        inputs,
        "select",
        type,
      );
    });
    it(`${type} unary`, () => {
      const values = edgeValues(type);
      const inputs = { in0: arrayOf(type, values, encoder(type)) };
      const ops: UnaryOp[] = isFloat(type)
        ? exactUnary
        : ["abs", "sign", "floor", "not", ...(isSigned(type) ? ["neg" as const] : [])];
      for (const op of ops) {
        const out = op === "isnan" || op === "isinf" ? "bool" : type;
        twin(
          (loopKind) => elementwise([type], out, ([a]) => unary(op, a!), { n: values.length, loopKind }),
          inputs,
          op,
          out,
        );
      }
    });
  }
  for (const from of scalarTypes) {
    it(`casts from ${from}`, () => {
      const values = edgeValues(from);
      const inputs = { in0: arrayOf(from, values, encoder(from)) };
      for (const to of scalarTypes) {
        if (to === from) continue;
        twin(
          (loopKind) => elementwise([from], to, ([a]) => cast(to, a!), { n: values.length, loopKind }),
          inputs,
          `cast ${from} to ${to}`,
          to,
        );
      }
    });
  }
  it("division by constants", () => {
    const { n, ...inputs } = pairs("int64", "int64");
    for (const op of divides) {
      for (const c of [1, -1, 2, -2, 3, -3, 7, 8, 64, -8]) {
        const divisor = constant(dtype("int64"), c);
        twin(
          (loopKind) => elementwise(["int64", "int64"], "int64", ([a]) => binary(op, a!, divisor), { n, loopKind }),
          inputs,
          `${op} by ${c}`,
          "int64",
        );
      }
    }
  });
  it("logic on bool", () => {
    const { n, ...inputs } = pairs("bool", "bool");
    for (const op of ["and", "or", "xor", "min", "max", "add", "mul"] as const) {
      twin(
        (loopKind) => elementwise(["bool", "bool"], "bool", ([a, b]) => binary(op, a!, b!), { n, loopKind }),
        inputs,
        op,
        "bool",
      );
    }
    twin(
      (loopKind) => elementwise(["bool", "bool"], "bool", ([a]) => unary("not", a!), { n, loopKind }),
      inputs,
      "not",
      "bool",
    );
  });
  it("fma rounds once", () => {
    for (const type of ["float32", "float64", "float16", "bfloat16"] as const) {
      const { n, ...inputs } = pairs(type, type);
      twin(
        (loopKind) =>
          elementwise([type, type], type, ([a, b]) => call("fma", [a!, b!, a!], dtype(type)), { n, loopKind }),
        inputs,
        `fma ${type}`,
        type,
      );
    }
  });
  it("bitcasts", () => {
    const values = edgeValues("float32");
    twin(
      (loopKind) =>
        elementwise(["float32"], "int32", ([a]) => call("bitcast", [a!], dtype("int32", a!.dtype.lanes)), {
          n: values.length,
          loopKind,
        }),
      {
        in0: arrayOf("float32", values.filter((v) => !Number.isNaN(v)).concat([1, 2])).slice(
          0,
          values.length,
        ) as TypedArray,
      },
      "bitcast",
      "int32",
    );
  });
});
