/**
 * Traces of older compilers. A trace carries the version of its format; one step of the table brings it from a version to
 * the next, so that a file is readable for as long as there is a way up. A change of the format is a new number in
 * `traceVersion`, a row here, and a file of the old format in the tests.
 */
import { InputError } from "../../ir/support/errors.ts";

/** The version of the trace format that this compiler writes. */
export const traceVersion = 2;

type Json = Readonly<Record<string, unknown>>;
export const isObject = (v: unknown): v is Json => typeof v === "object" && v !== null && !Array.isArray(v);
export const malformed = (what: string): InputError =>
  new InputError("trace/malformed", `this trace is malformed: ${what}`);

/** From each older version to the next. What is not as the old format says is left for the reader to refuse. */
const migrations: Readonly<Record<number, (trace: Json) => Json>> = {
  // 1 → 2: a step says what it gave as it was given: nothing, a handle, a list of handles, or drawn values.
  1: (trace) => ({ ...trace, version: 2, steps: eachStep(trace.steps, resultOfVersion1) }),
};
const eachStep = (steps: unknown, f: (step: Json) => Json): unknown =>
  Array.isArray(steps) ? steps.map((s: unknown) => (isObject(s) ? f(s) : s)) : steps;

/** Primitives that gave lists, even of one, in version 1, which wrote every result as a list. */
const listsOfVersion1: ReadonlySet<unknown> = new Set(["split", "cutLoop", "peel", "loopPartition", "fission"]);
function resultOfVersion1({ results, ...step }: Json): Json {
  const handles = Array.isArray(results) ? (results as unknown[]) : [];
  if (handles.length > 0) return { ...step, result: listsOfVersion1.has(step.primitive) ? handles : handles[0] };
  return { ...step, result: drawnOfVersion1(step.primitive, step.args) ?? null };
}
/** What a sampling step drew: version 1 wrote the decision only. */
function drawnOfVersion1(primitive: unknown, args: unknown): unknown {
  if (!isObject(args)) return undefined;
  if (primitive === "sampleTile") return args.decision;
  if (primitive !== "sampleCategorical" || !Array.isArray(args.values)) return undefined;
  return args.values[Number(args.decision)] as unknown;
}

/** The trace in the format of today. @throws InputError `trace/malformed`, `trace/version` */
export function upToDate(json: unknown): Json {
  if (!isObject(json)) throw malformed("not an object");
  let trace = json;
  while (trace.version !== traceVersion) {
    const step = typeof trace.version === "number" ? migrations[trace.version] : undefined;
    if (!step) throw unreadable(trace.version);
    trace = step(trace);
  }
  return trace;
}
function unreadable(version: unknown): InputError {
  const oldest = Math.min(...Object.keys(migrations).map(Number));
  const newer = typeof version === "number" && version > traceVersion ? "; a newer compiler wrote it" : "";
  return new InputError(
    "trace/version",
    `trace format ${JSON.stringify(version) ?? "undefined"} is not one of ${oldest} to ${traceVersion}${newer}`,
    { version, oldest, newest: traceVersion },
  );
}
