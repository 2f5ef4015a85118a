/**
 * The dependence analysis beside the integer set library (Debian's libisl23) on random affine nests: what is missed, what
 * is reported beyond it. Results go to results/isl.json; any dependence missed ends with status 1.
 *
 *   npm run check:isl -- [--nests 10000] [--seed 1000000] [--jobs N]
 *
 * Processes of their own check some hundred seeds each: isl is native code, and what it allocates it keeps.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { checkNest, emptyTallies, type Fault, type Tallies } from "../test/passes/analysis/isl/check.ts";
import { loadIsl } from "../test/passes/analysis/isl/isl.ts";

/** Seeds that one process checks. */
const chunk = 200;
const self = fileURLToPath(import.meta.url);

interface Checked {
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
if (values.chunk) process.stdout.write(JSON.stringify(checkChunk(Number(values.seed))));
else await checkAll(Number(values.seed), Number(values.nests), Number(values.jobs));

function checkChunk(first: number): Checked {
  const isl = loadIsl();
  if (typeof isl === "string") throw new Error(isl);
  const tallies = emptyTallies();
  const faults = Array.from({ length: chunk }, (_, k) => checkNest(isl, first + k, tallies)).flat();
  return { tallies, faults };
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
      const first = next;
      next += chunk;
      const found = await inProcess(first);
      if (found === undefined) lost.push(first);
      else {
        addTo(tallies, found.tallies);
        faults.push(...found.faults);
      }
      process.stderr.write(`${checked()} of ${wanted} nests, ${faults.length} faults\n`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  report({ date: new Date().toISOString(), firstSeed, seeds: next - firstSeed, faults, lost, ...tallies });
}
/** Checks a chunk in a process; undefined when that died. */
function inProcess(first: number): Promise<Checked | undefined> {
  const child = spawn(process.execPath, [...process.execArgv, self, "--chunk", "--seed", String(first)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (part: Buffer) => {
    text += part.toString();
  });
  return new Promise((resolve) => {
    child.on("close", (status) => resolve(status === 0 ? (JSON.parse(text) as Checked) : undefined));
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
  /** First seeds of processes that died. */
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
  process.stdout.write(`${result.faults.length} faults, ${result.lost.length} processes lost\n`);
  process.exitCode = result.faults.length === 0 ? 0 : 1;
}
