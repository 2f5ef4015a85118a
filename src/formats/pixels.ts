/** Images as rows of 8-bit red, green and blue: what every decoder gives. */
import { InputError } from "../../ir/support/errors.ts";

/** An image, row-major from the top, 3 bytes a pixel: red, green, blue. Transparency is dropped. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Most pixels of an image that is decoded. */
export const mostPixels = 100_000_000;

/** Checks the size a header claims before anything is allocated. @throws InputError [image/malformed], [image/too-large] */
export function checkExtents(format: string, width: number, height: number): void {
  if (!(width > 0 && height > 0)) badImage(format, `its size is ${width} × ${height}`);
  if (width * height > mostPixels)
    throw new InputError("image/too-large", `the ${format} has ${width} × ${height} pixels, the most is ${mostPixels}`);
}

/** @throws InputError [image/malformed] */
export function badImage(format: string, why: string): never {
  throw new InputError("image/malformed", `not a well-formed ${format}: ${why}`);
}
