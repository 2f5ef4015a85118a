/** TfIdfVectorizer over integer tokens. */
import { add, and, cast, compare, mul, or, select } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { intVector, tensorOf } from "../elements.ts";
import { clampIndex, literal } from "../expressions.ts";
import {
  type ComputeContext,
  type ExpandContext,
  type NodeContext,
  type OperatorRow,
  ownDomain,
  type StaticType,
} from "../row.ts";
import { checkType, range } from "../shape-rules.ts";
import { outputStage, reduceStage } from "../stages.ts";

/** One n-gram that counts, and the output it counts in. */
interface Gram {
  readonly tokens: readonly number[];
  readonly output: number;
}
/** Attributes: which n-grams, how many outputs, and how many tokens may be skipped between those of a gram. */
function vocabulary(c: NodeContext): { grams: Gram[]; outputs: number; skips: number; longest: number } {
  const a = c.attributes;
  const pool = a.ints("pool_int64s") ?? c.unsupported("n-grams of strings");
  const starts = a.ints("ngram_counts") ?? c.invalid("ngram_counts are missing");
  const outputs = a.ints("ngram_indexes") ?? c.invalid("ngram_indexes are missing");
  const [least, most] = [a.int("min_gram_length", 1), a.int("max_gram_length", 1)];
  const skips = a.int("max_skip_count", 0);
  if (starts.some((s, i) => s < 0 || s > pool.length || s < (starts[i - 1] ?? 0)) || outputs.some((o) => o < 0))
    c.invalid("ngram_counts or ngram_indexes are out of range");
  const all = starts.flatMap((start, i) => {
    const length = i + 1;
    const count = Math.floor(((starts[i + 1] ?? pool.length) - start) / length);
    return range(count).map((k) => pool.slice(start + k * length, start + (k + 1) * length));
  });
  if (all.length !== outputs.length) c.invalid(`${all.length} n-grams for ${outputs.length} outputs`);
  const grams = new Map<string, Gram>();
  all.forEach((tokens, i) => {
    if (tokens.length >= least && tokens.length <= most) grams.set(tokens.join(), { tokens, output: outputs[i]! });
  });
  const width = outputs.reduce((w, o) => Math.max(w, o + 1), 0);
  if (skips < 0 || width > 1 << 24) c.invalid(`${skips} skips, ${width} outputs`);
  return { grams: [...grams.values()], outputs: width, skips, longest: Math.max(1, ...all.map((t) => t.length)) };
}
function inferTfIdf(c: NodeContext): StaticType[] {
  const { dims } = checkType(c, 0, ["int32", "int64"]);
  if (dims.length > 2) c.invalid(`tokens [${dims}]`);
  return [{ dtype: "float32", dims: [...dims.slice(0, -1), vocabulary(c).outputs] }];
}
function expandTfIdf(c: ExpandContext) {
  const { dims } = c.require(0);
  const v = vocabulary(c);
  const weights = c.attributes.floats("weights") ?? [];
  const mode = c.attributes.string("mode", "TF");
  if (!["TF", "IDF", "TFIDF"].includes(mode)) c.invalid(`mode ${JSON.stringify(mode)}`);
  if (weights.length > 0 && weights.length < v.outputs) c.invalid(`${weights.length} weights for ${v.outputs} outputs`);
  const table = v.grams.flatMap((g) => range(v.longest).map((k) => g.tokens[k] ?? 0));
  const constant = c.graph.constant.bind(c.graph);
  const weight = range(v.outputs).map((o) => (mode === "TF" ? 1 : (weights[o] ?? 1)));
  const [counts] = c.graph.node(
    "GramCounts",
    [
      c.graph.node("Reshape", [c.inputs[0], constant("shape", intVector([-1, dims.at(-1) ?? 1]))])[0],
      constant("grams", tensorOf("int64", [v.grams.length, v.longest], table)),
      constant("lengths", intVector(v.grams.map((g) => g.tokens.length))),
      constant("places", intVector(v.grams.map((g) => g.output))),
      constant("weights", tensorOf("float32", [v.outputs], weight)),
    ],
    { attributes: { skips: v.skips, once: Number(mode === "IDF") }, domain: ownDomain, opset: 1 },
  );
  const [result] = inferTfIdf(c);
  return c.graph.node("Reshape", [counts, constant("shape", intVector(result!.dims))], {
    attributes: { allowzero: 1 },
  });
}
/** Counts [row, gram] of how often a gram occurs, with 0 to `skips` tokens left out between its own. */
function countGrams(c: ComputeContext): Tensor {
  const [x, grams, lengths] = [c.input(0), c.input(1), c.input(2)];
  const [rows, width] = x.dims as [number, number];
  return reduceStage(c, {
    name: "gram_count",
    type: "float32",
    dims: [rows, grams.dims[0]!],
    op: "add",
    axes: [
      ["skip", c.attributes.int("skips", 0) + 1],
      ["start", width],
    ],
    value: ([n, g], [skip, start]) => {
      const length = lengths.at(g!);
      const matches = range(grams.dims[1]!).map((k): Expr => {
        const at = add(start!, mul(add(skip!, 1), k));
        const same = compare("eq", cast("int64", x.at(n!, clampIndex(at, width))), grams.at(g!, k));
        return or(compare("ge", literal("int64", k), length), and(same, compare("lt", at, width)));
      });
      // A single token has nothing between its own: it counts once.
      const counts = or(compare("eq", skip!, 0), compare("gt", length, 1));
      return select([counts, ...matches].reduce(and), literal("float32", 1), literal("float32", 0));
    },
  });
}
function computeCounts(c: ComputeContext): Tensor[] {
  const counts = countGrams(c);
  const [places, weights] = [c.input(3), c.input(4)];
  const zero = literal("float32", 0);
  const total = reduceStage(c, {
    name: "gram_sum",
    type: "float32",
    dims: c.output(0).dims,
    op: "add",
    axes: [["g", places.dims[0]!]],
    value: ([n, o], [g]) => select(compare("eq", places.at(g!), o!), counts.at(n!, g!), zero),
  });
  const once = c.attributes.int("once", 0) !== 0;
  return [
    outputStage(c, "gram_weight", (n, o) => {
      const count = total.at(n!, o!);
      const value = once ? select(compare("gt", count, zero), literal("float32", 1), zero) : count;
      return mul(value, weights.at(o!));
    }),
  ];
}
export const textRows: readonly OperatorRow[] = [
  { op: "TfIdfVectorizer", since: 9, pattern: "opaque", infer: inferTfIdf, expand: expandTfIdf },
  {
    op: "GramCounts",
    domain: ownDomain,
    pattern: "opaque",
    infer: (c) => {
      const x = checkType(c, 0, ["int32", "int64"]);
      const [grams, weights] = [checkType(c, 1, ["int64"]), checkType(c, 4, ["float32"])];
      const vector = (i: number): boolean => checkType(c, i, ["int64"]).dims.join() === `${grams.dims[0]}`;
      const fits =
        x.dims.length === 2 && grams.dims.length === 2 && vector(2) && vector(3) && weights.dims.length === 1;
      if (!fits) c.invalid(`n-grams [${grams.dims}] over tokens [${x.dims}]`);
      return [{ dtype: "float32", dims: [x.dims[0]!, weights.dims[0]!] }];
    },
    compute: computeCounts,
  },
];
