/** Random graphs over tensors of every rank and dtype: broadcasting, reductions, data movement, empty tensors. */
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import { elementCount } from "../../../ir/graph/tensor-value.ts";
import { activation, reduce } from "./images.ts";
import type { Known, Source } from "./source.ts";

type Step = (s: Source, x: Known) => Known;
const isFloat = (x: Known): boolean => x.type === "float32" || x.type === "float64";

/** A shape that broadcasts with `dims`, possibly of another rank. */
function broadcastable(s: Source, dims: readonly number[]): number[] {
  const tail = dims.slice(s.chance(0.4) ? s.int(0, dims.length) : 0).map((d) => (s.chance(0.6) ? d : 1));
  return tail.length === dims.length && s.chance(0.1) ? [s.int(1, 2), ...tail] : tail;
}
function operand(s: Source, x: Known): Known {
  const fits = s.pool.filter((v) => v.type === x.type && broadcasts(v.dims, x.dims));
  if (s.chance(0.5) && fits.length > 0) return s.pick(fits);
  const dims = broadcastable(s, x.dims);
  return s.chance(0.5) ? s.constant(dims, 1, x.type) : s.input(dims, x.type);
}
function broadcasts(a: readonly number[], b: readonly number[]): boolean {
  return a.every((d, i) => {
    const e = b[b.length - a.length + i];
    return e === undefined || d === e || d === 1 || e === 1;
  });
}
function arithmetic(s: Source, x: Known): Known {
  if (x.type === "bool") return s.one(s.pick(["And", "Or", "Xor", "Equal"]), [x, operand(s, x)], {}, true);
  const other = operand(s, x);
  if (x.type === "uint8") return s.one(s.pick(["Add", "Sub", "Mul"]), [x, other], {}, true);
  const op = s.pick(["Add", "Sub", "Mul", "Min", "Max", "Add", "Mul"]);
  return s.one(op, s.chance(0.5) ? [x, other] : [other, x], {}, op !== "Mul" || !isFloat(x));
}
function comparison(s: Source, x: Known): Known {
  if (!x.exact || x.type === "bool") return x;
  const other = operand(s, x);
  if (!other.exact) return x;
  return s.one(s.pick(["Less", "Greater", "Equal", "LessOrEqual", "GreaterOrEqual"]), [x, other], {}, true);
}
function where(s: Source, x: Known): Known {
  const masks = s.pool.filter((v) => v.type === "bool" && broadcasts(v.dims, x.dims));
  const mask = masks.length > 0 ? s.pick(masks) : s.constant(broadcastable(s, x.dims), 1, "bool");
  return s.one("Where", s.chance(0.5) ? [mask, x, operand(s, x)] : [mask, operand(s, x), x], {}, true);
}
function cast(s: Source, x: Known): Known {
  if (!x.exact) return x;
  const codes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float64: 11 };
  const to = s.pick(
    isFloat(x)
      ? (["float32", "float64", "int32", "int64", "bool"] as const)
      : (["float32", "float64", "int32", "int64", "bool", "uint8", "int8"] as const),
  );
  return s.one("Cast", [x], { to: codes[to] }, true);
}
function unary(s: Source, x: Known): Known {
  if (x.type === "bool") return s.one("Not", [x], {}, true);
  if (!isFloat(x)) return x.type === "uint8" ? x : s.one(s.pick(["Neg", "Abs", "Sign"]), [x], {}, true);
  if (x.exact && s.chance(0.4)) return s.one(s.pick(["Floor", "Ceil", "Round", "Sign"]), [x], {}, true);
  if (x.type === "float64") return s.one(s.pick(["Neg", "Abs", "Exp", "Sigmoid", "Tanh", "Relu"]), [x]);
  return s.chance(0.6)
    ? activation(s, x)
    : s.one(s.pick(["Sin", "Cos", "Atan", "Sinh", "Reciprocal", "Asinh"]), [
        s.one("Add", [s.one("Abs", [x]), s.scalar(1)]),
      ]);
}
function reduction(s: Source, x: Known): Known {
  if (x.type === "bool" || x.type === "uint8" || x.dims.includes(0)) return x;
  const axes = x.dims.map((_, i) => i).filter(() => s.chance(0.4));
  const chosen = axes.map((a) => (s.chance(0.3) ? a - x.dims.length : a));
  const ops = isFloat(x)
    ? [
        "ReduceSum",
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
        "ReduceProd",
        "ReduceLogSumExp",
      ]
    : ["ReduceSum", "ReduceMax", "ReduceMin"];
  return reduce(s, s.pick(ops), x, s.shuffled(chosen), s.chance(0.5));
}
function argument(s: Source, x: Known): Known {
  if (!x.exact || x.dims.length === 0 || x.type === "bool" || x.type === "int64" || x.dims.includes(0)) return x;
  return s.one(
    s.pick(["ArgMax", "ArgMin"]),
    [x],
    {
      axis: s.int(-x.dims.length, x.dims.length - 1),
      keepdims: s.int(0, 1),
      ...(s.chance(0.3) ? { select_last_index: 1 } : {}),
    },
    true,
  );
}
function movement(s: Source, x: Known): Known {
  const rank = x.dims.length;
  const kind = s.pick([
    "transpose",
    "transpose",
    "reshape",
    "unsqueeze",
    "concat",
    "slice",
    "tile",
    "expand",
    "gather",
    "split",
    "pad",
    "trilu",
    "cumsum",
    "gatherElements",
    "flatten",
  ]);
  if (rank === 0) return s.one("Unsqueeze", [x, s.ints([0])], {}, true);
  const axis = s.int(0, rank - 1);
  const extent = x.dims[axis]!;
  switch (kind) {
    case "transpose":
      return s.one("Transpose", [x], { perm: s.shuffled(x.dims.map((_, i) => i)) }, true);
    case "reshape":
      return s.one(
        "Reshape",
        [
          x,
          s.ints(s.pick([[elementCount(x.dims)], [1, ...x.dims, 1], [...x.dims].reverse(), [elementCount(x.dims), 1]])),
        ],
        { allowzero: 1 },
        true,
      );
    case "unsqueeze":
      return rank < 5 ? s.one("Unsqueeze", [x, s.ints([s.int(0, rank)])], {}, true) : x;
    case "concat":
      return s.one(
        "Concat",
        [x, ...Array.from({ length: s.int(0, 2) }, () => x), s.constant(x.dims, 1, x.type)],
        { axis },
        true,
      );
    case "slice":
      return extent > 1
        ? s.one("Slice", [x, s.ints([s.int(0, extent - 1)]), s.ints([extent]), s.ints([axis])], {}, true)
        : x;
    case "tile":
      return elementCount(x.dims) < 2000 ? s.one("Tile", [x, s.ints(x.dims.map(() => s.int(1, 2)))], {}, true) : x;
    case "expand":
      return s.one("Expand", [x, s.ints([2, ...x.dims.map(() => 1)])], {}, true);
    case "gather":
      return extent > 0
        ? s.one(
            "Gather",
            [
              x,
              s.chance(0.3)
                ? s.scalar(s.int(0, extent - 1), "int64")
                : s.ints(Array.from({ length: s.int(0, 4) }, () => s.int(-extent, extent - 1))),
            ],
            { axis },
            true,
          )
        : x;
    case "split":
      return extent > 1
        ? s.pick(s.op("Split", [x, s.ints([1, extent - 1])], { axis }, { outputs: 2, exact: true }) ?? [x])
        : x;
    case "pad":
      return isFloat(x)
        ? s.one("Pad", [x, s.ints(Array.from({ length: 2 * rank }, () => s.int(0, 2)))], { mode: "constant" }, true)
        : x;
    case "trilu":
      return rank >= 2 && isFloat(x) ? s.one("Trilu", [x], { upper: s.int(0, 1) }, true) : x;
    case "cumsum":
      return isFloat(x)
        ? s.one("CumSum", [x, s.scalar(axis, "int64")], { exclusive: s.int(0, 1), reverse: s.int(0, 1) }, true)
        : x;
    case "gatherElements": {
      if (elementCount(x.dims) > 2000 || extent === 0) return x;
      const indices = s.constant(x.dims, 1, "int64");
      const data = s.builder.values.get(indices.id)!.constant!.data as BigInt64Array;
      for (let i = 0; i < data.length; i++) data[i] = BigInt(s.int(0, extent - 1));
      return s.one("GatherElements", [x, indices], { axis }, true);
    }
    default:
      return s.one("Flatten", [x], { axis: s.int(0, rank) }, true);
  }
}

/** Selection and indexed access. */
function indexed(s: Source, x: Known): Known {
  const rank = x.dims.length;
  if (rank === 0 || x.dims.includes(0) || elementCount(x.dims) > 3000) return x;
  const axis = s.int(0, rank - 1);
  const extent = x.dims[axis]!;
  const kind = s.pick(["topk", "onehot", "scatter", "gatherNd", "einsum", "reverse", "roll", "nonlinear"]);
  if (kind === "topk" && x.exact && x.type !== "bool" && x.type !== "uint8")
    return s.pick(
      s.op("TopK", [x, s.ints([s.int(1, extent)])], { axis, largest: s.int(0, 1) }, { outputs: 2, exact: true }) ?? [x],
    );
  if (kind === "onehot" && x.type === "int64" && rank < 4)
    return s.one("OneHot", [x, s.scalar(7, "int64"), s.constant([2])], { axis: -1 }, true);
  if (kind === "gatherNd")
    return s.one("GatherND", [x, s.one("Reshape", [s.ints([0, extent - 1]), s.ints([2, 1])])], {}, true);
  if (kind === "scatter" && isFloat(x)) {
    const rows = s.ints(x.dims.map(() => 0));
    const indices = s.one("Reshape", [rows, s.ints([1, rank])]);
    return s.one("ScatterND", [x, indices, s.constant([1], 1, x.type)], {}, true);
  }
  if (kind === "einsum" && x.type === "float32" && rank === 2)
    return s.one("Einsum", [x, s.input([x.dims[1]!, 5])], { equation: "ij,jk->ki" });
  if (kind === "reverse")
    return s.one("Slice", [x, s.ints([-1]), s.ints([-10_000]), s.ints([axis]), s.ints([-1])], {}, true);
  if (kind === "roll" && extent > 1) {
    const cut = s.int(1, extent - 1);
    const part = (from: number, to: number): Known =>
      s.one("Slice", [x, s.ints([from]), s.ints([to]), s.ints([axis])], {}, true);
    return s.one("Concat", [part(cut, extent), part(0, cut)], { axis }, true);
  }
  return x;
}

const steps: readonly Step[] = [
  indexed,
  indexed,
  arithmetic,
  arithmetic,
  arithmetic,
  comparison,
  where,
  cast,
  unary,
  unary,
  reduction,
  reduction,
  argument,
  movement,
  movement,
  movement,
];

/** A graph of `length` random steps over tensors of any rank and dtype. */
export function tensorGraph(s: Source, length: number): Known[] {
  const extents = [1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 19, 33];
  const rank = s.pick([0, 1, 1, 2, 2, 3, 3, 4, 4, 5]);
  const empty = s.chance(0.04);
  const dims = Array.from({ length: rank }, () =>
    empty && s.chance(0.4) ? 0 : s.pick(rank >= 4 ? extents.slice(0, 9) : extents),
  );
  const types: ScalarType[] = [
    "float32",
    "float32",
    "float32",
    "float32",
    "float32",
    "float64",
    "int32",
    "int64",
    "uint8",
    "bool",
  ];
  let x: Known = s.input(dims, s.pick(types));
  const made: Known[] = [];
  for (let i = 0; i < length; i++) {
    if (s.chance(0.2)) x = s.pick(s.pool);
    if (elementCount(x.dims) > 20_000 || x.dims.length > 6) continue;
    x = s.pick(steps)(s, x);
    made.push(x);
  }
  return [x, ...made];
}
