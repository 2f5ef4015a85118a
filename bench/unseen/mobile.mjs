/** Small networks made of depthwise and pointwise convolutions. */
import { Network } from "./network.mjs";

const linear = { activation: null };

/** Ma et al. 2018, width 1: channels are split, concatenated and shuffled. */
export function shufflenetv2() {
  const net = new Network("shufflenetv2", 2);
  let x = net.convolution(net.input("x", [1, 3, 224, 224]), 24, 3, { stride: 2 });
  x = net.pool("MaxPool", x, 3, { stride: 2, pad: 1 });
  for (const [channels, repeats] of [
    [116, 4],
    [232, 8],
    [464, 4],
  ]) {
    const half = channels / 2;
    const branch = (v, stride) =>
      net.convolution(net.depthwise(net.convolution(v, half, 1), 3, { ...linear, stride }), half, 1);
    const shortcut = net.convolution(net.depthwise(x, 3, { ...linear, stride: 2 }), half, 1);
    x = shuffled(net, net.concat([shortcut, branch(x, 2)]));
    for (let i = 1; i < repeats; i++) {
      const [kept, changed] = [net.slice(x, 1, 0, half), net.slice(x, 1, half, channels)];
      x = shuffled(net, net.concat([kept, branch(changed, 1)]));
    }
  }
  return net.finish(net.classifier(net.convolution(x, 1024, 1), 1000));
}

/** Channels of two groups in turn. */
function shuffled(net, x) {
  const [n, channels, height, width] = net.dims(x);
  const grouped = net.reshape(x, [n, 2, channels / 2, height, width]);
  return net.reshape(net.transpose(grouped, [0, 2, 1, 3, 4]), [n, channels, height, width]);
}

/** Tan et al. 2019, MnasNet-A1: inverted residuals, kernels of 3 and 5, some with squeeze and excitation. */
export function mnasnet() {
  const net = new Network("mnasnet", 1);
  let x = net.convolution(net.input("x", [1, 3, 224, 224]), 32, 3, { stride: 2 });
  x = net.convolution(net.depthwise(x, 3), 16, 1, linear);
  const stages = [
    { expansion: 6, outputs: 24, repeats: 2, stride: 2, kernel: 3 },
    { expansion: 3, outputs: 40, repeats: 3, stride: 2, kernel: 5, excited: true },
    { expansion: 6, outputs: 80, repeats: 4, stride: 2, kernel: 3 },
    { expansion: 6, outputs: 112, repeats: 2, stride: 1, kernel: 3, excited: true },
    { expansion: 6, outputs: 160, repeats: 3, stride: 2, kernel: 5, excited: true },
    { expansion: 6, outputs: 320, repeats: 1, stride: 1, kernel: 3 },
  ];
  for (const { expansion, outputs, repeats, stride, kernel, excited } of stages)
    for (let i = 0; i < repeats; i++) {
      const from = net.dims(x)[1];
      let y = net.convolution(x, expansion * from, 1);
      y = net.depthwise(y, kernel, { stride: i === 0 ? stride : 1 });
      if (excited) y = net.excite(y, from >> 2);
      y = net.convolution(y, outputs, 1, linear);
      x = i > 0 ? net.add(x, y) : y;
    }
  return net.finish(net.classifier(net.convolution(x, 1280, 1), 1000));
}

/** Depthwise separable keyword spotting (Zhang et al. 2017) on 49 frames of 10 features. */
export function keywords() {
  const net = new Network("keywords", 49);
  let x = net.convolution(net.input("x", [1, 1, 49, 10]), 64, [10, 4], { stride: 2, pads: [4, 1] });
  for (let i = 0; i < 4; i++) x = net.convolution(net.depthwise(x, 3), 64, 1);
  return net.finish(net.op("Softmax", [net.classifier(x, 12)], { axis: -1 }));
}

/** A detector's backbone and head after Jocher's YOLOv5: split stages with SiLU, pooling pyramid, upsampling. */
export function detector() {
  const net = new Network("detector", 5);
  const silu = { activation: "Silu" };
  const down = (v, channels) => net.convolution(v, channels, 3, { ...silu, stride: 2 });
  const stage = (v, channels, repeats) => {
    let y = net.convolution(v, channels / 2, 1, silu);
    const other = net.convolution(v, channels / 2, 1, silu);
    for (let i = 0; i < repeats; i++)
      y = net.add(y, net.convolution(net.convolution(y, channels / 2, 1, silu), channels / 2, 3, silu));
    return net.convolution(net.concat([y, other]), channels, 1, silu);
  };
  let x = net.convolution(net.input("x", [1, 3, 160, 192]), 16, 6, { ...silu, stride: 2, pads: [2, 2] });
  x = stage(down(x, 32), 32, 1);
  const fine = stage(down(x, 64), 64, 2);
  const middle = stage(down(fine, 128), 128, 3);
  x = net.convolution(stage(down(middle, 256), 256, 1), 128, 1, silu);
  const pooled = [x];
  for (let i = 0; i < 3; i++) pooled.push(net.pool("MaxPool", pooled.at(-1), 5, { stride: 1, pad: 2 }));
  const coarse = net.convolution(net.convolution(net.concat(pooled), 256, 1, silu), 128, 1, silu);
  const joined = stage(net.concat([doubled(net, coarse), middle]), 128, 1);
  const heads = [joined, coarse].map((v) => net.convolution(v, 255, 1, { ...linear, normalize: false }));
  return net.finish(...heads);
}

/** Twice the height and width, each pixel repeated. */
function doubled(net, x) {
  const [n, channels, height, width] = net.dims(x);
  const attributes = { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" };
  const dims = [n, channels, 2 * height, 2 * width];
  return net.op("Resize", [x, undefined, undefined, net.integers(dims)], attributes, dims);
}
