/**
 * WinogradConv (made by passes/graph/select-winograd.ts): a convolution as input transform, one matrix product for each
 * of the transformed positions of a tile, and output transform.
 */
import { add, binary, constant, floordiv, floormod, mul, sub, unary, variable } from "../../../ir/expr/build.ts";
import { dtype } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { lastBlocked } from "../../../ir/graph/layout.ts";
import { letIn, seq } from "../../../ir/loop/build.ts";
import { sum, type Tensor } from "../../../ir/loop/compute.ts";
import type { Stmt } from "../../../ir/loop/program.ts";
import type { IdSource } from "../../../ir/support/ids.ts";
import { alphaOf, type WinogradAxis, winogradMatrices } from "../../../passes/graph/winograd-transforms.ts";
import { type ComputeContext, type NodeContext, type OperatorRow, ownDomain, type StaticType } from "../row.ts";

interface Facts {
  /** Height and width. */
  readonly axes: readonly [WinogradAxis, WinogradAxis];
  readonly alpha: readonly [number, number];
  readonly pads: readonly number[];
  /** Tiles along height and width. */
  readonly tiles: readonly [number, number];
  readonly output: readonly number[];
}
function facts(c: NodeContext): Facts {
  const [n, , ...size] = c.require(0).dims as [number, number, number, number];
  const ints = (name: string, otherwise: number[]): readonly number[] => c.attributes.ints(name) ?? otherwise;
  const [tile, kernel, strides] = [ints("tile", [4, 4]), ints("kernel", [3, 3]), ints("strides", [1, 1])];
  const pads = ints("pads", [0, 0, 0, 0]);
  const axis = (i: number): WinogradAxis => ({ outputs: tile[i]!, taps: kernel[i]!, stride: strides[i]! });
  const axes = [axis(0), axis(1)] as const;
  const extents = axes.map((a, i) => Math.floor((size[i]! + pads[i]! + pads[i + 2]! - a.taps) / a.stride) + 1);
  const tiles = axes.map((a, i) => Math.ceil(extents[i]! / a.outputs)) as [number, number];
  return {
    axes,
    alpha: [alphaOf(axes[0]), alphaOf(axes[1])],
    pads,
    tiles,
    output: [n, c.require(1).dims[1]!, ...extents],
  };
}
const infer = (c: NodeContext): StaticType[] => [{ dtype: "float32", dims: facts(c).output }];

/** Assigns values to fresh variables while statements are collected inside out. */
class Lets {
  readonly #ids: IdSource;
  readonly #bound: { readonly v: ReturnType<typeof variable>; readonly value: Expr }[] = [];
  constructor(ids: IdSource) {
    this.#ids = ids;
  }
  bind(value: Expr): Expr {
    if (value.kind === "var" || value.kind === "const") return value;
    const v = variable(this.#ids, "t", value.dtype);
    this.#bound.push({ v, value });
    return v;
  }
  around(body: Stmt): Stmt {
    return this.#bound.reduceRight<Stmt>((inner, b) => letIn(b.v, b.value, inner), body);
  }
}

const float = dtype("float32");
/** coefficient · value, with products by ±1 written as the value or its negation by the caller. */
function combine(lets: Lets, terms: readonly { readonly factor: number; readonly value: Expr }[]): Expr | undefined {
  let total: Expr | undefined;
  const positiveFirst = [...terms].sort((a, b) => Number(b.factor === 1) - Number(a.factor === 1));
  for (const { factor, value } of positiveFirst) {
    if (factor === 0) continue;
    if (total === undefined)
      total =
        factor === 1 ? value : factor === -1 ? unary("neg", value) : binary("mul", value, constant(float, factor));
    else if (factor === 1) total = binary("add", total, value);
    else if (factor === -1) total = binary("sub", total, value);
    else total = binary("add", total, binary("mul", value, constant(float, factor)));
  }
  return total && lets.bind(total);
}
/** matrix · values; rows that are each other's mirror (even ± odd part) share both parts. */
function applyMatrix(lets: Lets, matrix: readonly (readonly number[])[], values: readonly Expr[]): Expr[] {
  const result: (Expr | undefined)[] = matrix.map(() => undefined);
  matrix.forEach((row, i) => {
    if (result[i] !== undefined) return;
    const j = matrix.findIndex((other, k) => k > i && result[k] === undefined && mirrors(row, other));
    const part = (keep: (column: number) => boolean) =>
      combine(
        lets,
        row.flatMap((factor, column) => (keep(column) ? [{ factor, value: values[column]! }] : [])),
      );
    if (j < 0) {
      result[i] = part(() => true);
      return;
    }
    const even = part((column) => row[column] === matrix[j]![column])!;
    const odd = part((column) => row[column] !== matrix[j]![column])!;
    result[i] = lets.bind(binary("add", even, odd));
    result[j] = lets.bind(binary("sub", even, odd));
  });
  return result.map((r) => r!);
}
/** Whether two rows agree in some columns and are opposite in the others, both more than one. */
function mirrors(a: readonly number[], b: readonly number[]): boolean {
  const used = a.flatMap((x, i) => (x === 0 && b[i] === 0 ? [] : [i]));
  const same = used.filter((i) => a[i] === b[i]).length;
  const opposite = used.filter((i) => a[i] === -b[i]!).length;
  return same + opposite === used.length && same > 0 && opposite > 0;
}
/** vertical · values · horizontalᵀ. */
function transformTile(
  lets: Lets,
  [vertical, horizontal]: readonly (readonly (readonly number[])[])[],
  values: readonly (readonly Expr[])[],
): Expr[][] {
  const columns = values[0]!.map((_, q) =>
    applyMatrix(
      lets,
      vertical!,
      values.map((row) => row[q]!),
    ),
  );
  return vertical!.map((_, a) =>
    applyMatrix(
      lets,
      horizontal!,
      columns.map((column) => column[a]!),
    ),
  );
}

function compute(c: ComputeContext): Tensor[] {
  const f = facts(c);
  const { builder } = c;
  const x = c.input(0);
  const u = c.input(1);
  const bias = c.optional(2);
  const lanes = x.layout.dims.at(-1)?.modulus ?? 1;
  const matrices = f.axes.map(winogradMatrices);
  const [rows, columns] = f.axes;
  const [high, wide] = f.alpha;
  const [batch, channels, outHeight, outWidth] = f.output as [number, number, number, number];
  const inputChannels = x.dims[1]!;
  const count = f.tiles[0] * f.tiles[1];
  const positions = high * wide;
  const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
  const blocks = (n: number): number => Math.ceil(n / lanes);

  const v = builder.declare(
    "winograd_input",
    "float32",
    [batch, positions, count, inputChannels],
    lastBlocked(4, lanes),
  );
  builder.statements(
    "winograd_input",
    { n: batch, t: count, c_o: blocks(inputChannels), c_i: lanes },
    (n, t, co, ci) => {
      const lets = new Lets(builder.ids);
      const channel = add(mul(co, lanes), ci);
      const top = sub(mul(floordiv(t, f.tiles[1]), rows.outputs * rows.stride), f.pads[0]!);
      const left = sub(mul(floormod(t, f.tiles[1]), columns.outputs * columns.stride), f.pads[1]!);
      const data = range(high).map((p) =>
        range(wide).map((q) => lets.bind(x.at(n, channel, add(top, p), add(left, q)))),
      );
      const inputs = matrices.map((m) => m.input);
      const stored = transformTile(lets, inputs, data).flatMap((row, a) =>
        row.map((value, b) => builder.storeAt(v, [n, a * wide + b, t, channel], value)),
      );
      return {
        body: lets.around(seq(stored)),
        writes: [builder.regionAt(v, [n, [0, positions], t, channel])],
        reads: [builder.regionAt(x, [n, channel, [top, high], [left, wide]])],
      };
    },
    { annotations: { op: "WinogradInput" } },
  );

  const ic = builder.reduceAxis("ic", inputChannels);
  const product = builder.compute(
    "winograd_product",
    "float32",
    [batch, positions, count, channels],
    (n, xi, t, o) => sum(mul(v.at(n!, xi!, t!, ic.var), u.at(xi!, o!, ic.var)), ic),
    { layout: lastBlocked(4, lanes), annotations: { op: "WinogradProduct" } },
  );

  const y = builder.declare(
    "winograd_output",
    "float32",
    [batch, count, rows.outputs, columns.outputs, channels],
    lastBlocked(5, lanes),
  );
  builder.statements(
    "winograd_output",
    { n: batch, t: count, c_o: blocks(channels), c_i: lanes },
    (n, t, co, ci) => {
      const lets = new Lets(builder.ids);
      const channel = add(mul(co, lanes), ci);
      const data = range(high).map((a) => range(wide).map((b) => lets.bind(product.at(n, a * wide + b, t, channel))));
      const outputs = matrices.map((m) => m.output);
      const stored = transformTile(lets, outputs, data).flatMap((row, i) =>
        row.map((value, j) => builder.storeAt(y, [n, t, i, j, channel], value)),
      );
      return {
        body: lets.around(seq(stored)),
        writes: [builder.regionAt(y, [n, t, [0, rows.outputs], [0, columns.outputs], channel])],
        reads: [builder.regionAt(product, [n, [0, positions], t, channel])],
      };
    },
    { annotations: { op: "WinogradOutput", tile: [rows.outputs, columns.outputs] } },
  );

  const value = (n: Expr, o: Expr, h: Expr, w: Expr): Expr => {
    const [i, j] = [floormod(h, rows.outputs), floormod(w, columns.outputs)];
    const tile = add(mul(floordiv(h, rows.outputs), f.tiles[1]), floordiv(w, columns.outputs));
    const element = y.at(n, tile, i, j, o);
    return bias ? add(element, bias.at(o)) : element;
  };
  const layout = c.layout(0);
  return [
    builder.compute(
      "winograd",
      "float32",
      [batch, channels, outHeight, outWidth],
      (n, o, h, w) => value(n!, o!, h!, w!),
      { ...(layout ? { layout } : {}) },
    ),
  ];
}

export const winogradRows: readonly OperatorRow[] = [
  { op: "WinogradConv", domain: ownDomain, pattern: "contraction", infer, compute },
];
