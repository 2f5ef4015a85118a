/** The example programs run and print what they promise. */
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { root, trackedFiles } from "../meta/repository.ts";
import { Workshop } from "./snippets.ts";

const workshop = new Workshop();
afterAll(() => workshop.dispose());
const example = (name: string) => workshop.run(join(root, "examples", name));

describe("examples", () => {
  test("classify.ts prints five classes and the latency", async () => {
    const lines = (await example("classify.ts")).trimEnd().split("\n");
    expect(lines.slice(0, 5).every((line) => /^ +-?\d+\.\d{3} {2}class \d+$/.test(line))).toBe(true);
    expect(lines[5]).toMatch(/^\d+\.\d{3} ms a picture, \d+ kernels$/);
  });
  test("matmul-schedule.ts keeps the product and makes it faster", async () => {
    const printed = await example("matmul-schedule.ts");
    const speeds = /plain loops ([\d.]+) GFLOP\/s, scheduled ([\d.]+) GFLOP\/s/.exec(printed)!;
    expect(Number(speeds[2])).toBeGreaterThan(2 * Number(speeds[1]));
    expect(Number(/largest difference (\S+)/.exec(printed)![1])).toBeLessThan(1e-6);
  });
  test("matmul.ts multiplies", async () => {
    const printed = await example("matmul.ts");
    expect(Number(/largest difference (\S+)/.exec(printed)![1])).toBeLessThan(1e-6);
  });
  test.each(["attention.ts", "blur.ts", "inverted-residual.ts", "local-laplacian.ts", "unsharp.ts"])(
    "%s tells its time",
    async (name) => {
      expect(await example(name)).toMatch(/\d+\.\d{3} ms with 2 threads/);
    },
  );
  test("custom-pass.ts shows what the pass changed", async () => {
    expect(await example("custom-pass.ts")).toMatch(/after fuse-multiply-add/);
  });
  test("all have a test", () => {
    const tested = [
      "attention.ts",
      "blur.ts",
      "classify.ts",
      "custom-pass.ts",
      "inverted-residual.ts",
      "local-laplacian.ts",
      "matmul-schedule.ts",
      "matmul.ts",
      "unsharp.ts",
    ];
    const names = trackedFiles().flatMap((path) => /^examples\/(.*\.ts)$/.exec(path)?.[1] ?? []);
    expect(names.sort()).toEqual(tested);
  });
});
