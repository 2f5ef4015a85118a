/** Image classifiers made of full and grouped convolutions. */
import { Network } from "./network.mjs";

/** Simonyan and Zisserman 2014, configuration A, at half the resolution. */
export function vgg11() {
  const net = new Network("vgg11", 11);
  let x = net.input("x", [1, 3, 112, 112]);
  for (const widths of [[64], [128], [256, 256], [512, 512], [512, 512]]) {
    for (const width of widths) x = net.convolution(x, width, 3, { normalize: false });
    x = net.pool("MaxPool", x, 2);
  }
  const [, channels, height, width] = net.dims(x);
  x = net.op("Flatten", [x], { axis: 1 }, [1, channels * height * width]);
  x = net.dense(net.dense(x, 1024, "Relu"), 1024, "Relu");
  return net.finish(net.dense(x, 1000));
}

/** Huang et al. 2017: every layer reads all before it in its block. */
export function densenet121() {
  const net = new Network("densenet121", 121);
  let x = net.convolution(net.input("x", [1, 3, 224, 224]), 64, 7, { stride: 2 });
  x = net.pool("MaxPool", x, 3, { stride: 2, pad: 1 });
  const normalized = (v) => net.activation(net.batchNormalization(v), "Relu");
  const plain = { activation: null, normalize: false };
  for (const [block, layers] of [6, 12, 24, 16].entries()) {
    for (let i = 0; i < layers; i++) {
      const narrow = net.convolution(normalized(x), 128, 1);
      x = net.concat([x, net.convolution(narrow, 32, 3, plain)]);
    }
    x = normalized(x);
    if (block === 3) break;
    x = net.pool("AveragePool", net.convolution(x, net.dims(x)[1] / 2, 1, plain), 2);
  }
  return net.finish(net.classifier(x, 1000));
}

/** Branches of several kernels as in Szegedy et al. 2015 and 2016, among them 1×7 and 7×1. */
export function inception() {
  const net = new Network("inception", 3);
  let x = net.convolution(net.input("x", [1, 3, 149, 149]), 32, 3, { stride: 2, pads: [0, 0] });
  x = net.convolution(net.convolution(x, 32, 3, { pads: [0, 0] }), 64, 3);
  x = net.pool("MaxPool", x, 3, { stride: 2 });
  const chain = (v, ...layers) => layers.reduce((y, [channels, kernel]) => net.convolution(y, channels, kernel), v);
  const pooled = (v, channels) => chain(net.pool("AveragePool", v, 3, { stride: 1, pad: 1 }), [channels, 1]);
  for (const channels of [32, 64]) {
    const branches = [chain(x, [64, 1]), chain(x, [48, 1], [64, 5]), chain(x, [64, 1], [96, 3], [96, 3])];
    x = net.concat([...branches, pooled(x, channels)]);
  }
  const narrowed = net.convolution(chain(x, [64, 1], [96, 3]), 96, 3, { stride: 2, pads: [0, 0] });
  const direct = net.convolution(x, 224, 3, { stride: 2, pads: [0, 0] });
  x = net.concat([direct, narrowed, net.pool("MaxPool", x, 3, { stride: 2 })]);
  for (const c of [96, 112]) {
    const short = chain(x, [c, 1], [c, [1, 7]], [160, [7, 1]]);
    const long = chain(x, [c, 1], [c, [7, 1]], [c, [1, 7]], [c, [7, 1]], [160, [1, 7]]);
    x = net.concat([chain(x, [160, 1]), short, long, pooled(x, 160)]);
  }
  return net.finish(net.classifier(x, 1000));
}

/** Xie et al. 2017: 32 groups, two blocks a stage. */
export function resnext() {
  const net = new Network("resnext", 32);
  let x = net.convolution(net.input("x", [1, 3, 224, 224]), 64, 7, { stride: 2 });
  x = net.pool("MaxPool", x, 3, { stride: 2, pad: 1 });
  for (const [stage, width] of [128, 256, 512, 1024].entries())
    for (let i = 0; i < 2; i++) {
      const stride = i === 0 && stage > 0 ? 2 : 1;
      x = groupedBlock(net, x, { width, outputs: 2 * width, groups: 32, stride });
    }
  return net.finish(net.classifier(x, 1000));
}

/** The 400-MFLOP member of Radosavovic et al. 2020: widths that are multiples of 8 only, groups of 8 channels. */
export function regnet() {
  const net = new Network("regnet", 400);
  let x = net.convolution(net.input("x", [1, 3, 224, 224]), 32, 3, { stride: 2 });
  const stages = [
    [48, 1],
    [104, 3],
    [208, 6],
    [440, 6],
  ];
  for (const [width, depth] of stages)
    for (let i = 0; i < depth; i++) {
      const squeezed = net.dims(x)[1] >> 2;
      const block = { width, outputs: width, groups: width / 8, stride: i === 0 ? 2 : 1, squeezed };
      x = groupedBlock(net, x, block);
    }
  return net.finish(net.classifier(x, 1000));
}

/** A residual bottleneck with a grouped 3 × 3 convolution, and squeeze and excitation where asked. */
function groupedBlock(net, x, { width, outputs, groups, stride, squeezed }) {
  let y = net.convolution(net.convolution(x, width, 1), width, 3, { stride, group: groups });
  if (squeezed) y = net.excite(y, squeezed);
  y = net.convolution(y, outputs, 1, { activation: null });
  const same = stride === 1 && net.dims(x)[1] === outputs;
  const shortcut = same ? x : net.convolution(x, outputs, 1, { stride, activation: null });
  return net.activation(net.add(y, shortcut), "Relu");
}
