/** Runs random graphs from one seed on: `npx tsx test/e2e/fuzz/run.mts FROM COUNT [--family F] [--config N] [--refusals]`. */
import { parseArgs } from "node:util";
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import { check, configurations, refusals } from "./check.ts";
import { type Family, randomCase } from "./generate.ts";
import { describeGraph, shrink } from "./shrink.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    family: { type: "string" },
    config: { type: "string" },
    refusals: { type: "boolean" },
    trace: { type: "boolean" },
    quick: { type: "boolean" },
  },
});
const [from = 0, count = 100] = positionals.map(Number);
const tally = new Map<string, number>();
const note = (key: string, by = 1): void => void tally.set(key, (tally.get(key) ?? 0) + by);
let failures = 0;
for (let seed = from; seed < from + count; seed++) {
  const c = randomCase(seed, values.family as Family | undefined);
  const options =
    configurations[values.config ? Number(values.config) : [0, 1, 2, 0, 3, 1, 4, 5, 0, 6, 7, 1, 8, 9][seed % 14]!]!;
  if (values.trace) console.log(`seed ${seed}`);
  try {
    if (values.refusals) {
      const { groups, refused } = refusals(c.graph, options);
      note("groups", groups);
      for (const r of refused) note(`refusal ${r.slice(0, 160)}`);
      for (const r of refused) if (r.includes("bug:")) console.log(`BUG seed ${seed} (${options.label}): ${r}`);
      if (values.quick) continue;
    }
    const outcome = await check(c.graph, c.feeds, options);
    note(`by ${outcome.by}`);
    if (outcome.refusal) note(`refused by ONNX Runtime: ${outcome.refusal.slice(0, 200)}`);
    if (outcome.failure) await report(seed, outcome.failure);
  } catch (error) {
    await report(seed, error instanceof Error ? (error.stack ?? String(error)) : String(error));
  }
}
for (const [k, n] of [...tally].sort((a, b) => b[1] - a[1])) console.log(`${n} × ${k}`);
console.log(`${count} graphs from seed ${from}: ${failures} failures`);
process.exitCode = failures > 0 ? 1 : 0;

/** Prints a failure with the smallest graph that still fails. */
async function report(seed: number, message: string): Promise<void> {
  failures++;
  const c = randomCase(seed, values.family as Family | undefined);
  const options =
    configurations[values.config ? Number(values.config) : [0, 1, 2, 0, 3, 1, 4, 5, 0, 6, 7, 1, 8, 9][seed % 14]!]!;
  console.log(`FAIL seed ${seed} (${options.label}): ${message.slice(0, 1500)}`);
  const kind = message.split("\n")[0]!.slice(0, 40);
  const fails = async (g: typeof c.graph): Promise<boolean> => {
    const feeds = c.feeds.map((f) =>
      Object.fromEntries(
        g.inputs.map((id) => {
          const v = g.values.get(id)!;
          const source = c.graph.inputs.includes(id) ? f[v.name]! : undefined;
          return [v.name, source ?? filled(v.type!.dtype, v.type!.dims as readonly number[])];
        }),
      ),
    );
    try {
      const o = await check(g, feeds, options);
      return o.failure !== undefined;
    } catch (error) {
      return message.startsWith("output") || message.startsWith("second")
        ? false
        : String(error).startsWith(kind.slice(0, 12));
    }
  };
  const small = await shrink(c.graph, fails);
  console.log(describeGraph(small));
}
function filled(type: ScalarType, dims: readonly number[]) {
  const tensor = tensorValue(type, dims);
  const data = tensor.data as Float32Array;
  for (let i = 0; i < data.length; i++) {
    const v = ((i * 37) % 129) - 64;
    if (type.startsWith("float")) data[i] = v / 64;
    else data[i] = (type === "int64" ? BigInt(v % 9) : Math.abs(v) % (type === "bool" ? 2 : 9)) as number;
  }
  return tensor;
}
