/** Runs the command line, in this process or in one of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, vi } from "vitest";
import { packageRoot } from "../../../native/addon.ts";
import { runCommandLine } from "../../../src/cli/command-line.ts";

export interface CliResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder for this file's models, with a cache of its own, gone at the end. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tilewright-cli-test-"));
  const before = process.env.TILEWRIGHT_CACHE;
  beforeAll(() => {
    process.env.TILEWRIGHT_CACHE = join(folder, "cache");
  });
  afterAll(() => {
    if (before === undefined) delete process.env.TILEWRIGHT_CACHE;
    else process.env.TILEWRIGHT_CACHE = before;
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Runs a command line in this process. */
export async function cli(...argv: readonly string[]): Promise<CliResult> {
  const texts = { stdout: "", stderr: "" };
  const capture = (name: "stdout" | "stderr") =>
    vi.spyOn(process[name], "write").mockImplementation((chunk: string | Uint8Array) => {
      texts[name] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
      return true;
    });
  const spies = [capture("stdout"), capture("stderr")];
  try {
    const status = await runCommandLine(argv);
    return { status, ...texts };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** Runs a command line that answers with JSON. */
export async function json<T = Record<string, unknown>>(
  ...argv: readonly string[]
): Promise<CliResult & { readonly document: T }> {
  const result = await cli(...argv, "--json");
  return { ...result, document: JSON.parse(result.stdout) as T };
}

/** Starts a command line in a process of its own. */
export function startCli(argv: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  const entry = join(packageRoot(), "src", "cli", "main.ts");
  return spawn(process.execPath, ["--import", "tsx", entry, ...argv], {
    cwd: packageRoot(),
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Runs a command line in a process of its own to its end. */
export function spawnCli(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  return endOf(startCli(argv, env));
}

export function endOf(child: ChildProcess): Promise<CliResult> {
  const texts = { stdout: "", stderr: "" };
  child.stdout?.on("data", (chunk: Buffer) => {
    texts.stdout += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    texts.stderr += chunk.toString();
  });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, ...texts })));
}
