import { expect, it } from "vitest";
import { compileLimitMs } from "../../../src/runtime/host.ts";

it("limits the compile time of a kernel, and lets the user raise the limit", () => {
  expect(compileLimitMs(undefined)).toBe(120_000);
  expect(compileLimitMs("600000")).toBe(600_000);
  expect(compileLimitMs("0")).toBe(0);
  for (const bad of ["soon", "-1", "Infinity"]) expect(() => compileLimitMs(bad)).toThrow("milliseconds");
});
