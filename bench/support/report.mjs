/** How every bench says where it ran, prints tables and keeps results. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const benchFolder = join(root, "bench");

/** The machine and the versions that figures belong to. */
export async function environment() {
  const { llvmVersion, hostCpu } = await import("../../dist/native/addon.js");
  const processors = cpus();
  return {
    date: new Date().toISOString(),
    machine: {
      processor: processors[0]?.model.trim() ?? "unknown",
      llvmCpu: hostCpu().name,
      cores: processors.length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      platform: `${process.platform} ${process.arch}`,
    },
    versions: {
      tilewright: versionOf(root),
      node: process.version,
      llvm: llvmVersion(),
      onnxruntime: versionOf(join(benchFolder, "node_modules", "onnxruntime-node")),
    },
  };
}

/** The version in a folder's manifest; `absent` where there is none. */
function versionOf(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
  } catch (error) {
    if (error.code === "ENOENT") return "absent";
    throw error;
  }
}

/** One line that names the machine. */
export function machineLine({ machine, versions }) {
  const { processor, llvmCpu, cores, memoryGiB } = machine;
  const known = Object.entries(versions).filter(([, version]) => version !== "absent");
  const programs = known.map(([name, version]) => `${name} ${version}`).join(", ");
  return `${processor} (${llvmCpu}), ${cores} cores, ${memoryGiB} GiB; ${programs}`;
}

/** Prints rows (arrays) under headings; columns of numbers are aligned to the right. */
export function printTable(headings, rows, out = process.stdout) {
  const cells = [headings, ...rows].map((row) => row.map(String));
  const widths = headings.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  const numeric = headings.map((_, i) => rows.every((row) => /^[-+~]?[\d.]|^$/.test(String(row[i] ?? ""))));
  const line = (row) =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join("  ")
      .trimEnd();
  out.write(`${line(cells[0])}\n${widths.map((w) => "-".repeat(w)).join("  ")}\n`);
  for (const row of cells.slice(1)) out.write(`${line(row)}\n`);
}

/** Keeps a bench's results in bench/results; the file appears whole. */
export function writeResults(name, results) {
  const folder = join(benchFolder, "results");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  writeFileSync(`${path}.tmp`, `${compact(JSON.stringify(results, shortNumber, 1))}\n`);
  renameSync(`${path}.tmp`, path);
  return path;
}

/** Five significant digits are more than any time is good for. */
function shortNumber(_, value) {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
}

/** Puts arrays of numbers on one line. */
function compact(json) {
  return json.replace(/\[\s+([-\d.e+,\s]+?)\s+\]/g, (_, numbers) => `[${numbers.replace(/\s+/g, " ")}]`);
}

/** Says how a figure stands to its bar. */
export const verdict = (holds) => (holds ? "holds" : "MISSED");
