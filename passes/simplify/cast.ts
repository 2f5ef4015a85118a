/** Casts between types where nothing is lost. */
import { cast } from "../../ir/expr/build.ts";
import { bitsOf, isFloat, type ScalarType } from "../../ir/expr/dtype.ts";
import type { Cast } from "../../ir/expr/expr.ts";
import { boundsOf, typeInterval, within } from "../analysis/bounds.ts";
import { foldCast } from "./fold.ts";
import type { Rule } from "./rule.ts";

/** The floats that hold every value of a type. */
const exactIn: Readonly<Partial<Record<ScalarType, readonly ScalarType[]>>> = {
  float16: ["float32", "float64"],
  bfloat16: ["float32", "float64"],
  float32: ["float64"],
};
const isInt = (s: ScalarType): boolean => !isFloat(s) && s !== "bool";

export const castRules: readonly Rule<Cast>[] = [
  foldCast,
  { name: "same-type", apply: (e) => (e.value.dtype === e.dtype ? e.value : undefined) },
  {
    // The outer integer cast wraps to no more bits than the inner one kept.
    name: "narrowing-chain",
    apply: (e) => {
      const inner = e.value;
      if (inner.kind !== "cast") return undefined;
      const chain = [inner.value.dtype.scalar, inner.dtype.scalar, e.dtype.scalar] as const;
      if (!chain.every(isInt) || bitsOf(chain[2]) > bitsOf(chain[1])) return undefined;
      return cast(e.dtype.scalar, inner.value);
    },
  },
  {
    name: "value-fits-between",
    apply: (e, { ranges }) => {
      const inner = e.value;
      if (inner.kind !== "cast" || !isInt(inner.dtype.scalar) || isFloat(inner.value.dtype.scalar)) return undefined;
      if (!within(boundsOf(inner.value, ranges), typeInterval(inner.dtype.scalar))) return undefined;
      return cast(e.dtype.scalar, inner.value);
    },
  },
  {
    name: "widen-and-back",
    apply: (e) => {
      const inner = e.value;
      if (inner.kind !== "cast" || inner.value.dtype !== e.dtype) return undefined;
      return exactIn[e.dtype.scalar]?.includes(inner.dtype.scalar) ? inner.value : undefined;
    },
  },
];
