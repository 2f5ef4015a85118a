/** The pages of primitives are what their source files say. `npm run docs` writes them. */
import { expect, test } from "vitest";
import { primitives } from "../../passes/schedule/apply.ts";
import { pages, stalePages } from "../../scripts/generate-docs.ts";
import { examples } from "../../scripts/primitive-examples.ts";

test("the pages of primitives are current (npm run docs writes them)", () => {
  expect(stalePages(pages())).toEqual([]);
});
test("every primitive has an example, and every example a primitive", () => {
  expect(Object.keys(examples).sort()).toEqual(Object.keys(primitives).sort());
});
