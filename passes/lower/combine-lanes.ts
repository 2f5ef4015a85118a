/**
 * Sums (products, maxima …) over the lanes of several vectors at once: a tree that halves the lanes of two vectors and puts
 * them beside one another, until each lane of one vector is the result of one vector. With 16 lanes, 15 steps of two
 * shuffles and an addition combine 16 vectors, where each alone takes 4 steps.
 *
 *   a = a0 … a15, b = b0 … b15 ⇒ (a0 a2 b0 b2 | a4 a6 b4 b6 | …) + (a1 a3 b1 b3 | a5 a7 b5 b7 | …)
 */
import { binary, load, ramp, shuffle } from "../../ir/expr/build.ts";
import { bitsOf } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr, VectorReduce } from "../../ir/expr/expr.ts";
import { store } from "../../ir/loop/build.ts";
import type { Stmt } from "../../ir/loop/program.ts";
import { invariant } from "../../ir/support/invariant.ts";

/** Shuffles within pieces of this size need one instruction on x86, as those of whole pieces do. */
const pieceBits = 128;

/** Vectors that lie in a buffer, every `stride` elements from `first` on; they are overwritten. */
export interface VectorsOf {
  readonly buffer: Buffer;
  readonly first: number;
  readonly stride: number;
  readonly count: number;
  readonly lanes: number;
}
/** Whether vectors of that many lanes have such a tree. */
export const combines = (lanes: number): boolean => lanes >= 2 && Number.isInteger(Math.log2(lanes));

/** Combines the lanes of at most `lanes` vectors; lane i of the vector at `first` is what vector i amounts to. */
export function combineLanes(op: VectorReduce["op"], v: VectorsOf): Stmt[] {
  const { lanes } = v;
  invariant(combines(lanes) && v.count <= lanes, `${v.count} vectors of ${lanes} lanes`);
  const piece = Math.min(lanes, pieceBits / bitsOf(v.buffer.dtype.scalar));
  const place = (i: number): Expr => ramp(v.first + i * v.stride, 1, lanes);
  const steps: Stmt[] = [];
  let left = v.count;
  for (let done = 1; done < lanes; done *= 2) {
    const [unit, whole] = done < piece ? [1, piece] : [piece, lanes];
    for (let i = 0; i < left; i += 2) {
      const pair = [load(v.buffer, [place(i)]), load(v.buffer, [place(Math.min(i + 1, left - 1))])];
      const half = (parity: number): Expr => shuffle(pair, everySecond(parity, { lanes, unit, whole }));
      steps.push(store(v.buffer, [place(i / 2)], binary(op, half(0), half(1))));
    }
    left = Math.ceil(left / 2);
  }
  return steps;
}
/** Of each piece of `whole` lanes, the even (0) or odd (1) units of the first vector, then those of the second. */
function everySecond(
  parity: number,
  { lanes, unit, whole }: { readonly lanes: number; readonly unit: number; readonly whole: number },
): number[] {
  return Array.from({ length: lanes }, (_, lane) => {
    const [piece, within] = [Math.floor(lane / whole) * whole, lane % whole];
    const vector = within < whole / 2 ? 0 : 1;
    const [nth, offset] = [Math.floor((within % (whole / 2)) / unit), within % unit];
    return vector * lanes + piece + (2 * nth + parity) * unit + offset;
  });
}
