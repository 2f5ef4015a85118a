/** How far two tensors are from each other. */
import type { Tensor } from "../tensor.ts";
import { numbersOf } from "./verbs/run.ts";

/** Differences of one tensor from its reference. */
export interface Difference {
  readonly name: string;
  readonly elements: number;
  readonly maxAbs: number;
  /** The largest difference, relative to the largest element of the reference. */
  readonly maxRel: number;
  readonly within: boolean;
}

/** Compares with a tolerance relative to the largest element; NaN equals NaN and infinities equal themselves. */
export function difference(name: string, actual: Tensor, reference: Tensor, rtol: number): Difference {
  const [a, b] = [numbersOf(actual), numbersOf(reference)];
  if (a.length !== b.length || String(actual.dims) !== String(reference.dims))
    return {
      name,
      elements: a.length,
      maxAbs: Number.POSITIVE_INFINITY,
      maxRel: Number.POSITIVE_INFINITY,
      within: false,
    };
  let [maxAbs, largest] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    if (Number.isFinite(y)) largest = Math.max(largest, Math.abs(y));
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    const gap = Math.abs(x - y);
    maxAbs = Math.max(maxAbs, Number.isNaN(gap) ? Number.POSITIVE_INFINITY : gap);
  }
  const maxRel = maxAbs === 0 ? 0 : largest === 0 ? Number.POSITIVE_INFINITY : maxAbs / largest;
  return { name, elements: a.length, maxAbs, maxRel, within: maxRel <= rtol };
}
