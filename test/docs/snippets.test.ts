/** Every `ts` block of the documentation type-checks and runs; a block may use the files that earlier ones wrote. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readText, root, trackedFiles } from "../meta/repository.ts";
import { type Outcome, snippetsOf, Workshop } from "./snippets.ts";

const pages = trackedFiles().filter((path) => path.endsWith(".md"));
const workshop = new Workshop();
afterAll(() => workshop.dispose());

const runnable = pages
  .flatMap(snippetsOf)
  .filter((s) => s.language === "ts" && !s.tags.includes("fragment"))
  .map((s) => ({ ...s, name: `${s.file.replace(/\W/g, "-")}-${s.line}.ts` }));
for (const s of runnable) workshop.write(s.name, s.text);

describe("TypeScript in the documentation", () => {
  test("is there", () => {
    expect(runnable.filter((s) => s.file === "README.md").length).toBeGreaterThanOrEqual(3);
  });
  test("type-checks", async () => {
    expect(await workshop.typeCheck()).toBe("");
  });
  // Pages of a folder share a process: starting one takes longer than most pieces do.
  const folderOf = (s: { readonly file: string }): string => s.file.split("/")[0]!;
  const folders = [...new Set(runnable.map(folderOf))];
  describe.each(folders)("%s", (folder) => {
    const pieces = runnable.filter((s) => folderOf(s) === folder);
    let outcomes: ReadonlyMap<string, Outcome>;
    beforeAll(async () => {
      outcomes = await workshop.runAll(pieces.map((s) => s.name));
    }, 120_000);
    test.each(pieces)("$file:$line runs", ({ name }) => {
      const { printed, error } = outcomes.get(name)!;
      expect(error).toBe(undefined);
      expect(printed).not.toMatch(/undefined|NaN/);
    });
  });
});

describe("links in the documentation", () => {
  test("lead to files that exist", () => {
    const broken = pages.flatMap((page) =>
      linksOf(page).filter((target) => !existsSync(join(root, page, "..", target))),
    );
    expect(broken).toEqual([]);
  });
});

/** Relative link targets of a page, without their anchors. */
function linksOf(page: string): string[] {
  const text = snippetsOf(page).reduce((rest, s) => rest.replace(s.text, ""), readText(page));
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((m) => m[1]!.replace(/#.*$/, ""))
    .filter((target) => target !== "" && !/^[a-z]+:/.test(target));
}
