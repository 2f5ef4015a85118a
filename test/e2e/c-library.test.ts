import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeNpy } from "../../src/formats/npy.ts";
import { readNpz } from "../../src/formats/npz.ts";
import { Tensor } from "../../src/tensor.ts";
import { writeAdder, writeClassifier } from "../src/cli/models.ts";
import { cli, temporaryFolder } from "../src/cli/run-cli.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const model = writeClassifier(folder);
const adder = writeAdder(folder);

/** Feeds x[i] = (i % 7) / 7 from memory that is not aligned, on one thread and on two, and two networks in one program. */
const program = `#include "net.h"
#include "adder.h"
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  float *x = (float *)malloc(sizeof(float) * 193) + 1;
  static float y[6], a[6] = {1, 2, 3, 4, 5, 6}, sum[6];
  for (int i = 0; i < 192; i++) x[i] = (float)(i % 7) / 7;
  for (int threads = 1; threads <= 2; threads++) {
    tw_runtime *rt = threads == 1 ? NULL : tw_runtime_create(threads);
    if (net_run(rt, x, y + 1) != 0) return 1;
    for (int i = 1; i <= 5; i++) printf("%.9g ", y[i]);
    printf("\\n");
    tw_runtime_destroy(rt);
  }
  void *arena = aligned_alloc(64, (NET_ARENA_BYTES + 63) / 64 * 64);
  if (net_run_in(NULL, arena, x, y) != 0) return 2;
  printf("%.9g\\n", y[0]);
  if (adder_run(NULL, a, a, sum) != 0) return 3;
  printf("%g %g\\n", sum[0], sum[5]);
  return 0;
}
`;

async function expected(): Promise<number[]> {
  const x = Float32Array.from({ length: 192 }, (_, i) => Math.fround((i % 7) / 7));
  writeNpy(at("x.npy"), Tensor.from({ type: "float32", dims: [1, 3, 8, 8], data: x }));
  await cli("run", model, "--input", `x=${at("x.npy")}`, "-o", at("y.npz"));
  return [...(readNpz(at("y.npz")).get("scores")!.data as Float32Array)];
}

function execute(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 60_000 });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

async function expectAnswers(stdout: string): Promise<void> {
  const [serial, parallel, inArena, sum] = stdout.trim().split("\n");
  const numbers = (line: string | undefined): number[] => (line ?? "").trim().split(" ").map(Number);
  const scores = await expected();
  const near = scores.map((s) => expect.closeTo(s, 5));
  expect(numbers(serial)).toEqual(near);
  expect(numbers(parallel)).toEqual(near);
  expect(numbers(inArena)).toEqual(near.slice(0, 1));
  expect(sum).toBe("2 12");
}

const present = (command: string): boolean => spawnSync(command, ["--version"]).status === 0;
const warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
writeFileSync(at("main.c"), program);

describe("networks in C programs", () => {
  it("link as objects", async () => {
    for (const [path, name] of [
      [model, "net"],
      [adder, "adder"],
    ] as const) {
      const { status, stderr } = await cli(
        "compile",
        path,
        "--emit",
        "object",
        "-o",
        at(`${name}.o`),
        "--threads",
        "2",
      );
      expect(stderr).toContain("link with: cc main.c");
      expect(status).toBe(0);
    }
    execute("cc", ...warnings, at("main.c"), at("net.o"), at("adder.o"), "-o", at("objects"), "-lm", "-pthread");
    await expectAnswers(execute(at("objects")));
  });

  it("link as shared libraries, which show only their functions", async () => {
    for (const [path, name] of [
      [model, "net"],
      [adder, "adder"],
    ] as const)
      expect((await cli("compile", path, "--emit", "shared", "-o", at(`lib${name}.so`))).status).toBe(0);
    execute(
      "cc",
      ...warnings,
      at("main.c"),
      `-L${folder}`,
      `-Wl,-rpath,${folder}`,
      "-lnet",
      "-ladder",
      "-o",
      at("shared"),
    );
    await expectAnswers(execute(at("shared")));
    const symbols = execute("nm", "-D", "--defined-only", at("libnet.so"));
    expect(symbols).toContain(" T net_run\n");
    expect(symbols).not.toContain("k_");
    expect(symbols).not.toContain("net_constants");
  });

  it("run on AArch64", async (context) => {
    if (!present("aarch64-linux-gnu-gcc") || !present("qemu-aarch64"))
      context.skip("aarch64-linux-gnu-gcc or qemu-aarch64 is absent");
    for (const [path, name] of [
      [model, "net"],
      [adder, "adder"],
    ] as const) {
      const flags = ["--target", "aarch64-neoverse-n1", "--threads", "2", "--emit", "object"];
      expect((await cli("compile", path, ...flags, "-o", at(`${name}.o`))).status).toBe(0);
    }
    const sources = [at("main.c"), at("net.o"), at("adder.o")];
    execute("aarch64-linux-gnu-gcc", "-static", ...warnings, ...sources, "-o", at("arm"), "-lm", "-pthread");
    await expectAnswers(execute("qemu-aarch64", at("arm")));
  });

  it("say which compiler is missing", async () => {
    const before = process.env.CC;
    process.env.CC = at("no-compiler");
    try {
      const { status, stderr } = await cli("compile", adder, "--emit", "shared", "-o", at("libx.so"));
      expect(status).toBe(7);
      expect(stderr).toMatch(/there is no .*no-compiler.*get it with: apt-get install gcc/);
    } finally {
      if (before === undefined) delete process.env.CC;
      else process.env.CC = before;
    }
  });
});
