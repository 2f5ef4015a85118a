/** Constant folding with the interpreter's own functions, so that folding and running agree to the bit. */
import { bool, constant } from "../../ir/expr/build.ts";
import { isFloat } from "../../ir/expr/dtype.ts";
import type { Binary, Cast, Compare, Expr, Unary } from "../../ir/expr/expr.ts";
import { binaryFunction, compareFunction } from "../../ir/interp/arithmetic.ts";
import { castFunction } from "../../ir/interp/scalar.ts";
import { unaryFunction } from "../../ir/interp/unary.ts";
import type { Rule } from "./rule.ts";

const divides: ReadonlySet<string> = new Set(["div", "mod", "floordiv", "floormod"]);

/** Both operands constant; an integer division by zero stays, for the program is ill-formed only if it runs. */
export const foldBinary: Rule<Binary> = {
  name: "fold-binary",
  apply: (e) => {
    if (e.a.kind !== "const" || e.b.kind !== "const") return undefined;
    const { scalar } = e.dtype;
    if (divides.has(e.op) && !isFloat(scalar) && Number(e.b.value) === 0) return undefined;
    return constant(e.dtype, binaryFunction(e.op, scalar)(e.a.value, e.b.value));
  },
};
export const foldCompare: Rule<Compare> = {
  name: "fold-compare",
  apply: (e) =>
    e.a.kind === "const" && e.b.kind === "const" ? bool(compareFunction(e.op)(e.a.value, e.b.value) !== 0) : undefined,
};
export const foldUnary: Rule<Unary> = {
  name: "fold-unary",
  apply: (e) =>
    e.value.kind === "const" ? constant(e.dtype, unaryFunction(e.op, e.value.dtype.scalar)(e.value.value)) : undefined,
};
export const foldCast: Rule<Cast> = {
  name: "fold-cast",
  apply: (e) =>
    e.value.kind === "const"
      ? constant(e.dtype, castFunction(e.value.dtype.scalar, e.dtype.scalar)(e.value.value))
      : undefined,
};

/** Whether `e` is the constant `value`, or a broadcast of it; tells -0 from 0. */
export function isConstant(e: Expr, value: number): boolean {
  if (e.kind === "broadcast") return isConstant(e.value, value);
  return e.kind === "const" && Object.is(e.value, value);
}
