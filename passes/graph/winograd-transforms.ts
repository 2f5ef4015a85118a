/**
 * The matrices of Winograd's minimal filtering F(m×m, 3×3) (Lavin & Gray, CVPR 2016): y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A with
 * interpolation points 0, ±1, ±2, ±1/2, ∞.
 */
import { invariant } from "../../ir/support/invariant.ts";

export interface WinogradMatrices {
  /** Outputs per axis of a tile. */
  readonly m: number;
  /** Inputs per axis of a tile: m + 2. */
  readonly alpha: number;
  /** Bᵀ: alpha × alpha. */
  readonly input: readonly (readonly number[])[];
  /** G: alpha × 3. */
  readonly weight: readonly (readonly number[])[];
  /** Aᵀ: m × alpha. */
  readonly output: readonly (readonly number[])[];
}

const f2: WinogradMatrices = {
  m: 2,
  alpha: 4,
  input: [
    [1, 0, -1, 0],
    [0, 1, 1, 0],
    [0, -1, 1, 0],
    [0, 1, 0, -1],
  ],
  weight: [
    [1, 0, 0],
    [0.5, 0.5, 0.5],
    [0.5, -0.5, 0.5],
    [0, 0, 1],
  ],
  output: [
    [1, 1, 1, 0],
    [0, 1, -1, -1],
  ],
};
const f4: WinogradMatrices = {
  m: 4,
  alpha: 6,
  input: [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
  ],
  weight: [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
  ],
  output: [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
  ],
};
const f6: WinogradMatrices = {
  m: 6,
  alpha: 8,
  input: [
    [1, 0, -21 / 4, 0, 21 / 4, 0, -1, 0],
    [0, 1, 1, -17 / 4, -17 / 4, 1, 1, 0],
    [0, -1, 1, 17 / 4, -17 / 4, -1, 1, 0],
    [0, 1 / 2, 1 / 4, -5 / 2, -5 / 4, 2, 1, 0],
    [0, -1 / 2, 1 / 4, 5 / 2, -5 / 4, -2, 1, 0],
    [0, 2, 4, -5 / 2, -5, 1 / 2, 1, 0],
    [0, -2, 4, 5 / 2, -5, -1 / 2, 1, 0],
    [0, -1, 0, 21 / 4, 0, -21 / 4, 0, 1],
  ],
  weight: [
    [1, 0, 0],
    [-2 / 9, -2 / 9, -2 / 9],
    [-2 / 9, 2 / 9, -2 / 9],
    [1 / 90, 1 / 45, 2 / 45],
    [1 / 90, -1 / 45, 2 / 45],
    [32 / 45, 16 / 45, 8 / 45],
    [32 / 45, -16 / 45, 8 / 45],
    [0, 0, 1],
  ],
  output: [
    [1, 1, 1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0],
    [0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0],
    [0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0],
    [0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0],
    [0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1],
  ],
};

/** The tile sizes there are matrices for. */
export const winogradTiles: readonly number[] = [2, 4, 6];

export function winogradMatrices(m: number): WinogradMatrices {
  const found = [f2, f4, f6].find((f) => f.m === m);
  invariant(found, `there is no Winograd tile of ${m} outputs`);
  return found;
}

/** G g Gᵀ for every filter of weights [o, i, 3, 3]: shape [alpha², o, i]. */
export function transformWeights(weights: Float32Array, filters: number, m: number): Float32Array {
  const { alpha, weight } = winogradMatrices(m);
  const rows = weight.flat();
  const out = new Float32Array(alpha * alpha * filters);
  const half = new Float64Array(alpha * 3);
  for (let f = 0; f < filters; f++) {
    const g = f * 9;
    for (let a = 0; a < alpha; a++)
      for (let c = 0; c < 3; c++)
        half[a * 3 + c] =
          rows[a * 3]! * weights[g + c]! +
          rows[a * 3 + 1]! * weights[g + 3 + c]! +
          rows[a * 3 + 2]! * weights[g + 6 + c]!;
    for (let a = 0; a < alpha; a++)
      for (let b = 0; b < alpha; b++)
        out[(a * alpha + b) * filters + f] =
          half[a * 3]! * rows[b * 3]! + half[a * 3 + 1]! * rows[b * 3 + 1]! + half[a * 3 + 2]! * rows[b * 3 + 2]!;
  }
  return out;
}
