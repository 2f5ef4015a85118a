import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../native/addon.ts";

const folder = mkdtempSync(join(tmpdir(), "tilewright-runtime-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const runtime = join(packageRoot(), "native", "runtime-c");
const program = join(folder, "main.c");
writeFileSync(
  program,
  `#include "tw_runtime.h"
#include <stdio.h>
#include <stdlib.h>
static void bump(void *ctx, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) ((int *)ctx)[i]++;
}
static void count(void *ctx, int64_t begin, int64_t end) { *(_Atomic int64_t *)ctx += end - begin; }
int main(int argc, char **argv) {
  static int counters[1000];
  static _Atomic int64_t covered;
  tw_runtime *pair = tw_runtime_create(2);
  tw_parallel_for(pair, count, &covered, 10000000019);
  tw_runtime_destroy(pair);
  if (covered != 10000000019) return 4;
  for (int threads = 1; threads <= 4; threads++) {
    tw_runtime *rt = tw_runtime_create(threads);
    if (tw_runtime_threads(rt) != threads) return 1;
    int64_t start = tw_now();
    tw_runtime_begin(rt);
    for (int round = 0; round < 2000; round++) tw_parallel_for(rt, bump, counters, 1 + round % 1000);
    tw_runtime_end(rt);
    if (tw_now() < start) return 2;
    tw_runtime_destroy(rt);
  }
  tw_parallel_for(NULL, bump, counters, 1000);
  tw_parallel_for(NULL, bump, counters, -5);
  tw_runtime_destroy(NULL);
  for (int i = 0; i < 1000; i++) if (counters[i] != 4 * 2 * (1000 - i) + 1) return 3;
  puts("ok");
  return argc > 9 ? atoi(argv[0]) : 0;
}
`,
);
/** A worker that holds the caller up until it may run on every processor; ends with 1 when it never may. */
const stuck = join(folder, "stuck.c");
writeFileSync(
  stuck,
  `#define _GNU_SOURCE
#include "tw_runtime.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
static pthread_t caller;
static _Atomic int entered, released;
static int processors(void) {
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  return CPU_COUNT(&set);
}
static void hold(void *ctx, int64_t begin, int64_t end) {
  (void)begin;
  (void)end;
  if (pthread_equal(pthread_self(), caller)) {
    while (!entered) usleep(100);
    return;
  }
  entered = 1;
  for (int i = 0; i < 2000 && !released; i++) {
    usleep(1000);
    released = processors() == *(int *)ctx;
  }
}
int main(void) {
  int all = processors();
  caller = pthread_self();
  tw_runtime *rt = tw_runtime_create(2);
  tw_parallel_for(rt, hold, &all, 2);
  if (!released) return 1;
  tw_runtime_destroy(rt);
  puts("ok");
  return 0;
}
`,
);
const warnings = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];
const present = (command: string) => spawnSync(command, ["--version"]).status === 0;

function build(compiler: string, ...flags: string[]): string {
  return buildOf(program, compiler, ...flags);
}

function buildOf(source: string, compiler: string, ...flags: string[]): string {
  const output = join(folder, `${basename(source, ".c")}-${compiler}-${flags.length}`);
  const args = [...warnings, ...flags, `-I${runtime}`, source, join(runtime, "tw_runtime.c"), "-o", output, "-pthread"];
  const result = spawnSync(compiler, args, { encoding: "utf8" });
  expect(result.stderr).toBe("");
  return output;
}

function expectOk(command: string, ...args: string[]): void {
  const result = spawnSync(command, args, { encoding: "utf8", timeout: 60_000 });
  expect(result).toMatchObject({ status: 0, stdout: "ok\n", stderr: "" });
}

describe("tw_runtime as a C library", () => {
  it("compiles without warnings and covers every iteration", () => {
    expectOk(build("gcc"));
  });

  it.runIf(process.platform === "linux")("lets workers run anywhere when the caller has waited long", () => {
    expectOk(buildOf(stuck, "gcc"));
  });

  it("has no data race that ThreadSanitizer sees", (context) => {
    const probe = spawnSync("gcc", ["-fsanitize=thread", "-x", "c", "-", "-o", join(folder, "probe")], {
      input: "int main(void) { return 0; }",
    });
    if (probe.status !== 0 || spawnSync(join(folder, "probe")).status !== 0) {
      context.skip("ThreadSanitizer does not work here");
    }
    expectOk(build("gcc", "-fsanitize=thread", "-g"));
  });

  it("compiles and runs for AArch64", (context) => {
    if (!present("aarch64-linux-gnu-gcc") || !present("qemu-aarch64")) {
      context.skip("aarch64-linux-gnu-gcc or qemu-aarch64 is absent");
    }
    expectOk("qemu-aarch64", build("aarch64-linux-gnu-gcc", "-static"));
  });
});
