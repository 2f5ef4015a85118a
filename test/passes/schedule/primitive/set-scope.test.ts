import { describe, expect, it } from "vitest";
import { printProgram } from "../../../../ir/text/printer.ts";
import { reverseComputeAt } from "../../../../passes/schedule/primitive/reverse-compute-at.ts";
import { setScope } from "../../../../passes/schedule/primitive/set-scope.ts";
import { apply, chain, deadBlock, expectRefused, expectTwins, loopOf, named } from "./block-fixtures.ts";

describe("setScope", () => {
  it.each(["stack", "register", "shared", "global"] as const)("moves a small buffer to %s", (scope) => {
    const p = chain(3, 5);
    const { program } = apply(setScope, p, { block: named(p, "z"), buffer: "y", scope });
    expect(printProgram(program)).toContain(
      scope === "global" ? "allocate y: float32[3, 5]" : `allocate y: float32[3, 5] in ${scope}`,
    );
    expectTwins(p, program);
  });
  it("counts the bytes that are live at a time", () => {
    const p = chain(100, 100);
    const args = { buffer: "y", scope: "register" } as const;
    expectRefused(setScope, p, { block: named(p, "y"), ...args }, { rule: "register-bytes", at: "y" });
    const { program } = apply(reverseComputeAt, p, { block: named(p, "z"), loop: loopOf(p, "y", 0) });
    expect(setScope.check(program, { block: named(program, "y"), ...args })).toBeUndefined();
  });
  it("refuses a block that is gone", () => {
    expectRefused(
      setScope,
      chain(2, 2),
      { block: deadBlock, buffer: "y", scope: "stack" },
      { rule: "found", at: "gone" },
    );
  });
  it("refuses a buffer that the block does not use", () => {
    const p = chain(2, 2);
    expectRefused(setScope, p, { block: named(p, "y"), buffer: "z", scope: "stack" }, { rule: "uses-buffer", at: "y" });
  });
  it("refuses a parameter", () => {
    const p = chain(2, 2);
    expectRefused(
      setScope,
      p,
      { block: named(p, "y"), buffer: "x", scope: "stack" },
      { rule: "not-parameter", at: "y" },
    );
  });
});
