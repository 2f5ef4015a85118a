/** Measuring in processes of their own, so that thread pools and heaps of one measurement do not disturb the next. */
import { fork } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/**
 * Runs a script that answers with one message.
 * @throws when it ends without an answer
 */
export function inChild(script, argument, options = {}) {
  return new Promise((resolve, reject) => {
    let answer;
    const child = fork(script, [JSON.stringify(argument)], {
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      ...options,
    });
    child.on("message", (message) => {
      answer = message;
      child.disconnect();
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (answer !== undefined) resolve(answer);
      else reject(new Error(`${script} ended with ${signal ?? `status ${code}`} and no answer`));
    });
  });
}

/** What `inChild` was given. */
export const childArgument = () => JSON.parse(process.argv[2]);

/** Sends the answer and ends the process, whatever threads still spin in it. */
export function answer(message) {
  process.send(message, () => process.exit(0));
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until this process' idle worker threads have stopped spinning, so that they take no core from what comes next. */
export async function settle() {
  for (let i = 0; i < 40; i++) {
    const before = process.cpuUsage();
    await sleep(10);
    const { user, system } = process.cpuUsage(before);
    if (user + system < 1500) return;
  }
}

/** Highest resident memory that a process ever had, in bytes (`VmHWM`). */
export function peakResidentBytes(pid = "self") {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Process ids of this process's own children. */
export function childPids() {
  const pids = readdirSync("/proc/self/task").flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" "),
  );
  return pids.filter((pid) => pid !== "").map(Number);
}
