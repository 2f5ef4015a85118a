import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { describe, expect, it } from "vitest";
import { TilewrightError } from "../../../ir/support/errors.ts";
import {
  centerCrop,
  decodeImage,
  type Image,
  imageToTensor,
  readImage,
  resizeImage,
  resizeShorterSide,
} from "../../../src/formats/image.ts";
import { codeOf, sharedData } from "../onnx/models.ts";
import { encoded } from "./encoded-images.ts";

const bytesOf = (name: keyof typeof encoded) => new Uint8Array(Buffer.from(encoded[name], "base64"));
const rgb = [58, 52, 181, 110, 52, 167, 162, 52, 154, 58, 143, 148, 110, 143, 134, 162, 143, 121];
const palette = [58, 52, 181, 136, 52, 161, 136, 52, 161, 58, 143, 148, 136, 143, 128, 136, 143, 128];
const bilevel = [0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0, 0, 255, 255, 255];
/** An image whose pixel at (x, y) is `value(x, y, channel)`. */
function painted(width: number, height: number, value: (x: number, y: number, c: number) => number): Image {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return value(pixel % width, Math.floor(pixel / width), i % 3);
  });
  return { width, height, data };
}
const largestDifference = (a: Image, b: Image) => Math.max(...a.data.map((x, i) => Math.abs(x - b.data[i]!)));

describe("decoding", () => {
  it.each([
    ["pngRGB", rgb],
    ["pngRGBA", rgb],
    ["pngP", palette],
    ["png1", bilevel],
    ["bmpRGB", rgb],
    ["bmpP", palette],
    ["bmp1", bilevel],
  ] as const)("%s", (name, pixels) => {
    expect(decodeImage(bytesOf(name))).toEqual({ width: 3, height: 2, data: Uint8Array.from(pixels) });
  });

  it.each(["baseline", "progressive"] as const)("%s JPEG", (name) => {
    const source = painted(8, 8, (x, y, c) => [x * 20 + 40, y * 25 + 10, 200 - x * 5 - y * 9][c]!);
    const image = decodeImage(bytesOf(name));
    expect([image.width, image.height]).toEqual([8, 8]);
    expect(largestDifference(image, source)).toBeLessThan(12);
  });

  it("gray JPEG", () => {
    const { data } = decodeImage(bytesOf("gray"));
    for (let i = 0; i < data.length; i += 3) expect([data[i + 1], data[i + 2]]).toEqual([data[i], data[i]]);
    expect(Math.abs(data[0]! - 40)).toBeLessThan(12);
  });

  it("top-down and 32-bit bitmaps", () => {
    const plain = bytesOf("bmpRGB");
    const flipped = Uint8Array.from(plain);
    new DataView(flipped.buffer).setInt32(22, -2, true);
    expect([...decodeImage(flipped).data]).toEqual([...rgb.slice(9), ...rgb.slice(0, 9)]);
    const wide = new Uint8Array(54 + 24);
    wide.set(plain.subarray(0, 54));
    new DataView(wide.buffer).setUint16(28, 32, true);
    for (let i = 0; i < 6; i++) wide.set([...rgb.slice(i * 3, i * 3 + 3)].reverse(), 54 + ((i + 3) % 6) * 4);
    expect([...decodeImage(wide).data]).toEqual(rgb);
  });

  it("refuses what is no image or damaged", () => {
    expect(codeOf(() => decodeImage(new Uint8Array(8)))).toBe("image/format");
    expect(codeOf(() => readImage("/nonexistent.png"))).toBe("file/unreadable");
    for (const name of ["baseline", "progressive", "pngRGB", "bmpRGB"] as const)
      expect(codeOf(() => decodeImage(bytesOf(name).subarray(0, 40)))).toBe("image/malformed");
    const changed = (name: keyof typeof encoded, change: (view: DataView) => void) => {
      const bytes = bytesOf(name);
      change(new DataView(bytes.buffer));
      return codeOf(() => decodeImage(bytes));
    };
    expect(changed("bmpRGB", (v) => v.setInt32(18, 2 ** 30, true))).toBe("image/too-large");
    expect(changed("bmpRGB", (v) => v.setInt32(18, 0, true))).toBe("image/malformed");
    expect(changed("bmpRGB", (v) => v.setInt32(18, -3, true))).toBe("image/malformed");
    expect(changed("bmpRGB", (v) => v.setInt32(22, 200, true))).toBe("image/malformed");
    expect(changed("bmpRGB", (v) => v.setUint16(28, 16, true))).toBe("image/bmp");
    expect(changed("bmpRGB", (v) => v.setUint32(30, 1, true))).toBe("image/bmp");
    expect(changed("bmpP", (v) => v.setUint8(70, 200))).toBe("image/malformed");
    expect(changed("pngRGB", (v) => v.setUint32(16, 2 ** 30))).toBe("image/too-large");
    expect(changed("pngRGB", (v) => v.setUint8(45, 0))).toBe("image/malformed");
  });

  it("ends mutated files in an image or a named error", () => {
    const generator = xoroshiro128plus(3);
    const names = ["baseline", "progressive", "gray", "pngRGB", "pngP", "bmpRGB", "bmpP"] as const;
    for (let i = 0; i < 700; i++) {
      const bytes = bytesOf(names[i % names.length]!);
      for (let n = uniformInt(generator, 1, 4); n > 0; n--)
        bytes[uniformInt(generator, 3, bytes.length - 1)] = uniformInt(generator, 0, 255);
      const start = performance.now();
      try {
        expect(decodeImage(bytes).data.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(TilewrightError);
      }
      expect(performance.now() - start).toBeLessThan(2_000);
    }
  });

  it.skipIf(sharedData === undefined)("reads the shared photographs", () => {
    const sizes = ["cat.bmp", "hot_dog.jpg", "owl.jpg", "parrot.jpg"].map((f) => {
      const { width, height } = readImage(`${sharedData}images/${f}`);
      return [width, height];
    });
    expect(sizes).toEqual([
      [512, 341],
      [512, 384],
      [512, 384],
      [512, 929],
    ]);
  });
});

describe("resizing", () => {
  const source: Image = {
    width: 8,
    height: 6,
    data: Uint8Array.from({ length: 144 }, (_, i) => (i * 37 + Math.floor(i / 24) * 11) % 256),
  };
  const pillow = {
    bilinear: [
      121, 90, 127, 152, 121, 98, 118, 155, 124, 86, 123, 160, 133, 97, 134, 158, 131, 104, 124, 161, 134, 93, 130, 167,
      144, 103, 140, 163, 99, 109, 129, 152, 102, 99, 136, 158,
    ],
    bicubic: [
      117, 86, 129, 157, 119, 93, 117, 160, 122, 83, 120, 164, 131, 92, 136, 162, 134, 98, 123, 166, 137, 90, 127, 172,
      144, 104, 143, 167, 91, 107, 128, 157, 94, 97, 136, 163,
    ],
  };
  it.each(["bilinear", "bicubic"] as const)("shrinks as Pillow does: %s", (filter) => {
    const image = resizeImage(source, 4, 3, { filter });
    expect([image.width, image.height]).toEqual([4, 3]);
    const reference = { ...image, data: Uint8Array.from(pillow[filter]) };
    expect(largestDifference(image, reference)).toBeLessThanOrEqual(1);
  });
  it("grows a ramp linearly, and keeps a flat image flat", () => {
    const ramp = resizeImage(
      painted(2, 1, (x) => x * 100),
      4,
      1,
    );
    expect([...ramp.data.filter((_, i) => i % 3 === 0)]).toEqual([0, 25, 75, 100]);
    for (const filter of ["bilinear", "bicubic"] as const)
      expect(
        new Set(
          resizeImage(
            painted(7, 5, () => 77),
            13,
            3,
            { filter },
          ).data,
        ),
      ).toEqual(new Set([77]));
  });
  it("samples only neighbors without antialiasing", () => {
    const stripes = painted(8, 1, (x) => (x === 0 ? 255 : 0));
    expect(resizeImage(stripes, 2, 1, { antialias: false }).data[0]).toBe(0);
    expect(resizeImage(stripes, 2, 1).data[0]).toBeGreaterThan(0);
  });
  it("gives the same image for the same size", () => {
    expect(resizeImage(source, 8, 6)).toBe(source);
  });
  it("keeps the proportion by the shorter side", () => {
    const { width, height } = resizeShorterSide(
      painted(30, 20, () => 0),
      10,
    );
    expect([width, height]).toEqual([15, 10]);
  });
  it("crops the middle", () => {
    const image = centerCrop(
      painted(5, 4, (x, y) => y * 10 + x),
      3,
      2,
    );
    expect([...image.data.filter((_, i) => i % 3 === 0)]).toEqual([11, 12, 13, 21, 22, 23]);
  });
  it("refuses sizes that are none", () => {
    expect(codeOf(() => resizeImage(source, 0, 5))).toBe("image/size");
    expect(codeOf(() => resizeImage(source, 2.5, 5))).toBe("image/size");
    expect(codeOf(() => centerCrop(source, 9, 5))).toBe("image/size");
  });
});

describe("imageToTensor", () => {
  const image = painted(2, 1, (x, _, c) => 100 * x + 10 * c + 5);
  const list = (options: Parameters<typeof imageToTensor>[1]) => [...imageToTensor(image, options).data];
  it("orders axes and channels", () => {
    expect(list({ scale: 1 })).toEqual([5, 105, 15, 115, 25, 125]);
    expect(list({ scale: 1, layout: "NHWC" })).toEqual([5, 15, 25, 105, 115, 125]);
    expect(list({ scale: 1, channelOrder: "bgr" })).toEqual([25, 125, 15, 115, 5, 105]);
    expect(imageToTensor(image).dims).toEqual([1, 3, 1, 2]);
    expect(imageToTensor(image, { layout: "NHWC" }).dims).toEqual([1, 1, 2, 3]);
    expect(imageToTensor(image, { dims: [3, 1, 2] }).dims).toEqual([3, 1, 2]);
  });
  it("normalizes", () => {
    const values = list({ mean: [0.5, 0, 0], std: [0.5, 1, 2] });
    const expected = [5 / 255 / 0.5 - 1, 105 / 255 / 0.5 - 1, 15 / 255, 115 / 255, 25 / 510, 125 / 510];
    for (const [i, v] of values.entries()) expect(v).toBeCloseTo(expected[i]!, 6);
  });
  it("makes gray and bytes", () => {
    const gray = imageToTensor(image, { scale: 1, channelOrder: "gray", type: "uint8" });
    expect([gray.type, gray.dims, [...gray.data]]).toEqual(["uint8", [1, 1, 1, 2], [13, 113]]);
  });
  it("refuses options that do not fit", () => {
    expect(codeOf(() => imageToTensor(image, { mean: [1, 2] }))).toBe("image/options");
    expect(codeOf(() => imageToTensor(image, { std: 0 }))).toBe("image/options");
    expect(codeOf(() => imageToTensor(image, { dims: [1, 3, 2, 2] }))).toBe("image/options");
  });
});
