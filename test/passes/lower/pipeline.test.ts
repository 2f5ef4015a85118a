/** Lowering as a pipeline: its order, what every step leaves well-formed, and what the debug variables show of it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { type Instrument, plainContext, verifying } from "../../../passes/core/index.ts";
import { loweringPipeline, lowerProgram } from "../../../passes/lower/index.ts";
import { compute, placeholder, reduceAxis, type Schedule, schedule, sum } from "../../../src/index.ts";
import { root } from "../../meta/repository.ts";

/** A product of odd extents with every kind of loop. */
function scheduled(): Schedule {
  const A = placeholder("A", [7, 13]);
  const k = reduceAxis("k", 13);
  const C = compute("C", [7, 7], (i, j) => sum(A.at(i, k).mul(A.at(j, k)), k));
  const s = schedule(compute("D", [7, 7], (i, j) => C.at(i, j).max(0)));
  const [outer, inner] = s.split(s.loopAt("D", 1), { factor: 4, tail: "guard" });
  s.computeAt(s.block("C"), outer);
  s.decomposeReduction(s.block("C"), s.loops("C").at(-1)!);
  s.vectorize(inner);
  s.parallel(s.loopAt("D", 0));
  return s;
}
const seen = (names: string[]): Instrument => ({ name: "seen", afterPass: ({ pass }) => names.push(pass) });

describe("the lowering pipeline", () => {
  test("goes from blocks to tasks in its order", () => {
    const names: string[] = [];
    lowerProgram(scheduled().program, { vectorBits: 256 }, { ...plainContext, instruments: [seen(names)] });
    const milestones = [
      "serialize-threads",
      "compact-buffers",
      "flatten-storage",
      "vectorize-loops",
      "unroll-loops",
      "outline-parallel",
    ];
    expect(names.filter((name) => milestones.includes(name))).toEqual(milestones);
    expect([names[0], names.at(-1)]).toEqual(["serialize-threads", "outline-parallel"]);
    expect(loweringPipeline({ vectorBits: 256 }).passes.map((p) => p.name)).toEqual(names);
  });
  test("leaves a well-formed program after every pass", () => {
    const lowered = lowerProgram(
      scheduled().program,
      { vectorBits: 128 },
      { ...plainContext, instruments: [verifying] },
    );
    expect(lowered.functions.map((f) => f.name)).toEqual(["D", "D.task0"]);
  });
  test("starts from a schedule that refused what would change a value", () => {
    const s = scheduled();
    expect(() => s.parallel(s.loops("C").at(-1)!)).toThrow(/ScheduleError \[parallel\//);
  });
});

describe("debug variables", () => {
  const program = `
    import { build, compute, placeholder, schedule } from "tilewright";
    const X = placeholder("X", [5]);
    const f = await build(schedule(compute("Y", [5], (i) => X.at(i).add(1))));
    f.dispose();`;
  const run = async (env: Record<string, string>): Promise<string> => {
    const args = ["--import", "tsx", "--input-type=module", "-e", program];
    const { stderr } = await promisify(execFile)(process.execPath, args, {
      cwd: root,
      env: { ...process.env, ...env },
    });
    return stderr;
  };
  test("print the passes that are named, and time all of them", async () => {
    const printed = await run({ TILEWRIGHT_PRINT: "flatten-storage", TILEWRIGHT_TIME: "1", TILEWRIGHT_VERIFY: "1" });
    expect(printed).toMatch(/^\/\/ after flatten-storage\nprogram Y\(X: float32\[5\], Y: output float32\[5\]\):/);
    expect(printed.match(/after/g)).toHaveLength(1);
    expect(printed).toMatch(/outline-parallel +\d+\.\d+ ms\nall passes/);
  });
  test("end the pipeline where they say", async () => {
    const stopped = run({ TILEWRIGHT_STOP_AFTER: "unroll-loops" });
    await expect(stopped).rejects.toThrow("stopped after unroll-loops");
  });
});
