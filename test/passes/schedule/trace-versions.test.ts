/** Traces that older compilers wrote are read; what cannot be is refused. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { structurallyEqual } from "../../../ir/loop/equality.ts";
import { InputError } from "../../../ir/support/errors.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { replay, Schedule } from "../../../passes/schedule/schedule.ts";
import { Trace } from "../../../passes/schedule/trace.ts";
import { traceVersion } from "../../../passes/schedule/trace-versions.ts";
import { matmul } from "./loop-programs.ts";

const folder = new URL("../../fixtures/traces/", import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), "utf8");
const versionOf = (name: string): number => Number(/^version-(\d+)\.json$/.exec(name)![1]);
const files = readdirSync(folder).filter((name) => name.endsWith(".json"));

describe("a trace of an older version", () => {
  test("is kept for each", () => {
    const older = Array.from({ length: traceVersion - 1 }, (_, k) => k + 1);
    expect(files.map(versionOf).sort()).toEqual(older);
  });
  for (const name of files)
    test(`${name} makes the schedule that it made`, () => {
      const s = replay(matmul(24, 16, 10), JSON.parse(read(name)));
      expect(structurallyEqual(s.program, parseProgram(read("after.loop"))), s.print()).toBe(true);
      const json = s.trace.toJSON();
      expect(json.version).toBe(traceVersion);
      expect(Trace.fromJSON(JSON.parse(read(name))).toJSON()).toEqual(json);
    });
  test("says what each step gave as it was given", () => {
    const { steps } = Trace.fromJSON(JSON.parse(read("version-1.json")));
    const given = Object.fromEntries(steps.map((s) => [s.primitive, s.result]));
    expect(given).toMatchObject({
      sampleTile: [3, 8],
      sampleCategorical: 4,
      sampleComputeLocation: null,
      split: [{ loop: "j_o" }, { loop: "j_i" }],
      fuse: { loop: "i_o_j_o_f" },
      cacheRead: { block: "A_stack_copy" },
      reorder: null,
    });
  });
});

describe("what is not read", () => {
  const refusal = (json: unknown): InputError => {
    try {
      Trace.fromJSON(json);
    } catch (e) {
      if (e instanceof InputError) return e;
      throw e;
    }
    throw new Error("nothing was thrown");
  };
  test("versions of the future and of no time", () => {
    const future = refusal({ version: traceVersion + 1, func: "f", steps: [] });
    expect(future.code).toBe("trace/version");
    expect(future.message).toContain("a newer compiler wrote it");
    expect(future.details).toMatchObject({ version: traceVersion + 1, oldest: 1, newest: traceVersion });
    for (const version of [undefined, 0, -1, "1", null, 1.5, "__proto__", { valueOf: 1 }])
      expect(refusal({ version, func: "f", steps: [] }).code).toBe("trace/version");
  });
  test("broken traces of either version", () => {
    const step = { primitive: "parallel", args: {} };
    for (const version of [1, traceVersion]) {
      expect(refusal({ version, steps: [] }).code).toBe("trace/malformed");
      expect(refusal({ version, func: "f", steps: {} }).code).toBe("trace/malformed");
      expect(refusal({ version, func: "f", steps: [null] }).code).toBe("trace/malformed");
      expect(refusal({ version, func: "f", steps: [{ ...step, args: 3 }] }).code).toBe("trace/malformed");
    }
    expect(refusal({ version: traceVersion, func: "f", steps: [step] }).code).toBe("trace/malformed");
    for (const json of [null, 3, "trace", []]) expect(refusal(json).code).toBe("trace/malformed");
  });
});

test("a trace survives JSON", () => {
  const s = new Schedule(matmul(8, 8, 8));
  s.fuse(...s.split(s.loop("i"), { factors: [2, 2, 2] }));
  const json: unknown = JSON.parse(JSON.stringify(s.trace));
  expect(json).toEqual(s.trace.toJSON());
  expect(Trace.fromJSON(json).toSource()).toBe(s.trace.toSource());
});
