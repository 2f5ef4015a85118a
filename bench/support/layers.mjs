/** The convolution layers of networks, each as a network of its own. */
import { GraphBuilder } from "../../dist/ir/graph/build.js";
import { graphOf } from "../../dist/src/runtime/compile.js";
import { simplifyGraph } from "../../dist/src/runtime/prepare.js";

const opset = 17;

/**
 * Every distinct convolution of a model with its weights, bias and, where `fuses` says so of its operator, the
 * activation that follows; batch normalization is folded.
 */
export async function convolutionLayers(model, fuses) {
  const graph = simplifyGraph(await graphOf(model), { math: "default" });
  const layers = new Map();
  for (const node of graph.nodes.filter((n) => n.op === "Conv")) {
    const shape = shapeOf(graph, node);
    const activation = activationAfter(graph, node, fuses);
    const name = nameOf(shape, activation);
    if (layers.has(name)) continue;
    const [, weights, bias] = node.inputs.map((v) => graph.values.get(v));
    const values = {
      weights: weights.constant.data,
      bias: bias?.constant.data ?? new Float32Array(shape.outputs),
    };
    layers.set(name, { name, shape, activation, ...values, graph: networkOf(shape, activation, values) });
  }
  return [...layers.values()];
}

function shapeOf(graph, { inputs, outputs, attributes }) {
  const dims = (v) => graph.values.get(v).type.dims;
  const [, channels, ...extents] = dims(inputs[0]);
  const [, outputChannels, ...outputExtents] = dims(outputs[0]);
  const kernel = dims(inputs[1]).slice(2);
  const ints = (name, standard) => attributes.get(name)?.value ?? standard;
  return {
    channels,
    outputs: outputChannels,
    group: ints("group", 1),
    extents,
    outputExtents,
    kernel,
    strides: ints("strides", [1, 1]),
    dilations: ints("dilations", [1, 1]),
    pads: ints("pads", [0, 0, 0, 0]),
  };
}

function activationAfter(graph, node, fuses) {
  const [result] = node.outputs;
  const readers = graph.nodes.filter((n) => n.inputs.includes(result));
  return readers.length === 1 && fuses(readers[0].op) ? readers[0].op : undefined;
}

function nameOf({ channels, outputs, group, extents, kernel, strides }, activation) {
  const kind = group === 1 ? `${channels}→${outputs}` : `${channels}→${outputs} groups ${group}`;
  return `${kind} ${kernel.join("×")} /${strides[0]} @${extents.join("×")}${activation ? ` ${activation}` : ""}`;
}

function networkOf(shape, activation, { weights, bias }) {
  const b = new GraphBuilder();
  const { channels, outputs, group, extents, kernel, strides, dilations, pads } = shape;
  const x = b.value("x", { dtype: "float32", dims: [1, channels, ...extents] });
  const w = b.constant("w", { type: "float32", dims: [outputs, channels / group, ...kernel], data: weights });
  const shift = b.constant("b", { type: "float32", dims: [outputs], data: bias });
  const attributes = { kernel_shape: kernel, strides, dilations, pads, group };
  const [y] = b.node("Conv", [x, w, shift], { attributes, opset });
  const [z] = activation ? b.node(activation, [y], { opset }) : [y];
  return b.finish({ name: "convolution", inputs: [x], outputs: [z] });
}
