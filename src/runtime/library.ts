/** Compiled networks as object files and shared libraries for C programs. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { emitHeader, identifier } from "../../codegen/c/header.ts";
import { emitLibraryEntry, type LibraryEntry, libraryArenaBytes } from "../../codegen/llvm/library-entry.ts";
import { byteCount } from "../../ir/graph/tensor-value.ts";
import { InternalError, UnavailableError } from "../../ir/support/errors.ts";
import type { Target } from "../../ir/target/target.ts";
import { packageRoot } from "../../native/addon.ts";
import { type CompiledNetwork, compileEntry, linkParts } from "./compile.ts";
import { changeSymbols } from "./elf.ts";
import type { Port } from "./executable.ts";
import { resolveTarget, sharedPool } from "./host.ts";

/** A C name for a network, from the name of a file. */
export const libraryName = (name: string): string => identifier(name);

/** The header of a network's library. */
export function libraryHeader(network: CompiledNetwork, name: string): string {
  const { inputs, outputs, constants } = network.parts;
  const tensor = (p: Port) => ({ name: p.name, dtype: p.type, dims: p.dims, bytes: byteCount(p.type, p.dims) });
  return emitHeader({
    name,
    symbol: name,
    library: true,
    arenaBytes: libraryArenaBytes(libraryEntry(network, name)),
    constantsBytes: constants.byteLength,
    inputs: inputs.map(tensor),
    outputs: outputs.map(tensor),
  });
}

/**
 * Links a network with its constants and the runtime, in `folder`, into one relocatable object or a shared library.
 * @throws UnavailableError [library/no-compiler] without a C compiler for the target
 */
export async function buildLibrary(
  network: CompiledNetwork,
  name: string,
  kind: "object" | "shared",
  folder: string,
): Promise<Uint8Array> {
  const { context } = network;
  const compiler = cCompiler(context.target);
  const { objects } = await linkParts(network, false, `${name}_entry`);
  const wrapper = await compileEntry(emitLibraryEntry(libraryEntry(network, name)), context);
  const constants = await constantsObject(network, name, folder);
  const runtime = await runtimeObject(compiler, folder);
  // Equal kernels have equal names: in two networks of one program they merge. Nothing outside sees them.
  const hidden = [...objects, constants].map((o) => changeSymbols(o, { weak: true, hidden: true }));
  const files = [...hidden, wrapper, changeSymbols(runtime, { weak: true })].map((object, i) => {
    const path = join(folder, `${i}.o`);
    writeFileSync(path, object);
    return path;
  });
  const out = join(folder, "linked");
  const how = kind === "object" ? ["-r", "-nostdlib"] : ["-shared", "-Wl,--no-undefined", "-Wl,-z,noexecstack"];
  const libraries = kind === "object" ? [] : ["-lm", "-pthread"];
  await runTool(compiler, [...how, "-o", out, ...files, ...libraries]);
  return new Uint8Array(readFileSync(out));
}

function libraryEntry({ parts }: CompiledNetwork, stem: string): LibraryEntry {
  const bytesOf = (p: Port): number => byteCount(p.type, p.dims);
  return {
    stem,
    arenaBytes: parts.arenaBytes,
    inputBytes: parts.inputs.map(bytesOf),
    outputBytes: parts.outputs.map(bytesOf),
  };
}

/** The packed constants as data of an object file. */
async function constantsObject({ parts, context }: CompiledNetwork, name: string, folder: string): Promise<Uint8Array> {
  const path = join(folder, "constants.bin");
  writeFileSync(path, new Uint8Array(parts.constants));
  const symbol = `${name}_constants`;
  const lines = [
    `.section .rodata.${symbol},"a",@progbits`,
    ".p2align 6",
    `.globl ${symbol}`,
    `${symbol}:`,
    `.incbin "${path}"`,
  ];
  const irText = lines.map((l) => `module asm "${l.replaceAll('"', "\\22")}"\n`).join("");
  const { triple, cpu } = context.target;
  return sharedPool().compile({ irText, options: { triple, cpu, optLevel: 0 } });
}

async function runtimeObject(compiler: string, folder: string): Promise<Uint8Array> {
  const source = join(packageRoot(), "native", "runtime-c", "tw_runtime.c");
  const out = join(folder, "tw_runtime.o");
  await runTool(compiler, ["-std=c11", "-O2", "-fPIC", "-pthread", "-c", source, "-o", out]);
  return new Uint8Array(readFileSync(out));
}

/** The C compiler of a target: `CC` for this machine's architecture, else the cross compiler's usual name. */
function cCompiler(target: Target): string {
  if (!target.triple.includes("linux"))
    throw new UnavailableError(
      "library/no-compiler",
      `objects and libraries are made for Linux; ${target.name} is ${target.triple}`,
      { target: target.name },
    );
  if (target.arch === resolveTarget("host").arch) return process.env.CC || "cc";
  return `${target.arch}-linux-gnu-gcc`;
}

function runTool(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4096);
    });
    child.on("error", () => reject(noCompiler(command)));
    child.on("close", (status) => {
      if (status === 0) resolve();
      else reject(new InternalError("library/link", `${command} failed: ${said.trim()}`, { command, args: [...args] }));
    });
  });
}

function noCompiler(command: string): UnavailableError {
  const line = command.includes("linux-gnu")
    ? `apt-get install ${command.replace(/^(\w+)-linux-gnu-gcc$/, "gcc-$1-linux-gnu")}`
    : "apt-get install gcc libc6-dev";
  return new UnavailableError(
    "library/no-compiler",
    `there is no ${command}, which links objects and libraries for this target; get it with: ${line.replaceAll("_", "-")}`,
    { command },
  );
}
