// Mutation tests of the analyses and the schedule primitives: changes one operator, condition or block at a time and asks
// whether a test notices. The figures of each file go to bench/results/mutation.json; what survived is printed.
//
//   npm run mutation                       every file of passes/analysis and passes/schedule
//   npm run mutation -- passes/analysis/interval.ts passes/schedule/primitive
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { Stryker } from "@stryker-mutator/core";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);
const resultsFile = join(root, "bench/results/mutation.json");

/** Recipes are judged by their speed, and what only assembles rules, names and types by the compiler. */
const leftOut = [/^passes\/schedule\/library\//, /^passes\/schedule\/apply\.ts$/];
/** Where the tests of each folder stand. */
const testFolders = {
  "passes/analysis": ["test/passes/analysis", "test/passes/simplify"],
  "passes/schedule": ["test/passes/schedule", "test/property"],
};

function filesUnder(path) {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(root, relative(root, entry.parentPath ?? entry.path), entry.name)));
}
const asked = process.argv.slice(2);
const wanted = (asked.length > 0 ? asked : ["passes/analysis", "passes/schedule"]).flatMap(filesUnder).sort();
const files = wanted.filter((f) => f.endsWith(".ts") && (asked.includes(f) || !leftOut.some((p) => p.test(f))));
// What compiles, calls other solvers or type-checks takes too long to be done for every mutant.
const slow = /isl|compiled|trace-source/;
function testsOf(file) {
  const folders = testFolders[dirname(file).split("/").slice(0, 2).join("/")].filter((f) => existsSync(f));
  return folders
    .flatMap(filesUnder)
    .filter((f) => f.endsWith(".test.ts") && !slow.test(f))
    .sort();
}

/** Runs the mutants of one file; gives them with their outcomes. */
function run(file) {
  return new Stryker({
    mutate: [file],
    testRunner: "in-process",
    plugins: [join(root, "scripts/mutation/runner.mjs")],
    ignorers: ["texts"],
    inProcess: { testFiles: testsOf(file) },
    coverageAnalysis: "perTest",
    concurrency: 1,
    timeoutMS: 20_000,
    timeoutFactor: 4,
    reporters: [],
    ignorePatterns: ["bench/**", "!bench/package.json", "dist", "build", "native/addon/build", "docs"],
    logLevel: "error",
    allowConsoleColors: false,
    tempDirName: join(tmpdir(), "tilewright-mutation"),
    cleanTempDir: "always",
    allowEmpty: true,
  }).runMutationTest();
}

const statuses = { Killed: "killed", Timeout: "killed", Survived: "survived", NoCoverage: "survived" };
function tally(mutants) {
  const count = { killed: 0, survived: 0 };
  for (const m of mutants) if (statuses[m.status]) count[statuses[m.status]]++;
  const total = count.killed + count.survived;
  return { mutants: total, ...count, score: total === 0 ? 100 : Math.round((1000 * count.killed) / total) / 10 };
}
function describeSurvivors(file, mutants) {
  const lines = readFileSync(file, "utf8").split("\n");
  for (const m of mutants) {
    if (statuses[m.status] !== "survived") continue;
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
for (const file of files) {
  const start = performance.now();
  const mutants = await run(file);
  const counts = tally(mutants);
  if (counts.mutants === 0) continue;
  total = record(file, counts);
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  console.log(`${file}: ${counts.killed} of ${counts.mutants} killed, ${counts.score} % (${seconds} s)`);
  describeSurvivors(file, mutants);
}
console.log(`${total?.killed} of ${total?.mutants} killed, ${total?.score} %`);
