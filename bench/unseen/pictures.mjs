/** Networks from picture to picture. */
import { Network } from "./network.mjs";

/** Ronneberger et al. 2015 on a map of odd sizes, with transposed convolutions. */
export function unetodd() {
  const net = new Network("unetodd", 97);
  let x = net.input("x", [1, 3, 97, 131]);
  const twice = (v, channels) => net.convolution(net.convolution(v, channels, 3), channels, 3);
  const kept = [];
  for (const channels of [16, 32, 64]) {
    kept.push(twice(x, channels));
    x = net.pool("MaxPool", kept.at(-1), 2);
  }
  x = twice(x, 128);
  for (const skip of kept.reverse()) {
    const [, channels, ...extents] = net.dims(skip);
    const extra = extents.map((extent, i) => extent - 2 * net.dims(x)[2 + i]);
    x = twice(net.concat([net.upConvolution(x, channels, extra), skip]), channels);
  }
  return net.finish(net.convolution(x, 1, 1, { activation: "Sigmoid", normalize: false }));
}

/** Residual blocks and pixel shuffle to three times the size (Lim et al. 2017). */
export function superresolution() {
  const net = new Network("superresolution", 33);
  const plain = { normalize: false };
  const linear = { normalize: false, activation: null };
  const start = net.convolution(net.input("x", [1, 3, 64, 96]), 32, 3, linear);
  let x = start;
  for (let i = 0; i < 4; i++) x = net.add(x, net.convolution(net.convolution(x, 32, 3, plain), 32, 3, linear));
  x = net.convolution(net.add(x, start), 27, 3, linear);
  const [n, channels, height, width] = net.dims(x);
  const dims = [n, channels / 9, 3 * height, 3 * width];
  return net.finish(net.op("DepthToSpace", [x], { blocksize: 3, mode: "CRD" }, dims));
}
