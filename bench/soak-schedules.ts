/**
 * Random programs under random schedules: what the compiled schedule computes, against what the interpreter makes of the
 * program before it was scheduled.
 *
 *   npm run soak:schedules -- [--programs 100000] [--seed 1] [--jobs n] [--resume] [--only SEED]
 *
 * Cases run in child processes: a crash or a hang is a finding with its seed. What fails is made small, by leaving steps
 * out. Progress is kept in build/soak-schedules.json: --resume goes on from there, and runs what was wrong once more. --only replays one seed and prints
 * every stage. Exact and bounded comparisons: test/property/support/expected.ts.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { hostCpu, llvmVersion, packageRoot } from "../native/addon.ts";
import type { TraceJson } from "../passes/schedule/trace.ts";
import { Trace } from "../passes/schedule/trace.ts";
import { shrink } from "../test/property/support/shrink.ts";
import { addTally, builds, type Finding, isAlike, type Outcome } from "../test/property/support/soak.ts";
import { SoakChild } from "./support/soak-child.ts";
import { replaySeed } from "./support/soak-replay.ts";

const chunk = 25;
const usage = "npm run soak:schedules -- [--programs n] [--seed n] [--jobs n] [--resume] [--only SEED]";
const options = parsed();
const [wanted, seed, jobs] = [options.programs, options.seed, options.jobs].map(Number) as [number, number, number];
if (![wanted, seed, jobs].every((n) => Number.isSafeInteger(n) && n > 0)) fail("numbers are positive and whole");
/** Whole chunks. */
const programs = Math.ceil(wanted / chunk) * chunk;

function parsed() {
  try {
    return parseArgs({
      options: {
        programs: { type: "string", default: "100000" },
        seed: { type: "string", default: "1" },
        jobs: { type: "string", default: String(availableParallelism()) },
        resume: { type: "boolean", default: false },
        only: { type: "string" },
      },
    }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}
function fail(message: string): never {
  process.stderr.write(`${message}\nusage: ${usage}\n`);
  process.exit(2);
}

/** A finding with its smallest schedule. */
interface Kept extends Omit<Finding, "traces"> {
  readonly source: readonly string[];
  /** The commit at which a resumed soak found nothing wrong with the seed any more. */
  fixedAt?: string;
}
/** What is known so far; all of it JSON. */
interface State {
  readonly seed: number;
  /** Chunks that are done: all below the first number, and these. */
  next: number;
  readonly ahead: number[];
  programs: number;
  steps: number;
  bounded: number;
  readonly findings: Kept[];
  readonly tally: Outcome["tally"];
  readonly kinds: Record<string, number>;
  readonly types: Record<string, number>;
  readonly times: Record<string, number>;
  /** What ran when: the commit of the code, and how many programs it ran in how many seconds. */
  readonly runs: { date: string; commit: string; programs: number; seconds: number; jobs: number }[];
}
const root = packageRoot();
const checkpoint = join(root, "build", "soak-schedules.json");
const resultsPath = join(root, "bench", "results", "soak-schedules.json");

function restored(): State {
  const fresh: State = {
    ...{ seed, next: 0, ahead: [], programs: 0, steps: 0, bounded: 0, findings: [] },
    ...{ tally: {}, kinds: {}, types: {}, times: {}, runs: [] },
  };
  if (!options.resume || !existsSync(checkpoint)) return fresh;
  const old = JSON.parse(readFileSync(checkpoint, "utf8")) as State;
  if (old.seed !== seed) fail(`${checkpoint} is of seed ${old.seed}: give --seed ${old.seed}, or leave out --resume`);
  return old;
}
function write(path: string, value: object): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(`${path}.tmp`, `${JSON.stringify(value, null, 1)}\n`);
  renameSync(`${path}.tmp`, path);
}
const commitOf = (): string => {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], { cwd: root, encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
};

const add = (into: Record<string, number>, more: Readonly<Record<string, number>>): void => {
  for (const [k, n] of Object.entries(more)) into[k] = (into[k] ?? 0) + n;
};

/** The soak of one seed. */
class Soak {
  readonly #state = restored();
  readonly #run = { date: new Date().toISOString(), commit: commitOf(), programs: 0, seconds: 0, jobs };
  readonly #start = performance.now();
  readonly #chunks = programs / chunk;
  #taken = 0;
  #stopping = false;
  #shown = 0;

  async run(): Promise<State> {
    this.#taken = this.#state.next;
    this.#state.runs.push(this.#run);
    process.once("SIGINT", () => {
      this.#stopping = true;
    });
    await this.#recheck();
    await Promise.all(Array.from({ length: jobs }, () => this.#work()));
    this.#keep();
    this.#progress(true);
    return this.#state;
  }
  /** Runs what was wrong before once more. */
  async #recheck(): Promise<void> {
    const child = new SoakChild();
    for (const f of this.#state.findings) {
      if (f.fixedAt !== undefined) continue;
      const answer = await child.run([f.seed], f.build, 1);
      if ("outcome" in answer && answer.outcome.findings.length === 0) f.fixedAt = this.#run.commit;
    }
    child.end();
  }
  /** Chunks in turn, in one child. */
  async #work(): Promise<void> {
    const child = new SoakChild();
    for (let c = this.#take(); c !== undefined; c = this.#take()) {
      const build = c % builds.length;
      const first = seed + c * chunk;
      const seeds = Array.from({ length: chunk }, (_, k) => first + k);
      for (const outcome of await this.#outcomes(child, seeds, build, c % 4 === 1 ? 2 : 1))
        await this.#count(child, outcome);
      this.#done(c);
    }
    child.end();
  }
  #take(): number | undefined {
    while (this.#state.ahead.includes(this.#taken)) this.#taken++;
    return this.#stopping || this.#taken >= this.#chunks ? undefined : this.#taken++;
  }
  /** Runs seeds together; where the child does not survive them, one by one. */
  async #outcomes(child: SoakChild, seeds: number[], build: number, threads: number): Promise<Outcome[]> {
    const answer = await child.run(seeds, build, threads);
    if ("outcome" in answer) return [answer.outcome];
    if (seeds.length > 1) {
      const parts: Outcome[] = [];
      for (const s of seeds) parts.push(...(await this.#outcomes(child, [s], build, threads)));
      return parts;
    }
    const finding = { seed: seeds[0]!, ...(await child.draw(seeds[0]!)), build, why: answer.why };
    const nothing = { steps: 0, bounded: 0, tally: {}, kinds: {}, types: {}, times: {} };
    return [{ ...nothing, programs: 1, findings: [finding] }];
  }
  async #count(child: SoakChild, o: Outcome): Promise<void> {
    const s = this.#state;
    s.programs += o.programs;
    s.steps += o.steps;
    s.bounded += o.bounded;
    addTally(s.tally, o.tally);
    add(s.kinds, o.kinds);
    add(s.types, o.types);
    add(s.times, o.times);
    this.#run.programs += o.programs;
    for (const finding of o.findings) {
      const kept = await smallest(child, finding);
      s.findings.push(kept);
      process.stderr.write(`\r\x1b[Kseed ${kept.seed} (${kept.kind}, build ${kept.build}): ${kept.why}\n`);
      for (const line of kept.source) process.stderr.write(`    ${line}\n`);
    }
  }
  #done(c: number): void {
    const s = this.#state;
    s.ahead.push(c);
    for (let at = s.ahead.indexOf(s.next); at >= 0; at = s.ahead.indexOf(s.next)) {
      s.ahead.splice(at, 1);
      s.next++;
    }
    if (performance.now() - this.#shown < 1000) return;
    this.#shown = performance.now();
    this.#keep();
    this.#progress(false);
  }
  #keep(): void {
    this.#run.seconds = Math.round((performance.now() - this.#start) / 1000);
    write(checkpoint, this.#state);
  }
  #progress(last: boolean): void {
    const { programs: done, findings } = this.#state;
    const rate = this.#run.programs / ((performance.now() - this.#start) / 1000);
    const leftS = Math.round((programs - done) / rate);
    const width = 24;
    const full = Math.min(width, Math.round((width * done) / programs));
    const bar = "█".repeat(full) + "░".repeat(width - full);
    const eta = last ? "" : `, ${Math.floor(leftS / 60)} min ${leftS % 60} s left`;
    const line = `${bar} ${done}/${programs}, ${rate.toFixed(0)}/s, ${wrongIn(findings)} wrong${eta}`;
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}${last ? "\n" : ""}` : last ? `${line}\n` : "");
  }
}
const wrongIn = (findings: readonly Kept[]): number => findings.filter((f) => f.fixedAt === undefined).length;
/** A finding with the fewest steps that still fail, where it has any. */
async function smallest(child: SoakChild, f: Finding): Promise<Kept> {
  const { traces, ...rest } = f;
  const fails = async (t: readonly TraceJson[]): Promise<boolean> =>
    isAlike(f.why, await child.check(f.seed, t, f.build));
  const small = traces ? await shrink(traces, fails) : [];
  const source = small.flatMap((t) =>
    t.steps.length === 0 ? [] : [`// ${t.func}`, ...new Trace(t.func, t.steps).toSource().split("\n")],
  );
  return { ...rest, source };
}

/** Prints what ran, and keeps it where it was long. */
function report(s: State): boolean {
  const counts = Object.entries(s.tally).sort(([a], [b]) => (a < b ? -1 : 1));
  const of = (list: typeof counts): { tried: number; accepted: number } =>
    list.reduce((t, [, c]) => ({ tried: t.tried + c.tried, accepted: t.accepted + c.accepted }), {
      tried: 0,
      accepted: 0,
    });
  const all = of(counts);
  const rewriting = of(counts.filter(([name]) => !name.startsWith("sample") && name !== "annotate"));
  const share = (c: { tried: number; accepted: number }): number => c.accepted / Math.max(1, c.tried);
  for (const [name, c] of counts) {
    const rules = Object.entries(c.rules).sort(([, a], [, b]) => b - a);
    const most = rules.slice(0, 4).map(([rule, n]) => `${rule} ${n}`);
    process.stdout.write(
      `${name.padEnd(22)} ${String(c.accepted).padStart(7)} of ${String(c.tried).padStart(7)} ${percent(share(c)).padStart(6)}  ${most.join(", ")}\n`,
    );
  }
  const outputs = Object.values(s.types).reduce((a, b) => a + b, 0);
  process.stdout.write(
    `\n${s.programs} programs from seed ${s.seed}, ${s.steps} steps; ${percent(share(all))} of ${all.tried} attempts accepted, ` +
      `${percent(share(rewriting))} without sampling and annotations; ${s.bounded} of ${outputs} outputs within a bound, ` +
      `the others exact; ${wrongIn(s.findings)} wrong, ${s.findings.length - wrongIn(s.findings)} found before and fixed\n`,
  );
  const shares = { accepted: share(all), acceptedWithoutSampling: share(rewriting) };
  const machine = { llvmCpu: hostCpu().name, llvm: llvmVersion(), node: process.version };
  const { next: _, ahead: __, ...kept } = s;
  if (s.programs >= 10_000) write(resultsPath, { machine, builds: builds.map((b) => b.name), ...shares, ...kept });
  return wrongIn(s.findings) === 0 && share(all) >= 0.4;
}
const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;

if (options.only !== undefined) await replaySeed(Number(options.only));
else process.exitCode = report(await new Soak().run()) ? 0 : 1;
