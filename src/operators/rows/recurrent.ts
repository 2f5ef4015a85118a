/**
 * RNN, GRU and LSTM: one product for the inputs of all steps, then for each step a product with the hidden state and a
 * cell. Equal steps share one kernel, so compiling costs little more for long sequences.
 */
import type { AttributeRecord } from "../../../ir/graph/build.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { intVector, tensorOf } from "../elements.ts";
import { type ExpandContext, type NodeContext, type OperatorRow, ownDomain, type StaticType } from "../row.ts";
import { checkType, floats, range } from "../shape-rules.ts";
import { recurrentActivations } from "./recurrent-cells.ts";

/** What differs between the three. */
interface Kind {
  readonly gates: number;
  /** Default activations of one direction. */
  readonly activations: readonly string[];
  /** Hidden state, and for an LSTM the cell state. */
  readonly states: number;
}
const kinds: Readonly<Record<string, Kind>> = {
  RNN: { gates: 1, activations: ["tanh"], states: 1 },
  GRU: { gates: 3, activations: ["sigmoid", "tanh"], states: 1 },
  LSTM: { gates: 4, activations: ["sigmoid", "tanh", "tanh"], states: 2 },
};
/** More steps than this are refused: each is a node. */
const stepLimit = 4096;
/** Parts that one Split or Concat handles. */
const fanOut = 32;

interface Recurrence extends Kind {
  readonly steps: number;
  readonly batch: number;
  readonly inputs: number;
  readonly size: number;
  readonly directions: number;
  readonly batchFirst: boolean;
}
/** Checks x [steps, batch, inputs], W [directions, gates·size, inputs], R [directions, gates·size, size] and the rest. */
function readRecurrence(c: NodeContext): Recurrence {
  const kind = kinds[c.node.op]!;
  const x = checkType(c, 0, floats);
  const [w, r] = [c.require(1).dims, c.require(2).dims];
  const batchFirst = c.attributes.int("layout", 0) !== 0;
  if (x.dims.length !== 3) c.invalid(`an input [${x.dims}]`);
  const [steps, batch] = batchFirst ? [x.dims[1]!, x.dims[0]!] : [x.dims[0]!, x.dims[1]!];
  const inputs = x.dims[2]!;
  const direction = c.attributes.string("direction", "forward");
  if (!["forward", "reverse", "bidirectional"].includes(direction)) c.invalid(`direction ${JSON.stringify(direction)}`);
  const directions = direction === "bidirectional" ? 2 : 1;
  const size = r[2] ?? 0;
  const rows = kind.gates * size;
  if (w.join() !== [directions, rows, inputs].join() || r.join() !== [directions, rows, size].join() || size < 1)
    c.invalid(`weights [${w}] and [${r}] for an input [${x.dims}]`);
  if (steps < 1 || batch < 1) c.unsupported("an empty sequence");
  if (steps > stepLimit) c.unsupported(`${steps} steps, more than ${stepLimit}`);
  const s = { ...kind, steps, batch, inputs, size, directions, batchFirst };
  checkRest(c, s);
  return s;
}
function checkRest(c: NodeContext, s: Recurrence): void {
  const state = s.batchFirst ? [s.batch, s.directions, s.size] : [s.directions, s.batch, s.size];
  const wanted = new Map([
    [3, [s.directions, 2 * s.gates * s.size]],
    [4, [s.batch]],
    [5, state],
    ...(s.states === 2
      ? ([
          [6, state],
          [7, [s.directions, 3 * s.size]],
        ] as const)
      : []),
  ]);
  for (const [i, dims] of wanted) {
    const t = c.type(i);
    if (t && t.dims.join() !== dims.join()) c.invalid(`input ${i} [${t.dims}] instead of [${dims}]`);
  }
}
function inferRecurrent(c: NodeContext): StaticType[] {
  const s = readRecurrence(c);
  const { dtype } = c.require(0);
  const y = s.batchFirst ? [s.batch, s.steps, s.directions, s.size] : [s.steps, s.directions, s.batch, s.size];
  const state = s.batchFirst ? [s.batch, s.directions, s.size] : [s.directions, s.batch, s.size];
  return [{ dtype, dims: y }, ...range(s.states).map(() => ({ dtype, dims: state }))];
}
/** Activations of direction `d` with their alphas and betas, which only functions that take them use up, in order. */
function activationsOf(c: NodeContext, s: Recurrence, d: number) {
  const names = c.attributes.strings("activations") ?? range(s.directions).flatMap(() => s.activations);
  const each = s.activations.length;
  if (names.length !== each * s.directions) c.invalid(`${names.length} activations`);
  const [alphas, betas] = [
    [...(c.attributes.floats("activation_alpha") ?? [])],
    [...(c.attributes.floats("activation_beta") ?? [])],
  ];
  const all = names.map((n) => {
    const name = n.toLowerCase();
    const f = recurrentActivations.get(name) ?? c.unsupported(`activation ${JSON.stringify(n)}`);
    const alpha = f.alpha === undefined ? 0 : (alphas.shift() ?? f.alpha);
    return { name, alpha, beta: f.beta === undefined ? 0 : (betas.shift() ?? f.beta) };
  });
  return all.slice(d * each, (d + 1) * each);
}

/** Makes the nodes of one recurrent operator. */
class Expansion {
  readonly #c: ExpandContext;
  readonly #s: Recurrence;
  readonly #mask: readonly ValueId[] | undefined;
  readonly #x: ValueId;
  constructor(c: ExpandContext) {
    this.#c = c;
    const s = readRecurrence(c);
    this.#s = s;
    const turned = s.batchFirst ? this.#node("Transpose", [c.inputs[0]], { perm: [1, 0, 2] }) : c.inputs[0]!;
    this.#x = this.#reshape(turned, [s.steps * s.batch, s.inputs]);
    const mask = c.inputs[4] && this.#own("SequenceMask", [c.inputs[4]], { steps: s.steps })[0]!;
    this.#mask = mask === undefined ? undefined : this.#pieces(mask, s.steps);
  }
  #node(op: string, inputs: readonly (ValueId | undefined)[], attributes: AttributeRecord = {}): ValueId {
    return this.#c.graph.node(op, inputs, { attributes })[0]!;
  }
  #own(op: string, inputs: readonly (ValueId | undefined)[], attributes: AttributeRecord, outputs = 1): ValueId[] {
    const names = range(outputs).map((i) => `${op}_${i}`);
    return this.#c.graph.node(op, inputs, { attributes, domain: ownDomain, opset: 1, outputs: names });
  }
  #ints(...values: number[]): ValueId {
    return this.#c.graph.constant("ints", intVector(values));
  }
  #reshape(x: ValueId, dims: readonly number[]): ValueId {
    return this.#node("Reshape", [x, this.#ints(...dims)], { allowzero: 1 });
  }
  #slice(x: ValueId, axis: number, start: number, end: number): ValueId {
    return this.#node("Slice", [x, this.#ints(start), this.#ints(end), this.#ints(axis)]);
  }
  /** Direction `d` of input `i`, in shape `dims`. */
  #part(i: number, d: number, dims: readonly number[]): ValueId | undefined {
    const x = this.#c.inputs[i];
    if (x === undefined) return undefined;
    return this.#reshape(this.#s.directions === 1 ? x : this.#slice(x, 0, d, d + 1), dims);
  }
  /** Rows of `x` in `count` equal parts, a few at a time so that equal parts share a kernel. */
  #pieces(x: ValueId, count: number): ValueId[] {
    const split = (from: ValueId, parts: readonly number[]): ValueId[] => {
      if (parts.length === 1) return [from];
      const sizes = this.#ints(...parts.map((p) => p * this.#s.batch));
      const outputs = parts.map((_, i) => `part_${i}`);
      return this.#c.graph.node("Split", [from, sizes], { attributes: { axis: 0 }, outputs });
    };
    if (count <= fanOut) return split(x, Array<number>(count).fill(1));
    const chunk = fanOut ** Math.ceil(Math.log(count) / Math.log(fanOut) - 1);
    const sizes = range(Math.ceil(count / chunk)).map((k) => Math.min(chunk, count - k * chunk));
    return split(x, sizes).flatMap((part, k) => this.#pieces(part, sizes[k]!));
  }
  #joined(parts: readonly ValueId[], axis = 0): ValueId {
    if (parts.length === 1) return parts[0]!;
    if (parts.length <= fanOut) return this.#node("Concat", parts, { axis });
    const groups = range(Math.ceil(parts.length / fanOut)).map((k) => parts.slice(k * fanOut, (k + 1) * fanOut));
    return this.#joined(
      groups.map((g) => this.#joined(g, axis)),
      axis,
    );
  }
  /** Biases from the input and from the hidden state, each [gates·size]. */
  #biases(d: number): [ValueId, ValueId] | undefined {
    const width = this.#s.gates * this.#s.size;
    const both = this.#part(3, d, [2 * width]);
    return both === undefined ? undefined : [this.#slice(both, 0, 0, width), this.#slice(both, 0, width, 2 * width)];
  }
  #initial(i: number, d: number): ValueId {
    const { batch, size, batchFirst, directions } = this.#s;
    const x = this.#c.inputs[i];
    if (x === undefined)
      return this.#c.graph.constant("initial", tensorOf(this.#c.require(0).dtype, [batch, size], []));
    const turned = batchFirst ? this.#node("Transpose", [x], { perm: [1, 0, 2] }) : x;
    return this.#reshape(directions === 1 ? turned : this.#slice(turned, 0, d, d + 1), [batch, size]);
  }
  build(): ValueId[] {
    const s = this.#s;
    const runs = range(s.directions).map((d) => this.#direction(d));
    const y = this.#joined(
      runs.map((r) => this.#reshape(this.#joined(r.outputs), [s.steps, 1, s.batch, s.size])),
      1,
    );
    const states = range(s.states).map((k) => {
      const each = runs.map((r) => this.#reshape(r.states[k]!, [1, s.batch, s.size]));
      return this.#joined(each);
    });
    if (!s.batchFirst) return [y, ...states];
    return [
      this.#node("Transpose", [y], { perm: [2, 0, 1, 3] }),
      ...states.map((h) => this.#node("Transpose", [h], { perm: [1, 0, 2] })),
    ];
  }
  #direction(d: number): { outputs: ValueId[]; states: ValueId[] } {
    const s = this.#s;
    const step = this.#stepOf(d);
    const w = this.#node("Transpose", [this.#part(1, d, [s.gates * s.size, s.inputs])], { perm: [1, 0] });
    const product = this.#node("MatMul", [this.#x, w]);
    const gates = this.#pieces(step.bias ? this.#node("Add", [product, step.bias]) : product, s.steps);
    const backwards = d === 1 || this.#c.attributes.string("direction", "forward") === "reverse";
    const order = backwards ? range(s.steps).reverse() : range(s.steps);
    let states = [this.#initial(5, d), ...(s.states === 2 ? [this.#initial(6, d)] : [])];
    const outputs: ValueId[] = Array(s.steps);
    for (const t of order) {
      const made = step.run(gates[t]!, states, this.#mask?.[t]);
      states = made.slice(0, s.states);
      outputs[t] = made[s.states] ?? made[0]!;
    }
    return { outputs, states };
  }
  /** The bias that goes into the gates of all steps, and how one step is made. */
  #stepOf(d: number) {
    const { size, gates } = this.#s;
    const functions = activationsOf(this.#c, this.#s, d);
    const attributes: AttributeRecord = {
      activations: functions.map((f) => f.name),
      alpha: { kind: "floats", value: functions.map((f) => f.alpha) },
      beta: { kind: "floats", value: functions.map((f) => f.beta) },
      clip: { kind: "float", value: this.#c.attributes.float("clip", 0) },
      input_forget: this.#c.attributes.int("input_forget", 0),
    };
    const biases = this.#biases(d);
    const sum = biases && this.#node("Add", biases);
    const r = this.#node("Transpose", [this.#part(2, d, [gates * size, size])], { perm: [1, 0] });
    type Run = (x: ValueId, states: readonly ValueId[], mask: ValueId | undefined) => ValueId[];
    const shown = (mask: ValueId | undefined): number => (mask === undefined ? 0 : 1);
    if (this.#c.node.op === "GRU") return this.#gruStep(attributes, { r, biases, sum });
    const name = this.#c.node.op === "LSTM" ? "LstmCell" : "RnnCell";
    const peephole = gates === 4 ? this.#part(7, d, [3 * size]) : undefined;
    const run: Run = (x, states, mask) => {
      const hidden = this.#node("MatMul", [states[0], r]);
      return this.#own(name, [x, hidden, ...states, mask, peephole], attributes, this.#s.states + shown(mask));
    };
    return { bias: sum, run };
  }
  /** The candidate comes from the reset state, or (linear_before_reset) is reset after the product. */
  #gruStep(
    attributes: AttributeRecord,
    g: { r: ValueId; biases: [ValueId, ValueId] | undefined; sum: ValueId | undefined },
  ) {
    const { size } = this.#s;
    if (this.#c.attributes.int("linear_before_reset", 0) !== 0) {
      const run = (x: ValueId, [h]: readonly ValueId[], mask: ValueId | undefined): ValueId[] => {
        const product = this.#node("MatMul", [h, g.r]);
        const hidden = g.biases ? this.#node("Add", [product, g.biases[1]]) : product;
        return this.#own("GruCell", [x, hidden, h, mask], attributes, mask === undefined ? 1 : 2);
      };
      return { bias: g.biases?.[0], run };
    }
    const [first, last] = [this.#slice(g.r, 1, 0, 2 * size), this.#slice(g.r, 1, 2 * size, 3 * size)];
    const run = (x: ValueId, [h]: readonly ValueId[], mask: ValueId | undefined): ValueId[] => {
      const hidden = this.#node("MatMul", [h, first]);
      const [reset] = this.#own("GruReset", [x, hidden, h], attributes);
      const inner = this.#node("MatMul", [reset, last]);
      return this.#own("GruCandidate", [x, hidden, h, mask, inner], attributes, mask === undefined ? 1 : 2);
    };
    return { bias: g.sum, run };
  }
}

const row = (op: string): OperatorRow => ({
  op,
  since: 7,
  pattern: "opaque",
  infer: inferRecurrent,
  expand: (c) => new Expansion(c).build(),
});
export const recurrentRows: readonly OperatorRow[] = ["RNN", "GRU", "LSTM"].map(row);
