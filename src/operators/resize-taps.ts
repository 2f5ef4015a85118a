/**
 * Resizing along one axis as a table: for each output element the input elements it mixes and their weights. Follows the
 * ONNX definition of Resize; cubic weights are Keys' (Cubic convolution interpolation, 1981).
 */
import { nearestOf, numberArithmetic, type ResizeAxis, sourceCoordinate } from "./resize-geometry.ts";

export interface Resampling {
  readonly mode: "nearest" | "linear" | "cubic";
  readonly coordinates: string;
  readonly nearest: string;
  readonly antialias: boolean;
  readonly excludeOutside: boolean;
  /** The cubic coefficient a. */
  readonly cubic: number;
  /** Start and end of the region of interest along the axis, as parts of it. */
  readonly roi: readonly [number, number];
  /** What stands where tf_crop_and_resize samples outside. */
  readonly extrapolation: number;
}
/** Row-major [output, taps] tables; `offset` is added where nothing is sampled. */
interface TapTable {
  readonly taps: number;
  readonly indices: readonly number[];
  readonly weights: readonly number[];
  readonly offset: readonly number[];
}

/** How many input elements one output element mixes. */
export function tapCount(r: Resampling, scale: number): number {
  if (r.mode === "nearest") return 1;
  const reach = r.mode === "linear" ? 1 : 2;
  if (!r.antialias) return 2 * reach;
  return 2 - 2 * (Math.floor(-reach / Math.min(scale, 1)) + 1);
}
/** The table of an axis. */
export function tapTable(r: Resampling, axis: ResizeAxis): TapTable {
  const taps = tapCount(r, axis.scale);
  const rows = Array.from({ length: axis.output }, (_, o) => tapRow(r, axis, taps, o));
  return {
    taps,
    indices: rows.flatMap((t) => t.indices),
    weights: rows.flatMap((t) => t.weights),
    offset: rows.map((t) => t.offset),
  };
}
function tapRow(r: Resampling, axis: ResizeAxis, taps: number, o: number) {
  const x = coordinate(r, axis, o);
  const limit = (i: number): number => Math.min(Math.max(i, 0), axis.input - 1);
  if (r.coordinates === "tf_crop_and_resize" && (x < 0 || x > axis.input - 1))
    return { indices: Array(taps).fill(0), weights: Array(taps).fill(0), offset: r.extrapolation };
  if (r.mode === "nearest")
    return { indices: [limit(nearestOf(numberArithmetic, r.nearest, x))], weights: [1], offset: 0 };
  const start = firstTap(x, taps);
  const places = Array.from({ length: taps }, (_, t) => start + t);
  const ratio = Number.isInteger(x) ? 1 : x - Math.floor(x);
  const raw = places.map((_, t) => weight(r, axis.scale, taps, ratio, t));
  const kept = raw.map((w, t) => (r.excludeOutside && places[t] !== limit(places[t]!) ? 0 : w));
  const total = r.excludeOutside || r.antialias ? kept.reduce((a, b) => a + b, 0) || 1 : 1;
  return { indices: places.map(limit), weights: kept.map((w) => w / total), offset: 0 };
}
function coordinate(r: Resampling, axis: ResizeAxis, o: number): number {
  const length = axis.scale * axis.input;
  if (r.coordinates === "align_corners") return length === 1 ? 0 : (o * (axis.input - 1)) / (length - 1);
  if (r.coordinates !== "tf_crop_and_resize") return sourceCoordinate(numberArithmetic, r.coordinates, axis, o);
  const [start, end] = r.roi;
  const span = (end - start) * (axis.input - 1);
  return (length === 1 ? span / 2 : (o * span) / (length - 1)) + start * (axis.input - 1);
}
/** The first of the `taps` elements nearest to `x`; of two equally near the lower. */
function firstTap(x: number, taps: number): number {
  const whole = Math.floor(x);
  const fraction = x - whole;
  if (taps % 2 === 0) return whole - taps / 2 + (fraction === 0 ? 0 : 1);
  return whole - (taps - 1) / 2 + (fraction <= 0.5 ? 0 : 1);
}
/** The weight of tap `t` for an element `ratio` past the one on its left. */
function weight(r: Resampling, scale: number, taps: number, ratio: number, t: number): number {
  const least = r.antialias ? Math.min(scale, 1) : 1;
  const distance = Math.abs((t - taps / 2 + 1 - ratio) * least);
  if (r.mode === "linear") return Math.max(1 - distance, 0);
  const a = r.cubic;
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  return distance < 2 ? ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a : 0;
}
