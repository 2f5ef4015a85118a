/** Decodes JPEG, PNG and BMP files, told apart by their first bytes. */
import jpeg from "jpeg-js";
import { PNG } from "pngjs";
import { InputError, TilewrightError } from "../../ir/support/errors.ts";
import { decodeBmp } from "./bmp.ts";
import { badImage, checkExtents, type Image, mostPixels } from "./pixels.ts";
import { readWhole } from "./read-file.ts";

/** Memory that the JPEG decoder may take, in MiB: coefficients and planes of the largest image. */
const jpegMemoryMiB = 4096;

const decoders: readonly {
  readonly format: string;
  readonly magic: readonly number[];
  readonly decode: (bytes: Uint8Array) => Image;
}[] = [
  { format: "JPEG", magic: [0xff, 0xd8, 0xff], decode: decodeJpeg },
  { format: "PNG", magic: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], decode: decodePng },
  { format: "BMP", magic: [0x42, 0x4d], decode: decodeBmp },
];

/** Reads and decodes an image file. @throws InputError [file/unreadable], and as decodeImage */
export const readImage = (path: string): Image => decodeImage(readWhole(path), path);

/**
 * Decodes a JPEG (baseline or progressive), PNG or BMP.
 * @throws InputError [image/format], [image/malformed], [image/too-large], UnsupportedError [image/…]
 */
export function decodeImage(bytes: Uint8Array, what = "the image"): Image {
  const found = decoders.find(({ magic }) => magic.every((b, i) => bytes[i] === b));
  if (found === undefined) throw new InputError("image/format", `${what} is neither a JPEG nor a PNG nor a BMP`);
  try {
    return found.decode(bytes);
  } catch (cause) {
    if (cause instanceof TilewrightError) throw cause;
    // The decoding libraries throw plain errors, and a RangeError where a damaged length leads past the end.
    return badImage(found.format, cause instanceof Error ? cause.message : String(cause));
  }
}

function decodeJpeg(bytes: Uint8Array): Image {
  const options = { useTArray: true, formatAsRGBA: false, tolerantDecoding: false } as const;
  const limits = { maxResolutionInMP: mostPixels / 1e6, maxMemoryUsageInMB: jpegMemoryMiB };
  const { width, height, data } = jpeg.decode(bytes, { ...options, ...limits });
  checkExtents("JPEG", width, height);
  return { width, height, data };
}

function decodePng(bytes: Uint8Array): Image {
  if (bytes.length < 24) badImage("PNG", "its header is cut off");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkExtents("PNG", view.getUint32(16), view.getUint32(20));
  const png = PNG.sync.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const data = new Uint8Array(png.width * png.height * 3);
  for (let i = 0, j = 0; i < data.length; i += 3, j += 4) {
    data[i] = png.data[j]!;
    data[i + 1] = png.data[j + 1]!;
    data[i + 2] = png.data[j + 2]!;
  }
  return { width: png.width, height: png.height, data };
}
