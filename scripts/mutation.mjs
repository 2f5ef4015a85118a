// Mutation tests of the analyses and the schedule primitives: changes one operator, condition or block at a time and asks
// whether a test notices. The figures of each file go to bench/results/mutation.json; what survived is printed.
//
//   npm run mutation                       every file of passes/analysis and passes/schedule
//   npm run mutation -- passes/analysis/interval.ts passes/schedule/primitive
//   npm run mutation -- --sample 10        one mutant of ten, the same ones each time
//   npm run mutation -- --missing          only files that have no figures of at least that sample yet
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Stryker } from "@stryker-mutator/core";
import { isSampled } from "./mutation/runner.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);
const resultsFile = join(root, "bench/results/mutation.json");

/** Recipes are judged by their speed, and what only assembles rules, names and types by the compiler. */
const leftOut = [/^passes\/schedule\/library\//, /^passes\/schedule\/apply\.ts$/];
/** Where the tests of each folder stand; what schedules decide rests on the analysis, too. */
const decided = [
  "test/property/decisions.test.ts",
  "test/property/legality.test.ts",
  "test/passes/schedule/must-fail",
  "test/passes/schedule/tensorize.test.ts",
];
const testFolders = {
  "passes/analysis": ["test/passes/analysis", "test/passes/simplify", ...decided],
  "passes/schedule": ["test/passes/schedule", "test/property"],
};

function filesUnder(path) {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(root, relative(root, entry.parentPath ?? entry.path), entry.name)));
}
const { values: options, positionals: asked } = parseArgs({
  options: { sample: { type: "string", default: "100" }, missing: { type: "boolean", default: false } },
  allowPositionals: true,
});
const percent = Number(options.sample);
if (!(percent > 0 && percent <= 100)) throw new Error(`--sample ${options.sample}: more than 0, at most 100 percent`);
const wanted = (asked.length > 0 ? asked : ["passes/analysis", "passes/schedule"]).flatMap(filesUnder).sort();
const known = options.missing ? readResults().files : {};
const files = wanted.filter(
  (f) =>
    f.endsWith(".ts") &&
    (asked.includes(f) || !leftOut.some((p) => p.test(f))) &&
    !((known[f]?.percent ?? 0) >= percent),
);
// What compiles much, calls other solvers or type-checks takes too long to be done for every mutant.
const slow = /isl|compiled|trace-source|schedule\/library|property\/bounds/;
const folderOf = (file) => dirname(file).split("/").slice(0, 2).join("/");
function testsOf(file) {
  const folders = testFolders[folderOf(file)].filter((f) => existsSync(f));
  return folders
    .flatMap(filesUnder)
    .filter((f) => f.endsWith(".test.ts") && !slow.test(f))
    .sort();
}

/** Files whose mutants are run together: the tests are loaded and run unchanged once for each batch. */
function inBatches(list) {
  const batches = [];
  let lines = 0;
  for (const file of list) {
    const own = readFileSync(file, "utf8").split("\n").length * (percent / 100);
    const last = batches.at(-1);
    if (last && lines + own <= linesTogether && folderOf(last[0]) === folderOf(file)) last.push(file);
    else {
      batches.push([file]);
      lines = 0;
    }
    lines += own;
  }
  return batches;
}
const linesTogether = 60;

/** Runs the mutants of some files; gives them with their outcomes. */
function run(batch) {
  return new Stryker({
    mutate: batch,
    testRunner: "in-process",
    plugins: [join(root, "scripts/mutation/runner.mjs")],
    ignorers: ["texts"],
    inProcess: { testFiles: testsOf(batch[0]), percent },
    coverageAnalysis: "perTest",
    concurrency: 1,
    dryRunTimeoutMinutes: 30,
    timeoutMS: 8_000,
    timeoutFactor: 2,
    reporters: [],
    ignorePatterns: ["bench/**", "!bench/package.json", "dist", "build", "native/addon/build", "docs"],
    logLevel: "error",
    allowConsoleColors: false,
    tempDirName: join(tmpdir(), `tilewright-mutation-${process.pid}`),
    cleanTempDir: "always",
    allowEmpty: true,
  }).runMutationTest();
}

const statuses = { Killed: "killed", Timeout: "killed", Survived: "survived", NoCoverage: "survived" };
function tally(mutants) {
  const count = { killed: 0, survived: 0 };
  for (const m of mutants) if (statuses[m.status] && isSampled(m, percent)) count[statuses[m.status]]++;
  const total = count.killed + count.survived;
  return {
    percent,
    mutants: total,
    ...count,
    score: total === 0 ? 100 : Math.round((1000 * count.killed) / total) / 10,
  };
}
function describeSurvivors(file, mutants) {
  const lines = readFileSync(file, "utf8").split("\n");
  for (const m of mutants) {
    if (statuses[m.status] !== "survived" || !isSampled(m, percent)) continue;
    const { start, end } = m.location;
    const text = lines[start.line - 1].slice(start.column - 1, start.line === end.line ? end.column - 1 : undefined);
    const uncovered = m.status === "NoCoverage" ? " (not covered)" : "";
    console.log(`  ${file}:${start.line}:${start.column} ${m.mutatorName}${uncovered}: ${text} → ${m.replacement}`);
  }
}
function readResults() {
  try {
    return JSON.parse(readFileSync(resultsFile, "utf8"));
  } catch {
    return { files: {} };
  }
}
function record(file, counts) {
  const known = readResults().files;
  const kept = Object.entries({ ...known, [file]: counts }).sort(([a], [b]) => (a < b ? -1 : 1));
  const sum = (key) => kept.reduce((total, [, c]) => total + c[key], 0);
  const [mutants, killed, survived] = [sum("mutants"), sum("killed"), sum("survived")];
  const total = { mutants, killed, survived, score: Math.round((1000 * killed) / mutants) / 10 };
  writeFileSync(resultsFile, `${JSON.stringify({ total, files: Object.fromEntries(kept) }, null, 2)}\n`);
  return total;
}

let total = readResults().total;
for (const batch of inBatches(files)) {
  const start = performance.now();
  const found = await run(batch);
  for (const file of batch) {
    const mutants = found.filter((m) => relative(root, m.fileName) === file);
    const counts = tally(mutants);
    if (counts.mutants === 0) continue;
    total = record(file, counts);
    console.log(`${file}: ${counts.killed} of ${counts.mutants} killed, ${counts.score} %`);
    describeSurvivors(file, mutants);
  }
  console.log(`${((performance.now() - start) / 1000).toFixed(0)} s`);
}
console.log(`${total?.killed} of ${total?.mutants} killed, ${total?.score} %`);
