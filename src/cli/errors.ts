/** Errors as a command shows them: one block on stderr, an exit code by family, a bundle for bugs of ours. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  InputError,
  InternalError,
  ScheduleError,
  TilewrightError,
  UnavailableError,
  UnsupportedError,
  UsageError,
} from "../../ir/support/errors.ts";
import { addonAvailable, llvmVersion } from "../../native/addon.ts";
import { CompileError, CompileTimeoutError } from "../../native/compile-pool.ts";
import type { Terminal } from "./terminal.ts";
import { packageVersion } from "./version.ts";

/** What a command's exit status means. */
export const exitCodes = {
  ok: 0,
  internal: 1,
  usage: 2,
  input: 3,
  compile: 4,
  mismatch: 5,
  noCandidate: 6,
  unavailable: 7,
  interrupted: 130,
} as const;

/** The exit status that an error's family asks for. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  if (error instanceof InputError || error instanceof UnsupportedError) return exitCodes.input;
  if (error instanceof ScheduleError || error instanceof CompileError || error instanceof CompileTimeoutError)
    return exitCodes.compile;
  return error instanceof UnavailableError ? exitCodes.unavailable : exitCodes.internal;
}

/** Where an error happened, for the bundle. */
export interface ErrorScene {
  readonly argv: readonly string[];
  /** The model or file that the command worked on. */
  readonly modelPath?: string;
}

/** Shows an error and gives the exit status; a bug of ours leaves a bundle. */
export function reportError(error: unknown, terminal: Terminal, scene: ErrorScene): number {
  const exitCode = exitCodeOf(error);
  const shown = error instanceof Error ? error : new Error(String(error));
  const code = error instanceof TilewrightError ? error.code : "internal/unexpected";
  const family = error instanceof TilewrightError ? error.name : "InternalError";
  const bundle = exitCode === exitCodes.internal ? writeBundle(shown, scene) : undefined;
  const { errorColors: colors } = terminal;
  // What schedules refuse with begins with its family and code, because it is read without a command around it, too.
  const message = shown.message.replace(`${family} [${code}]: `, "");
  const block = [`${colors.red(colors.bold(family))} [${code}]: ${message}`];
  if (bundle) block.push(`this is a bug of Tilewright; what is needed to reproduce it lies in ${bundle}`);
  if (terminal.verbose && shown.stack) block.push(colors.dim(shown.stack));
  process.stderr.write(`${block.join("\n")}\n`);
  if (terminal.json)
    terminal.result(
      {
        error: {
          family,
          code,
          message: shown.message,
          exitCode,
          ...(bundle ? { bundle } : { details: detailsOf(error) }),
        },
      },
      () => "",
    );
  return exitCode;
}

const detailsOf = (error: unknown) => (error instanceof TilewrightError ? error.details : {});

/** Writes what reproduces a bug to a folder of its own. */
function writeBundle(error: Error, scene: ErrorScene): string {
  const folder = mkdtempSync(join(tmpdir(), "tilewright-repro-"));
  const { before, after, ...details } = (error instanceof TilewrightError ? error.details : {}) as Record<
    string,
    unknown
  >;
  for (const [name, ir] of Object.entries({ before, after }))
    if (typeof ir === "string") writeFileSync(join(folder, `${name}.txt`), ir);
  const report = {
    argv: scene.argv,
    versions: {
      tilewright: packageVersion(),
      node: process.version,
      llvm: addonAvailable() ? llvmVersion() : "add-on missing",
      platform: `${process.platform} ${process.arch}`,
    },
    ...(scene.modelPath ? { model: { path: scene.modelPath, sha256: fileHash(scene.modelPath) } } : {}),
    error: {
      name: error.name,
      code: error instanceof InternalError ? error.code : undefined,
      message: error.message,
      details,
      stack: error.stack,
    },
  };
  const shy = (_key: string, v: unknown): unknown => (typeof v === "bigint" ? v.toString() : v);
  writeFileSync(join(folder, "report.json"), `${JSON.stringify(report, shy, 2)}\n`);
  return folder;
}

function fileHash(path: string): string | undefined {
  try {
    return createHash("sha256").update(readFileSync(path)).digest("hex");
  } catch {
    return undefined;
  }
}
