import { type ChildProcess, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { type ErrorDetails, InternalError, TilewrightError, UnavailableError } from "../ir/support/errors.ts";
import { addonPath, type CompileOptions, packageRoot } from "./addon.ts";

/** One module to compile. */
export interface CompileJob {
  readonly irText: string;
  readonly options: CompileOptions;
}

/** How a `CompilePool` runs its children. */
export interface CompilePoolOptions {
  /** Child processes at most; the number of processors if absent. */
  readonly size?: number;
  /** A job that takes longer is killed; 120,000 if absent, 0 for no limit. */
  readonly timeoutMs?: number;
  /** LLVM's own command-line options for every child, as `-enable-misched=false`. */
  readonly llvmOptions?: readonly string[];
  /** Where the IR of a job that killed its child is kept. */
  readonly crashFolder?: string;
}

/** LLVM refused the module: a parse, verifier, pass or code generation error; `code` says which. */
export class CompileError extends TilewrightError {}

/** LLVM died on the module; `details` has the IR's file and hash, the exit status and the end of stderr. */
export class CompileCrashError extends InternalError {}

/** The module took longer than the pool's limit; `details` has the IR's file and hash. */
export class CompileTimeoutError extends TilewrightError {}

interface Pending {
  readonly id: number;
  readonly job: CompileJob;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

interface Child {
  readonly process: ChildProcess;
  pending: Pending | undefined;
  timer: NodeJS.Timeout | undefined;
  stderr: string;
  ready: boolean;
  timedOut: boolean;
}

interface Reply {
  readonly ready?: true;
  readonly id?: number;
  readonly bytes?: Uint8Array;
  readonly code?: string;
  readonly message?: string;
}

const stderrTail = 4096;
/** A worker starts in 70 ms; much longer means that it never will. */
const startTimeoutMs = 60_000;

/**
 * Compiles LLVM IR text in child processes, because a fatal error of LLVM ends the process it happens in. Children
 * start when there is work, go on to the next job, are replaced when they die, end with this process, and do not keep
 * it alive while they are idle.
 */
export class CompilePool {
  readonly size: number;
  readonly #options: Required<CompilePoolOptions>;
  readonly #children = new Set<Child>();
  #queue: Pending[] = [];
  #nextId = 1;
  #disposed = false;

  constructor(options: CompilePoolOptions = {}) {
    this.size = Math.max(1, options.size ?? availableParallelism());
    this.#options = {
      size: this.size,
      timeoutMs: options.timeoutMs ?? 120_000,
      llvmOptions: options.llvmOptions ?? [],
      crashFolder: options.crashFolder ?? join(tmpdir(), "tilewright-crashes"),
    };
  }

  /**
   * Gives the object code (or text) of one module.
   * @throws CompileError, CompileCrashError, CompileTimeoutError; UnavailableError when the add-on does not load
   */
  compile(job: CompileJob): Promise<Uint8Array> {
    if (this.#disposed) return Promise.reject(new InternalError("native/disposed", "the compile pool is disposed of"));
    return new Promise((resolve, reject) => {
      this.#queue.push({ id: this.#nextId++, job, resolve, reject });
      this.#pump();
    });
  }

  /** Starts `count` children ahead of work; all of them if absent. */
  prestart(count = this.size): void {
    while (!this.#disposed && this.#children.size < Math.min(count, this.size)) this.#start();
  }

  /** Process ids of the children that are alive. */
  get childPids(): number[] {
    return [...this.#children].flatMap((child) => child.process.pid ?? []);
  }

  /** Ends the children; jobs that are not finished reject. Disposing twice is allowed. */
  dispose(): void {
    this.#disposed = true;
    const error = new InternalError("native/disposed", "the compile pool is disposed of");
    for (const pending of this.#queue) pending.reject(error);
    this.#queue = [];
    for (const child of this.#children) {
      clearTimeout(child.timer);
      child.pending?.reject(error);
      child.pending = undefined;
      child.process.kill("SIGKILL");
    }
    this.#children.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #pump(): void {
    for (const child of this.#children) {
      if (this.#queue.length === 0) return;
      if (!child.pending) this.#give(child, this.#queue.shift());
    }
    while (this.#queue.length > 0 && this.#children.size < this.size) this.#give(this.#start(), this.#queue.shift());
  }

  #give(child: Child, pending: Pending | undefined): void {
    if (!pending) return;
    child.pending = pending;
    hold(child.process);
    this.#limit(child);
    const { id, job } = pending;
    // A child that is dying reports through "exit".
    child.process.send({ id, irText: job.irText, options: job.options }, () => {});
  }

  /** Kills a child whose job takes too long; the job's time begins when the child is ready. */
  #limit(child: Child): void {
    clearTimeout(child.timer);
    const limitMs = child.ready ? this.#options.timeoutMs : startTimeoutMs;
    if (limitMs === 0) return;
    child.timer = setTimeout(() => {
      child.timedOut = child.ready;
      child.process.kill("SIGKILL");
    }, limitMs);
  }

  #start(): Child {
    const worker = join(packageRoot(), "native", "compile-worker.cjs");
    const forked = fork(worker, [String(process.pid), addonPath(), ...this.#options.llvmOptions], {
      serialization: "advanced",
      execArgv: [],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const child: Child = {
      process: forked,
      pending: undefined,
      timer: undefined,
      stderr: "",
      ready: false,
      timedOut: false,
    };
    this.#children.add(child);
    forked.on("message", (reply: Reply) => this.#receive(child, reply));
    forked.on("error", (error) => this.#lose(child, null, null, error.message));
    // "close" comes after stderr has been read to its end.
    forked.on("close", (status, signal) => this.#lose(child, status, signal));
    forked.stderr?.on("data", (chunk: Buffer) => {
      child.stderr = (child.stderr + chunk.toString()).slice(-stderrTail);
    });
    release(forked);
    return child;
  }

  #receive(child: Child, reply: Reply): void {
    if (reply.ready) {
      child.ready = true;
      if (child.pending) this.#limit(child);
      return;
    }
    const pending = child.pending;
    if (!pending || pending.id !== reply.id) return;
    this.#settle(child);
    if (reply.bytes) pending.resolve(reply.bytes);
    else pending.reject(new CompileError(reply.code ?? "native/internal", reply.message ?? "", irDetails(pending.job)));
    this.#pump();
  }

  #settle(child: Child): void {
    clearTimeout(child.timer);
    child.timer = undefined;
    child.pending = undefined;
    release(child.process);
  }

  #lose(child: Child, status: number | null, signal: NodeJS.Signals | null, reason?: string): void {
    if (!this.#children.delete(child)) return;
    const pending = child.pending;
    this.#settle(child);
    if (pending) pending.reject(this.#lossError(child, pending.job, status, signal, reason));
    this.#pump();
  }

  #lossError(
    child: Child,
    job: CompileJob,
    status: number | null,
    signal: NodeJS.Signals | null,
    reason?: string,
  ): Error {
    const stderr = child.stderr.trim();
    if (reason !== undefined || !child.ready) {
      const message = `the compile worker does not start: ${reason ?? (stderr || signal)}`;
      return new UnavailableError("native/worker", message, { status, signal, stderr });
    }
    const details = { ...irDetails(job), irPath: this.#keep(job), status, signal, stderr };
    if (child.timedOut) {
      const message = `compiling took longer than ${this.#options.timeoutMs} ms (IR in ${details.irPath})`;
      return new CompileTimeoutError("llvm/timeout", message, details);
    }
    const cause = stderr.split("\n").find((line) => line.includes("LLVM ERROR")) ?? `${signal ?? `status ${status}`}`;
    return new CompileCrashError("llvm/crash", `LLVM died: ${cause} (IR in ${details.irPath})`, details);
  }

  #keep(job: CompileJob): string {
    const path = join(this.#options.crashFolder, `${irHash(job)}.ll`);
    mkdirSync(this.#options.crashFolder, { recursive: true });
    writeFileSync(path, job.irText);
    return path;
  }
}

function irHash(job: CompileJob): string {
  return createHash("sha256").update(job.irText).digest("hex").slice(0, 16);
}

function irDetails(job: CompileJob): ErrorDetails {
  return { irHash: irHash(job), options: job.options };
}

/** Keeps this process alive while the child works. */
function hold(child: ChildProcess): void {
  child.ref();
  child.channel?.ref();
}

function release(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
  const stderr = child.stderr;
  if (stderr && "unref" in stderr && typeof stderr.unref === "function") stderr.unref();
}
