/** What STYLE and CONTRIBUTING ask of every file, as far as no linter knows it. */
import { describe, expect, test } from "vitest";
import { linesMatching, readText, textFiles } from "./repository.ts";

const sources = textFiles().filter((path) => /\.(ts|mts|mjs|cjs|cc|c|h)$/.test(path));
const tests = sources.filter((path) => path.startsWith("test/"));
const generated = /_pb\.ts$/;
/** Tables of rules and of operators, where every entry is a row. */
const tables = /^(src\/operators\/rows|passes\/simplify)\//;

describe("files", () => {
  test("are at most 500 lines, tables 800", () => {
    const long = sources
      .filter((path) => !generated.test(path))
      .map((path) => ({ path, lines: readText(path).split("\n").length - 1 }))
      .filter(({ path, lines }) => lines > (tables.test(path) ? 800 : 500));
    expect(long).toEqual([]);
  });

  test("name no place of one machine and no registry", () => {
    const places = ["/wo" + "rk/", "/ro" + "ot/", "/home/[a-z]+/", "regis" + "try\\.npmjs", "https?://(10|192|172)\\."];
    const pattern = new RegExp(places.map((p) => `(^|[\\s"'\`(=:])${p}`).join("|"));
    expect(linesMatching(textFiles(), pattern)).toEqual([]);
  });

  test("switch no type check off", () => {
    const pattern = new RegExp(`@ts-(${["ignore", "nocheck"].join("|")})`);
    expect(linesMatching(sources, pattern)).toEqual([]);
  });
});

describe("tests", () => {
  test("never accept any error, or any value", () => {
    const weak = [
      "toThrow\\(\\)",
      "toThrowError\\(\\)",
      "rejects\\.toThrow\\(\\)",
      "toBe" + "Defined\\(",
      "toBe" + "Truthy\\(",
    ];
    const pattern = new RegExp(`\\.(${weak.join("|")})`);
    expect(linesMatching(tests, pattern)).toEqual([]);
  });

  test("are all switched on", () => {
    const pattern = new RegExp(`\\b(test|it|describe)\\.(${["only", "todo", "skip\\("].join("|")})`);
    expect(linesMatching(tests, pattern)).toEqual([]);
  });

  test("assert something in every file", () => {
    const empty = tests.filter((path) => path.endsWith(".test.ts") && !/\bexpect\b|\bassert\b/.test(readText(path)));
    expect(empty).toEqual([]);
  });
});
