/** Images as the input of a network, and the classes that it answers with. */
import { InputError, UsageError } from "../../ir/support/errors.ts";
import { decodeFloat16 } from "../../ir/support/half.ts";
import { centerCrop, decodeImage, imageToTensor, resizeImage } from "../formats/image.ts";
import { readWhole } from "../formats/read-file.ts";
import type { Port } from "../runtime/executable.ts";
import type { Tensor } from "../tensor.ts";

/** What networks were trained on. */
export const normalizations = {
  /** torchvision: 0 to 1, then each channel by ImageNet's mean and deviation. */
  imagenet: { scale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  /** TensorFlow: -1 to 1. */
  tf: { scale: 1 / 127.5, mean: 1, std: 1 },
  /** Pixels as they are, 0 to 255. */
  none: { scale: 1, mean: 0, std: 1 },
} as const;
/** Orders of the axes of image inputs. */
export const imageLayouts = ["NCHW", "NHWC"] as const;
/** How images get an input's proportions. */
export const imageFits = ["crop", "stretch"] as const;

/** How an image becomes an input. */
export interface ImageOptions {
  readonly normalize?: keyof typeof normalizations;
  readonly mean?: number | readonly number[];
  readonly std?: number | readonly number[];
  readonly scale?: number;
  readonly layout?: (typeof imageLayouts)[number];
  readonly bgr?: boolean;
  /** Whether the image is cut to the input's proportions or stretched to them. Default crop. */
  readonly fit?: (typeof imageFits)[number];
}

/** Shorter side before cropping, relative to the crop: torchvision's 256 for 224. */
const cropMargin = 256 / 224;

/** Decodes, resizes and normalizes an image for an input. */
export function imageFor(path: string, port: Port, options: ImageOptions): Tensor {
  const { layout, channels, height, width } = geometryOf(port, options.layout);
  const image = decodeImage(readWhole(path));
  const fitted = options.fit === "stretch" ? resizeImage(image, width, height) : cropped(image, width, height);
  const type = port.type === "uint8" ? "uint8" : "float32";
  const chosen = normalizations[options.normalize ?? (type === "uint8" ? "none" : "imagenet")];
  const one = (v: number | readonly number[]): number | readonly number[] =>
    channels === 1 && typeof v !== "number" && v.length === 3 ? v.reduce((a, b) => a + b) / 3 : v;
  return imageToTensor(fitted, {
    layout,
    type,
    dims: port.dims,
    channelOrder: channels === 1 ? "gray" : options.bgr ? "bgr" : "rgb",
    scale: options.scale ?? chosen.scale,
    mean: one(options.mean ?? chosen.mean),
    std: one(options.std ?? chosen.std),
  });
}

/** Scales the image to cover the input with a margin, then cuts the middle. */
function cropped(image: ReturnType<typeof decodeImage>, width: number, height: number) {
  const scale = Math.max(width / image.width, height / image.height) * cropMargin;
  const scaled = (n: number, least: number): number => Math.max(least, Math.floor(n * scale));
  return centerCrop(resizeImage(image, scaled(image.width, width), scaled(image.height, height)), width, height);
}

function geometryOf(port: Port, layout: ImageOptions["layout"]) {
  const { dims, type } = port;
  const isImage = dims.length === 4 && dims[0] === 1;
  const isChannels = (n: number | undefined): boolean => n === 3 || n === 1;
  const found = layout ?? (isChannels(dims[1]) ? "NCHW" : isChannels(dims[3]) ? "NHWC" : undefined);
  if (!isImage || found === undefined || (type !== "float32" && type !== "uint8"))
    throw new InputError(
      "image/no-image-input",
      `input ${port.name} (${type}[${dims.join(", ")}]) takes no image: a float32 or uint8 input of shape [1, 3 or 1, height, width] or [1, height, width, 3 or 1] does`,
    );
  const [channels, height, width] = found === "NCHW" ? [dims[1]!, dims[2]!, dims[3]!] : [dims[3]!, dims[1]!, dims[2]!];
  if (!isChannels(channels))
    throw new UsageError(
      "usage/image",
      `with --layout ${found}, input ${port.name} has ${channels} channels, not 3 or 1`,
    );
  return { layout: found, channels, height, width };
}

/** One of the best classes. */
export interface ClassScore {
  readonly index: number;
  readonly probability: number;
  readonly label?: string;
}

/** The `count` most probable classes; softmax is applied where the scores are no probabilities yet. */
export function topClasses(scores: Tensor, count: number, labels: readonly string[] | undefined): ClassScore[] {
  const values = Array.from(scores.data as ArrayLike<number | bigint>, (v) =>
    scores.type === "float16" ? decodeFloat16(Number(v)) : Number(v),
  );
  const probabilities = isDistribution(values) ? values : softmax(values);
  // A label file may lack the background class that some networks begin with, or have it beside one that does not.
  const shift = labels && Math.abs(labels.length - values.length) === 1 ? labels.length - values.length : 0;
  return probabilities
    .map((probability, index) => ({ index, probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, count)
    .map((c) => {
      const label = labels?.[c.index + shift];
      return label === undefined ? c : { ...c, label };
    });
}

function isDistribution(values: readonly number[]): boolean {
  const sum = values.reduce((a, b) => a + b, 0);
  return values.every((v) => v >= 0) && Math.abs(sum - 1) < 1e-3;
}
function softmax(values: readonly number[]): number[] {
  const most = Math.max(...values);
  const powers = values.map((v) => Math.exp(v - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}

/** Labels of classes, one a line. */
export const readLabels = (path: string): string[] =>
  Buffer.from(readWhole(path)).toString("utf8").replace(/\n+$/, "").split(/\r?\n/);
