/** A child process of the soak of schedules, replaced when it dies or hangs. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { TraceJson } from "../../passes/schedule/trace.ts";
import type { Outcome } from "../../test/property/support/soak.ts";
import type { Answer, Request } from "../soak-schedules-child.ts";

const script = fileURLToPath(new URL("../soak-schedules-child.ts", import.meta.url));
/** A case takes 20 ms; a machine may be busy. */
const limitMs = (cases: number): number => 60_000 + 2000 * cases;

/** Answers requests one after the other. */
export class SoakChild {
  #process: ChildProcess | undefined;

  /** The outcome of seeds, or why the child did not survive. */
  async run(seeds: readonly number[], build: number, threads: number): Promise<{ outcome: Outcome } | { why: string }> {
    const answer = await this.#ask({ kind: "run", seeds, build, threads }, limitMs(seeds.length));
    if ("outcome" in answer) return answer;
    return { why: ("why" in answer ? answer.why : undefined) ?? "no outcome" };
  }
  /** What a seed draws; nothing where drawing fails. */
  async draw(seed: number): Promise<{ kind: string; traces?: readonly TraceJson[] }> {
    const answer = await this.#ask({ kind: "draw", seed }, limitMs(1));
    return "traces" in answer ? answer : { kind: "" };
  }
  /** Why the program of a seed fails under other traces; undefined when it does not. */
  async check(seed: number, traces: readonly TraceJson[], build: number): Promise<string | undefined> {
    const answer = await this.#ask({ kind: "check", seed, traces, build }, limitMs(1));
    return "why" in answer ? answer.why : "no answer";
  }
  end(): void {
    this.#process?.disconnect();
    this.#process = undefined;
  }

  #ask(request: Request, limit: number): Promise<Answer> {
    const child = (this.#process ??= fork(script, {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      serialization: "advanced",
    }));
    let stderr = "";
    const collect = (part: Buffer): void => {
      stderr = (stderr + part.toString()).slice(-2000);
    };
    child.stderr?.on("data", collect);
    return new Promise((resolve) => {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        child.kill("SIGKILL");
      }, limit);
      const settle = (answer: Answer): void => {
        clearTimeout(timer);
        child.removeAllListeners("message").removeAllListeners("close");
        child.stderr?.removeListener("data", collect);
        resolve(answer);
      };
      child.once("message", (answer: Answer) => settle(answer));
      child.once("close", (status, signal) => {
        this.#process = undefined;
        const cause = stderr.split("\n").find((l) => l.includes("LLVM ERROR") || l.includes("Error:")) ?? stderr.trim();
        settle({ why: late ? `no answer within ${limit} ms` : `the process died: ${signal ?? status} ${cause}` });
      });
      child.send(request);
    });
  }
}
