/**
 * The dependence analysis beside the integer set library (Debian's libisl23) on random affine nests: what is missed, what
 * is reported beyond it. Results go to results/isl.json; any dependence missed ends with status 1.
 *
 *   npm run check:isl -- [--nests 10000] [--seed 1000000] [--jobs N]
 *
 * Processes of their own check some hundred seeds each: isl is native code, and what it allocates it keeps. On few nests
 * its numbers grow without end; a process that says nothing for a while is ended, and the next goes on behind that nest.
 */
import { spawn } from "node:child_process";
import { writeFileSync, writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { checkNest, emptyTallies, type Fault, type Tallies } from "../test/passes/analysis/isl/check.ts";
import { loadIsl } from "../test/passes/analysis/isl/isl.ts";

/** Seeds that one process checks. */
const chunk = 200;
/** So long may isl think about a nest; most take some ten milliseconds. */
const patienceMs = 20_000;
const self = fileURLToPath(import.meta.url);

/** What a process says about one nest. */
interface Checked {
  readonly seed: number;
  readonly tallies: Tallies;
  readonly faults: readonly Fault[];
}
const { values } = parseArgs({
  options: {
    nests: { type: "string", default: "10000" },
    seed: { type: "string", default: "1000000" },
    jobs: { type: "string", default: String(availableParallelism()) },
    chunk: { type: "boolean", default: false },
  },
});
if (values.chunk) checkSeeds(Number(values.seed), Number(values.nests));
else await checkAll(Number(values.seed), Number(values.nests), Number(values.jobs));

function checkSeeds(first: number, count: number): void {
  const isl = loadIsl();
  if (typeof isl === "string") throw new Error(isl);
  for (let seed = first; seed < first + count; seed++) {
    const tallies = emptyTallies();
    const checked: Checked = { seed, faults: checkNest(isl, seed, tallies), tallies };
    writeSync(1, `${JSON.stringify(checked)}\n`);
  }
}

async function checkAll(firstSeed: number, wanted: number, jobs: number): Promise<void> {
  const isl = loadIsl();
  if (typeof isl === "string") {
    process.stderr.write(`${isl}\nDebian: apt-get install libisl23; koffi: npm --prefix bench ci\n`);
    process.exitCode = 1;
    return;
  }
  const tallies = emptyTallies();
  const faults: Fault[] = [];
  const lost: number[] = [];
  let next = firstSeed;
  // Nests that isl gives up on do not count.
  const checked = (): number => tallies.linear.nests + tallies.quasi.nests;
  const work = async (): Promise<void> => {
    while (checked() < wanted) {
      let first = next;
      const end = (next += chunk);
      while (first < end) {
        const { last, silent } = await inProcess(first, end - first, (c) => {
          addTo(tallies, c.tallies);
          faults.push(...c.faults);
        });
        if (last < end - 1) {
          if (silent) lost.push(last + 1);
          else faults.push({ seed: last + 1, what: "the process died" });
        }
        first = last + 2;
      }
      process.stderr.write(`${checked()} of ${wanted} nests, ${faults.length} faults\n`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  report({ date: new Date().toISOString(), firstSeed, seeds: next - firstSeed, faults, lost, ...tallies });
}
/** Checks seeds in a process; gives the last one that it checked, and whether it was ended for its silence. */
function inProcess(
  first: number,
  count: number,
  each: (c: Checked) => void,
): Promise<{ readonly last: number; readonly silent: boolean }> {
  const child = spawn(
    process.execPath,
    [...process.execArgv, self, "--chunk", "--seed", String(first), "--nests", String(count)],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let last = first - 1;
  let silent = false;
  const end = () => {
    silent = true;
    child.kill("SIGKILL");
  };
  let silence = setTimeout(end, patienceMs);
  createInterface(child.stdout).on("line", (line) => {
    clearTimeout(silence);
    silence = setTimeout(end, patienceMs);
    const c = JSON.parse(line) as Checked;
    last = c.seed;
    each(c);
  });
  return new Promise((resolve) => {
    child.on("close", () => {
      clearTimeout(silence);
      resolve({ last, silent });
    });
  });
}
function addTo(sum: Tallies, more: Tallies): void {
  for (const kind of ["linear", "quasi"] as const)
    for (const key of Object.keys(sum[kind]) as (keyof Tallies["linear"])[]) sum[kind][key] += more[kind][key];
}
interface Result extends Tallies {
  readonly date: string;
  readonly firstSeed: number;
  /** How many seeds were tried; some nests isl gives up on. */
  readonly seeds: number;
  readonly faults: readonly Fault[];
  /** Seeds of nests on which isl did not come to an end. */
  readonly lost: readonly number[];
}
function report(result: Result): void {
  writeFileSync(join(dirname(self), "results", "isl.json"), `${JSON.stringify(result, undefined, 1)}\n`);
  for (const kind of ["linear", "quasi"] as const) {
    const t = result[kind];
    const precision = ((100 * t.vectors) / (t.vectors + t.beyond)).toFixed(2);
    process.stdout.write(
      `${kind}: ${t.nests} nests, ${t.vectors} direction vectors, ${t.beyond} beyond isl's (${precision} % exist); ` +
        `${t.distancesGiven} of ${t.distances} constant distances given\n`,
    );
  }
  for (const f of result.faults) process.stdout.write(`seed ${f.seed}: ${f.what}\n`);
  process.stdout.write(`${result.faults.length} faults; isl did not end on ${result.lost.length} nests\n`);
  process.exitCode = result.faults.length === 0 ? 0 : 1;
}
