/** The table of variables in CONTRIBUTING is whole, and lists none that nobody reads. */
import { expect, test } from "vitest";
import { readText, textFiles } from "./repository.ts";

test("variables that the code reads are those in the table of CONTRIBUTING", () => {
  const code = textFiles().filter((path) => /\.(ts|mjs|cjs|cc|c)$/.test(path));
  const name =
    /\benv\.((?:TILEWRIGHT|UPDATE)_[A-Z_]+|LLVM_CONFIG)\b|getenv\("([A-Z_]+)"\)|isOn\(env, "(TILEWRIGHT_[A-Z_]+)"/g;
  const read = code.flatMap((path) => [...readText(path).matchAll(name)].map((m) => m[1] ?? m[2] ?? m[3]));
  const table = [...readText("CONTRIBUTING.md").matchAll(/^\| `([A-Z_]+)` \|/gm)].map((m) => m[1]);
  expect([...new Set(read)].sort()).toEqual([...table].sort());
});
