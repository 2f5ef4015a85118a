// Where a process and its descendants stand, for a report on a test that hangs: every thread's name, state, kernel
// wait and processor time, and native stacks where gdb is installed. Linux only; empty elsewhere.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** One text on `pid` and all of its descendants. */
export function showProcesses(pid) {
  return [pid, ...descendants(pid)].map(showProcess).join("\n");
}

function descendants(pid) {
  const children = tasks(pid).flatMap((task) => read(`/proc/${pid}/task/${task}/children`).split(" "));
  return children
    .filter((child) => child.length > 0)
    .map(Number)
    .flatMap((child) => [child, ...descendants(child)]);
}

function showProcess(pid) {
  const command = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").slice(0, 160);
  const threads = tasks(pid).map((task) => {
    const folder = `/proc/${pid}/task/${task}`;
    // Fields after the name in parentheses: state, …, user and system time in ticks.
    const fields = read(`${folder}/stat`)
      .replace(/^.*\) /, "")
      .split(" ");
    const wait = read(`${folder}/wchan`) || "-";
    return `    ${task} ${read(`${folder}/comm`)} ${fields[0]} user ${fields[11]} system ${fields[12]} wait ${wait}`;
  });
  return [`  ${pid} ${command}`, ...threads, stacks(pid)].filter((line) => line.length > 0).join("\n");
}

/** Native stacks of all threads, at most 200 lines. */
function stacks(pid) {
  const { stdout } = spawnSync("gdb", ["-p", `${pid}`, "-batch", "-nx", "-ex", "thread apply all bt 16"], {
    encoding: "utf8",
    timeout: 60_000,
  });
  const lines = (stdout ?? "").split("\n").filter((line) => /^(Thread|#)/.test(line));
  return lines
    .map((line) => `    ${line.slice(0, 200)}`)
    .slice(0, 200)
    .join("\n");
}

function tasks(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function read(path) {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
