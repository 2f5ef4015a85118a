/**
 * Moves transpositions behind what computes element by element, and concatenations, so that they meet: one after another
 * is one, and one with its inverse is none. What stood between then reads what it follows, and is fused into its kernel.
 */
import { attributesOf, GraphBuilder, staticDims } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import { arrayTypeOf, elementCount, type TensorValue, tensorValue } from "../../ir/graph/tensor-value.ts";
import type { NodeId, ValueId } from "../../ir/support/ids.ts";
import { concatAxis } from "./concat-lanes.ts";
import { isPointwise } from "./following-candidates.ts";
import { permutationOf } from "./layout-views.ts";
import { dropDead, replaceUses } from "./rewriting.ts";

/** A value as a transposition of another: its axis `i` is axis `perm[i]` of the source. */
interface Transposed {
  readonly source: ValueId;
  readonly perm: readonly number[];
}

export function moveTransposes(graph: Graph): Graph {
  if (!graph.nodes.some((n) => n.op === "Transpose" && n.domain === "")) return graph;
  return new Mover(graph).run();
}

class Mover {
  readonly #graph: Graph;
  readonly #builder: GraphBuilder;
  readonly #known = new Map<ValueId, Transposed>();
  readonly #renaming = new Map<ValueId, ValueId>();
  readonly #nodes: Node[] = [];

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#builder = new GraphBuilder(graph);
  }
  run(): Graph {
    let changed = false;
    for (const n of this.#graph.nodes) {
      const perm = permutationOf(this.#graph, n);
      const replaced = perm ? this.#transpose(n, perm) : this.#moved(n);
      changed ||= replaced !== undefined;
      this.#nodes.push(...(replaced ?? [n]));
    }
    if (!changed) return this.#graph;
    const { values, ids } = this.#builder;
    return dropDead(replaceUses({ ...this.#graph, nodes: this.#nodes, values, nextId: ids.next }, this.#renaming));
  }

  /** A transposition of what is one already: one of the source, or the source itself. */
  #transpose(n: Node, perm: readonly number[]): Node[] | undefined {
    const [x] = n.inputs as readonly [ValueId];
    const [out] = n.outputs as readonly [ValueId];
    const before = this.#known.get(x);
    const whole = before
      ? { source: before.source, perm: perm.map((axis) => before.perm[axis]!) }
      : { source: x, perm };
    this.#known.set(out, whole);
    if (!before) return undefined;
    const nothing = whole.perm.every((axis, i) => axis === i) && !this.#isFixed(out);
    if (nothing) this.#renaming.set(out, whole.source);
    return nothing ? [] : [this.#transposition(whole, out)];
  }
  /** A graph output keeps storage of its own. */
  #isFixed = (v: ValueId): boolean => this.#graph.outputs.includes(v);

  /** The node on the sources of its transposed operands, and the transposition of its result. */
  #moved(n: Node): Node[] | undefined {
    const axis = n.op === "Concat" && n.domain === "" ? concatAxis(this.#graph, n) : undefined;
    if (axis === undefined && !isPointwise(n)) return undefined;
    const [out] = n.outputs as readonly [ValueId];
    const perm = n.inputs.map((v) => v !== undefined && this.#known.get(v)?.perm).find((p) => p);
    if (!perm || perm.length !== staticDims(this.#graph, out).length) return undefined;
    const inputs = n.inputs.map((v) => (v === undefined ? v : this.#sourceOf(v, perm, axis === undefined)));
    if (inputs.some((v, i) => v === undefined && n.inputs[i] !== undefined)) return undefined;
    const { name, type } = this.#builder.values.get(out)!;
    const dims = inverse(perm).map((i) => type!.dims[i]!);
    const source = this.#builder.value(name, { ...type!, dims });
    const attributes = axis === undefined ? n.attributes : attributesOf({ axis: perm[axis]! });
    this.#known.set(out, { source, perm });
    return [{ ...n, inputs, outputs: [source], attributes }, this.#transposition({ source, perm }, out)];
  }
  /** The operand before the transposition `perm`; undefined where there is none. */
  #sourceOf(v: ValueId, perm: readonly number[], broadcasts: boolean): ValueId | undefined {
    const known = this.#known.get(v);
    if (known?.perm.join() === perm.join()) return known.source;
    const { name, constant } = this.#builder.values.get(v)!;
    const dims = staticDims(this.#graph, v);
    if (broadcasts && elementCount(dims) === 1 && dims.length === 0) return v;
    if (!constant || dims.length > perm.length) return undefined;
    return this.#builder.constant(name, transposedConstant(constant, perm));
  }
  #transposition({ source, perm }: Transposed, out: ValueId): Node {
    return {
      id: this.#builder.ids.fresh<"node">() as NodeId,
      name: "transpose",
      op: "Transpose",
      domain: "",
      opset: 21,
      inputs: [source],
      outputs: [out],
      attributes: attributesOf({ perm: [...perm] }),
    };
  }
}

const inverse = (perm: readonly number[]): number[] => perm.map((_, axis) => perm.indexOf(axis));

/** The constant, aligned at the last axes of what `perm` makes, as it is before that. */
function transposedConstant(value: TensorValue, perm: readonly number[]): TensorValue {
  const dims = [...Array<number>(perm.length - value.dims.length).fill(1), ...value.dims];
  const order = inverse(perm);
  const to = order.map((axis) => dims[axis]!);
  const strides = dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
  const data = new (arrayTypeOf(value.type))(value.data.length);
  for (let i = 0; i < data.length; i++) {
    let rest = i;
    let from = 0;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      from += (rest % to[axis]!) * strides[order[axis]!]!;
      rest = Math.floor(rest / to[axis]!);
    }
    data[i] = value.data[from]!;
  }
  return tensorValue(value.type, to, data);
}
