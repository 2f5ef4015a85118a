/** The door to images: decoding, resizing, cropping, and making tensors of them. */
export { decodeImage, readImage } from "./decode-image.ts";
export { type ImageTensorOptions, imageToTensor } from "./image-tensor.ts";
export type { Image } from "./pixels.ts";
export { centerCrop, type ResizeOptions, resizeImage, resizeShorterSide } from "./resize-image.ts";
