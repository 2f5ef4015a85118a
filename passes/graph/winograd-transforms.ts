/**
 * The matrices of Winograd's minimal filtering (Winograd 1980; Lavin & Gray, CVPR 2016), for any number of taps and any
 * stride: along one axis y = Aᵀ[(G g) ⊙ (Bᵀ d)], in two dimensions along both. They follow from interpolating the
 * product of two polynomials at the points 0, ±1, ±2, ±1/2, ∞ (Toom & Cook). A stride takes the taps apart into phases,
 * each of which is a filter of stride 1 over every stride-th input; their products add up.
 */
import { invariant } from "../../ir/support/invariant.ts";

/** One axis of a convolution in Winograd's form. */
export interface WinogradAxis {
  /** Outputs of a tile. */
  readonly outputs: number;
  /** Extent of the filter. */
  readonly taps: number;
  readonly stride: number;
}
type Matrix = readonly (readonly number[])[];
export interface WinogradMatrices {
  /** Bᵀ: alpha × alpha. */
  readonly input: Matrix;
  /** G: alpha × taps. */
  readonly weight: Matrix;
  /** Aᵀ: outputs × alpha. */
  readonly output: Matrix;
}

/** Inputs of a tile, and as many products. */
export const alphaOf = ({ outputs, taps, stride }: WinogradAxis): number => stride * (outputs - 1) + taps;

/** Interpolation points beside infinity. More, or larger ones, would round too much in float32. */
const points = [0, 1, -1, 2, -2, 1 / 2, -1 / 2];

/** The numbers of outputs a tile may have along an axis. One tap needs no products to be saved. */
export function tileSizes(taps: number, stride: number): number[] {
  if (taps === 1) return [1];
  const longest = Math.ceil(taps / stride);
  return [2, 3, 4, 5, 6].filter((outputs) => outputs + longest - 2 <= points.length);
}

const known = new Map<string, WinogradMatrices>();
export function winogradMatrices(axis: WinogradAxis): WinogradMatrices {
  const key = `${axis.outputs} ${axis.taps} ${axis.stride}`;
  const matrices = known.get(key) ?? matricesOf(axis);
  known.set(key, matrices);
  return matrices;
}
function matricesOf(axis: WinogradAxis): WinogradMatrices {
  const { outputs, taps, stride } = axis;
  const input: number[][] = [];
  const weight: number[][] = [];
  const output: number[][] = Array.from({ length: outputs }, () => []);
  for (let phase = 0; phase < Math.min(stride, taps); phase++) {
    const part = ofStrideOne(outputs, Math.ceil((taps - phase) / stride));
    for (const row of part.input) input.push(spread(row, phase, stride, alphaOf(axis)));
    for (const row of part.weight) weight.push(spread(row, phase, stride, taps));
    for (const [i, row] of part.output.entries()) output[i]!.push(...row);
  }
  return { input, weight, output };
}
/** The row with its elements at `phase`, `phase` + `stride`, … */
function spread(row: readonly number[], phase: number, stride: number, length: number): number[] {
  const wide = new Array<number>(length).fill(0);
  for (const [k, v] of row.entries()) wide[phase + k * stride] = v;
  return wide;
}

/** F(outputs, taps). */
function ofStrideOne(outputs: number, taps: number): WinogradMatrices {
  const alpha = outputs + taps - 1;
  if (taps === 1) return { input: identity(outputs), weight: new Array(outputs).fill([1]), output: identity(outputs) };
  const finite = points.slice(0, alpha - 1);
  invariant(finite.length === alpha - 1, `there are no points for ${outputs} outputs of ${taps} taps`);
  const input: number[][] = [];
  const weight: number[][] = [];
  for (const [i, a] of finite.entries()) {
    const others = finite.filter((_, j) => j !== i);
    const scale = others.reduce((f, b) => f * (a - b), 1);
    // The sign of a row cancels; this one is customary.
    const sign = i === 0 ? Math.sign(scale) : 1;
    input.push([...withRoots(others).map((c) => sign * c), 0]);
    weight.push(Array.from({ length: taps }, (_, k) => (sign * a ** k) / scale));
  }
  input.push(withRoots(finite));
  weight.push([...new Array<number>(taps - 1).fill(0), 1]);
  const output = Array.from({ length: outputs }, (_, k) => [...finite.map((a) => a ** k), k === outputs - 1 ? 1 : 0]);
  return { input, weight, output };
}
const identity = (n: number): number[][] =>
  Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
/** Coefficients of ∏ (x - root), lowest power first. */
function withRoots(roots: readonly number[]): number[] {
  let product = [1];
  for (const root of roots)
    product = [0, ...product].map((higher, k) => (k < product.length ? higher - root * product[k]! : higher));
  return product;
}

/** Filters that are transformed together, so that results are written in runs. */
const filtersTogether = 256;

/** G g Gᵀ for every filter of weights [o, i, height, width]: shape [alpha of height · alpha of width, o, i]. */
export function transformWeights(
  weights: Float32Array,
  filters: number,
  [vertical, horizontal]: readonly [WinogradAxis, WinogradAxis],
): Float32Array {
  const rows = winogradMatrices(vertical).weight;
  const columns = winogradMatrices(horizontal).weight;
  const [height, width] = [vertical.taps, horizontal.taps];
  const out = new Float32Array(rows.length * columns.length * filters);
  const taps = new Float64Array(height * width * filtersTogether);
  const half = new Float64Array(rows.length * width * filtersTogether);
  const whole = new Float64Array(filtersTogether);
  for (let first = 0; first < filters; first += filtersTogether) {
    const count = Math.min(filtersTogether, filters - first);
    for (let f = 0; f < count; f++)
      for (let t = 0; t < height * width; t++)
        taps[t * filtersTogether + f] = weights[(first + f) * height * width + t]!;
    for (const [a, row] of rows.entries())
      for (let c = 0; c < width; c++)
        combine(
          half.subarray((a * width + c) * filtersTogether),
          row,
          taps.subarray(c * filtersTogether),
          width,
          count,
        );
    for (let a = 0; a < rows.length; a++)
      for (const [b, column] of columns.entries()) {
        combine(whole, column, half.subarray(a * width * filtersTogether), 1, count);
        out.set(whole.subarray(0, count), (a * columns.length + b) * filters + first);
      }
  }
  return out;
}
/** Σ coefficients[k] · the k-th run of `from`, runs being `step` times `filtersTogether` apart. */
function combine(
  to: Float64Array,
  coefficients: readonly number[],
  from: Float64Array,
  step: number,
  count: number,
): void {
  to.fill(0, 0, count);
  for (const [k, factor] of coefficients.entries()) {
    if (factor === 0) continue;
    const start = k * step * filtersTogether;
    for (let f = 0; f < count; f++) to[f]! += factor * from[start + f]!;
  }
}
