/** Transformers, mixers and recurrent networks. */
import { Network } from "./network.mjs";

/** Patches of 16 × 16 pixels as tokens: [1, tokens, width]. */
function patches(net, image, width, size) {
  const embedded = net.convolution(image, width, size, {
    stride: size,
    pads: [0, 0],
    activation: null,
    normalize: false,
  });
  const [n, channels, height, columns] = net.dims(embedded);
  return net.transpose(net.reshape(embedded, [n, channels, height * columns]), [0, 2, 1]);
}

/** Mean over the tokens of [1, tokens, width], then a fully connected layer. */
function meanClassifier(net, x, classes) {
  const [n, , width] = net.dims(x);
  return net.dense(net.op("ReduceMean", [x], { axes: [1], keepdims: 0 }, [n, width]), classes);
}

/** Dosovitskiy et al. 2021 at the tiny size (Touvron et al. 2021), six blocks, 64 tokens. */
export function vit() {
  const net = new Network("vit", 16);
  let x = patches(net, net.input("x", [1, 3, 128, 128]), 192, 16);
  x = net.add(x, net.weights(net.dims(x), 0.02));
  for (let i = 0; i < 6; i++) x = net.transformerBlock(x, 3);
  return net.finish(meanClassifier(net, net.layerNormalization(x), 1000));
}

/** A decoder of two blocks after Radford et al. 2019, from embeddings to the scores of 4,000 words. */
export function gpt2() {
  const net = new Network("gpt2", 2);
  let x = net.input("x", [1, 96, 384]);
  for (let i = 0; i < 2; i++) x = net.transformerBlock(x, 6, { causal: true });
  x = net.layerNormalization(x);
  return net.finish(net.op("MatMul", [x, net.weights([384, 4000], 0.05)], {}, [1, 96, 4000]));
}

/** Tolstikhin et al. 2021: products over tokens and over channels in turn. */
export function mixer() {
  const net = new Network("mixer", 6);
  let x = patches(net, net.input("x", [1, 3, 112, 112]), 256, 16);
  const width = net.dims(x)[2];
  const tokens = net.dims(x)[1];
  const swapped = (v) => net.transpose(v, [0, 2, 1]);
  for (let i = 0; i < 6; i++) {
    const across = net.linear(swapped(net.layerNormalization(x)), 128, "Gelu");
    x = net.add(x, swapped(net.linear(across, tokens)));
    const within = net.linear(net.layerNormalization(x), 4 * width, "Gelu");
    x = net.add(x, net.linear(within, width));
  }
  return net.finish(meanClassifier(net, net.layerNormalization(x), 1000));
}

/** Liu et al. 2022: depthwise 7 × 7, then normalization and products over channels last. */
export function convnext() {
  const net = new Network("convnext", 7);
  const plain = { activation: null, normalize: false };
  const last = (v) => net.transpose(v, [0, 2, 3, 1]);
  const first = (v) => net.transpose(v, [0, 3, 1, 2]);
  const normalized = (v) => first(net.layerNormalization(last(v)));
  let x = net.convolution(net.input("x", [1, 3, 112, 112]), 96, 4, { ...plain, stride: 4, pads: [0, 0] });
  x = normalized(x);
  for (const [stage, [width, depth]] of [
    [96, 2],
    [192, 2],
    [384, 4],
    [768, 2],
  ].entries()) {
    if (stage > 0) x = net.convolution(normalized(x), width, 2, { ...plain, stride: 2, pads: [0, 0] });
    for (let i = 0; i < depth; i++) {
      const inner = net.layerNormalization(last(net.depthwise(x, 7, plain)));
      const y = net.linear(net.linear(inner, 4 * width, "Gelu"), width);
      x = net.add(x, first(net.multiply(y, net.weights([width], 0.1))));
    }
  }
  return net.finish(net.classifier(x, 1000));
}

/** Two bidirectional LSTM layers over 50 frames of 80 features, and a label for each frame. */
export function lstm() {
  const net = new Network("lstm", 80);
  const hidden = 128;
  let x = net.input("x", [50, 1, 80]);
  for (let layer = 0; layer < 2; layer++) {
    const [frames, n, features] = net.dims(x);
    const deviation = Math.sqrt(1 / hidden);
    const inputs = [
      x,
      net.weights([2, 4 * hidden, features], deviation),
      net.weights([2, 4 * hidden, hidden], deviation),
      net.weights([2, 8 * hidden], 0.05),
    ];
    const attributes = { hidden_size: hidden, direction: "bidirectional" };
    const y = net.op("LSTM", inputs, attributes, [frames, 2, n, hidden]);
    x = net.reshape(net.transpose(y, [0, 2, 1, 3]), [frames, n, 2 * hidden]);
  }
  return net.finish(net.op("Softmax", [net.linear(x, 40)], { axis: -1 }));
}

/** Dilated convolutions along time (Bai et al. 2018) on 200 frames of 40 features. */
export function temporal() {
  const net = new Network("temporal", 200);
  let x = net.convolution(net.input("x", [1, 40, 200]), 96, 1);
  for (let i = 0; i < 6; i++) {
    const y = net.convolution(net.convolution(x, 96, 3, { dilation: 2 ** i }), 96, 3, { dilation: 2 ** i });
    x = net.activation(net.add(x, y), "Relu");
  }
  return net.finish(net.convolution(x, 60, 1, { activation: null, normalize: false }));
}
