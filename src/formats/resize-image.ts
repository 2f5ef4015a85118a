/** Resizing and cropping of images, as Pillow does it: separable filters that widen when an image shrinks. */
import { InputError } from "../../ir/support/errors.ts";
import type { Image } from "./pixels.ts";

/** How to resize. */
export interface ResizeOptions {
  /** Kernel between pixels. Default bilinear. */
  readonly filter?: "bilinear" | "bicubic";
  /** Whether the kernel widens with the scale when the image shrinks. Default true, as in Pillow and torchvision. */
  readonly antialias?: boolean;
}

interface Filter {
  /** Half the width of the kernel at scale 1, in pixels. */
  readonly support: number;
  readonly weight: (distance: number) => number;
}

const filters: Readonly<Record<"bilinear" | "bicubic", Filter>> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: (x) => keys(Math.abs(x), -0.5) },
};

/** The cubic convolution kernel of Keys (1981); Pillow takes a = -0.5. */
function keys(x: number, a: number): number {
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** Resizes to exactly `width` × `height`. @throws InputError [image/size] */
export function resizeImage(image: Image, width: number, height: number, options: ResizeOptions = {}): Image {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0))
    throw new InputError("image/size", `an image cannot be resized to ${width} × ${height}`);
  const wide = image.width === width ? image : resizeRows(image, width, options);
  return wide.height === height ? wide : transpose(resizeRows(transpose(wide), height, options));
}

/** Resizes so that the shorter side has `extent` pixels; the other keeps the proportion. */
export function resizeShorterSide(image: Image, extent: number, options: ResizeOptions = {}): Image {
  const { width, height } = image;
  const scaled = (side: number) => Math.max(1, Math.floor((extent * side) / Math.min(width, height)));
  return resizeImage(image, scaled(width), scaled(height), options);
}

/** Cuts `width` × `height` pixels from the middle. @throws InputError [image/size] when the image is smaller */
export function centerCrop(image: Image, width: number, height: number): Image {
  if (!(width >= 1 && height >= 1 && width <= image.width && height <= image.height))
    throw new InputError("image/size", `${width} × ${height} cannot be cut from ${image.width} × ${image.height}`);
  const left = Math.round((image.width - width) / 2);
  const top = Math.round((image.height - height) / 2);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), y * width * 3);
  }
  return { width, height, data };
}

/** The source pixels of each target pixel of a row, with their weights. */
interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

function tapsOf(from: number, to: number, options: ResizeOptions): Taps[] {
  const filter = filters[options.filter ?? "bilinear"];
  const scale = from / to;
  const spread = options.antialias === false ? 1 : Math.max(1, scale);
  const reach = filter.support * spread;
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(center - reach + 0.5));
    const end = Math.min(from, Math.floor(center + reach + 0.5));
    const raw = Array.from({ length: end - first }, (_, k) => filter.weight((first + k + 0.5 - center) / spread));
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, weights: raw.map((w) => w / sum) };
  });
}

function resizeRows(image: Image, width: number, options: ResizeOptions): Image {
  const taps = tapsOf(image.width, width, options);
  const data = new Uint8ClampedArray(width * image.height * 3);
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
    for (const [x, tap] of taps.entries()) storePixel(row, tap, data, (y * width + x) * 3);
  }
  return { width, height: image.height, data: new Uint8Array(data.buffer) };
}

/** A clamped array rounds to the nearest and keeps the overshoot of the cubic kernel within 0 to 255. */
function storePixel(row: Uint8Array, tap: Taps, out: Uint8ClampedArray, at: number): void {
  for (let c = 0; c < 3; c++) {
    let sum = 0;
    for (let k = 0; k < tap.weights.length; k++) sum += tap.weights[k]! * row[(tap.first + k) * 3 + c]!;
    out[at + c] = sum;
  }
}

function transpose(image: Image): Image {
  const { width, height, data } = image;
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) out[(x * height + y) * 3 + c] = data[(y * width + x) * 3 + c]!;
  return { width: height, height: width, data: out };
}
