/**
 * The dependence analysis beside the integer set library (Debian's libisl23) on random affine nests: what is missed, what
 * is reported beyond it. Results go to results/isl.json; any dependence missed ends with status 1.
 *
 *   npm run check:isl -- [--nests 10000] [--seed 1000000]
 */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { checkNest, emptyTallies, type Fault } from "../test/passes/analysis/isl/check.ts";
import { loadIsl } from "../test/passes/analysis/isl/isl.ts";

const { values } = parseArgs({
  options: { nests: { type: "string", default: "10000" }, seed: { type: "string", default: "1000000" } },
});
const wanted = Number(values.nests);
const first = Number(values.seed);

const isl = loadIsl();
if (typeof isl === "string") {
  process.stderr.write(`${isl}\nDebian: apt-get install libisl23; koffi: npm --prefix bench ci\n`);
  process.exit(1);
}
const tallies = emptyTallies();
const faults: Fault[] = [];
const checked = (): number => tallies.linear.nests + tallies.quasi.nests;
let seed = first;
// Nests that isl gives up on do not count.
while (checked() < wanted) {
  for (const f of checkNest(isl, seed, tallies)) {
    faults.push(f);
    process.stderr.write(`seed ${f.seed}: ${f.what}\n`);
  }
  seed++;
  if ((seed - first) % 500 === 0) process.stderr.write(`${checked()} of ${wanted} nests\n`);
}
const result = { date: new Date().toISOString(), firstSeed: first, seeds: seed - first, faults, ...tallies };
const path = join(dirname(fileURLToPath(import.meta.url)), "results", "isl.json");
writeFileSync(path, `${JSON.stringify(result, undefined, 1)}\n`);
for (const [kind, t] of Object.entries(tallies)) {
  const precision = ((100 * t.vectors) / (t.vectors + t.beyond)).toFixed(2);
  process.stdout.write(
    `${kind}: ${t.nests} nests, ${t.vectors} direction vectors, ${t.beyond} beyond isl's (${precision} % exist); ` +
      `${t.distancesGiven} of ${t.distances} constant distances given\n`,
  );
}
process.stdout.write(`${faults.length} faults\n`);
process.exitCode = faults.length === 0 ? 0 : 1;
