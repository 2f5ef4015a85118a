/** Random convolution networks over feature maps. */
import { elementCount } from "../../../ir/graph/tensor-value.ts";
import { float, type Known, type Source } from "./source.ts";

const channelChoices = [1, 2, 3, 5, 7, 8, 12, 15, 16, 17, 24, 31, 32, 33, 40, 48, 64, 70];

type Step = (s: Source, x: Known) => Known;

/** Convolution of any kind: grouped, depthwise, dilated, strided, asymmetric. */
export function convolution(s: Source, x: Known): Known {
  const c = x.dims[1]!;
  const kind = s.pick(["dense", "dense", "dense", "pointwise", "depthwise", "depthwise", "multiplier", "grouped"]);
  const divisors = [2, 3, 4, 5, 7, 8].filter((d) => c % d === 0);
  const group = kind === "grouped" ? s.pick([1, ...divisors]) : kind === "depthwise" || kind === "multiplier" ? c : 1;
  const per = kind === "multiplier" ? s.int(2, 3) : 1;
  const out =
    kind === "depthwise" || kind === "multiplier"
      ? c * per
      : group > 1
        ? group * s.pick([1, 2, 3, 8, 16])
        : s.pick(channelChoices);
  const spatial = x.dims.slice(2);
  const square = s.chance(0.6) ? s.pick([1, 3, 3, 5, 7]) : 0;
  const kernel = spatial.map(() => (kind === "pointwise" ? 1 : square || s.int(1, 5)));
  const scale = 1 / Math.sqrt((c / group) * elementCount(kernel));
  const shape = [out, c / group, ...kernel];
  const how = s.int(0, 19);
  const w = how === 0 ? s.input(shape) : how === 1 ? quantizedConstant(s, shape) : s.constant(shape, scale);
  const bias = s.chance(0.6) ? s.constant([out]) : undefined;
  return s.one("Conv", bias ? [x, w, bias] : [x, w], {
    ...windowAttributes(s, kernel),
    ...(group > 1 || s.chance(0.3) ? { group } : {}),
  });
}
/** Weights that lie in the file as int8. */
function quantizedConstant(s: Source, shape: readonly number[]): Known {
  const per = s.opset >= 13 && s.chance(0.5);
  const scale = per ? s.positive([shape[0]!]) : s.scalar(1 / 32);
  const zero = s.constant(per ? [shape[0]!] : [], 1, "int8");
  return s.one("DequantizeLinear", [s.constant(shape, 1, "int8"), scale, zero], per ? { axis: 0 } : {});
}
function windowAttributes(s: Source, kernel: readonly number[], dilate = true) {
  const n = kernel.length;
  const stride = s.pick([1, 1, 1, 2, 2, 3]);
  const strides = kernel.map(() => (s.chance(0.85) ? stride : s.int(1, 3)));
  const dilations = kernel.map(() => (dilate && s.chance(0.15) ? s.int(2, 3) : 1));
  const dilated = dilations.some((d) => d > 1);
  // ONNX Runtime does not dilate windows that it pads by itself.
  const automatic = dilated ? ["VALID"] : ["SAME_UPPER", "SAME_LOWER", "VALID"];
  const mode = s.pick(["same", "same", "none", "random", "random", ...automatic]);
  const half = kernel.map((k, i) => ((k - 1) * dilations[i]!) >> 1);
  const padding =
    mode === "same"
      ? { pads: [...half, ...half] }
      : mode === "random"
        ? { pads: Array.from({ length: 2 * n }, (_, i) => s.int(0, Math.max(0, kernel[i % n]! - 1))) }
        : mode === "none"
          ? {}
          : { auto_pad: mode };
  return {
    ...padding,
    ...(s.chance(0.8) ? { strides } : {}),
    ...(dilated ? { dilations } : {}),
    ...(s.chance(0.8) ? { kernel_shape: kernel } : {}),
  };
}
/** A random node of its kind. */
export function pool(s: Source, x: Known): Known {
  const op = s.pick([
    "MaxPool",
    "MaxPool",
    "AveragePool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "LpPool",
  ]);
  if (op.startsWith("Global")) return s.chance(0.3) ? s.one(op, [x]) : x;
  const kernel = x.dims.slice(2).map(() => s.int(1, 4));
  const { kernel_shape: _, ...attributes } = windowAttributes(
    s,
    kernel,
    op !== "LpPool" && (op === "MaxPool" || s.opset >= 19),
  );
  return s.one(
    op,
    [x],
    {
      ...attributes,
      kernel_shape: kernel,
      ...(op !== "LpPool" && s.chance(0.3) && !("auto_pad" in attributes) ? { ceil_mode: 1 } : {}),
      ...(op === "AveragePool" && s.chance(0.5) ? { count_include_pad: 1 } : {}),
    },
    op === "MaxPool",
  );
}
function batchNorm(s: Source, x: Known): Known {
  const c = [x.dims[1]!];
  return s.one(
    "BatchNormalization",
    [x, s.positive(c), s.constant(c), s.constant(c), s.positive(c)],
    s.chance(0.5) ? { epsilon: float(1e-3) } : {},
  );
}
/** Arithmetic with a constant per channel, scalar or whole map, in either order. */
export function constantArithmetic(s: Source, x: Known): Known {
  const c = x.dims[1] ?? 1;
  const rank = x.dims.length;
  const ones = new Array<number>(Math.max(0, rank - 2)).fill(1);
  const shape = s.pick([
    [],
    [1],
    [c, ...ones],
    [1, c, ...ones],
    x.dims.slice(1),
    x.dims,
    [x.dims.at(-1)!],
    x.dims.map((d) => (s.chance(0.5) ? d : 1)),
    [...new Array<number>(rank).fill(1)],
  ]);
  if (shape.length > rank) return x;
  const op = s.pick(["Mul", "Add", "Sub", "Div", "Max", "Min", "PRelu", "Pow"]);
  if (op === "PRelu") return s.one(op, [x, s.constant(shape)]);
  if (op === "Pow")
    return s.one("Pow", [s.one("Abs", [x], {}, true), s.pick([s.scalar(2), s.scalar(3), s.scalar(1.5)])]);
  if (op === "Div") return s.one(op, [x, s.positive(shape)]);
  const k = s.constant(shape);
  return s.one(op, s.chance(0.5) ? [x, k] : [k, x], {}, op !== "Mul");
}
const activationNames = [
  "Relu",
  "Relu",
  "Sigmoid",
  "Tanh",
  "LeakyRelu",
  "Elu",
  "HardSigmoid",
  "HardSwish",
  "Softplus",
  "Clip",
  "Selu",
  "Neg",
  "Abs",
  "Exp",
  "Sqrt",
  "Erf",
  "Gelu",
  "Swish",
  "Mish",
  "Celu",
  "Softsign",
  "ThresholdedRelu",
];
export function activation(s: Source, x: Known): Known {
  const op = s.pick(activationNames);
  if (op === "Clip") {
    const low = s.scalar(-0.5);
    const high = s.scalar(s.pick([0.5, 6]));
    return s.one(
      op,
      s.pick([
        [x, low, high],
        [x, undefined, high],
        [x, low],
      ]),
      {},
      true,
    );
  }
  if (op === "Sqrt") return s.one(op, [s.one("Add", [s.one("Abs", [x]), s.scalar(0.25)])]);
  if (op === "Exp") return s.one(op, [s.one("Clip", [x, s.scalar(-3), s.scalar(3)])]);
  if (op === "Mish" && s.opset < 18) return s.one("Mul", [x, s.one("Tanh", [s.one("Softplus", [x])])]);
  if (op === "Gelu" && s.opset < 20) return gelu(s, x);
  if (op === "Swish") return s.one("Mul", s.chance(0.5) ? [x, s.one("Sigmoid", [x])] : [s.one("Sigmoid", [x]), x]);
  if (op === "ThresholdedRelu" && !x.exact) return x;
  return s.one(
    op,
    [x],
    op === "LeakyRelu" || op === "Elu" ? (s.chance(0.5) ? { alpha: float(0.3) } : {}) : {},
    op === "Relu" || op === "Neg" || op === "Abs",
  );
}
/** x · ½ (1 + erf(x / √2)), as exporters spell it. */
export function gelu(s: Source, x: Known): Known {
  const e = s.one("Erf", [
    s.chance(0.5) ? s.one("Div", [x, s.scalar(Math.SQRT2)]) : s.one("Mul", [x, s.scalar(Math.SQRT1_2)]),
  ]);
  return s.one("Mul", [s.one("Mul", [x, s.one("Add", [e, s.scalar(1)])]), s.scalar(0.5)]);
}
/** Any number of operands, some of which broadcast. */
function variadic(s: Source, x: Known): Known {
  const fits = s.pool.filter(
    (v) =>
      v.type === "float32" &&
      v.dims.length <= x.dims.length &&
      v.dims.every((d, i) => d === x.dims[i + x.dims.length - v.dims.length] || d === 1),
  );
  const operands = Array.from({ length: s.int(1, 4) }, () =>
    s.chance(0.3) ? s.constant([x.dims[1]!, ...x.dims.slice(2).map(() => 1)]) : s.pick(fits),
  );
  return s.one(s.pick(["Sum", "Mean", "Max", "Min"]), s.shuffled([x, ...operands]));
}
/** Rounds to 8 bits and back, where nothing rounded before. */
function quantized(s: Source, x: Known): Known {
  if (!x.exact) return x;
  const type = s.pick(["uint8", "int8"] as const);
  const [scale, zero] = [s.scalar(s.pick([1 / 64, 1 / 16])), s.scalar(s.int(0, 3), type)];
  return s.one("DequantizeLinear", [s.one("QuantizeLinear", [x, scale, zero], {}, true), scale, zero], {}, true);
}
/** A max pool that also says where its maxima are. */
function poolWithIndices(s: Source, x: Known): Known {
  if (!x.exact || x.dims.length !== 4) return x;
  return s.op("MaxPool", [x], { kernel_shape: [2, 2], strides: [2, 2] }, { outputs: 2, exact: true })?.[0] ?? x;
}
function residual(s: Source, x: Known): Known {
  const same = s.pool.filter((v) => v.type === "float32" && v.dims.join() === x.dims.join());
  const other = s.chance(0.2) ? x : s.pick(same.length > 0 ? same : [x]);
  return s.one(s.pick(["Add", "Add", "Mul", "Sub", "Max"]), [x, other], {}, false);
}
function concat(s: Source, x: Known): Known {
  const rank = x.dims.length;
  const axis = s.pick([1, 1, 1, 1 - rank, rank - 1, -1, 2, 0]);
  const a = axis < 0 ? axis + rank : axis;
  const fits = s.pool.filter(
    (v) => v.type === "float32" && v.dims.length === rank && v.dims.every((d, i) => i === a || d === x.dims[i]),
  );
  const parts = [x, ...Array.from({ length: s.int(0, 2) }, () => s.pick(fits.length > 0 ? fits : [x]))];
  return s.one("Concat", s.shuffled(parts), { axis }, true);
}
function split(s: Source, x: Known): Known {
  const axis = s.pick([1, 1, 1, -1, 2]);
  const extent = x.dims.at(axis)!;
  if (extent === undefined || extent < 2) return x;
  const cut = s.pick([extent >> 1, s.int(1, extent - 1)]);
  const parts = s.op("Split", [x, s.ints([cut, extent - cut])], { axis }, { outputs: 2, exact: true });
  if (!parts) return x;
  return s.pick(parts);
}
function slice(s: Source, x: Known): Known {
  const axis = s.int(0, x.dims.length - 1);
  const extent = x.dims[axis]!;
  if (extent < 2) return x;
  const start = s.int(0, extent - 1);
  const reverse = s.chance(0.2);
  if (reverse) return s.one("Slice", [x, s.ints([-1]), s.ints([-1000]), s.ints([axis]), s.ints([-1])], {}, true);
  return s.one(
    "Slice",
    [
      x,
      s.ints([start]),
      s.ints([s.chance(0.5) ? 100000 : s.int(start + 1, extent)]),
      s.ints([axis]),
      s.ints([s.pick([1, 1, 2, 3])]),
    ],
    {},
    true,
  );
}
function squeezeExcite(s: Source, x: Known): Known {
  const c = x.dims[1]!;
  if (x.dims.length !== 4) return x;
  const r = Math.max(1, s.pick([c >> 1, c >> 2, 3]));
  const g = s.chance(0.5) ? s.one("GlobalAveragePool", [x]) : reduceMean(s, x, [2, 3], true);
  const gate = (y: Known): Known => s.one(s.pick(["Sigmoid", "HardSigmoid"]), [y]);
  if (s.chance(0.4)) {
    const f = s.one("Reshape", [g, s.ints([x.dims[0]!, c])]);
    const h = s.one("Relu", [s.one("Gemm", [f, s.constant([r, c], 0.3), s.constant([r])], { transB: 1 })]);
    const u = gate(s.one("Gemm", [h, s.constant([r, c], 0.3)], {}));
    return s.one("Mul", [x, s.one("Reshape", [u, s.ints([x.dims[0]!, c, 1, 1])])]);
  }
  const h = s.one("Relu", [s.one("Conv", [g, s.constant([r, c, 1, 1], 0.3), s.constant([r])])]);
  const u = gate(s.one("Conv", [h, s.constant([c, r, 1, 1], 0.3)]));
  return s.one("Mul", s.chance(0.5) ? [x, u] : [u, x]);
}
/** ReduceMean as the opset spells its axes. */
export function reduceMean(s: Source, x: Known, axes: readonly number[], keep: boolean): Known {
  return reduce(s, "ReduceMean", x, axes, keep);
}
/** A reduction, axes as attribute or input by the opset. */
export function reduce(s: Source, op: string, x: Known, axes: readonly number[], keep: boolean): Known {
  const attributes = keep && s.chance(0.5) ? {} : { keepdims: keep ? 1 : 0 };
  if (op === "ReduceSum" || s.opset >= 18) return s.one(op, axes.length > 0 ? [x, s.ints(axes)] : [x], attributes);
  return s.one(op, [x], { ...attributes, ...(axes.length > 0 ? { axes } : {}) });
}
function pad(s: Source, x: Known): Known {
  const n = x.dims.length;
  const mode = s.pick(["constant", "constant", "reflect", "edge"]);
  const amounts = Array.from({ length: 2 * n }, (_, i) =>
    i % n >= 2 || s.chance(0.05)
      ? s.int(
          mode === "constant" && s.chance(0.1) ? -1 : 0,
          Math.min(2, mode === "reflect" ? Math.max(0, x.dims[i % n]! - 1) : 2),
        )
      : 0,
  );
  const value = mode === "constant" && s.chance(0.4) ? [s.scalar(s.pick([0, 0, 1.5]))] : [];
  return s.one("Pad", [x, s.ints(amounts), ...value], mode === "constant" && s.chance(0.5) ? {} : { mode }, true);
}
/** A random node of its kind. */
export function resize(s: Source, x: Known): Known {
  const n = x.dims.length;
  const mode = s.pick(["nearest", "nearest", "linear", "cubic"]);
  if (mode === "cubic" && n !== 4) return x;
  const transform = s.pick(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]);
  const attributes = {
    mode,
    coordinate_transformation_mode: transform,
    ...(mode === "nearest"
      ? { nearest_mode: s.pick(["floor", "round_prefer_floor", "ceil", "round_prefer_ceil"]) }
      : {}),
  };
  // ONNX Runtime aligns corners by the rounded extent, ONNX by the exact one.
  const whole = transform === "align_corners" && x.dims.slice(2).some((d) => d % 2 !== 0);
  const scale = s.pick(whole ? [2, 3] : [2, 2, 0.5, 1.5, 3]);
  if (s.chance(0.5)) {
    const scales = { ...s.constant([n]) };
    s.builder.update(scales.id, {
      constant: { type: "float32", dims: [n], data: Float32Array.from(x.dims, (_, i) => (i < 2 ? 1 : scale)) },
    });
    return s.one("Resize", [x, undefined, scales], attributes);
  }
  return s.one(
    "Resize",
    [x, undefined, undefined, s.ints(x.dims.map((d, i) => (i < 2 ? d : Math.max(1, Math.floor(d * scale)))))],
    attributes,
  );
}
/** A random node of its kind. */
export function transposedConvolution(s: Source, x: Known): Known {
  const c = x.dims[1]!;
  const group = s.chance(0.2) && c % 2 === 0 ? 2 : s.chance(0.1) ? c : 1;
  const kernel = x.dims.slice(2).map(() => s.int(1, 4));
  const out = s.pick([1, 3, 8, 16, 17]);
  const w = s.constant([c, out, ...kernel], 1 / Math.sqrt(c));
  const strides = kernel.map(() => s.int(1, 3));
  const extra = s.chance(0.3) ? { output_padding: strides.map((t) => s.int(0, t - 1)) } : {};
  const pads = s.chance(0.5) ? { pads: [...kernel, ...kernel].map((k) => s.int(0, k - 1)) } : {};
  return s.one("ConvTranspose", s.chance(0.5) ? [x, w, s.constant([out * group])] : [x, w], {
    strides,
    ...pads,
    ...extra,
    ...(group > 1 ? { group } : {}),
    ...(s.chance(0.2) && group === 1 ? { dilations: kernel.map(() => s.int(1, 2)) } : {}),
  });
}
function normalize(s: Source, x: Known): Known {
  const c = x.dims[1]!;
  const op = s.pick(["InstanceNormalization", "LRN", "Softmax", "GroupNormalization", "LpNormalization"]);
  if (op === "LRN")
    return x.dims.length === 4 ? s.one(op, [x], { size: s.pick([1, 3, 5]), alpha: float(0.1), beta: float(0.75) }) : x;
  if (op === "Softmax") return s.one(op, [x], { axis: s.pick([1, -1, 2]) });
  if (op === "LpNormalization") return s.one(op, [s.one("Add", [x, s.scalar(3)])], { axis: 1, p: s.pick([1, 2]) });
  if (op === "InstanceNormalization") return s.one(op, [x, s.positive([c]), s.constant([c])], { epsilon: float(0.1) });
  const groups = s.pick([1, c, ...(c % 2 === 0 ? [2] : [])]);
  return s.opset >= 21
    ? s.one(op, [x, s.positive([c]), s.constant([c])], { num_groups: groups, epsilon: float(0.1) })
    : x;
}
function shuffle(s: Source, x: Known): Known {
  const [n, c, h, w] = x.dims as [number, number, number, number];
  if (x.dims.length !== 4) return x;
  const kind = s.pick(["channels", "depth", "space", "transpose", "flat"]);
  if (kind === "channels" && c % 2 === 0) {
    const a = s.one("Reshape", [x, s.ints([n, 2, c / 2, h, w])], {}, true);
    return s.one(
      "Reshape",
      [s.one("Transpose", [a], { perm: [0, 2, 1, 3, 4] }, true), s.ints([0, -1, h, w])],
      {},
      true,
    );
  }
  if (kind === "depth" && c % 4 === 0)
    return s.one("DepthToSpace", [x], { blocksize: 2, mode: s.pick(["DCR", "CRD"]) }, true);
  if (kind === "space" && h % 2 === 0 && w % 2 === 0) return s.one("SpaceToDepth", [x], { blocksize: 2 }, true);
  if (kind === "transpose") return s.one("Transpose", [x], { perm: s.shuffled([0, 1, 2, 3]) }, true);
  const tokens = s.one(
    "Transpose",
    [s.one("Reshape", [x, s.ints([n, c, h * w])], {}, true)],
    { perm: [0, 2, 1] },
    true,
  );
  const mixed = s.chance(0.5)
    ? s.one("Add", [s.one("MatMul", [tokens, s.constant([c, c], 1 / Math.sqrt(c))]), s.constant([c])])
    : tokens;
  const back = s.one("Transpose", [mixed], { perm: [0, 2, 1] }, true);
  return s.one("Reshape", [back, s.ints([n, c, h, w])], {}, true);
}

const steps: readonly Step[] = [
  convolution,
  convolution,
  convolution,
  convolution,
  convolution,
  pool,
  pool,
  batchNorm,
  constantArithmetic,
  constantArithmetic,
  activation,
  activation,
  activation,
  residual,
  residual,
  concat,
  concat,
  split,
  slice,
  squeezeExcite,
  pad,
  resize,
  transposedConvolution,
  normalize,
  shuffle,
  variadic,
  quantized,
  poolWithIndices,
];

/** A convolution network of `length` random steps; ends, now and then, in a classifier. */
export function imageNetwork(s: Source, length: number): Known[] {
  const size = (): number => s.pick([1, 2, 3, 5, 7, 8, 13, 14, 16, 19, 28, 32]);
  const rank = s.chance(0.9) ? 4 : s.pick([3, 5]);
  const dims = rank === 4 ? [size(), size()] : rank === 3 ? [size()] : [s.int(1, 6), s.int(1, 6), s.int(1, 6)];
  let x: Known = s.input([s.pick([1, 1, 1, 2, 3]), s.pick([1, 3, 3, 3, 4, ...channelChoices]), ...dims]);
  const made: Known[] = [];
  for (let i = 0; i < length; i++) {
    const maps = s.pool.filter(
      (v) => v.type === "float32" && v.dims.length === rank && elementCount(v.dims) <= 60_000 && !v.dims.includes(0),
    );
    if (s.chance(0.15) && maps.length > 0) x = s.pick(maps);
    if (x.dims.length !== rank || elementCount(x.dims) > 60_000 || x.dims.includes(0)) continue;
    x = s.pick(steps)(s, x);
    made.push(x);
  }
  if (s.chance(0.25) && x.dims.length === rank) x = head(s, x);
  return [x, ...made];
}
function head(s: Source, x: Known): Known {
  const g = s.one("GlobalAveragePool", [x]);
  const flat = s.chance(0.5) ? s.one("Flatten", [g]) : s.one("Reshape", [g, s.ints([0, -1])]);
  const out = s.pick([1, 3, 10, 16, 33]);
  const c = flat.dims[1]!;
  const y = s.chance(0.5)
    ? s.one("Gemm", [flat, s.constant([out, c], 0.2), s.constant([out])], { transB: 1 })
    : s.one("Add", [s.one("MatMul", [flat, s.constant([c, out], 0.2)]), s.constant([out])]);
  return s.chance(0.5) ? s.one("Softmax", [y], { axis: -1 }) : y;
}
