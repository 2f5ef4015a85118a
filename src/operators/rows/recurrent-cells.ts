/** One step of a recurrent network, in our own domain: what follows the products with inputs and hidden states. */
import { add, cast, compare, floordiv, floormod, index, mul, select, sub, unary } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { abs, exp, like, nanMax, nanMin, reciprocal, relu, sigmoid, softplus } from "../expressions.ts";
import { type ComputeContext, type NodeContext, type OperatorRow, ownDomain, type StaticType } from "../row.ts";
import { checkType, floats, wants } from "../shape-rules.ts";
import { outputStage, wide } from "../stages.ts";

/** An activation function of ONNX's recurrent operators. */
interface Activation {
  /** Defaults of alpha and beta; absent where the function takes none. */
  readonly alpha?: number;
  readonly beta?: number;
  readonly of: (x: Expr, alpha: number, beta: number) => Expr;
}
const tanh = (x: Expr): Expr => unary("tanh", x);
/** By name in lower case. */
export const recurrentActivations: ReadonlyMap<string, Activation> = new Map<string, Activation>([
  ["relu", { of: (x) => relu(x) }],
  ["tanh", { of: (x) => tanh(x) }],
  ["sigmoid", { of: (x) => sigmoid(x) }],
  ["affine", { alpha: 1, beta: 0, of: (x, a, b) => add(mul(x, like(x, a)), like(x, b)) }],
  ["leakyrelu", { alpha: 0.01, of: (x, a) => select(compare("lt", x, like(x, 0)), mul(x, like(x, a)), x) }],
  ["thresholdedrelu", { alpha: 1, of: (x, a) => select(compare("gt", x, like(x, a)), x, like(x, 0)) }],
  ["scaledtanh", { alpha: 1, beta: 1, of: (x, a, b) => mul(like(x, a), tanh(mul(x, like(x, b)))) }],
  [
    "hardsigmoid",
    {
      alpha: 0.2,
      beta: 0.5,
      of: (x, a, b) => nanMin(nanMax(add(mul(x, like(x, a)), like(x, b)), like(x, 0)), like(x, 1)),
    },
  ],
  [
    "elu",
    { alpha: 1, of: (x, a) => select(compare("lt", x, like(x, 0)), mul(like(x, a), sub(exp(x), like(x, 1))), x) },
  ],
  ["softsign", { of: (x) => mul(x, reciprocal(add(abs(x), like(x, 1)))) }],
  ["softplus", { of: (x) => softplus(x) }],
]);
/** The k-th activation of a cell, for a gate after clipping what goes into it. */
function activation(c: NodeContext, k: number, isGate = true): (x: Expr) => Expr {
  const name = c.attributes.strings("activations")?.[k] ?? c.invalid("an activation is missing");
  const f = recurrentActivations.get(name) ?? c.unsupported(`activation ${JSON.stringify(name)}`);
  const [alpha, beta] = [c.attributes.floats("alpha")?.[k] ?? 0, c.attributes.floats("beta")?.[k] ?? 0];
  const clip = c.attributes.float("clip", 0);
  const clipped = (x: Expr): Expr => (isGate && clip > 0 ? nanMin(nanMax(x, like(x, -clip)), like(x, clip)) : x);
  return (x) => f.of(clipped(x), alpha, beta);
}

/**
 * Inputs of every cell: gates from the input, gates from the hidden state, the states, a mask [batch, 1] if any, and one
 * more: peepholes of `extra` sizes, or (1) the hidden part of the candidate.
 */
function inferCell(gates: number, hiddenGates: number, states: number, outputs: number, extra = 0) {
  return (c: NodeContext): StaticType[] => {
    const x = checkType(c, 0, floats);
    const [batch, width] = x.dims as [number, number];
    const size = width / gates;
    const same = (i: number, n: number): boolean =>
      c.require(i).dtype === x.dtype && c.require(i).dims.join() === `${batch},${n * size}`;
    const fits = x.dims.length === 2 && Number.isInteger(size) && same(1, hiddenGates);
    const held = Array.from({ length: states }, (_, k) => same(2 + k, 1)).every(Boolean);
    const mask = c.type(2 + states);
    const masked = !mask || (mask.dtype === "bool" && mask.dims.join() === `${batch},1`);
    const more = c.type(3 + states);
    const wanted = extra === 1 ? `${batch},${size}` : `${extra * size}`;
    const seen = more ? more.dtype === x.dtype && more.dims.join() === wanted : extra !== 1;
    if (!fits || !held || !masked || !seen) c.invalid(`a step over gates [${x.dims}]`);
    return Array.from({ length: outputs }, () => ({ dtype: x.dtype, dims: [batch, size] }));
  };
}
/** Element `j` of gate `g`, and helpers around a masked state update. */
function cell(c: ComputeContext, states: number) {
  const [fromInput, fromHidden] = [c.input(0), c.input(1)];
  const size = c.output(0).dims[1]!;
  const mask = c.optional(2 + states);
  const gate = (t: Tensor, g: number, n: Expr, j: Expr): Expr => wide(t, n, add(index(g * size), j));
  const kept = (n: Expr, next: Expr, old: Expr): Expr => (mask ? select(mask.at(n, 0), next, old) : next);
  /** The result of this step, which is 0 past the end of a sequence. */
  const shown = (h: Tensor, output: number): Tensor =>
    outputStage(c, "step_output", (n, j) => kept(n!, wide(h, n!, j!), like(wide(h, n!, j!), 0)), { output });
  return { fromInput, fromHidden, gate, kept, shown };
}

function computeLstm(c: ComputeContext): Tensor[] {
  const { fromInput, fromHidden, gate, kept, shown } = cell(c, 2);
  const [hidden, memory, peephole] = [c.input(2), c.input(3), c.optional(5)];
  const [f, g, h] = [activation(c, 0), activation(c, 1), activation(c, 2, false)];
  const coupled = c.attributes.int("input_forget", 0) !== 0;
  const size = c.output(0).dims[1]!;
  /** Gates in the order input, output, forget, cell; peepholes in the order input, output, forget. */
  const sum = (k: number, n: Expr, j: Expr, state?: Expr): Expr => {
    const both = add(gate(fromInput, k, n, j), gate(fromHidden, k, n, j));
    return peephole && state ? add(both, mul(wide(peephole, add(index(k * size), j)), state)) : both;
  };
  const next = outputStage(
    c,
    "cell_state",
    (n, j) => {
      const old = wide(memory, n!, j!);
      const input = f(sum(0, n!, j!, old));
      const forget = coupled ? sub(like(input, 1), input) : f(sum(2, n!, j!, old));
      return kept(n!, add(mul(forget, old), mul(input, g(sum(3, n!, j!)))), old);
    },
    { output: 1 },
  );
  const state = outputStage(c, "hidden_state", (n, j) => {
    const own = wide(next, n!, j!);
    return kept(n!, mul(f(sum(1, n!, j!, own)), h(own)), wide(hidden, n!, j!));
  });
  return wants(c, 2) ? [state, next, shown(state, 2)] : [state, next];
}
/** z·h + (1 - z)·candidate. */
const blend = (z: Expr, candidate: Expr, old: Expr): Expr => add(mul(sub(like(z, 1), z), candidate), mul(z, old));
/** The reset hidden state r·h of a GRU whose candidate is computed from it. */
function computeReset(c: ComputeContext): Tensor[] {
  const { fromInput, fromHidden, gate } = cell(c, 1);
  const hidden = c.input(2);
  const f = activation(c, 0);
  return [
    outputStage(c, "reset_state", (n, j) =>
      mul(f(add(gate(fromInput, 1, n!, j!), gate(fromHidden, 1, n!, j!))), wide(hidden, n!, j!)),
    ),
  ];
}
function computeGru(c: ComputeContext): Tensor[] {
  const { fromInput, fromHidden, gate, kept, shown } = cell(c, 1);
  const [hidden, candidateGate] = [c.input(2), c.optional(4)];
  const [f, g] = [activation(c, 0), activation(c, 1)];
  const state = outputStage(c, "hidden_state", (n, j) => {
    const old = wide(hidden, n!, j!);
    const both = (k: number): Expr => add(gate(fromInput, k, n!, j!), gate(fromHidden, k, n!, j!));
    const z = f(both(0));
    const inner = candidateGate ? wide(candidateGate, n!, j!) : mul(f(both(1)), gate(fromHidden, 2, n!, j!));
    const candidate = g(add(gate(fromInput, 2, n!, j!), inner));
    return kept(n!, blend(z, candidate, old), old);
  });
  return wants(c, 1) ? [state, shown(state, 1)] : [state];
}
function computeRnn(c: ComputeContext): Tensor[] {
  const { fromInput, fromHidden, gate, kept, shown } = cell(c, 1);
  const hidden = c.input(2);
  const f = activation(c, 0);
  const state = outputStage(c, "hidden_state", (n, j) =>
    kept(n!, f(add(gate(fromInput, 0, n!, j!), gate(fromHidden, 0, n!, j!))), wide(hidden, n!, j!)),
  );
  return wants(c, 1) ? [state, shown(state, 1)] : [state];
}
/** Whether step t (row t·batch + n) lies within sequence n. */
const maskRow: OperatorRow = {
  op: "SequenceMask",
  domain: ownDomain,
  pattern: "injective",
  infer: (c) => {
    const { dims } = checkType(c, 0, ["int32", "int64"]);
    const steps = c.attributes.int("steps", 0);
    if (dims.length !== 1 || steps < 0) c.invalid(`lengths [${dims}] over ${steps} steps`);
    return [{ dtype: "bool", dims: [steps * dims[0]!, 1] }];
  },
  compute: (c) => {
    const lengths = c.input(0);
    const batch = lengths.dims[0]!;
    return [
      outputStage(c, "sequence_mask", (row) => {
        const length = lengths.at(floormod(row!, batch));
        return compare("lt", floordiv(row!, batch), cast("int64", length));
      }),
    ];
  },
};
const row = (op: string, infer: OperatorRow["infer"], compute: OperatorRow["compute"]): OperatorRow => ({
  op,
  domain: ownDomain,
  pattern: "opaque",
  infer,
  ...(compute ? { compute } : {}),
});
export const recurrentCellRows: readonly OperatorRow[] = [
  row("LstmCell", inferCell(4, 4, 2, 3, 3), computeLstm),
  row("GruCell", inferCell(3, 3, 1, 2), computeGru),
  row("GruReset", inferCell(3, 2, 1, 1), computeReset),
  row("GruCandidate", inferCell(3, 2, 1, 2, 1), computeGru),
  row("RnnCell", inferCell(1, 1, 1, 2), computeRnn),
  maskRow,
];
