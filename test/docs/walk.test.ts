/**
 * The excerpts in the documentation are what the code prints today. A block says where it is from:
 * ```text walk=loops [find=text] first=12 [last=3]. `UPDATE_DOCS=1 npx vitest run test/docs/walk.test.ts` rewrites them.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readText, root, trackedFiles } from "../meta/repository.ts";
import { type Snippet, snippetsOf } from "./snippets.ts";
import { sameLlvm, walk } from "./walk.ts";

const pages = trackedFiles().filter((path) => path.endsWith(".md"));
const excerpts = pages.flatMap(snippetsOf).filter((s) => option(s, "walk") !== undefined);
const longestLine = 118;

function option(s: Snippet, name: string): string | undefined {
  return s.tags.find((tag) => tag.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Lines from the first one that contains `find`, then the last ones, with … for what is left out. */
function excerpt(text: string, s: Snippet): string {
  const lines = text.trimEnd().split("\n");
  const find = option(s, "find");
  const from = find === undefined ? 0 : lines.findIndex((line) => line.includes(find));
  if (from < 0) throw new Error(`${s.file}:${s.line}: nothing of ${option(s, "walk")} contains ${find}`);
  const first = lines.slice(from, from + Number(option(s, "first") ?? lines.length));
  const last = lines.slice(Math.max(from + first.length, lines.length - Number(option(s, "last") ?? 0)));
  const cut = from + first.length + last.length < lines.length;
  const shown = [...(from > 0 ? ["…"] : []), ...first, ...(cut ? ["…"] : []), ...last];
  return shown.map((line) => (line.length > longestLine ? `${line.slice(0, longestLine)}…` : line)).join("\n");
}

let printed: ReadonlyMap<string, string>;
beforeAll(async () => {
  printed = await walk();
});

describe("excerpts", () => {
  test("are in the documentation", () => {
    expect(excerpts.length).toBeGreaterThan(5);
  });
  test.each(excerpts)("$file:$line is what the code prints", (s) => {
    const name = option(s, "walk")!;
    const now = excerpt(printed.get(name) ?? "", s);
    if (process.env.UPDATE_DOCS === "1") return update(s, now);
    if (name === "asm" && !sameLlvm()) return expect(s.text).toMatch(/vfmadd/);
    expect(s.text).toBe(now);
  });
});

function update(s: Snippet, text: string): void {
  const page = readText(s.file);
  const fence = `\`\`\`${[s.language, ...s.tags].join(" ")}\n`;
  const before = s.text === "" ? fence : `${fence}${s.text}\n`;
  expect(page).toContain(`${before}\`\`\``);
  writeFileSync(
    join(root, s.file),
    page.replace(before, () => `${fence}${text}\n`),
  );
}
