/** Pad in every mode, and CenterCropPad. */
import { add, cast, floormod, index, min, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { clampIndex, guard, guarded, literal } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { normalizeAxes, range } from "../shape-rules.ts";
import { outputStage } from "../stages.ts";

/** Elements added (or, below zero, taken away) before and after one axis. */
interface AxisPad {
  readonly before: number;
  readonly after: number;
}
const modes: readonly string[] = ["constant", "reflect", "edge", "wrap"];

function readPads(c: NodeContext): AxisPad[] {
  const { dims } = c.require(0);
  const legacy = c.node.opset < 11;
  const pads =
    (legacy ? (c.attributes.ints("pads") ?? c.attributes.ints("paddings")) : c.constantInts(1)) ??
    c.invalid("pads are missing");
  const listed = legacy ? undefined : c.constantInts(3);
  const axes = listed ? listed.map((a) => normalizeAxes(c, [a], dims.length)[0]!) : range(dims.length);
  if (pads.length !== 2 * axes.length || new Set(axes).size !== axes.length)
    c.invalid(`pads [${pads}] for axes [${axes}]`);
  return dims.map((_, a) => {
    const k = axes.indexOf(a);
    return k < 0 ? { before: 0, after: 0 } : { before: pads[k]!, after: pads[axes.length + k]! };
  });
}
function padMode(c: NodeContext): string {
  const mode = c.attributes.string("mode", "constant");
  return modes.includes(mode) ? mode : c.invalid(`mode ${JSON.stringify(mode)}`);
}
function padDims(c: NodeContext): number[] {
  const { dims } = c.require(0);
  const mode = padMode(c);
  return readPads(c).map(({ before, after }, a) => {
    const n = dims[a]! + before + after;
    const kept = dims[a]! - Math.max(0, -before) - Math.max(0, -after);
    if (n < 0) c.invalid(`pads take more than axis ${a} of ${dims[a]} has`);
    if (n > 0 && kept <= 0 && mode !== "constant") c.invalid(`nothing of axis ${a} is left to pad with`);
    return n;
  });
}
/** The input index that a mode other than `constant` copies; what negative pads take away is no source. */
function sourceIndex(mode: string, i: Expr, n: number, { before, after }: AxisPad): Expr {
  if (before === 0 && after === 0) return i;
  const low = Math.max(0, -before);
  const extent = n - low - Math.max(0, -after);
  const position = sub(i, Math.max(0, before));
  const reach = [-Math.max(0, before), extent - 1 + Math.max(0, after)] as const;
  return add(wrapped(mode, position, extent, reach), low);
}
function wrapped(mode: string, position: Expr, extent: number, reach: readonly [number, number]): Expr {
  if (mode === "edge") return clampIndex(position, extent, reach[0], reach[1]);
  if (mode === "wrap") return floormod(position, extent);
  if (extent === 1) return index(0);
  const period = 2 * (extent - 1);
  const phase = floormod(position, period);
  return min(phase, sub(period, phase));
}
function padValue(c: ComputeContext): (() => Expr) | undefined {
  const t = c.node.opset < 11 ? undefined : c.optional(2);
  return t && (() => t.at(...t.dims.map(() => 0)));
}
function computePad(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const mode = padMode(c);
  const pads = readPads(c);
  const { dtype, dims } = c.output(0);
  if (mode !== "constant")
    return [outputStage(c, "pad", (...i) => x.at(...i.map((e, a) => sourceIndex(mode, e, x.dims[a]!, pads[a]!))))];
  const filler = padValue(c) ?? (() => literal(dtype, c.attributes.float("value", 0)));
  return [
    outputStage(c, "pad", (...i) => {
      const place = i.map((e, a) => sub(e, pads[a]!.before));
      const inside = place.map((e, a) => guard(e, x.dims[a]!, -pads[a]!.before, dims[a]! - 1 - pads[a]!.before));
      const value = x.dims.includes(0) ? filler() : guarded(inside, x.at(...place), cast(dtype, filler()));
      return value;
    }),
  ];
}

/** How far each output index lies from its input index, and the output extents. */
function centerCropPad(c: NodeContext): { dims: number[]; shifts: number[] } {
  const { dims } = c.require(0);
  const target = c.constantInts(1) ?? c.invalid("no target shape");
  const axes = c.attributes.ints("axes")?.map((a) => normalizeAxes(c, [a], dims.length)[0]!) ?? range(dims.length);
  if (axes.length !== target.length || target.some((n) => n < 0)) c.invalid(`shape [${target}] for axes [${axes}]`);
  const result = dims.map((n, a) => target[axes.indexOf(a)] ?? n);
  const shifts = dims.map((n, a) => {
    const free = result[a]! - n;
    return free < 0 ? Math.floor(-free / 2) : -Math.floor(free / 2);
  });
  return { dims: result, shifts };
}

export const padRows: readonly OperatorRow[] = [
  {
    op: "Pad",
    pattern: "injective",
    infer: (c) => [{ dtype: c.require(0).dtype, dims: padDims(c) }],
    compute: computePad,
  },
  {
    op: "CenterCropPad",
    since: 18,
    pattern: "injective",
    infer: (c) => [{ dtype: c.require(0).dtype, dims: centerCropPad(c).dims }],
    compute: (c) => {
      const x = c.input(0);
      const { shifts, dims } = centerCropPad(c);
      const zero = literal(c.output(0).dtype, 0);
      return [
        outputStage(c, "center_crop_pad", (...i) => {
          if (x.dims.includes(0)) return zero;
          const place = i.map((e, a) => add(e, shifts[a]!));
          const inside = place.map((e, a) => guard(e, x.dims[a]!, shifts[a]!, dims[a]! - 1 + shifts[a]!));
          return guarded(inside, x.at(...place), zero);
        }),
      ];
    },
  },
];
