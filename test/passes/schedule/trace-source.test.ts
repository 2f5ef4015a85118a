/** What `toSource` writes type-checks as strictly as this repository is, and makes the schedule again, for every primitive. */
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { structurallyEqual } from "../../../ir/loop/equality.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { type PrimitiveName, primitives } from "../../../passes/schedule/apply.ts";
import { fmaOuterProduct } from "../../../passes/schedule/library/intrinsics.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { root } from "../../meta/repository.ts";
import { drawPrimitive, proposers } from "../../property/support/actions.ts";
import { randomProgram } from "../../property/support/programs.ts";
import { Random } from "../../property/support/random.ts";
import { matmul } from "./loop-programs.ts";

interface Made {
  readonly before: Program;
  readonly schedule: Schedule;
}
const names = Object.keys(primitives) as PrimitiveName[];
const usedBy = (s: Schedule): string[] => s.trace.steps.map((t) => t.primitive);

/** Random legal schedules until every primitive stands in three of them, and only those that add a use. */
function schedules(): Made[] {
  const wanted = new Map<string, number>(names.map((n) => [n, n === "tensorize" ? 0 : 3]));
  const list: Made[] = [];
  for (let seed = 1; seed < 4000 && [...wanted.values()].some((n) => n > 0); seed++) {
    const r = new Random(seed);
    const before = randomProgram(r).program;
    const schedule = new Schedule(before);
    const open = names.filter((n) => wanted.get(n)! > 0);
    for (let k = 0; k < 14; k++) {
      const name = k % 2 === 0 ? r.pick(open) : drawPrimitive(r);
      const args = proposers[name](r, schedule);
      if (args && schedule.probe(name, args as never) === undefined) schedule.apply(name, args);
    }
    const used = usedBy(schedule);
    if (!used.some((n) => wanted.get(n)! > 0)) continue;
    for (const n of used) wanted.set(n, wanted.get(n)! - 1);
    list.push({ before, schedule });
  }
  return list;
}
/** What random steps hardly find. */
function tensorized(): Made {
  const before = matmul(4, 16, 3);
  const schedule = new Schedule(before);
  const [i, j, k] = schedule.loops("C");
  const { inner } = schedule.tile([i!, j!], [2, 16], "exact");
  schedule.reorder(k!, ...inner);
  schedule.decomposeReduction(schedule.block("C"), k!);
  schedule.tensorize(schedule.loopAt("C", 3), fmaOuterProduct(2));
  return { before, schedule };
}
const made = [...schedules(), tensorized()];

test("every primitive stands in a schedule", () => {
  const used = new Set(made.flatMap((m) => usedBy(m.schedule)));
  expect(names.filter((n) => !used.has(n))).toEqual([]);
});

test("the source makes the schedule again", () => {
  for (const { before, schedule } of made) {
    const source = schedule.trace.toSource();
    const again = new Schedule(before);
    new Function("s", source)(again);
    expect(structurallyEqual(again.program, schedule.program), source).toBe(true);
    expect(again.trace.toJSON(), source).toEqual(schedule.trace.toJSON());
  }
});

test("the source type-checks", () => {
  const path = join(root, "passes/schedule/made-by-a-trace.ts");
  const functions = made.map((m, k) => `export function made${k}(s: Schedule) {\n${m.schedule.trace.toSource()}\n}`);
  const text = `import type { Schedule } from "./schedule.ts";\n${functions.join("\n")}`;
  const config = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config as object;
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [path] }, ts.sys, root);
  const checked = { ...options, incremental: false, tsBuildInfoFile: undefined, noEmit: true };
  const host = ts.createCompilerHost(checked);
  const { readFile, fileExists } = host;
  host.readFile = (name) => (name === path ? text : readFile(name));
  host.fileExists = (name) => name === path || fileExists(name);
  const program = ts.createProgram([path], checked, host);
  const found = ts.getPreEmitDiagnostics(program, program.getSourceFile(path));
  const lines = text.split("\n");
  const complaints = found.map((d) => {
    const line = d.file!.getLineAndCharacterOfPosition(d.start!).line;
    return `${lines[line]}\n  ${ts.flattenDiagnosticMessageText(d.messageText, "\n")}`;
  });
  expect(complaints).toEqual([]);
});
