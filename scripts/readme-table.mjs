// Writes the table of README.md from the last whole run of `npm run bench` (bench/results/zoo.json).
//
//   node scripts/readme-table.mjs [--check]
//
//   --check   changes nothing; the status is 1 when the table is not what the results say
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const readme = join(root, "README.md");
const resultsPath = join(root, "bench", "results", "zoo.json");
const [begin, end] = [
  "<!-- zoo table: npm run bench && node scripts/readme-table.mjs -->",
  "<!-- end of zoo table -->",
];

function main() {
  if (!existsSync(resultsPath)) return fail("there are no results yet: npm run bench writes them");
  const before = readFileSync(readme, "utf8");
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from < 0 || to < from) return fail(`README.md has no place for the table between "${begin}" and "${end}"`);
  const table = tableOf(JSON.parse(readFileSync(resultsPath, "utf8")));
  const after = `${before.slice(0, from + begin.length)}\n\n${table}\n\n${before.slice(to)}`;
  if (after === before) return;
  if (process.argv.includes("--check")) return fail("the table of README.md is not what bench/results/zoo.json says");
  writeFileSync(readme, after);
}

function fail(text) {
  process.stderr.write(`readme-table: ${text}\n`);
  process.exitCode = 1;
}

/** One line a network, Tilewright and ONNX Runtime for each number of threads, then the geometric means. */
function tableOf({ machine, versions, date, rows, means }) {
  const threads = means.map((m) => m.threads);
  const label = (n) => `${n} thread${n === 1 ? "" : "s"}`;
  const heading = ["network", ...threads.flatMap((n) => [`${label(n)}: Tilewright`, "ONNX Runtime", "ratio"])];
  const names = [...new Set(rows.map((r) => r.name))];
  const lines = names.map((name) => [
    name,
    ...threads.flatMap((n) => cellsOf(rows.find((r) => r.name === name && r.threads === n))),
  ]);
  const mean = ["geometric mean", ...means.flatMap((m) => ["", "", `**${m.geometricMean.toFixed(2)}**`])];
  const align = heading.map((_, i) => (i === 0 ? ":--" : "--:"));
  const table = [heading, align, ...lines, mean].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  const where = `${machine.processor} (${machine.llvmCpu}), ${machine.cores} cores, ${machine.platform}`;
  const what = `Node ${versions.node.slice(1)}, LLVM ${versions.llvm}, onnxruntime-node ${versions.onnxruntime}`;
  return `${table}\n\n${where}; ${what}; ${date.slice(0, 10)}.`;
}

function cellsOf(row) {
  if (row?.ratio === undefined) return ["wrong", "", ""];
  return [row.ours, row.onnxruntime].map((side) => `${milliseconds(side)} ms`).concat(row.ratio.toFixed(2));
}

const milliseconds = ({ medianMs, iqrMs }) => `${medianMs.toFixed(2)} ± ${iqrMs.toFixed(2)}`;

main();
