/** The figures in the README are those of the kept results, never typed by hand. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readText, root } from "../meta/repository.ts";

const table = /<!-- zoo table: [^\n]*-->([\s\S]*)<!-- end of zoo table -->/.exec(readText("README.md"))?.[1];

test("the README has a place for its table", () => {
  expect(table).toEqual(expect.any(String));
});
test.skipIf(table?.trim() === "")("the table of the README is what bench/results/zoo.json says", () => {
  const script = join(root, "scripts/readme-table.mjs");
  const { status, stderr } = spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});
