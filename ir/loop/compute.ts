/**
 * Builds Programs from tensor expressions: each `compute` becomes one block inside a default loop nest, in the order
 * written. Expressions use logical coordinates; a tensor's layout decides the physical loops and accesses.
 */
import {
  add,
  and,
  binary,
  compare,
  constantValue,
  type ExprLike,
  identityOf,
  index,
  load,
  buffer as makeBuffer,
  mul,
  scalarLike,
  toExpr,
  variable,
} from "../expr/build.ts";
import type { DType, ScalarType } from "../expr/dtype.ts";
import type { Buffer, Expr, Var } from "../expr/expr.ts";
import { visit } from "../expr/traverse.ts";
import { type Layout, physicalIndex, physicalShape, plainLayout } from "../graph/layout.ts";
import type { IdSource, VarId } from "../support/ids.ts";
import { invariant } from "../support/invariant.ts";
import {
  allocate,
  block,
  forLoop,
  iterVar,
  letIn,
  pointRegion,
  primFunc,
  program,
  range,
  region,
  seq,
  store,
} from "./build.ts";
import { type Combiner, combinedUpdate, combinerAnnotations, startOf } from "./combine.ts";
import type { Annotations, IterKind, IterVar, MathPolicy, Param, ParamRole, Program, Region, Stmt } from "./program.ts";

export type ReduceOp = "add" | "mul" | "min" | "max" | "and" | "or";

/** A reduction axis 0..extent, used inside a `Reduction`'s value. */
export interface ReduceAxis {
  readonly kind: "reduceAxis";
  readonly var: Var;
  readonly extent: number;
}
/** `op` over all values of `axes`, starting from `init` (default: the neutral element). */
export interface Reduction {
  readonly kind: "reduction";
  readonly op: ReduceOp;
  readonly axes: readonly ReduceAxis[];
  readonly value: Expr;
  readonly init?: Expr;
}
/**
 * Several results reduced together (argmax, Welford): `init` gives the start values, `update` the new values from the
 * old ones (all old values are read before any is written).
 */
export interface TupleReduction {
  readonly kind: "tupleReduction";
  readonly axes: readonly ReduceAxis[];
  readonly init: readonly Expr[];
  readonly update: (accumulators: readonly Expr[]) => readonly Expr[];
}

/** Several results reduced together by a stated associative function, from its identity: argmin, or one of the user's. */
export interface CombinedReduction {
  readonly kind: "combinedReduction";
  readonly axes: readonly ReduceAxis[];
  readonly combiner: Combiner;
  /** What each point of the axes contributes, one value a result. */
  readonly values: readonly Expr[];
}

/** A tensor in logical coordinates over a physical buffer. */
export interface Tensor {
  readonly buffer: Buffer;
  readonly dims: readonly number[];
  readonly layout: Layout;
  readonly dtype: DType;
  /** The element at logical coordinates. */
  at(...indices: ExprLike[]): Expr;
}

export interface StageOptions {
  readonly layout?: Layout;
  readonly annotations?: Annotations;
  /** Kind of each logical axis of the stage (default all spatial); `ordered` axes run in increasing order. */
  readonly kinds?: readonly IterKind[];
}

/** Simplifies an index expression given the extents (ranges 0..extent) of its variables. */
export type IndexSimplifier = (e: Expr, extents: ReadonlyMap<VarId, number>) => Expr;

/** What one instance of a `write` stage does. */
export interface WriteInstance {
  readonly at: readonly ExprLike[];
  readonly value: Expr;
  readonly predicate?: Expr;
}

/** Builds one function. Stages run in the order of the calls. */
export class ComputeBuilder {
  readonly ids: IdSource;
  readonly #simplify: IndexSimplifier;
  readonly #extents = new Map<VarId, number>();
  readonly #params: Param[] = [];
  readonly #locals: Buffer[] = [];
  readonly #stages: Stmt[] = [];
  readonly #names = new Map<string, number>();

  constructor(ids: IdSource, simplify: IndexSimplifier = (e) => e) {
    this.ids = ids;
    this.#simplify = simplify;
  }

  /** Declares a parameter tensor of the function. */
  param(name: string, scalar: ScalarType, dims: readonly number[], role: ParamRole, layout?: Layout): Tensor {
    const t = this.#tensor(name, scalar, dims, layout);
    this.#params.push({ buffer: t.buffer, role });
    return t;
  }
  /** Declares a tensor that stages write into; an intermediate unless it is given to `finish` as an output. */
  declare(name: string, scalar: ScalarType, dims: readonly number[], layout?: Layout): Tensor {
    const t = this.#tensor(name, scalar, dims, layout);
    this.#locals.push(t.buffer);
    return t;
  }
  #tensor(name: string, scalar: ScalarType, dims: readonly number[], layout = plainLayout(dims.length)): Tensor {
    const b = makeBuffer(this.ids, name, scalar, physicalShape(layout, dims));
    const at = (...indices: ExprLike[]): Expr => load(b, this.#physical(layout, indices.map(toExpr)));
    return { buffer: b, dims, layout, dtype: b.dtype, at };
  }
  #physical(layout: Layout, indices: readonly Expr[]): Expr[] {
    return physicalIndex(layout, indices).map((e) => this.#simplify(e, this.#extents));
  }

  reduceAxis(name: string, extent: number): ReduceAxis {
    const v = variable(this.ids, name);
    this.#extents.set(v.id, extent);
    return { kind: "reduceAxis", var: v, extent };
  }

  /** One block computing every element of a new tensor of shape `dims`. */
  compute(
    name: string,
    scalar: ScalarType,
    dims: readonly number[],
    value: (...indices: Expr[]) => Expr | Reduction,
    options: StageOptions = {},
  ): Tensor {
    const t = this.declare(name, scalar, dims, options.layout);
    this.computeInto(t, name, (...i) => value(...i), options);
    return t;
  }
  /** Like `compute`, for a declared tensor; `value` may read the tensor's own earlier elements along `ordered` axes. */
  computeInto(
    t: Tensor,
    name: string,
    value: (...indices: Expr[]) => Expr | Reduction,
    options: StageOptions = {},
  ): void {
    const domain = this.#domain(t, options.kinds);
    const body = value(...domain.logical);
    const target = this.#physical(t.layout, domain.logical);
    if (body.kind !== "reduction") {
      this.#emit(name, domain.iters, store(t.buffer, target, body), [pointRegion(t.buffer, target)], options);
    } else {
      const init = store(t.buffer, target, body.init ?? identityOf(body.op, t.dtype.scalar));
      const update = store(t.buffer, target, binary(body.op, load(t.buffer, target), body.value));
      const iters = [...domain.iters, ...body.axes.map((a) => iterVar(a.var, a.extent, "reduction"))];
      this.#emit(name, iters, update, [pointRegion(t.buffer, target)], options, init);
    }
    this.#fillHalo(t, name);
  }
  /** Computes several tensors of one shape by one joint reduction. */
  computeTuple(
    names: readonly string[],
    scalars: readonly ScalarType[],
    dims: readonly number[],
    value: (...indices: Expr[]) => TupleReduction | CombinedReduction,
    options: StageOptions = {},
  ): Tensor[] {
    const tensors = names.map((n, i) => this.declare(n, scalars[i]!, dims, options.layout));
    this.computeTupleInto(tensors, names.join("_"), value, options);
    return tensors;
  }
  /** Like `computeTuple`, for declared tensors; the update may read their own earlier elements along `ordered` axes. */
  computeTupleInto(
    tensors: readonly Tensor[],
    name: string,
    value: (...indices: Expr[]) => TupleReduction | CombinedReduction,
    options: StageOptions = {},
  ): void {
    const domain = this.#domain(tensors[0]!, options.kinds);
    const reduction = value(...domain.logical);
    const target = this.#physical(tensors[0]!.layout, domain.logical);
    if (reduction.kind === "combinedReduction") {
      const results = { buffers: tensors.map((t) => t.buffer), place: target };
      const { combiner, axes, values } = reduction;
      const start = startOf(results, combiner.identity(tensors.map((t) => t.dtype.scalar)));
      const iters = [...domain.iters, ...axes.map((a) => iterVar(a.var, a.extent, "reduction"))];
      const writes = tensors.map((t) => pointRegion(t.buffer, target));
      const annotations = { ...options.annotations, ...combinerAnnotations(combiner) };
      this.#emit(
        name,
        iters,
        combinedUpdate(this.ids, results, values, combiner.combine),
        writes,
        { annotations },
        start,
      );
      return;
    }
    const old = tensors.map((t) => load(t.buffer, target));
    const next = reduction.update(old);
    const lets = tensors.map((t) => variable(this.ids, `${t.buffer.name}_next`, t.dtype));
    const stores = seq(tensors.map((t, i) => store(t.buffer, target, lets[i]!)));
    const body = lets.reduceRight<Stmt>((inner, v, i) => letIn(v, next[i]!, inner), stores);
    const init = seq(tensors.map((t, i) => store(t.buffer, target, reduction.init[i]!)));
    const iters = [...domain.iters, ...reduction.axes.map((a) => iterVar(a.var, a.extent, "reduction"))];
    const writes = tensors.map((t) => pointRegion(t.buffer, target));
    this.#emit(name, iters, body, writes, options, init);
  }
  /**
   * A block over `extents` that writes elements of a declared tensor at computed (logical) places: scatter, concat.
   * `kinds` says whether instances may collide (`ordered`: the last one wins).
   */
  write(
    target: Tensor,
    name: string,
    extents: readonly number[],
    instance: (...indices: Expr[]) => WriteInstance,
    options: StageOptions = {},
  ): void {
    const vars = extents.map((n, i) => this.#axis(`${"ijklmnop"[i] ?? "i"}`, n));
    const { at, value, predicate } = instance(...vars);
    const place = this.#physical(target.layout, at.map(toExpr));
    const iters = vars.map((v, i) => iterVar(v, extents[i]!, options.kinds?.[i] ?? "spatial"));
    const exact = place.every((e) => onlyVars(e));
    const writes = exact ? [pointRegion(target.buffer, place)] : [wholeRegion(target.buffer)];
    const body = store(target.buffer, place, value);
    this.#emit(name, iters, predicate ? { kind: "if", condition: predicate, then: body } : body, writes, options);
  }

  /**
   * A block over named spatial axes whose instances each run several statements: transforms that make a small box of
   * elements at once. `writes` says which (see `regionAt`).
   */
  statements(
    name: string,
    extents: Readonly<Record<string, number>>,
    instance: (...indices: Expr[]) => {
      readonly body: Stmt;
      readonly writes: readonly Region[];
      readonly reads?: readonly Region[];
    },
    options: StageOptions = {},
  ): void {
    const axes = Object.entries(extents).map(([axis, extent]) => ({ var: this.#axis(axis, extent), extent }));
    const { body, writes, reads } = instance(...axes.map((a) => a.var));
    this.#emit(
      name,
      axes.map((a) => iterVar(a.var, a.extent)),
      body,
      writes,
      { ...options, ...(reads ? { reads } : {}) },
    );
  }
  /** A store at logical coordinates. */
  storeAt(t: Tensor, at: readonly ExprLike[], value: Expr): Stmt {
    return store(t.buffer, this.#physical(t.layout, at.map(toExpr)), value);
  }
  /** The region at logical coordinates; a pair [min, extent] spans several along an axis that is not split. */
  regionAt(t: Tensor, at: readonly (ExprLike | readonly [ExprLike, number])[]): Region {
    const isSpan = (e: (typeof at)[number]): e is readonly [ExprLike, number] => Array.isArray(e);
    const place = this.#physical(
      t.layout,
      at.map((e) => toExpr(isSpan(e) ? e[0] : e)),
    );
    return region(
      t.buffer,
      place.map((e, k) => {
        const span = at[t.layout.dims[k]!.axis]!;
        return range(e, isSpan(span) ? span[1] : 1);
      }),
    );
  }

  /** Zeroes the halo of a tensor that `write` stages fill (`compute` does it by itself). */
  zeroHalo(t: Tensor, name: string): void {
    this.#fillHalo(t, name);
  }

  /** A function whose outputs are `outputs`; tensors never given as parameters or outputs become allocations. */
  finish(
    name: string,
    outputs: readonly Tensor[],
    options: { math?: MathPolicy; annotations?: Annotations } = {},
  ): Program {
    const outs = new Set(outputs.map((o) => o.buffer.id));
    const params = [...this.#params, ...outputs.map((o): Param => ({ buffer: o.buffer, role: "output" }))];
    const locals = this.#locals.filter((b) => !outs.has(b.id));
    const body = locals.reduceRight<Stmt>((inner, b) => allocate(b, inner), seq(this.#stages));
    return program([primFunc({ name, params, body, ...options })], this.ids);
  }

  #axis(name: string, extent: number): Var {
    const v = variable(this.ids, name);
    this.#extents.set(v.id, extent);
    return v;
  }
  /** The physical iteration domain of a tensor: one iteration variable a physical dimension, halo left out. */
  #domain(t: Tensor, kinds: readonly IterKind[] = []): { iters: IterVar[]; logical: Expr[] } {
    const { layout } = t;
    const logical: Expr[] = t.dims.map(() => index(0));
    const iters = layout.dims.map((d) => {
      const extent = d.modulus ?? Math.ceil(t.dims[d.axis]! / d.divisor);
      const split = d.divisor > 1 || d.modulus !== undefined;
      const v = this.#axis(
        axisName(t.dims.length, d.axis) + (split ? (d.modulus === undefined ? "_o" : "_i") : ""),
        extent,
      );
      logical[d.axis] = add(logical[d.axis]!, mul(v, d.divisor));
      return iterVar(v, extent, kinds[d.axis] ?? "spatial");
    });
    return { iters, logical };
  }
  #emit(
    name: string,
    iters: readonly IterVar[],
    body: Stmt,
    writes: readonly Region[],
    options: StageOptions & { readonly reads?: readonly Region[] },
    init?: Stmt,
  ): void {
    const unique = this.#uniqueName(name);
    const loops = iters.map((i) => ({ var: variable(this.ids, i.var.name), extent: i.extent }));
    const annotations = options.annotations;
    const b = block(this.ids, {
      name: unique,
      iterVars: iters,
      bindings: loops.map((l) => l.var),
      reads: options.reads ?? readRegions(body, init, iters),
      writes,
      body,
      ...(init ? { init } : {}),
      ...(annotations ? { annotations } : {}),
    });
    this.#stages.push(loops.reduceRight<Stmt>((inner, l) => forLoop(l.var, l.extent, inner), b));
  }
  #uniqueName(name: string): string {
    const count = this.#names.get(name) ?? 0;
    this.#names.set(name, count + 1);
    return count === 0 ? name : this.#uniqueName(`${name}_${count}`);
  }
  /** Blocks that zero the halo of a tensor: for each axis the strips before and after, full width on later axes. */
  #fillHalo(t: Tensor, name: string): void {
    const { layout } = t;
    const shape = t.buffer.shape.map((e) => constantValue(e)!);
    layout.dims.forEach((d, axis) => {
      const halo = layout.halo?.[d.axis];
      for (const side of ["before", "after"] as const) {
        const width = halo?.[side] ?? 0;
        if (width === 0) continue;
        const spans = shape.map((n, k) => haloSpan(layout, shape, axis, k, side, n));
        const vars = spans.map((s, k) => this.#axis(`h${k}`, s.extent));
        const place = vars.map((v, k) => add(v, spans[k]!.min));
        const iters = vars.map((v, k) => iterVar(v, spans[k]!.extent));
        const body = store(t.buffer, place, scalarLike(t.dtype, 0));
        this.#emit(`${name}_halo`, iters, body, [pointRegion(t.buffer, place)], { annotations: { halo: true } });
      }
    });
  }
}

/** The strip of physical axis `k` when zeroing the `side` halo of axis `axis`: earlier haloed axes only inside. */
function haloSpan(
  layout: Layout,
  shape: readonly number[],
  axis: number,
  k: number,
  side: "before" | "after",
  n: number,
) {
  const halo = layout.halo?.[layout.dims[k]!.axis];
  const whole = layout.dims[k]!.modulus === undefined;
  const { before, after } = whole && halo ? halo : { before: 0, after: 0 };
  if (k === axis) return side === "before" ? { min: 0, extent: before } : { min: shape[k]! - after, extent: after };
  if (k < axis) return { min: before, extent: n - before - after };
  return { min: 0, extent: n };
}
const axisName = (rank: number, axis: number): string =>
  rank === 4
    ? "nchw"[axis]!
    : rank === 3
      ? "ncw"[axis]!
      : rank === 5
        ? "ncdhw"[axis]!
        : rank === 2
          ? "ij"[axis]!
          : `i${axis}`;
const onlyVars = (e: Expr): boolean => {
  let exact = true;
  visit(e, (n) => {
    if (n.kind === "load") exact = false;
  });
  return exact;
};
/** All of a buffer. */
export const wholeRegion = (b: Buffer): Region =>
  region(
    b,
    b.shape.map((n) => range(0, n)),
  );

/** One point region for each distinct load; loads whose indices depend on data read the whole buffer. */
function readRegions(body: Stmt, init: Stmt | undefined, iters: readonly IterVar[]): Region[] {
  const known = new Set(iters.map((i) => i.var.id));
  const seen = new Map<string, Region>();
  const scan = (e: Expr): void =>
    visit(e, (n) => {
      if (n.kind !== "load") return;
      const exact = n.indices.every((i) => onlyVars(i) && varsWithin(i, known));
      const r = exact ? pointRegion(n.buffer, n.indices) : wholeRegion(n.buffer);
      const key = `${n.buffer.id}:${n.indices.map(keyOf).join(",")}${exact}`;
      seen.set(key, r);
    });
  const walk = (s: Stmt): void => {
    if (s.kind === "store") [...s.indices, s.value].forEach(scan);
    else if (s.kind === "let") {
      scan(s.value);
      walk(s.body);
    } else if (s.kind === "if") {
      scan(s.condition);
      walk(s.then);
      if (s.otherwise) walk(s.otherwise);
    } else if (s.kind === "seq") s.body.forEach(walk);
    else invariant(false, `a stage's body holds stores, lets and ifs, got ${s.kind}`);
  };
  walk(body);
  if (init) walk(init);
  return [...seen.values()];
}
const varsWithin = (e: Expr, known: ReadonlySet<VarId>): boolean => {
  let inside = true;
  visit(e, (n) => {
    if (n.kind === "var" && !known.has(n.id)) inside = false;
  });
  return inside;
};
function keyOf(e: Expr): string {
  return JSON.stringify(e, (k, v) =>
    k === "dtype" || k === "name" || k === "buffer" ? undefined : typeof v === "bigint" ? `${v}n` : v,
  );
}

/** Sum of `value` over `axes`. */
export const sum = (value: Expr, ...axes: ReduceAxis[]): Reduction => ({ kind: "reduction", op: "add", axes, value });
/** Any associative, commutative reduction. */
export const reduce = (op: ReduceOp, value: Expr, axes: readonly ReduceAxis[], init?: Expr): Reduction => ({
  kind: "reduction",
  op,
  axes,
  value,
  ...(init ? { init } : {}),
});
/** 0 ≤ e < extent. */
export const inRange = (e: Expr, extent: ExprLike): Expr => and(compare("ge", e, 0), compare("lt", e, extent));
