/** Runs what the documentation shows, as a reader would: each piece in a process and a folder of its own. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import ts from "typescript";
import { root } from "../meta/repository.ts";

/** A fenced block of a Markdown file. */
export interface Snippet {
  readonly file: string;
  /** Line of the opening fence, counted from 1. */
  readonly line: number;
  readonly language: string;
  /** What follows the language, as `fragment`. */
  readonly tags: readonly string[];
  readonly text: string;
}

/** All fenced blocks of a file, in order. */
export function snippetsOf(file: string): Snippet[] {
  const lines = readFileSync(join(root, file), "utf8").split("\n");
  const found: Snippet[] = [];
  for (let i = 0; i < lines.length; i++) {
    const opening = /^```(\S+)?\s*(.*)$/.exec(lines[i]!);
    if (!opening) continue;
    const end = lines.indexOf("```", i + 1);
    if (end < 0) throw new Error(`${file}:${i + 1}: the block is not closed`);
    found.push({
      file,
      line: i + 1,
      language: opening[1] ?? "",
      tags: (opening[2] ?? "").split(/\s+/).filter((t) => t !== ""),
      text: lines.slice(i + 1, end).join("\n"),
    });
    i = end;
  }
  return found;
}

/** What became of one file: what it printed, and the error that ended it. */
export interface Outcome {
  readonly printed: string;
  readonly error?: string;
}
/** The program that runs the files of its command line and prints what became of them as its last line. */
const runAllSource = `
const outcomes: Record<string, { printed: string; error?: string }> = {};
const log = console.log;
for (const file of process.argv.slice(2)) {
  const lines: string[] = [];
  console.log = (...parts: unknown[]) => void lines.push(parts.map(String).join(" "));
  let error: string | undefined;
  try {
    await import("./" + file);
  } catch (e) {
    error = e instanceof Error ? (e.stack ?? e.message) : String(e);
  }
  outcomes[file] = { printed: lines.join("\\n"), ...(error === undefined ? {} : { error }) };
}
console.log = log;
process.stdout.write("\\n" + JSON.stringify(outcomes) + "\\n", () => process.exit(0));
export {};
`;

/** A folder from which "tilewright" is this checkout's sources, as if it were installed. */
export class Workshop {
  readonly folder = mkdtempSync(join(tmpdir(), "tilewright-docs-"));

  constructor() {
    mkdirSync(join(this.folder, "node_modules"));
    for (const name of ["@types", "typescript", "tsx"])
      symlinkSync(join(root, "node_modules", name), join(this.folder, "node_modules", name));
    const options = {
      target: "ES2023",
      module: "NodeNext",
      moduleResolution: "NodeNext",
      types: ["node"],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      allowImportingTsExtensions: true,
      paths: { tilewright: [join(root, "src/index.ts")], "tilewright/*": [join(root, "src/*.ts")] },
    };
    this.write("tsconfig.json", JSON.stringify({ compilerOptions: options, include: ["*.ts"] }));
    this.write("package.json", JSON.stringify({ name: "docs", private: true, type: "module" }));
  }
  write(name: string, contents: string | Uint8Array): void {
    writeFileSync(join(this.folder, name), contents);
  }
  /** Runs a TypeScript file of this folder, or of the repository; gives what it printed. */
  async run(file: string, args: readonly string[] = []): Promise<string> {
    const tsx = join(root, "node_modules", "tsx", "dist", "cli.mjs");
    return (await this.#node([tsx, file, ...args])).stdout;
  }
  /** Runs files of this folder one after the other in one process; gives what each printed, or how it failed. */
  async runAll(files: readonly string[]): Promise<ReadonlyMap<string, Outcome>> {
    this.write("run-all.ts", runAllSource);
    const printed = await this.run("run-all.ts", files);
    const last = printed.trimEnd().split("\n").at(-1)!;
    return new Map(Object.entries(JSON.parse(last) as Record<string, Outcome>));
  }
  /** The complaints of the type checker about the files of this folder; what they import is checked by the check of all types. */
  typeCheck(): string {
    const config = ts.readConfigFile(join(this.folder, "tsconfig.json"), ts.sys.readFile).config as object;
    const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, this.folder);
    const program = ts.createProgram(fileNames, options);
    const own = program.getSourceFiles().filter((f) => fileNames.includes(f.fileName));
    const found = own.flatMap((f) => [...program.getSyntacticDiagnostics(f), ...program.getSemanticDiagnostics(f)]);
    const host = { getCanonicalFileName: String, getCurrentDirectory: () => this.folder, getNewLine: () => "\n" };
    return ts.formatDiagnostics(found, host);
  }
  #node(args: readonly string[]) {
    const env = { ...process.env, NO_COLOR: "1", TILEWRIGHT_CACHE: join(this.folder, "cache") };
    const options = { cwd: this.folder, env, maxBuffer: 1 << 24, timeout: 110_000 };
    return promisify(execFile)(process.execPath, [...args], options);
  }
  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
