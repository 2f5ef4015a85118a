/** Parts of language models: RotaryEmbedding, CausalConvWithState, LinearAttention. */
import {
  add,
  and,
  binary,
  cast,
  compare,
  floordiv,
  floormod,
  index,
  max,
  mul,
  select,
  sub,
} from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { reduce } from "../../../ir/loop/compute.ts";
import { tensorOf } from "../elements.ts";
import { dataIndex, exp, literal } from "../expressions.ts";
import type { ComputeContext, ExpandContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { checkType, floats, wants } from "../shape-rules.ts";
import { outputStage, reduceStage, wide } from "../stages.ts";

/** Extents of a RotaryEmbedding: x is [batch, heads, sequence, size] or [batch, sequence, heads·size]. */
function rotary(c: NodeContext) {
  const x = checkType(c, 0, floats);
  const packed = x.dims.length === 3;
  const heads = packed ? c.attributes.int("num_heads", 0) : x.dims[1]!;
  if ((!packed && x.dims.length !== 4) || heads < 1) c.invalid(`a tensor [${x.dims}] of ${heads} heads`);
  const size = packed ? x.dims[2]! / heads : x.dims[3]!;
  const rotated = c.attributes.int("rotary_embedding_dim", 0) || size;
  if (!Number.isInteger(size) || rotated < 0 || rotated > size || rotated % 2 !== 0)
    c.invalid(`${rotated} of ${size} elements rotated`);
  const sequence = packed ? x.dims[1]! : x.dims[2]!;
  const positions = c.type(3);
  const cache = [x.dims[0]!, sequence, rotated / 2];
  if (positions) checkType(c, 3, ["int64", "int32"]);
  for (const i of [1, 2]) {
    const { dims } = c.require(i);
    const fits = positions
      ? dims.length === 2 && dims[1] === rotated / 2 && dims[0]! > 0
      : dims.join() === cache.join();
    if (!fits || (positions && positions.dims.join() !== [x.dims[0], sequence].join()))
      c.invalid(`a cache [${dims}] for [${x.dims}]`);
  }
  return { packed, size, half: rotated / 2 };
}
function computeRotary(c: ComputeContext): Tensor[] {
  const [x, cos, sin, positions] = [c.input(0), c.input(1), c.input(2), c.optional(3)];
  const { packed, size, half } = rotary(c);
  const interleaved = c.attributes.int("interleaved", 0) !== 0;
  return [
    outputStage(c, "rotary", (...i) => {
      const n = i[0]!;
      const s = packed ? i[1]! : i[2]!;
      const inner = packed ? floormod(i[2]!, size) : i[3]!;
      const head = packed ? mul(floordiv(i[2]!, size), size) : index(0);
      const at = (e: Expr): Expr => wide(x, ...i.slice(0, -1), add(head, e));
      const rotating = compare("lt", inner, 2 * half);
      if (half === 0) return at(inner);
      const pair = interleaved ? floordiv(inner, 2) : floormod(inner, half);
      const first = interleaved ? compare("eq", floormod(inner, 2), 0) : compare("lt", inner, half);
      const [real, imaginary] = interleaved ? [mul(pair, 2), add(mul(pair, 2), 1)] : [pair, add(pair, half)];
      // Beyond the rotated part the pair is not used; kept inside so that both arms may be read.
      const known = binary("min", pair, half - 1);
      const cached = (t: Tensor): Expr =>
        positions ? wide(t, dataIndex(positions.at(n, s), t.dims[0]!), known) : wide(t, n, s, known);
      const [a, b] = [at(binary("min", real, size - 1)), at(binary("min", imaginary, size - 1))];
      const turned = select(
        first,
        sub(mul(cached(cos), a), mul(cached(sin), b)),
        add(mul(cached(sin), a), mul(cached(cos), b)),
      );
      return 2 * half === size ? turned : select(rotating, turned, at(inner));
    }),
  ];
}

/** Extents of a CausalConvWithState: [batch, channels, length], weights [channels, 1, k], state [batch, channels, k - 1]. */
function causal(c: NodeContext): { batch: number; channels: number; k: number; activation: string } {
  const x = checkType(c, 0, floats);
  const w = c.require(1);
  const [batch, channels] = [x.dims[0]!, x.dims[1]!];
  const k = w.dims[2] ?? 0;
  const fits = x.dims.length === 3 && w.dims.join() === [channels, 1, k].join() && k > 0;
  const state = c.type(3);
  if (!fits || (state && state.dims.join() !== [batch, channels, k - 1].join()))
    c.invalid(`input [${x.dims}], weights [${w.dims}], state [${state?.dims}]`);
  const activation = c.attributes.string("activation", "none");
  if (!["none", "silu", "swish"].includes(activation)) c.invalid(`activation ${JSON.stringify(activation)}`);
  return { batch, channels, k, activation };
}
function expandCausal(c: ExpandContext) {
  const { batch, channels, k, activation } = causal(c);
  const [x, w, bias, past] = c.inputs;
  const { dtype } = c.require(0);
  const zeros = (): typeof x => c.graph.constant("state", tensorOf(dtype, [batch, channels, k - 1], []));
  const padded = k === 1 ? x : c.graph.node("Concat", [past ?? zeros(), x], { attributes: { axis: 2 } })[0];
  const [y] = c.graph.node("Conv", [padded, w, bias], { attributes: { group: channels, kernel_shape: [k] } });
  const result = activation === "none" ? y! : c.graph.node("Mul", [y, c.graph.node("Sigmoid", [y])[0]])[0]!;
  if (!wants(c, 1)) return [result];
  const length = c.require(0).dims[2]!;
  const vector = (n: number) => c.graph.constant("bound", tensorOf("int64", [1], [n]));
  const bounds = [vector(length), vector(length + k - 1), vector(2)];
  return [result, c.graph.node("Slice", [padded, ...bounds])[0]!];
}

/** What a LinearAttention node says. */
function linearAttention(c: NodeContext) {
  const rule = c.attributes.string("update_rule", "gated_delta");
  if (!["linear", "gated", "delta", "gated_delta"].includes(rule)) c.invalid(`update_rule ${JSON.stringify(rule)}`);
  const [q, k, v] = [0, 1, 2].map((i) => checkType(c, i, floats).dims) as [number[], number[], number[]];
  const heads = c.attributes.int("q_num_heads", 0);
  const kvHeads = c.attributes.int("kv_num_heads", 0);
  if (heads < 1 || kvHeads < 1 || heads % kvHeads !== 0) c.invalid(`${heads} query heads for ${kvHeads} key heads`);
  const [batch, length] = [q[0]!, q[1]!];
  const [size, valueSize] = [q[2]! / heads, (v[2] ?? 0) / kvHeads];
  const fits = [q, k, v].every((d) => d.length === 3 && d[0] === batch && d[1] === length);
  const whole = Number.isInteger(size) && Number.isInteger(valueSize) && k[2] === size * kvHeads;
  if (!fits || !whole) c.invalid(`query [${q}], key [${k}], value [${v}]`);
  const gated = rule.startsWith("gated");
  const delta = rule.endsWith("delta");
  if (gated !== (c.type(4) !== undefined) || delta !== (c.type(5) !== undefined))
    c.invalid(`update_rule ${rule} with${c.type(4) ? "" : "out"} decay and with${c.type(5) ? "" : "out"} beta`);
  checkGates(c, { batch, length, kvHeads, size });
  const state = c.type(3);
  if (state && state.dims.join() !== [batch, kvHeads, size, valueSize].join()) c.invalid(`a state [${state.dims}]`);
  const asked = c.attributes.float("scale", 0);
  const scale = asked === 0 ? 1 / Math.sqrt(size) : asked;
  return { batch, length, heads, kvHeads, size, valueSize, delta, scale };
}
function checkGates(c: NodeContext, s: { batch: number; length: number; kvHeads: number; size: number }): void {
  const [decay, beta] = [c.type(4), c.type(5)];
  const fits = (t: StaticType, widths: readonly number[]): boolean =>
    t.dims.length === 3 && t.dims[0] === s.batch && t.dims[1] === s.length && widths.includes(t.dims[2]!);
  if (decay && !fits(decay, [s.kvHeads, s.kvHeads * s.size])) c.invalid(`a decay [${decay.dims}]`);
  if (beta && !fits(beta, [s.kvHeads, 1])) c.invalid(`a beta [${beta.dims}]`);
}
/**
 * Note [Linear attention without a running state]: with G the running sum of the decay, the state after step t is
 * e^G[t]·S0 + Σ_{r≤t} e^(G[t]-G[r])·k[r]⊗u[r], where u is the value, or for the delta rules what the state does not yet
 * hold of it. So outputs follow from products of keys and queries with keys; only u runs step by step.
 */
function computeLinearAttention(c: ComputeContext): Tensor[] {
  const s = linearAttention(c);
  const t = linearTerms(c, s);
  const u = s.delta ? corrected(c, s, t) : undefined;
  const update = (n: Expr, h: Expr, r: Expr, m: Expr): Expr => (u ? u.at(n, h, r, m) : t.value(n, h, r, m));
  const weights = pairScores(c, s, t, "query");
  const output = c.builder.compute(
    "linear_read",
    "float32",
    [s.batch, s.length, s.heads, s.valueSize],
    (n, i, h, m) => {
      const r = c.builder.reduceAxis("r", s.length);
      const group = floordiv(h!, s.heads / s.kvHeads);
      const term = mul(weights.at(n!, h!, i!, r.var), update(n!, group, r.var, m!));
      return reduce("add", select(compare("le", r.var, i!), term, literal("float32", 0)), [r]);
    },
  );
  const carried = t.carried("query");
  const result = outputStage(c, "linear_output", (n, i, e) => {
    const [h, m] = [floordiv(e!, s.valueSize), floormod(e!, s.valueSize)];
    const total = output.at(n!, i!, h, m);
    return mul(carried ? add(total, carried.at(n!, h, i!, m)) : total, literal("float32", s.scale));
  });
  return wants(c, 1) ? [result, finalState(c, s, t, update)] : [result];
}
type LinearShape = ReturnType<typeof linearAttention>;
interface LinearTerms {
  readonly query: (n: Expr, h: Expr, i: Expr, d: Expr) => Expr;
  readonly key: (n: Expr, h: Expr, i: Expr, d: Expr) => Expr;
  readonly value: (n: Expr, h: Expr, i: Expr, m: Expr) => Expr;
  /** e^(G[i] - G[r]); with no r, e^G[i]; undefined when nothing decays. */
  readonly fade: ((n: Expr, h: Expr, i: Expr, r: Expr | undefined, d: Expr) => Expr) | undefined;
  /** What queries (or keys) read of the initial state. */
  readonly carried: (from: "query" | "key") => Tensor | undefined;
}
function linearTerms(c: ComputeContext, s: LinearShape): LinearTerms {
  const [q, k, v, state, decay] = [c.input(0), c.input(1), c.input(2), c.optional(3), c.optional(4)];
  const part =
    (t: Tensor, size: number) =>
    (n: Expr, h: Expr, i: Expr, d: Expr): Expr =>
      cast("float32", t.at(n, i, add(mul(h, size), d)));
  const query = part(q, s.size);
  const key = part(k, s.size);
  const sums = decay && runningDecay(c, decay);
  const perHead = decay?.dims[2] === s.kvHeads;
  const fade: LinearTerms["fade"] =
    sums &&
    ((n, h, i, r, d) => {
      const column = perHead ? h : add(mul(h, s.size), d);
      const now = sums.at(n, i, column);
      return exp(r ? sub(now, sums.at(n, r, column)) : now);
    });
  const carried = (from: "query" | "key"): Tensor | undefined => {
    if (!state) return undefined;
    const own = from === "query" ? s.heads : s.kvHeads;
    const read = from === "query" ? query : key;
    return reduceStage(c, {
      name: `carried_${from}`,
      type: "float32",
      dims: [s.batch, own, s.length, s.valueSize],
      op: "add",
      axes: [["d", s.size]],
      value: ([n, h, i, m], [d]) => {
        const group = own === s.kvHeads ? h! : floordiv(h!, s.heads / s.kvHeads);
        const kept = mul(read(n!, h!, i!, d!), cast("float32", state.at(n!, group, d!, m!)));
        return fade ? mul(kept, fade(n!, group, i!, undefined, d!)) : kept;
      },
    });
  };
  return { query, key, value: part(v, s.valueSize), fade, carried };
}
/** The sum of the decay up to each step. */
function runningDecay(c: ComputeContext, decay: Tensor): Tensor {
  const sums = c.builder.declare("decay_sum", "float32", decay.dims);
  c.builder.computeInto(
    sums,
    "decay_sum",
    (n, i, e) => {
      const own = cast("float32", decay.at(n!, i!, e!));
      return select(compare("eq", i!, 0), own, add(sums.at(n!, max(sub(i!, 1), 0), e!), own));
    },
    { kinds: ["spatial", "ordered", "spatial"] },
  );
  return sums;
}
/** Products of queries (or keys) with earlier keys, faded: [batch, heads, step, earlier step]. */
function pairScores(c: ComputeContext, s: LinearShape, t: LinearTerms, from: "query" | "key"): Tensor {
  const own = from === "query" ? s.heads : s.kvHeads;
  return reduceStage(c, {
    name: `${from}_scores`,
    type: "float32",
    dims: [s.batch, own, s.length, s.length],
    op: "add",
    axes: [["d", s.size]],
    value: ([n, h, i, r], [d]) => {
      const group = own === s.kvHeads ? h! : floordiv(h!, s.heads / s.kvHeads);
      const product = mul(t[from](n!, h!, i!, d!), t.key(n!, group, r!, d!));
      // Later steps are not read; their fade could overflow.
      const earlier = binary("min", r!, i!);
      return t.fade ? mul(product, t.fade(n!, group, i!, earlier, d!)) : product;
    },
  });
}
/** beta·(value - what the state already gives for the key), step by step: [batch, key heads, step, value]. */
function corrected(c: ComputeContext, s: LinearShape, t: LinearTerms): Tensor {
  const beta = c.input(5);
  const scores = pairScores(c, s, t, "key");
  const carried = t.carried("key");
  const dims = [s.batch, s.kvHeads, s.length, s.valueSize];
  const fresh = c.builder.compute("delta_value", "float32", dims, (n, h, i, m) => {
    const value = carried ? sub(t.value(n!, h!, i!, m!), carried.at(n!, h!, i!, m!)) : t.value(n!, h!, i!, m!);
    return value;
  });
  const u = c.builder.declare("delta", "float32", dims);
  const betaAt = (n: Expr, h: Expr, i: Expr): Expr => cast("float32", beta.at(n, i, beta.dims[2] === 1 ? 0 : h));
  c.builder.computeInto(
    u,
    "delta",
    (n, h, i, m) => {
      const r = c.builder.reduceAxis("r", s.length);
      const earlier = and(compare("ge", r.var, 1), compare("le", r.var, i!));
      const before = max(sub(r.var, 1), 0);
      const held = mul(scores.at(n!, h!, i!, before), u.at(n!, h!, before, m!));
      const scaled = mul(betaAt(n!, h!, i!), select(earlier, held, literal("float32", 0)));
      const first = mul(betaAt(n!, h!, i!), fresh.at(n!, h!, i!, m!));
      return reduce("add", select(compare("eq", r.var, 0), first, mul(scaled, literal("float32", -1))), [r]);
    },
    { kinds: ["spatial", "spatial", "ordered", "spatial"] },
  );
  return u;
}
function finalState(
  c: ComputeContext,
  s: LinearShape,
  t: LinearTerms,
  update: (n: Expr, h: Expr, r: Expr, m: Expr) => Expr,
): Tensor {
  const last = index(s.length - 1);
  const state = c.optional(3);
  const total = reduceStage(c, {
    name: "state_sum",
    type: "float32",
    dims: [s.batch, s.kvHeads, s.size, s.valueSize],
    op: "add",
    axes: [["r", s.length]],
    value: ([n, h, d, m], [r]) => {
      const product = mul(t.key(n!, h!, r!, d!), update(n!, h!, r!, m!));
      return t.fade ? mul(product, t.fade(n!, h!, last, r!, d!)) : product;
    },
  });
  return outputStage(
    c,
    "state",
    (n, h, d, m) => {
      const sum = total.at(n!, h!, d!, m!);
      if (!state) return sum;
      const old = cast("float32", state.at(n!, h!, d!, m!));
      return add(sum, t.fade && s.length > 0 ? mul(old, t.fade(n!, h!, last, undefined, d!)) : old);
    },
    { output: 1 },
  );
}

export const sequenceModelRows: readonly OperatorRow[] = [
  {
    op: "RotaryEmbedding",
    since: 23,
    pattern: "injective",
    infer: (c) => {
      rotary(c);
      return [c.require(0)];
    },
    compute: computeRotary,
  },
  {
    op: "CausalConvWithState",
    since: 27,
    pattern: "opaque",
    infer: (c) => {
      const { batch, channels, k } = causal(c);
      const x = c.require(0);
      return [x, { dtype: x.dtype, dims: [batch, channels, k - 1] }];
    },
    expand: expandCausal,
  },
  {
    op: "LinearAttention",
    since: 27,
    pattern: "opaque",
    infer: (c) => {
      const s = linearAttention(c);
      const { dtype } = c.require(0);
      return [
        { dtype, dims: [s.batch, s.length, s.heads * s.valueSize] },
        { dtype: c.type(3)?.dtype ?? dtype, dims: [s.batch, s.kvHeads, s.size, s.valueSize] },
      ];
    },
    compute: computeLinearAttention,
  },
];
