/** `tilewright schedule`: a program from a `.loop` file, scheduled by a script or a trace, shown, emitted and run. */
import { basename, extname, resolve } from "node:path";
import { InputError, ScheduleError, UsageError } from "../../../ir/support/errors.ts";
import type { Target } from "../../../ir/target/target.ts";
import { byteText, digits } from "../../../ir/text/units.ts";
import type { ArgsOf, PrimitiveName } from "../../../passes/schedule/apply.ts";
import { replay, Schedule } from "../../../passes/schedule/schedule.ts";
import { alternativeLines } from "../../../passes/schedule/why.ts";
import { readWhole } from "../../formats/read-file.ts";
import { writeWhole } from "../../formats/write-file.ts";
import { compiledText } from "../../runtime/function.ts";
import { assertRunnable } from "../../runtime/host.ts";
import { exitCodes } from "../errors.ts";
import { readLoopFile } from "../loop-file.ts";
import { cpuTarget } from "../model.ts";
import { loadScript, placeIn, runScript } from "../schedule-script.ts";
import { countText, duration, table } from "../table.ts";
import type { CommonOptions, Terminal } from "../terminal.ts";
import { type Trial, trialRun } from "../trial-run.ts";
import type { NestDetail, ScheduleEmission } from "./schedule-options.ts";

/** Options of `schedule`. */
export interface ScheduleVerbOptions extends CommonOptions {
  readonly func?: string;
  readonly print?: readonly NestDetail[];
  readonly replay?: string;
  readonly trace?: string;
  readonly html?: string;
  readonly emit?: ScheduleEmission;
  readonly output?: string;
  readonly run?: boolean;
  readonly target?: string;
  readonly threads?: number;
}

/** Schedules a program and shows it. Gives 5 when `--run` finds another result than that of the unscheduled program. */
export async function scheduleVerb(
  file: string,
  options: ScheduleVerbOptions,
  terminal: Terminal,
  [script]: readonly (string | undefined)[] = [],
): Promise<number> {
  const target = cpuTarget(options.target);
  if (options.run) assertRunnable(target);
  if (options.output !== undefined && options.emit === undefined)
    throw new UsageError(
      "usage/output",
      "-o goes with --emit loop, llvm or asm; --trace and --html name files of their own",
    );
  const program = readLoopFile(file);
  const s = await scheduled(program, script, options);
  const emitted = options.emit === undefined ? undefined : await emission(s, options.emit, target);
  const files = writeFiles(s, emitted, file, options);
  const run = options.run
    ? await trialRun(program, s, { target: target.name, threads: options.threads ?? 1, seed: options.seed ?? 0 })
    : undefined;
  const asked = Object.fromEntries((options.print ?? []).map((what) => [what, true]));
  const document = {
    program: s.print(),
    trace: s.trace,
    ...(options.print ? { target: target.name, levels: s.levels(target.caches) } : {}),
    ...(emitted !== undefined && options.output === undefined ? { emitted } : {}),
    ...(files.length > 0 ? { files } : {}),
    ...(run ? { run } : {}),
  };
  terminal.result(document, () => {
    const colour = terminal.colors.isColorSupported;
    const shown = options.output === undefined ? emitted : "";
    const text = shown ?? s.print({ ...asked, target, colour });
    const lines = files.map((f) => `${f.path} (${byteText(f.bytes)})`);
    return [text.trimEnd(), ...lines, ...(run ? [runText(run, terminal)] : [])].filter((l) => l !== "").join("\n");
  });
  if (!run || run.ok) return exitCodes.ok;
  const { errorColors: colors } = terminal;
  const head = colors.red(colors.bold("the schedule changes values"));
  process.stderr.write(
    `${head}: the outputs differ from ${run.against} by more than ${run.rtol} of the largest; this is a bug of Tilewright\n`,
  );
  return exitCodes.mismatch;
}

/** Replays, then runs the script. */
async function scheduled(
  program: Parameters<typeof replay>[0],
  script: string | undefined,
  options: ScheduleVerbOptions,
): Promise<Schedule> {
  const settings = { seed: options.seed ?? 0, ...(options.func === undefined ? {} : { func: options.func }) };
  const s = options.replay === undefined ? new Schedule(program, settings) : replay(program, readTrace(options.replay));
  if (script === undefined) return s;
  const run = await loadScript(script);
  try {
    await runScript(run, s, script);
  } catch (error) {
    throw error instanceof ScheduleError ? taught(error, s, script) : error;
  }
  return s;
}
function readTrace(path: string): Parameters<typeof replay>[1] {
  const text = Buffer.from(readWhole(path)).toString("utf8");
  try {
    return JSON.parse(text) as Parameters<typeof replay>[1];
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new InputError("trace/malformed", `${path} is not JSON: ${cause.message}`, { path });
  }
}
/** The refusal with its line of the script, and with what would be legal. */
function taught(error: ScheduleError, s: Schedule, script: string): ScheduleError {
  const { step, primitive, args } = error.details;
  // A refusal of another schedule that the script made says nothing about this one.
  const known = step === s.trace.steps.length + 1 && typeof args === "object" && args !== null;
  const alternatives = known ? s.why(primitive as PrimitiveName, args as ArgsOf<PrimitiveName>).alternatives : [];
  const place = placeIn(error, resolve(script));
  const at = place === undefined ? [] : [`  at ${script}:${place}`];
  const text = [error.message, ...alternativeLines(alternatives), ...at].join("\n");
  return new ScheduleError(error.code, text, { ...error.details, alternatives, ...(place ? { script, place } : {}) });
}

async function emission(s: Schedule, what: ScheduleEmission, target: Target): Promise<string> {
  return what === "loop" ? s.print() : compiledText(s, { target }, what);
}
interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
}
function writeFiles(
  s: Schedule,
  emitted: string | undefined,
  file: string,
  { trace, html, output }: ScheduleVerbOptions,
): WrittenFile[] {
  const put = (path: string | undefined, text: () => string): WrittenFile[] => {
    if (path === undefined) return [];
    const bytes = Buffer.from(text());
    writeWhole(path, bytes);
    return [{ path, bytes: bytes.length }];
  };
  const title = `Schedule of ${basename(file, extname(file))}`;
  return [
    ...put(trace, () => traceText(s, trace!)),
    ...put(html, () => s.toHtml(title)),
    ...put(output, () => emitted!),
  ];
}
/** A trace as the file's name says: JSON, or a script that this verb takes. */
function traceText(s: Schedule, path: string): string {
  if (path.endsWith(".json")) return `${JSON.stringify(s.trace, null, 2)}\n`;
  if (!path.endsWith(".ts")) throw new UsageError("usage/trace", `--trace writes .json or .ts, not ${basename(path)}`);
  const body = s.trace.toSource().replace(/^(?=.)/gm, "  ");
  return `import type { Schedule } from "tilewright";\n\nexport default function (s: Schedule): void {\n${body}\n}\n`;
}

function runText(run: Trial, { colors }: Terminal): string {
  const columns = [
    { title: `output (against ${run.against})` },
    { title: "elements", right: true },
    { title: "max. difference", right: true },
    { title: "of the largest", right: true },
    { title: "" },
  ];
  const rows = run.outputs.map((o) => [
    o.name,
    String(o.elements),
    digits(o.maxAbs),
    digits(o.maxRel),
    o.within ? "equal" : "DIFFERENT",
  ]);
  const speed = `${duration(run.ns)} a run, ${digits(run.gflops)} GFLOP/s (${countText(run.operations)} operations)`;
  const faster = `${digits(run.unscheduledNs / run.ns)} × the speed of the unscheduled loops (${duration(run.unscheduledNs)})`;
  return `\n${table(columns, rows, colors)}\n${speed}\n${faster}`;
}
