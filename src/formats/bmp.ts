/** Windows bitmaps: uncompressed, 24 and 32 bits, and palettes of 1, 4 and 8 bits; rows from the bottom or the top. */
import { UnsupportedError } from "../../ir/support/errors.ts";
import { badImage, checkExtents, type Image } from "./pixels.ts";

const compression = { none: 0, bitfields: 3 };
const fileHeaderBytes = 14;

interface BmpHeader {
  readonly width: number;
  readonly height: number;
  readonly topDown: boolean;
  readonly bits: number;
  /** Offset of the first row. */
  readonly pixels: number;
  /** Offset of the palette. */
  readonly palette: number;
  /** Bits to shift down for red, green and blue of a 32-bit pixel. */
  readonly shifts: readonly [number, number, number];
}

/** Decodes a bitmap. @throws InputError [image/malformed], [image/too-large], UnsupportedError [image/bmp] */
export function decodeBmp(bytes: Uint8Array): Image {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = headerOf(view);
  const { width, height, bits } = header;
  const rowBytes = Math.ceil((width * bits) / 32) * 4;
  if (header.pixels + rowBytes * height > bytes.length) badImage("BMP", "its rows are cut off");
  const data = new Uint8Array(width * height * 3);
  const pixel = pixelReader(header, view);
  for (let y = 0; y < height; y++) {
    const row = header.pixels + (header.topDown ? y : height - 1 - y) * rowBytes;
    for (let x = 0; x < width; x++) pixel(row, x, data, (y * width + x) * 3);
  }
  return { width, height, data };
}

function headerOf(view: DataView): BmpHeader {
  if (view.byteLength < fileHeaderBytes + 40) badImage("BMP", "its header is cut off");
  const headerBytes = view.getUint32(14, true);
  if (headerBytes < 40) throw new UnsupportedError("image/bmp", `bitmaps with a header of ${headerBytes} bytes`);
  const width = view.getInt32(18, true);
  const signedHeight = view.getInt32(22, true);
  const height = Math.abs(signedHeight);
  checkExtents("BMP", width, height);
  const bits = view.getUint16(28, true);
  const packing = view.getUint32(30, true);
  if (![1, 4, 8, 24, 32].includes(bits)) throw new UnsupportedError("image/bmp", `bitmaps of ${bits} bits`);
  if (packing !== compression.none && !(packing === compression.bitfields && bits === 32))
    throw new UnsupportedError("image/bmp", `bitmaps with compression ${packing}`);
  const shifts = packing === compression.bitfields ? masksOf(view) : ([16, 8, 0] as const);
  const palette = fileHeaderBytes + headerBytes;
  return { width, height, topDown: signedHeight < 0, bits, pixels: view.getUint32(10, true), palette, shifts };
}

/** The three masks stand after the first 40 header bytes, whichever version the header has. */
function masksOf(view: DataView): readonly [number, number, number] {
  if (view.byteLength < 66) badImage("BMP", "its channel masks are cut off");
  return [shiftOf(view.getUint32(54, true)), shiftOf(view.getUint32(58, true)), shiftOf(view.getUint32(62, true))];
}

function shiftOf(mask: number): number {
  const shift = [0, 8, 16, 24].find((s) => 0xff * 2 ** s === mask);
  if (shift === undefined) throw new UnsupportedError("image/bmp", `bitmaps with the channel mask ${mask}`);
  return shift;
}

type PixelReader = (row: number, x: number, out: Uint8Array, at: number) => void;

function pixelReader(header: BmpHeader, view: DataView): PixelReader {
  if (header.bits === 24) return (row, x, out, at) => storeBgr(view, row + x * 3, out, at);
  if (header.bits === 32) return (row, x, out, at) => storeMasked(view.getUint32(row + x * 4, true), header, out, at);
  const perByte = 8 / header.bits;
  return (row, x, out, at) => {
    const byte = view.getUint8(row + Math.floor(x / perByte));
    const index = (byte >> (8 - header.bits * ((x % perByte) + 1))) & (2 ** header.bits - 1);
    const entry = header.palette + index * 4;
    if (entry + 4 > header.pixels) badImage("BMP", `a pixel has color ${index}, which its palette lacks`);
    storeBgr(view, entry, out, at);
  };
}

function storeBgr(view: DataView, from: number, out: Uint8Array, at: number): void {
  out[at] = view.getUint8(from + 2);
  out[at + 1] = view.getUint8(from + 1);
  out[at + 2] = view.getUint8(from);
}

function storeMasked(pixel: number, header: BmpHeader, out: Uint8Array, at: number): void {
  for (let c = 0; c < 3; c++) out[at + c] = (pixel >>> header.shifts[c as 0 | 1 | 2]) & 0xff;
}
