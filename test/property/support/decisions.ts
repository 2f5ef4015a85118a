/** All that is decided and said about a random schedule of a random program, as a line. */
import { createHash } from "node:crypto";
import { parseTarget } from "../../../ir/target/parse.ts";
import { dependences } from "../../../passes/analysis/dependence.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { drawPrimitive, proposers } from "./actions.ts";
import { randomProgram } from "./programs.ts";
import { Random } from "./random.ts";

const wanted = 7;
const target = parseTarget("znver4");
const costs = { extents: true, footprints: true, intensity: true, target } as const;

/** One line: the steps tried, each with its rule where it was refused, and a hash of all that was said of them. */
export function decisions(seed: number): string {
  const r = new Random(seed * 15_485_863);
  const sample = randomProgram(r);
  const s = new Schedule(sample.program);
  const steps: string[] = [];
  const said: unknown[] = [];
  for (let tries = 0; tries < 3 * wanted && s.trace.steps.length < wanted; tries++) {
    const name = drawPrimitive(r);
    const args = proposers[name](r, s);
    if (!args) continue;
    const refusal = s.probe(name, args as never);
    if (refusal === undefined) s.apply(name, args);
    else said.push(refusal.because, refusal.instead, refusal.at?.name);
    if (refusal !== undefined && r.chance(0.3)) said.push(s.why(name, args as never).text);
    steps.push(refusal === undefined ? name : `${name}/${refusal.rule}`);
  }
  said.push(s.print(costs), s.trace.toSource(), s.trace.toJSON(), dependencesIn(s));
  return `${seed} ${sample.kind}: ${steps.join(" ")} ${digest(said)}`;
}
const dependencesIn = (s: Schedule): unknown[] =>
  dependences(s.func.body)
    .slice(0, 200)
    .map((d) => [d.kind, d.source.buffer.name, d.directions, d.distances, d.exact, d.reduction]);
const digest = (said: readonly unknown[]): string =>
  createHash("sha256")
    .update(JSON.stringify(said, (_, v: unknown) => (typeof v === "bigint" ? `${v}n` : v)))
    .digest("hex")
    .slice(0, 12);
