/**
 * Writing computations by hand: placeholders, tensor expressions, a schedule, a native function. The same builder and
 * primitives that networks are compiled with.
 */
import { binary, cast, compare, constant, constantValue, select, unary, variable } from "../ir/expr/build.ts";
import { dtype, type ScalarType } from "../ir/expr/dtype.ts";
import type { BinaryOp, CompareOp, Expr, UnaryOp, Var } from "../ir/expr/expr.ts";
import type { LayoutDim } from "../ir/graph/layout.ts";
import type { Combiner } from "../ir/loop/combine.ts";
import {
  ComputeBuilder,
  type ReduceAxis,
  type ReduceOp,
  type Reduction,
  type Tensor as StageTensor,
} from "../ir/loop/compute.ts";
import type { MathPolicy, Program } from "../ir/loop/program.ts";
import { UsageError } from "../ir/support/errors.ts";
import { IdSource } from "../ir/support/ids.ts";
import { invariant } from "../ir/support/invariant.ts";
import { featuresOf, parseTarget } from "../ir/target/parse.ts";
import type { Target } from "../ir/target/target.ts";
import { recurrenceOf } from "../passes/schedule/primitive/support-recurrence.ts";
import { forFeatures } from "../passes/schedule/primitive/tensorize.ts";
import { Schedule } from "../passes/schedule/schedule.ts";
import { blocksIn } from "../passes/schedule/tree.ts";
import { indexSimplifier } from "../passes/simplify/index.ts";

/** A scalar expression with methods, as in `A.at(i, k).mul(B.at(k, j))`. */
export class Scalar {
  readonly node: Node;
  constructor(node: Node) {
    this.node = node;
  }
  add = (b: Operand): Scalar => this.#with("add", b);
  sub = (b: Operand): Scalar => this.#with("sub", b);
  mul = (b: Operand): Scalar => this.#with("mul", b);
  div = (b: Operand): Scalar => this.#with("div", b);
  mod = (b: Operand): Scalar => this.#with("mod", b);
  floordiv = (b: Operand): Scalar => this.#with("floordiv", b);
  floormod = (b: Operand): Scalar => this.#with("floormod", b);
  min = (b: Operand): Scalar => this.#with("min", b);
  max = (b: Operand): Scalar => this.#with("max", b);
  pow = (b: Operand): Scalar => this.#with("pow", b);
  and = (b: Operand): Scalar => this.#with("and", b);
  or = (b: Operand): Scalar => this.#with("or", b);
  eq = (b: Operand): Scalar => this.#compared("eq", b);
  ne = (b: Operand): Scalar => this.#compared("ne", b);
  lt = (b: Operand): Scalar => this.#compared("lt", b);
  le = (b: Operand): Scalar => this.#compared("le", b);
  gt = (b: Operand): Scalar => this.#compared("gt", b);
  ge = (b: Operand): Scalar => this.#compared("ge", b);
  neg = (): Scalar => this.apply("neg");
  exp = (): Scalar => this.apply("exp");
  log = (): Scalar => this.apply("log");
  sqrt = (): Scalar => this.apply("sqrt");
  tanh = (): Scalar => this.apply("tanh");
  erf = (): Scalar => this.apply("erf");
  abs = (): Scalar => this.apply("abs");
  /** Any unary operation by name. */
  apply(op: UnaryOp): Scalar {
    return new Scalar((e) => unary(op, this.node(e)));
  }
  cast(scalar: ScalarType): Scalar {
    return new Scalar((e) => cast(scalar, this.node(e)));
  }
  #with(op: BinaryOp, b: Operand): Scalar {
    return new Scalar((e) => {
      const a = this.node(e);
      return binary(op, a, operand(b, e, a));
    });
  }
  #compared(op: CompareOp, b: Operand): Scalar {
    return new Scalar((e) => {
      const a = this.node(e);
      return compare(op, a, operand(b, e, a));
    });
  }
}
/** A number takes the type of the expression it meets. */
export type Operand = Scalar | Axis | number;
type Node = (e: Elaboration) => Expr;
const operand = (x: Operand, e: Elaboration, like: Expr): Expr =>
  typeof x === "number" ? constant(dtype(like.dtype.scalar), x) : x.node(e);

/** A reduction axis 0..extent. */
export class Axis extends Scalar {
  readonly name: string;
  readonly extent: number;
  constructor(name: string, extent: number) {
    super((e) => e.axis(this as Axis).var);
    this.name = name;
    this.extent = extent;
  }
}
/** An axis `0..extent` that a reduction runs over. */
export const reduceAxis = (name: string, extent: number): Axis =>
  new Axis(name, positive(extent, `reduceAxis ${name}`));

/** A tensor of a computation: a placeholder or the result of `compute`. Shape in elements. */
export interface Tensor {
  readonly name: string;
  readonly type: ScalarType;
  readonly dims: readonly number[];
  at(...indices: Operand[]): Scalar;
  readonly definition?: Definition;
  /** The axis along which a scan runs in order. */
  readonly order?: number;
  /** The tensors that one reduction makes together, this one among them. */
  readonly group?: readonly Tensor[];
}
type Definition = (...indices: Scalar[]) => Scalar | ReduceCall | CombineCall;
/** What `sum`, `reduce` give; only as the whole value of a `compute`. */
export interface ReduceCall {
  readonly kind: "reduceCall";
  readonly op: ReduceOp;
  readonly value: Scalar;
  readonly axes: readonly Axis[];
}

/** What `reduceBy` gives; only as the whole value of a `computeTogether`, or of a `compute` for one value. */
export interface CombineCall {
  readonly kind: "combineCall";
  readonly combiner: Combiner;
  readonly values: readonly Scalar[];
  readonly axes: readonly Axis[];
}

/** An input of the computation. */
export function placeholder(name: string, dims: readonly number[], type: ScalarType = "float32"): Tensor {
  return tensor(name, dims, type);
}
/** Defines a tensor element by element; `value` gets one index a dimension. */
export function compute(
  name: string,
  dims: readonly number[],
  value: Definition,
  type: ScalarType = "float32",
): Tensor {
  return tensor(name, dims, type, value);
}
/**
 * Defines several tensors of one shape by one reduction, in the order of its values.
 *
 * @throws UsageError `compute/together` when the program is made and `value` does not give one value a tensor
 */
export function computeTogether(
  names: readonly string[],
  dims: readonly number[],
  value: (...indices: Scalar[]) => CombineCall,
  types: readonly ScalarType[] = names.map(() => "float32" as const),
): Tensor[] {
  const group: Tensor[] = [];
  for (const [k, name] of names.entries()) group.push(tensor(name, dims, types[k] ?? "float32", value, { group }));
  return group;
}
/**
 * Defines a tensor whose elements follow from earlier ones along `axis`, as running sums do. `value` gets the tensor
 * itself and one index a dimension; it may read the tensor at smaller indices along the axis, and equal ones along the
 * others.
 *
 * @throws UsageError `compute/axis`; when the program is made, `compute/scan` where `value` reads the tensor elsewhere
 */
export function scan(
  name: string,
  dims: readonly number[],
  axis: number,
  value: (self: Tensor, ...indices: Scalar[]) => Scalar,
  type: ScalarType = "float32",
): Tensor {
  if (!Number.isInteger(axis) || axis < 0 || axis >= dims.length)
    throw new UsageError("compute/axis", `${name} has ${dims.length} dimensions, there is no axis ${axis}`);
  const self: Tensor = tensor(name, dims, type, (...indices) => value(self, ...indices), { order: axis });
  return self;
}
function tensor(
  name: string,
  dims: readonly number[],
  type: ScalarType,
  definition?: Definition,
  more: Pick<Tensor, "order" | "group"> = {},
): Tensor {
  for (const d of dims) positive(d, `shape of ${name}`);
  const self: Tensor = {
    name,
    type,
    dims,
    ...(definition ? { definition } : {}),
    ...more,
    at: (...indices) => {
      if (indices.length !== dims.length)
        throw new UsageError("compute/rank", `${name} has ${dims.length} dimensions, got ${indices.length} indices`);
      return new Scalar((e) => e.tensor(self).at(...indices.map((i) => (typeof i === "number" ? i : i.node(e)))));
    },
  };
  return self;
}
function positive(n: number, what: string): number {
  if (!Number.isSafeInteger(n) || n < 1)
    throw new UsageError("compute/extent", `${what}: extents are positive whole numbers, got ${n}`);
  return n;
}
/** The sum of `value` over all points of the axes. */
export const sum = (value: Scalar, ...axes: Axis[]): ReduceCall => reduce("add", value, ...axes);
/** The reduction of `value` over all points of the axes. */
export const reduce = (op: ReduceOp, value: Scalar, ...axes: Axis[]): ReduceCall => ({
  kind: "reduceCall",
  op,
  value,
  axes,
});
/** The values over all points of the axes, combined: `reduceBy(argmin, [A.at(i, k), k], k)`. */
export const reduceBy = (combiner: Combiner, values: Scalar | readonly Scalar[], ...axes: Axis[]): CombineCall => ({
  kind: "combineCall",
  combiner,
  values: values instanceof Scalar ? [values] : values,
  axes,
});
/**
 * An associative function of lists of values, `combine(a, b)` with `a` before `b`. Its word is taken that it is
 * associative and that `identity` changes nothing on either side; where it says that it is commutative, schedules may
 * change the order too. `combine` uses `a`, `b` and numbers only.
 */
export function combiner(spec: {
  readonly name: string;
  readonly identity: readonly number[];
  readonly combine: (a: readonly Scalar[], b: readonly Scalar[]) => readonly Scalar[];
  readonly commutative?: boolean;
}): Combiner {
  const given = (list: readonly Expr[]): Scalar[] => list.map((e) => new Scalar(() => e));
  return {
    name: spec.name,
    identity: (types) => spec.identity.map((v, k) => constant(dtype(types[k] ?? "float32"), v)),
    combine: (a, b) => spec.combine(given(a), given(b)).map((s) => s.node(new Elaboration())),
    commutative: spec.commutative ?? false,
  };
}
/** `condition ? then : otherwise`, where only the chosen arm is read. */
export const where = (condition: Scalar, then: Scalar, otherwise: Operand): Scalar =>
  new Scalar((e) => {
    const t = then.node(e);
    return select(condition.node(e), t, operand(otherwise, e, t));
  });

/**
 * The dimensions of `transformLayout` from an index map: for each new dimension, which element of the old ones stands
 * there. `indexMap((i, j) => [j.floordiv(8), i, j.floormod(8)])` stores columns in blocks of 8. Each result is an axis, or
 * quotients and remainders of one by constants.
 * @throws UsageError `layout/index-map` for any other result, with its place
 */
export function indexMap(map: (...axes: Scalar[]) => readonly Operand[]): LayoutDim[] {
  const ids = new IdSource();
  const axes = Array.from({ length: map.length }, (_, k) => variable(ids, `axis ${k}`));
  const e = new Elaboration();
  return map(...axes.map((a) => new Scalar(() => a))).map((result, k) => {
    const expr = typeof result === "number" ? constant(axes[0]?.dtype ?? dtype("int64"), result) : result.node(e);
    const dim = layoutDimOf(expr, axes);
    if (dim) return dim;
    throw new UsageError(
      "layout/index-map",
      `dimension ${k} of the index map is no axis, and no quotient or remainder of one by a positive constant`,
    );
  });
}
function layoutDimOf(e: Expr, axes: readonly Var[]): LayoutDim | undefined {
  if (e.kind === "var") return axes.includes(e) ? { axis: axes.indexOf(e), divisor: 1 } : undefined;
  const inner = e.kind === "binary" ? layoutDimOf(e.a, axes) : undefined;
  const by = e.kind === "binary" ? constantValue(e.b) : undefined;
  if (e.kind !== "binary" || !inner || by === undefined || !(Number.isInteger(by) && by > 0)) return undefined;
  const { modulus, ...rest } = inner;
  if (e.op === "floordiv" || e.op === "div") {
    // (x % m) // d is (x // d) % (m / d) where d divides m.
    if (modulus !== undefined && modulus % by !== 0) return undefined;
    return { ...rest, divisor: inner.divisor * by, ...(modulus === undefined ? {} : { modulus: modulus / by }) };
  }
  if (e.op !== "floormod" && e.op !== "mod") return undefined;
  if (modulus === undefined || modulus % by === 0) return { ...rest, modulus: by };
  return by % modulus === 0 ? inner : undefined;
}

/** Turns definitions into stages of one function; ids count up from 1 in order of first use. */
class Elaboration {
  readonly builder = new ComputeBuilder(new IdSource(), indexSimplifier);
  readonly #tensors = new Map<Tensor, StageTensor>();
  readonly #axes = new Map<Axis, ReduceAxis>();
  axis(a: Axis): ReduceAxis {
    let known = this.#axes.get(a);
    if (!known) {
      known = this.builder.reduceAxis(a.name, a.extent);
      this.#axes.set(a, known);
    }
    return known;
  }
  tensor(t: Tensor): StageTensor {
    const known = this.#tensors.get(t);
    if (known) return known;
    const made = t.definition ? this.#define(t, t.definition) : this.builder.param(t.name, t.type, t.dims, "input");
    this.#tensors.set(t, made);
    return made;
  }
  #define(t: Tensor, definition: Definition): StageTensor {
    const value = (...vars: Expr[]): Expr | Reduction => {
      const result = definition(...vars.map((v) => new Scalar(() => v)));
      if (result instanceof Scalar) return result.node(this);
      invariant(result.kind === "reduceCall", "combined reductions are made together");
      return {
        kind: "reduction",
        op: result.op,
        axes: result.axes.map((a) => this.axis(a)),
        value: result.value.node(this),
      };
    };
    if (t.order === undefined) {
      const { combined } = this.#prepare(definition, t);
      return combined ? this.#together(t, definition) : this.builder.compute(t.name, t.type, t.dims, value);
    }
    const made = this.builder.declare(t.name, t.type, t.dims);
    this.#tensors.set(t, made);
    this.#prepare(definition, t);
    const kinds = t.dims.map((_, d) => (d === t.order ? ("ordered" as const) : ("spatial" as const)));
    this.builder.computeInto(made, t.name, value, { kinds });
    return made;
  }
  #together(t: Tensor, definition: Definition): StageTensor {
    const group = t.group ?? [t];
    const made = this.builder.computeTuple(
      group.map((x) => x.name),
      group.map((x) => x.type),
      t.dims,
      (...vars) => {
        const result = definition(...vars.map((v) => new Scalar(() => v)));
        if (result instanceof Scalar || result.kind !== "combineCall" || result.values.length !== group.length)
          throw new UsageError(
            "compute/together",
            `${group.map((x) => x.name).join(", ")}: one combined value a tensor`,
          );
        return {
          kind: "combinedReduction",
          combiner: result.combiner,
          axes: result.axes.map((a) => this.axis(a)),
          values: result.values.map((v, k) => cast(group[k]!.type, v.node(this))),
        };
      },
    );
    for (const [k, x] of group.entries()) this.#tensors.set(x, made[k]!);
    return made[group.indexOf(t)]!;
  }
  /** Makes the tensors a definition reads before its own stage, so that stages stand in order. */
  #prepare(definition: Definition, t: Tensor): { readonly combined: boolean } {
    const zero = new Scalar(() => constant(dtype("int64"), 0));
    const result = definition(...t.dims.map(() => zero));
    if (result instanceof Scalar) result.node(this);
    else if (result.kind === "reduceCall") result.value.node(this);
    else for (const v of result.values) v.node(this);
    return { combined: !(result instanceof Scalar) && result.kind === "combineCall" };
  }
}

/** The program that computes these tensors; placeholders are its inputs in order of use. */
export function programOf(
  outputs: Tensor | readonly Tensor[],
  options: { readonly name?: string; readonly math?: MathPolicy } = {},
): Program {
  const list = Array.isArray(outputs) ? (outputs as readonly Tensor[]) : [outputs as Tensor];
  if (list.some((t) => !t.definition))
    throw new UsageError("compute/output", "an output must be computed, not a placeholder");
  const e = new Elaboration();
  const stages = list.map((t) => e.tensor(t));
  const program = e.builder.finish(options.name ?? list[0]!.name, stages, {
    ...(options.math ? { math: options.math } : {}),
  });
  const stray = blocksIn(program).find((b) => b.iterVars.some((v) => v.kind === "ordered") && !recurrenceOf(b));
  if (stray)
    throw new UsageError("compute/scan", `${stray.name} reads itself elsewhere than at earlier places of its axis`);
  return program;
}

/**
 * Starts a schedule of the tensors' computation, or of a program. With a `target` (for this machine's, what
 * `resolveTarget("host")` gives), `tensorize` refuses intrinsics that it does not have.
 */
export function schedule(
  what: Tensor | readonly Tensor[] | Program,
  options: { readonly name?: string; readonly math?: MathPolicy; readonly target?: string | Target } = {},
): Schedule {
  const program =
    "kind" in what && what.kind === "program" ? what : programOf(what as Tensor | readonly Tensor[], options);
  if (options.target === undefined) return new Schedule(program);
  const target = typeof options.target === "string" ? parseTarget(options.target) : options.target;
  return new Schedule(forFeatures(program, featuresOf(target)));
}
