/** Random ONNX graphs by seed: convolution networks, token networks, tensor programs, and odd ends of each. */
import type { Graph } from "../../../ir/graph/graph.ts";
import type { TensorValue } from "../../../ir/graph/tensor-value.ts";
import { imageNetwork } from "./images.ts";
import { singleOperator } from "./operators.ts";
import { type Known, Source } from "./source.ts";
import { tensorGraph } from "./tensors.ts";
import { tokenNetwork } from "./tokens.ts";

/** A random graph with two sets of values for its inputs. */
export interface RandomCase {
  readonly seed: number;
  readonly family: string;
  readonly graph: Graph;
  readonly feeds: readonly Readonly<Record<string, TensorValue>>[];
}

const families = { images: imageNetwork, tokens: tokenNetwork, tensors: tensorGraph, operators: singleOperator };
export type Family = keyof typeof families;

/** The random case of a seed; the same seed gives the same case. */
export function randomCase(seed: number, only?: Family): RandomCase {
  const s = new Source(seed);
  const family =
    only ?? s.pick(["images", "images", "images", "tokens", "tokens", "tensors", "tensors", "operators"] as const);
  const made = families[family](s, s.pick([1, 2, 3, 5, 8, 12, 12, 30]));
  const graph = s.finish(`${family}${seed}`, outputsOf(s, made));
  const feeds = [0, 1].map(() =>
    Object.fromEntries(s.inputs.map((i) => [graph.values.get(i.id)!.name, s.values(i.type, i.dims)])),
  );
  return { seed, family, graph, feeds };
}

/** What leaves the graph: its last value, often others that are read inside too, now and then an input or a constant. */
function outputsOf(s: Source, made: readonly Known[]): Known[] {
  const outputs = [made[0]!];
  const computed = s.pool.filter((v) => !s.inputs.includes(v));
  if (computed.length > 0) for (let i = s.pick([0, 0, 1, 2]); i > 0; i--) outputs.push(s.pick(computed));
  // ONNX Runtime takes no graph whose output is an input or an initializer: an Identity stands between.
  const direct = outputs.map((o) => (s.inputs.includes(o) ? s.one("Identity", [o]) : o));
  if (s.chance(0.05)) direct.push(s.one("Identity", [s.inputs[0]!]));
  if (s.chance(0.05)) direct.push(s.one("Identity", [s.constant([3])]));
  if (s.chance(0.05)) direct.push(s.one("Identity", [direct[0]!]));
  return direct;
}
