/**
 * Chooses the random schedules that `test/property/decisions.test.ts` records: of many seeds those that run code that no
 * seed before them runs, or run it far more often. Writes `test/fixtures/decisions.txt`.
 *
 *   npx tsx scripts/choose-decisions.ts [--seeds 8000] [--most 400]
 */
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { parseArgs } from "node:util";
import { decisions } from "../test/property/support/decisions.ts";

const { values } = parseArgs({
  options: { seeds: { type: "string", default: "8000" }, most: { type: "string", default: "400" } },
});
const watched = /\/passes\/(schedule|analysis)\//;

const session = new Session();
session.connect();
await session.post("Profiler.enable");
await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });

/** The parts of the watched code that ran since the last time, each with how often, roughly. */
async function ran(): Promise<string[]> {
  const { result } = await session.post("Profiler.takePreciseCoverage");
  return result
    .filter((script) => watched.test(script.url))
    .flatMap((script) =>
      script.functions.flatMap((f) =>
        f.ranges
          .filter((r) => r.count > 0)
          .map((r) => `${script.scriptId}:${r.startOffset}:${r.endOffset}:${Math.ceil(Math.log2(r.count) / 2)}`),
      ),
    );
}

const candidates: { readonly line: string; readonly parts: ReadonlySet<string> }[] = [];
const seen = new Set<string>();
await ran();
for (let seed = 1; seed <= Number(values.seeds); seed++) {
  const line = decisions(seed);
  const parts = new Set(await ran());
  if ([...parts].every((p) => seen.has(p))) continue;
  for (const p of parts) seen.add(p);
  candidates.push({ line, parts });
  process.stderr.write(`seed ${seed}: ${candidates.length} candidates, ${seen.size} parts\n`);
}
// A part is worth the more the fewer candidates run it. Worth only falls while others are chosen, so the first of the list
// is the best one if it stays first after it was counted anew.
const users = new Map<string, number>();
for (const c of candidates) for (const p of c.parts) users.set(p, (users.get(p) ?? 0) + 1);
const covered = new Set<string>();
const worthOf = (parts: ReadonlySet<string>): number =>
  [...parts].reduce((sum, p) => sum + (covered.has(p) ? 0 : 1 / users.get(p)!), 0);
const list = candidates.map((c) => ({ ...c, worth: worthOf(c.parts) })).sort((x, y) => y.worth - x.worth);
const chosen: string[] = [];
while (chosen.length < Number(values.most) && list.length > 0) {
  const best = list.shift()!;
  const worth = worthOf(best.parts);
  if (worth === 0) continue;
  if (list.length > 0 && worth < list[0]!.worth) {
    const at = list.findIndex((c) => c.worth <= worth);
    list.splice(at < 0 ? list.length : at, 0, { ...best, worth });
    continue;
  }
  chosen.push(best.line);
  for (const p of best.parts) covered.add(p);
}
chosen.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
writeFileSync(new URL("../test/fixtures/decisions.txt", import.meta.url), `${chosen.join("\n")}\n`);
process.stdout.write(`${chosen.length} of ${values.seeds} seeds run ${covered.size} of ${seen.size} parts\n`);
