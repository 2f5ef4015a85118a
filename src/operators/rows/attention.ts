/**
 * Attention (Vaswani et al., 2017) over [batch, heads, sequence, size], written as two products around a masked softmax,
 * so that the products get the kernels of MatMul.
 */
import type { ValueId } from "../../../ir/support/ids.ts";
import { intVector, tensorOf } from "../elements.ts";
import { type ExpandContext, type NodeContext, type OperatorRow, ownDomain, type StaticType } from "../row.ts";
import { checkType, floats, wants } from "../shape-rules.ts";

/** Extents of the three inputs and the cache. */
interface AttentionShape {
  readonly batch: number;
  /** Inputs are [batch, sequence, heads·size]. */
  readonly packed: boolean;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  /** Keys of this call, without the cached ones. */
  readonly keys: number;
  readonly past: number;
  readonly size: number;
  readonly valueSize: number;
}
function readShape(c: NodeContext): AttentionShape {
  const [q, k, v] = [0, 1, 2].map((i) => checkType(c, i, floats).dims) as [number[], number[], number[]];
  const packed = q.length === 3;
  const shown = `Q [${q}], K [${k}], V [${v}]`;
  if ((q.length !== 3 && q.length !== 4) || k.length !== q.length || v.length !== q.length) c.invalid(shown);
  const heads = packed ? c.attributes.int("q_num_heads", 0) : q[1]!;
  const kvHeads = packed ? c.attributes.int("kv_num_heads", 0) : k[1]!;
  if (heads < 1 || kvHeads < 1 || heads % kvHeads !== 0) c.invalid(`${heads} query heads for ${kvHeads} key heads`);
  const [queries, keys] = packed ? [q[1]!, k[1]!] : [q[2]!, k[2]!];
  const [size, keySize] = packed ? [q[2]! / heads, k[2]! / kvHeads] : [q[3]!, k[3]!];
  const valueSize = packed ? v[2]! / kvHeads : v[3]!;
  const sameKeys = (packed ? v[1] : v[2]) === keys && (packed || v[1] === kvHeads) && size === keySize;
  const whole = Number.isInteger(size) && Number.isInteger(valueSize);
  if (!sameKeys || !whole || q[0] !== k[0] || q[0] !== v[0]) c.invalid(shown);
  const batch = q[0]!;
  const past = c.type(4)?.dims[2] ?? 0;
  const s = { batch, packed, heads, kvHeads, queries, keys, past, size, valueSize };
  checkCache(c, s);
  return s;
}
function checkCache(c: NodeContext, s: AttentionShape): void {
  const [key, value] = [c.type(4), c.type(5)];
  if ((key === undefined) !== (value === undefined)) c.invalid("past_key and past_value go together");
  const fits = (t: StaticType | undefined, size: number): boolean =>
    t === undefined || t.dims.join() === [s.batch, s.kvHeads, s.past, size].join();
  if (!fits(key, s.size) || !fits(value, s.valueSize)) c.invalid(`a cache [${key?.dims}] and [${value?.dims}]`);
}
function inferAttention(c: NodeContext): StaticType[] {
  const s = readShape(c);
  const total = s.past + s.keys;
  const { dtype } = c.require(0);
  const value = c.require(2).dtype;
  return [
    {
      dtype,
      dims: s.packed ? [s.batch, s.queries, s.heads * s.valueSize] : [s.batch, s.heads, s.queries, s.valueSize],
    },
    { dtype: c.require(1).dtype, dims: [s.batch, s.kvHeads, total, s.size] },
    { dtype: value, dims: [s.batch, s.kvHeads, total, s.valueSize] },
    { dtype, dims: [s.batch, s.heads, s.queries, total] },
  ];
}

/** Makes the nodes of one Attention. */
class AttentionExpansion {
  readonly #c: ExpandContext;
  readonly #s: AttentionShape;
  constructor(c: ExpandContext) {
    this.#c = c;
    this.#s = readShape(c);
  }
  #node(
    op: string,
    inputs: readonly (ValueId | undefined)[],
    attributes: Record<string, number | readonly number[]> = {},
    domain = "",
  ) {
    return this.#c.graph.node(op, inputs, { attributes, domain, opset: domain === "" ? 22 : 1 })[0]!;
  }
  #reshape(x: ValueId, dims: readonly number[]): ValueId {
    return this.#node("Reshape", [x, this.#c.graph.constant("shape", intVector(dims))], { allowzero: 1 });
  }
  /** [batch, sequence, heads·size] becomes [batch, heads, sequence, size]. */
  #splitHeads(i: number, heads: number, sequence: number, size: number): ValueId {
    const x = this.#c.inputs[i]!;
    if (!this.#s.packed) return x;
    const parts = this.#reshape(x, [this.#s.batch, sequence, heads, size]);
    return this.#node("Transpose", [parts], { perm: [0, 2, 1, 3] });
  }
  /** The cached elements followed by the new ones. */
  #present(past: number, x: ValueId): ValueId {
    const cached = this.#c.inputs[past];
    return cached === undefined ? this.#node("Identity", [x]) : this.#node("Concat", [cached, x], { axis: 2 });
  }
  /** A product in which several query heads share a key head: [batch, key heads, queries of a key head, …]. */
  #product(a: ValueId, b: ValueId, inner: readonly [number, number], outer: number): ValueId {
    const { batch, heads, kvHeads, queries } = this.#s;
    const shared = heads / kvHeads;
    if (shared === 1) return this.#node("MatMul", [a, b]);
    const left = this.#reshape(a, [batch, kvHeads, shared * queries, inner[0]]);
    return this.#reshape(this.#node("MatMul", [left, b]), [batch, heads, queries, outer]);
  }
  #scalar(value: number): ValueId {
    return this.#c.graph.constant("scalar", tensorOf(this.#c.require(0).dtype, [], [value]));
  }
  #scores(q: ValueId, k: ValueId): ValueId {
    const s = this.#s;
    const scale = this.#c.attributes.float("scale", 1 / Math.sqrt(s.size));
    const scaled = this.#node("Mul", [q, this.#scalar(scale)]);
    const turned = this.#node("Transpose", [k], { perm: [0, 1, 3, 2] });
    return this.#product(scaled, turned, [s.size, s.size], s.past + s.keys);
  }
  #softcapped(x: ValueId): ValueId {
    const cap = this.#c.attributes.float("softcap", 0);
    if (cap === 0) return x;
    const bounded = this.#node("Tanh", [this.#node("Div", [x, this.#scalar(cap)])]);
    return this.#node("Mul", [bounded, this.#scalar(cap)]);
  }
  build(): ValueId[] {
    const { attributes: a, inputs } = this.#c;
    const s = this.#s;
    const k = this.#present(4, this.#splitHeads(1, s.kvHeads, s.keys, s.size));
    const v = this.#present(5, this.#splitHeads(2, s.kvHeads, s.keys, s.valueSize));
    const scores = this.#scores(this.#splitHeads(0, s.heads, s.queries, s.size), k);
    const capped = this.#softcapped(scores);
    const limits = {
      causal: a.int("is_causal", 0),
      past: s.past,
      left: a.int("left_window_size", -1),
      right: a.int("right_window_size", -1),
    };
    const masked = this.#node("MaskScores", [capped, inputs[3], inputs[6]], limits, ownDomain);
    const precision = a.optionalInt("softmax_precision");
    const weights = this.#node("MaskedSoftmax", [masked], precision === undefined ? {} : { precision }, ownDomain);
    const total = s.past + s.keys;
    const y = this.#product(weights, v, [total, total], s.valueSize);
    const shown = [scores, capped, masked, weights][a.int("qk_matmul_output_mode", 0)];
    if (shown === undefined) this.#c.invalid("qk_matmul_output_mode is not 0 to 3");
    const exposed = wants(this.#c, 3) ? [this.#node("Identity", [shown])] : [];
    return [this.#joinHeads(y), k, v, ...exposed];
  }
  #joinHeads(y: ValueId): ValueId {
    const s = this.#s;
    if (!s.packed) return y;
    const turned = this.#node("Transpose", [y], { perm: [0, 2, 1, 3] });
    return this.#reshape(turned, [s.batch, s.queries, s.heads * s.valueSize]);
  }
}

export const attentionRows: readonly OperatorRow[] = [
  {
    op: "Attention",
    since: 23,
    pattern: "opaque",
    infer: inferAttention,
    expand: (c) => new AttentionExpansion(c).build(),
  },
];
