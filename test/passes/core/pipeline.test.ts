import { describe, expect, it } from "vitest";
import { buffer, constant, index, load, variable } from "../../../ir/expr/build.ts";
import { float32 } from "../../../ir/expr/dtype.ts";
import { forLoop, primFunc, program, store } from "../../../ir/loop/build.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { InternalError, UsageError } from "../../../ir/support/errors.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import {
  definePass,
  insertPass,
  instrumentsFrom,
  PipelineStopped,
  pipeline,
  pipelineOf,
} from "../../../passes/core/index.ts";

function sample(): Program {
  const ids = new IdSource();
  const i = variable(ids, "i");
  const b = buffer(ids, "b", "float32", [4]);
  const body = forLoop(i, 4, store(b, [i], constant(float32, 1)));
  return program([primFunc({ name: "f", params: [{ buffer: b, role: "output" }], body })], ids);
}
const rename = (p: Program, name: string): Program => ({ ...p, functions: [{ ...p.functions[0]!, name }] });

const tidy = definePass<"loops", "loops">({ name: "tidy", doc: "Renames.", run: (p) => rename(p, "tidy") });
const flatten = definePass<"loops", "flat">({ name: "flatten", doc: "Flattens.", ensures: ["flat"], run: (p) => p });
const outline = definePass<"flat", "tasks">({ name: "outline", doc: "Outlines.", requires: ["flat"], run: (p) => p });
const context = (env: Record<string, string>, written: string[] = []) => {
  let ms = 0;
  return { options: {}, instruments: instrumentsFrom(env, { write: (t) => written.push(t), nowMs: () => ms++ }) };
};

describe("pipeline", () => {
  it("runs passes in order", () => {
    const p = pipeline(tidy, flatten, outline);
    expect(p.passes.map((x) => x.name)).toEqual(["tidy", "flatten", "outline"]);
    expect(p.run(sample()).functions[0]!.name).toBe("tidy");
  });

  it("does not compile in a wrong order", () => {
    // @ts-expect-error outline takes flat, tidy gives loops
    expect(() => pipeline(tidy, outline)).toThrow(/outline requires flat/);
    // @ts-expect-error tidy takes loops, flatten gives flat
    pipeline(flatten, tidy);
    // @ts-expect-error the last but one gives tasks
    pipeline(tidy, flatten, outline, flatten);
  });

  it("refuses a pass whose required fact was invalidated", () => {
    const spoil = definePass<"flat", "flat">({ name: "spoil", doc: "Spoils.", invalidates: ["flat"], run: (p) => p });
    expect(() => pipeline(flatten, spoil, outline)).toThrow(/outline requires flat/);
    expect(pipelineOf<"flat", "tasks">([outline], ["flat"]).passes).toHaveLength(1);
  });

  it("takes one more pass before or after a named one", () => {
    const extra = definePass<"flat", "flat">({
      name: "extra",
      doc: "Does nothing.",
      requires: ["flat"],
      run: (p) => p,
    });
    const usual = pipeline(tidy, flatten, outline);
    const names = (p: { passes: readonly { name: string }[] }) => p.passes.map((x) => x.name);
    expect(names(insertPass(usual, extra, { before: "outline" }))).toEqual(["tidy", "flatten", "extra", "outline"]);
    expect(names(insertPass(usual, extra, { after: "flatten" }))).toEqual(["tidy", "flatten", "extra", "outline"]);
    expect(names(usual)).toEqual(["tidy", "flatten", "outline"]);
  });
  it("takes no pass where it does not fit", () => {
    const extra = definePass<"flat", "flat">({
      name: "extra",
      doc: "Does nothing.",
      requires: ["flat"],
      run: (p) => p,
    });
    const usual = pipeline(tidy, flatten, outline);
    expect(() => insertPass(usual, extra, { before: "flatten" })).toThrow(/extra requires flat/);
    expect(() => insertPass(usual, extra, { before: "flaten" })).toThrow(/no pass flaten; .*tidy, flatten, outline/);
    // @ts-expect-error a pass between others gives what it takes
    expect(() => insertPass(usual, flatten, { after: "nothing" })).toThrow(UsageError);
  });

  it("wraps what a pass throws, with its name and the IR before", () => {
    const broken = definePass<"loops", "loops">({
      name: "broken",
      doc: "Fails.",
      run: () => {
        throw new TypeError("oops");
      },
    });
    const error = failureOf(() => pipeline(tidy, broken).run(sample()));
    expect(error).toBeInstanceOf(InternalError);
    expect(error).toMatchObject({ code: "pass/broken", details: { pass: "broken" } });
    expect((error as InternalError).details.before).toContain("tidy");
    expect((error as Error).cause).toBeInstanceOf(TypeError);
  });

  it("lets the user's errors through", () => {
    const refuses = definePass<"loops", "loops">({
      name: "refuses",
      doc: "Refuses.",
      run: () => {
        throw new UsageError("usage/x", "no");
      },
    });
    expect(failureOf(() => pipeline(refuses).run(sample()))).toMatchObject({ code: "usage/x" });
  });

  it("verifies between passes when asked", () => {
    const spoil = definePass<"loops", "loops">({
      name: "spoil",
      doc: "Uses an unbound variable.",
      run: (p) => {
        const b = p.functions[0]!.params[0]!.buffer;
        const stray = variable(new IdSource(900), "stray");
        const body = store(b, [stray], load(b, [index(0)]));
        return { ...p, nextId: 1000, functions: [{ ...p.functions[0]!, body }] };
      },
    });
    const p = pipeline(spoil, tidy);
    expect(p.run(sample()).functions[0]!.name).toBe("tidy");
    const error = failureOf(() => p.run(sample(), context({ TILEWRIGHT_VERIFY: "1" })));
    expect(error).toMatchObject({ code: "pass/spoil", details: { code: "verify/variables-defined" } });
    expect((error as InternalError).details.after).toContain("stray");
  });

  it("prints, times and stops as the variables say", () => {
    const written: string[] = [];
    const p = pipeline(tidy, flatten, outline);
    p.run(sample(), context({ TILEWRIGHT_PRINT: "changed", TILEWRIGHT_TIME: "1" }, written));
    const text = written.join("");
    expect(text).toContain("// after tidy");
    expect(text).not.toContain("// after flatten");
    expect(text).toMatch(/tidy +1\.00 ms\nflatten +1\.00 ms\noutline +1\.00 ms\nall passes +3\.00 ms/);
    const named: string[] = [];
    p.run(sample(), context({ TILEWRIGHT_PRINT: "flatten" }, named));
    expect(named.join("")).toMatch(/^\/\/ after flatten\n/);
    const stopped = failureOf(() => p.run(sample(), context({ TILEWRIGHT_STOP_AFTER: "tidy" })));
    expect(stopped).toBeInstanceOf(PipelineStopped);
    expect((stopped as PipelineStopped).output).toMatchObject({ functions: [{ name: "tidy" }] });
  });

  it("refuses a switch that is neither 0 nor 1", () => {
    expect(failureOf(() => context({ TILEWRIGHT_VERIFY: "yes" }))).toMatchObject({ code: "usage/debug-variable" });
  });
});

function failureOf(f: () => unknown): unknown {
  try {
    f();
  } catch (error) {
    return error;
  }
  throw new Error("expected a failure");
}
