/** Turns images into network inputs. */
import { elementCount } from "../../ir/graph/tensor-value.ts";
import { InputError } from "../../ir/support/errors.ts";
import { Tensor } from "../tensor.ts";
import type { Image } from "./pixels.ts";

/** How pixels become elements: `(pixel × scale − mean) / std`, channel by channel. */
export interface ImageTensorOptions {
  /** Order of the axes. Default NCHW. */
  readonly layout?: "NCHW" | "NHWC";
  /** Order of the channels; gray is one channel of luma (ITU-R BT.601). Default rgb. */
  readonly channelOrder?: "rgb" | "bgr" | "gray";
  /** Default 1/255. */
  readonly scale?: number;
  /** One for all channels or one each, in the order of the channels. Default 0. */
  readonly mean?: number | readonly number[];
  /** One for all channels or one each. Default 1. */
  readonly std?: number | readonly number[];
  /** Shape of the result, which must have as many elements. Default [1, …layout]. */
  readonly dims?: readonly number[];
  /** Element type; uint8 rounds and clamps. Default float32. */
  readonly type?: "float32" | "uint8";
}

/** Makes a tensor of an image. @throws InputError [image/options], [tensor/size-mismatch] */
export function imageToTensor(image: Image, options: ImageTensorOptions = {}): Tensor {
  const { layout = "NCHW", channelOrder = "rgb", scale = 1 / 255, type = "float32" } = options;
  const pick = channelPickers[channelOrder];
  const channels = pick.length;
  const means = perChannel(options.mean ?? 0, channels, "mean");
  const stds = perChannel(options.std ?? 1, channels, "std");
  if (stds.includes(0)) throw new InputError("image/options", "std is 0, which nothing can be divided by");
  const { width, height, data } = image;
  const pixels = width * height;
  const out = type === "uint8" ? new Uint8ClampedArray(pixels * channels) : new Float32Array(pixels * channels);
  const [channelStride, pixelStride] = layout === "NCHW" ? [pixels, 1] : [1, channels];
  for (const [c, channel] of pick.entries())
    for (let p = 0; p < pixels; p++)
      out[c * channelStride + p * pixelStride] = (channel(data, p * 3) * scale - means[c]!) / stds[c]!;
  const natural = layout === "NCHW" ? [1, channels, height, width] : [1, height, width, channels];
  const dims = options.dims ?? natural;
  if (elementCount(dims) !== out.length)
    throw new InputError(
      "image/options",
      `an image of ${width} × ${height} with ${channels} channels does not fill the shape [${dims.join(", ")}]`,
    );
  return new Tensor(out, dims);
}

type ChannelPicker = (data: Uint8Array, at: number) => number;
const channelAt =
  (offset: number): ChannelPicker =>
  (data, at) =>
    data[at + offset]!;
const luma: ChannelPicker = (data, at) => 0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!;

const channelPickers: Readonly<Record<"rgb" | "bgr" | "gray", readonly ChannelPicker[]>> = {
  rgb: [channelAt(0), channelAt(1), channelAt(2)],
  bgr: [channelAt(2), channelAt(1), channelAt(0)],
  gray: [luma],
};

function perChannel(value: number | readonly number[], channels: number, name: string): readonly number[] {
  const list = typeof value === "number" ? new Array<number>(channels).fill(value) : value;
  if (list.length === channels && list.every(Number.isFinite)) return list;
  throw new InputError("image/options", `${name} is [${list.join(", ")}] for ${channels} channels`);
}
