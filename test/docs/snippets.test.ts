/**
 * Every `ts` block of the documentation type-checks and runs; a block may use the files that earlier ones wrote. A block
 * ```text prints behind one is what it prints; `UPDATE_DOCS=1 npx vitest run test/docs/snippets.test.ts` rewrites them.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readText, root, trackedFiles } from "../meta/repository.ts";
import { type Outcome, type Snippet, snippetsOf, Workshop } from "./snippets.ts";

const pages = trackedFiles().filter((path) => path.endsWith(".md"));
const workshop = new Workshop();
afterAll(() => workshop.dispose());

const isShown = (s: Snippet | undefined): boolean => s?.tags.includes("prints") === true;
/** Pieces to run, with what the page shows as printed, and which of such blocks of the page that is. */
const runnable = pages.flatMap((page) => {
  const all = snippetsOf(page);
  return all.flatMap((s, k) => {
    if (s.language !== "ts" || s.tags.includes("fragment")) return [];
    const prints = isShown(all[k + 1]) ? all[k + 1]!.text : undefined;
    const ordinal = all.slice(0, k).filter(isShown).length;
    return [{ ...s, name: `${s.file.replace(/\W/g, "-")}-${s.line}.ts`, prints, ordinal }];
  });
});
for (const s of runnable) workshop.write(s.name, s.text);

describe("TypeScript in the documentation", () => {
  test("is there", () => {
    expect(runnable.filter((s) => s.file === "README.md").length).toBeGreaterThanOrEqual(3);
  });
  test("type-checks", () => {
    expect(workshop.typeCheck()).toBe("");
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
    test.each(pieces)("$file:$line runs", ({ name, file, prints, ordinal }) => {
      const { printed: whole, error } = outcomes.get(name)!;
      const printed = whole.trimEnd();
      expect(error).toBe(undefined);
      expect(printed).not.toMatch(/undefined|NaN/);
      if (prints === undefined || prints === printed) return;
      if (process.env.UPDATE_DOCS === "1") replaceShown(file, ordinal, printed);
      else expect(prints).toBe(printed);
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

/** Rewrites the text of one of the blocks that a page shows as printed. */
function replaceShown(file: string, ordinal: number, text: string): void {
  const lines = readText(file).split("\n");
  const starts = lines.flatMap((l, i) => (/^```text (.* )?prints\b/.test(l) ? [i + 1] : []));
  const start = starts[ordinal]!;
  lines.splice(start, lines.indexOf("```", start) - start, ...text.split("\n"));
  writeFileSync(join(root, file), lines.join("\n"));
}

/** Relative link targets of a page, without their anchors. */
function linksOf(page: string): string[] {
  const text = snippetsOf(page).reduce((rest, s) => rest.replace(s.text, ""), readText(page));
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((m) => m[1]!.replace(/#.*$/, ""))
    .filter((target) => target !== "" && !/^[a-z]+:/.test(target));
}
