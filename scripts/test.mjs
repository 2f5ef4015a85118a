// The test command: prepares the checkout, then runs every check and every test, and counts them.
// Plain Node without packages of its own, because it runs before there are any.
//
//   node scripts/test.mjs [--checks | --tests] [vitest arguments …]
//
//   --checks   only lint, layers, types, dead code and the build
//   --tests    only the tests; further arguments go to vitest (file filters, -t name)
//
// The last line is `N passed, N failed`, with `, N skipped` where tests were skipped. The status is 0 when none failed.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { showProcesses } from "./hung.mjs";
import { installPeers } from "./peers.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const argv = process.argv.slice(2);
const runChecks = !argv.includes("--tests");
const runTests = !argv.includes("--checks");
const vitestArguments = argv.filter((a) => a !== "--tests" && a !== "--checks");

/** A hanging test must not hang the command: the whole of vitest ends after this. */
const testLimitMs = 20 * 60_000;
/** Vitest ends a test after two minutes, unless its thread is blocked; then it is ended from outside. */
const blockedLimitMs = 4 * 60_000;

const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];

function say(text) {
  process.stdout.write(`${text}\n`);
}

function secondsSince(start) {
  return ((performance.now() - start) / 1000).toFixed(1);
}

/** Runs one check and counts it; its output is shown only when it fails. */
function check(label, script, args, options = {}) {
  const start = performance.now();
  const result = spawnSync(process.execPath, [join(root, script), ...args], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, FORCE_COLOR: "0", NO_COLOR: "1" },
    ...options,
  });
  if (result.status === 0) {
    counts.passed++;
    say(`✓ ${label} (${secondsSince(start)} s)`);
    return true;
  }
  counts.failed++;
  failures.push(label);
  say(`${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`.trimEnd());
  say(`✗ ${label} (${secondsSince(start)} s)`);
  return false;
}

/** All of our TypeScript; without bench/ where the types of the peers are missing. */
function typesProject(hasPeers) {
  if (hasPeers) return "tsconfig.json";
  const path = join(root, "node_modules", ".cache", "tsconfig.without-bench.json");
  const include = ["ir", "passes", "codegen", "native", "src", "test", "examples"].map((name) => `../../${name}`);
  const compilerOptions = { tsBuildInfoFile: "tsc/without-bench.tsbuildinfo" };
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(
    path,
    JSON.stringify({ extends: "../../tsconfig.json", include, exclude: ["../../native/addon"], compilerOptions }),
  );
  return path;
}

function staticChecks(hasPeers) {
  const floors = ["ir", "passes", "codegen", "native", "src"];
  check("lint and format (biome)", "node_modules/@biomejs/biome/bin/biome", ["check", ".", "--max-diagnostics=200"]);
  check("layers (dependency-cruiser)", "node_modules/dependency-cruiser/bin/dependency-cruise.mjs", [
    ...floors,
    "--config",
    ".dependency-cruiser.cjs",
  ]);
  check("types (tsc)", "node_modules/typescript/bin/tsc", ["-p", typesProject(hasPeers), "--noEmit"]);
  check("dead code (knip)", "node_modules/knip/bin/knip.js", ["--no-progress", "--no-config-hints"]);
  check("build (tsc)", "scripts/setup.mjs", ["--no-install"]);
}

/** Ends workers whose test has blocked them (see test/running.setup.ts), after showing where they stand. */
function endBlockedWorkers(running) {
  for (const name of readdirSync(running)) {
    const path = join(running, name);
    const { file, test, since } = readRecord(path);
    if (since === undefined || Date.now() - since < blockedLimitMs) continue;
    const pid = Number.parseInt(name, 10);
    say(`\n${file}: ${test} has blocked its worker for ${blockedLimitMs / 60_000} minutes:\n${showProcesses(pid)}`);
    failures.push(`${file}: ${test} blocked its worker`);
    rmSync(path, { force: true });
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}

/** A record that is being written, or is gone, is read the next time. */
function readRecord(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return {};
  }
}

/** Runs vitest in a process group of its own, so that nothing it started outlives the limit. */
function runVitest(report, running) {
  const args = ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...vitestArguments];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, "node_modules/vitest/vitest.mjs"), ...args], {
      cwd: root,
      stdio: "inherit",
      detached: true,
      env: { CI: "1", ...process.env, TILEWRIGHT_TEST_RUNNING: running },
    });
    const watch = setInterval(() => endBlockedWorkers(running), 5000);
    const stop = (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // It has ended by itself.
      }
    };
    const timer = setTimeout(() => {
      failures.push(`the tests did not end within ${testLimitMs / 60_000} minutes`);
      say(showProcesses(child.pid));
      stop("SIGKILL");
    }, testLimitMs);
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop(signal));
    child.on("close", (status) => {
      clearTimeout(timer);
      clearInterval(watch);
      resolve(status ?? 1);
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      failures.push(`vitest did not start: ${error.message}`);
      resolve(1);
    });
  });
}

/** Adds vitest's counts. A file that does not load, and an error outside of every test, count as a failure each. */
function countTests(report, status) {
  const failedBefore = counts.failed;
  if (existsSync(report)) {
    const summary = JSON.parse(readFileSync(report, "utf8"));
    counts.passed += summary.numPassedTests;
    counts.skipped += summary.numPendingTests + summary.numTodoTests;
    counts.failed += summary.numFailedTests;
    for (const file of summary.testResults) {
      const name = file.name.startsWith(root) ? file.name.slice(root.length + 1) : file.name;
      const failed = file.assertionResults.filter((t) => t.status === "failed");
      failures.push(...failed.map((t) => `${name}: ${t.fullName}`));
      if (file.status === "failed" && failed.length === 0) {
        counts.failed++;
        failures.push(`${name}: ${(file.message ?? "did not load").split("\n")[0]}`);
      }
    }
  }
  if (status !== 0 && counts.failed === failedBefore) {
    counts.failed++;
    failures.push(`vitest ended with status ${status}`);
  }
}

async function tests() {
  const folder = mkdtempSync(join(tmpdir(), "tilewright-test-"));
  try {
    const report = join(folder, "report.json");
    const running = join(folder, "running");
    mkdirSync(running);
    countTests(report, await runVitest(report, running));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function finish() {
  if (failures.length > 0) say(`\nfailed:\n${failures.map((f) => `  ${f}`).join("\n")}`);
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
  say(`\nin ${secondsSince(begin)} s`);
  say(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}

const begin = performance.now();
const setup = spawnSync(process.execPath, [join(root, "scripts", "setup.mjs"), "--for", "test"], {
  cwd: root,
  stdio: "inherit",
});
if (setup.status === 0) {
  // Tests that need them are skipped without them.
  const failure = installPeers();
  if (failure !== undefined) say(`no peers to compare with: ${failure}`);
  if (runChecks) staticChecks(failure === undefined);
  if (runTests) await tests();
} else {
  counts.failed++;
  failures.push("set-up (scripts/setup.mjs)");
}
finish();
