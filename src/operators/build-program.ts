/** Builds the Program of one fused group: every node's stages in one function, intermediates inside. */
import { buffer, compare, constant, scalarLike, select } from "../../ir/expr/build.ts";
import { dtype, type ScalarType } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { visit } from "../../ir/expr/traverse.ts";
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Group, Node } from "../../ir/graph/graph.ts";
import { type Layout, plainLayout, sameLayout } from "../../ir/graph/layout.ts";
import { elementCount, type TensorValue } from "../../ir/graph/tensor-value.ts";
import { ComputeBuilder, type Tensor } from "../../ir/loop/compute.ts";
import type { MathPolicy, ParamRole, PrimFunc, Program } from "../../ir/loop/program.ts";
import { visitExprs, visitStmt } from "../../ir/loop/traverse.ts";
import { type BufferId, IdSource, type ValueId, type VarId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";
import { extentRanges, intervalOf } from "../../passes/analysis/interval.ts";
import { indexSimplifier } from "../../passes/simplify/index.ts";
import { elementAt } from "./elements.ts";
import { hasBlockedCoordinate } from "./expressions.ts";
import { lookupRow, nodeContext, staticType } from "./registry.ts";
import type { ComputeContext, StaticType } from "./row.ts";

/** A parameter of a group's function, in the order of the function's parameters. */
interface GroupParam {
  readonly value: ValueId;
  readonly role: ParamRole;
}
interface GroupProgram {
  readonly program: Program;
  readonly params: readonly GroupParam[];
}

/**
 * One function for the nodes of `group`. Parameters are the group's inputs that are read (constants of one element are
 * literals instead), then its outputs, each in the layout its value has in the graph.
 */
export function buildGroupProgram(
  graph: Graph,
  group: Group,
  options: { readonly name: string; readonly math?: MathPolicy },
): GroupProgram {
  const builder = new GroupBuilder();
  const tensors = new Map<ValueId, Tensor>();
  const byBuffer = new Map<BufferId, ValueId>();
  for (const id of group.inputs) {
    const tensor = builder.groupInput(graph, id);
    tensors.set(id, tensor);
    byBuffer.set(tensor.buffer.id, id);
  }
  for (const node of group.nodes) emitNode(graph, node, builder, tensors, options.math);
  const outputs = group.outputs.map((id) => {
    const tensor = tensors.get(id);
    invariant(tensor && !byBuffer.has(tensor.buffer.id), `no node of the group makes output ${id}`);
    byBuffer.set(tensor.buffer.id, id);
    return tensor;
  });
  const { math } = options;
  const program = withoutUnreadParams(builder.finish(options.name, outputs, math ? { math } : {}));
  const params = program.functions[0]!.params.map((p) => ({ value: byBuffer.get(p.buffer.id)!, role: p.role }));
  return { program, params };
}
/** Emits the stages of one node and records its output tensors. */
function emitNode(
  graph: Graph,
  node: Node,
  builder: ComputeBuilder,
  tensors: Map<ValueId, Tensor>,
  math: MathPolicy = "default",
): void {
  const context = { ...computeContext(graph, node, builder, tensors), math };
  const row = lookupRow(node.op, node.domain, node.opset);
  const results = row?.compute?.(context) ?? context.unsupported("it has no code");
  node.outputs.forEach((id, o) => {
    const tensor = results[o];
    if (id === undefined || tensor === undefined) return;
    const layout = valueOf(graph, id).layout;
    invariant(
      sameLayout(tensor.layout, layout ?? plainLayout(tensor.dims.length)),
      `${node.op} made output ${o} in layout ${tensor.layout.name}, not ${layout?.name ?? "plain"}`,
    );
    tensors.set(id, tensor);
  });
}
function computeContext(
  graph: Graph,
  node: Node,
  builder: ComputeBuilder,
  tensors: ReadonlyMap<ValueId, Tensor>,
): Omit<ComputeContext, "math"> {
  const base = nodeContext(graph, node);
  const optional = (i: number): Tensor | undefined => {
    const id = node.inputs[i];
    return id === undefined ? undefined : tensors.get(id);
  };
  const outputValue = (o: number) => {
    const id = node.outputs[o];
    return id === undefined ? undefined : valueOf(graph, id);
  };
  const output = (o: number): StaticType => staticType(outputValue(o)) ?? base.invalid(`output ${o} has no type`);
  return {
    ...base,
    builder,
    optional,
    input: (i) => optional(i) ?? base.invalid(`input ${i} is missing`),
    output,
    layout: (o) => outputValue(o)?.layout,
  };
}

/** A ComputeBuilder whose tensors have distinct names and never read past a partly filled channel block. */
class GroupBuilder extends ComputeBuilder {
  readonly #extents: { current: ReadonlyMap<VarId, number> };
  readonly #used = new Set<string>();
  constructor() {
    const extents: { current: ReadonlyMap<VarId, number> } = { current: new Map() };
    super(new IdSource(), (e, known) => {
      extents.current = known;
      return indexSimplifier(e, known);
    });
    this.#extents = extents;
  }
  /** A group input: a parameter, or the literal of a constant of one element. */
  groupInput(graph: Graph, id: ValueId): Tensor {
    const { name, type, constant: value, layout } = valueOf(graph, id);
    invariant(type, `value ${name} has no type`);
    const dims = staticDims(graph, id);
    if (value && elementCount(dims) === 1) return literalTensor(this.ids, value, layout);
    return this.param(paramName(name, id), type.dtype, dims, value ? "constant" : "input", layout);
  }
  override param(name: string, scalar: ScalarType, dims: readonly number[], role: ParamRole, layout?: Layout): Tensor {
    return this.#guarded(super.param(this.#freeName(name), scalar, dims, role, layout));
  }
  override declare(name: string, scalar: ScalarType, dims: readonly number[], layout?: Layout): Tensor {
    return this.#guarded(super.declare(this.#freeName(name), scalar, dims, layout));
  }
  #freeName(hint: string): string {
    let name = hint;
    for (let i = 1; this.#used.has(name); i++) name = `${hint}_${i}`;
    this.#used.add(name);
    return name;
  }
  /**
   * Note [Partial blocks]: a stage over 24 channels in blocks of 16 also runs for lanes 24..31. Where such a lane would
   * read outside another tensor, the read is guarded and gives 0 (its result is never used as data).
   */
  #guarded(t: Tensor): Tensor {
    const at: Tensor["at"] = (...indices) => {
      const element = t.at(...indices);
      const ranges = extentRanges(this.#extents.current);
      return indices.reduce<Expr>((value, e, axis) => {
        if (typeof e === "number" || !hasBlockedCoordinate(e, this.#extents.current)) return value;
        if (intervalOf(e, ranges).max < capacity(t, axis)) return value;
        return select(compare("lt", e, t.dims[axis]!), value, scalarLike(t.dtype, 0));
      }, element);
    };
    return { ...t, at };
  }
}
/** How many coordinates of a logical axis the buffer can hold. */
function capacity(t: Tensor, axis: number): number {
  const blocks = t.layout.dims.filter((d) => d.axis === axis).map((d) => d.divisor);
  const block = Math.max(...blocks);
  return Math.ceil(t.dims[axis]! / block) * block;
}
/** A tensor whose only element is known. */
function literalTensor(ids: IdSource, value: TensorValue, layout = plainLayout(value.dims.length)): Tensor {
  const type = dtype(value.type);
  const literal = constant(type, elementAt(value, 0));
  return {
    buffer: buffer(ids, "literal", value.type, value.dims),
    dims: value.dims,
    layout,
    dtype: type,
    at: () => literal,
  };
}
/** A name safe in program text: what a file calls a value, cleaned, made unique by the id. */
const paramName = (name: string, id: ValueId): string => `${name.replace(/[^A-Za-z0-9_]/g, "_").slice(0, 32)}_${id}`;

/** Drops input parameters that no statement reads (shapes that became part of the code). */
function withoutUnreadParams(program: Program): Program {
  const functions = program.functions.map((f): PrimFunc => {
    const read = new Set<BufferId>();
    visitStmt(f.body, (s) => {
      visitExprs(s, (e) => visit(e, (n) => void (n.kind === "load" && read.add(n.buffer.id))));
    });
    return { ...f, params: f.params.filter((p) => p.role === "output" || read.has(p.buffer.id)) };
  });
  return { ...program, functions };
}
