/** What the benches of the examples share: arrays, timing in turn, and one file of results. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { allocAligned, hostCpu, llvmVersion } from "../../native/addon.ts";

const resultsFolder = join(dirname(dirname(fileURLToPath(import.meta.url))), "results");

/** A float32 array on its own pages. */
export function floats(length: number, value: (i: number) => number = () => 0): Float32Array {
  const array = new Float32Array(allocAligned(length * 4, { hugePages: true, populate: true }), 0, length);
  for (let i = 0; i < length; i++) array[i] = value(i);
  return array;
}
/** A uint16 array on its own pages. */
export function shorts(length: number, value: (i: number) => number = () => 0): Uint16Array {
  const array = new Uint16Array(allocAligned(length * 2, { hugePages: true, populate: true }), 0, length);
  for (let i = 0; i < length; i++) array[i] = value(i);
  return array;
}
/** Numbers in [0, 1) that follow from a seed. */
export function noise(seed = 1): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A program to time: gives nanoseconds of `repeats` runs. */
export type Contender = (repeats: number) => ArrayLike<number>;
/** Times a call from JavaScript. */
export const timed =
  (run: () => void): Contender =>
  (repeats) =>
    Array.from({ length: repeats }, () => {
      const start = process.hrtime.bigint();
      run();
      return Number(process.hrtime.bigint() - start);
    });

/**
 * Samples of each contender, taken in turn: `rounds` times `repeats` samples of each. Before its samples a contender runs
 * for `settleMs`, until its threads are on processors of their own again: those of the one before may still spin.
 */
export function inTurn<K extends string>(
  contenders: Readonly<Record<K, Contender>>,
  { rounds = 15, repeats = 10, settleMs = 30 } = {},
): Record<K, number[]> {
  const names = Object.keys(contenders) as K[];
  const samples = Object.fromEntries(names.map((n) => [n, [] as number[]])) as Record<K, number[]>;
  for (let round = 0; round < rounds; round++)
    for (const name of names) {
      const start = performance.now();
      do contenders[name](1);
      while (performance.now() - start < settleMs);
      samples[name].push(...Array.from(contenders[name](repeats)));
    }
  return samples;
}
/** Median and quartiles. */
export function spread(samples: readonly number[]) {
  const sorted = Float64Array.from(samples).sort();
  const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!;
  return { median: at(0.5), quartiles: [at(0.25), at(0.75)], best: at(0), samples: sorted.length };
}
/** The largest difference of two arrays. */
export function worstDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}

/** Puts one bench's figures into a file of bench/results, beside those of the others in it. */
export function keepResults(name: string, figures: object, file = "examples"): void {
  const resultsPath = join(resultsFolder, `${file}.json`);
  const old = existsSync(resultsPath) ? JSON.parse(readFileSync(resultsPath, "utf8")) : {};
  const machine = { processor: cpus()[0]?.model.trim(), llvmCpu: hostCpu().name, cores: cpus().length };
  const versions = { node: process.version, llvm: llvmVersion() };
  const entry = { date: new Date().toISOString(), machine, versions, loadAverage: loadavg()[0], ...figures };
  mkdirSync(dirname(resultsPath), { recursive: true });
  writeFileSync(`${resultsPath}.tmp`, `${JSON.stringify({ ...old, [name]: entry }, short, 1)}\n`);
  renameSync(`${resultsPath}.tmp`, resultsPath);
}
const short = (_: string, value: unknown): unknown =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
