// What stands in for `vitest` where tests run within a process of Stryker's: the same `expect`, and `describe` and `test`
// that collect tests, so that one loaded suite can be run again and again.
import { chai, JestAsymmetricMatchers, JestChaiExpect, JestExtend } from "@vitest/expect";

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

/** Stored by `toMatchSnapshot` in the run without a mutant, compared with in those with one. */
const snapshots = new Map();
let current = { id: "", snapshots: 0 };
chai.use((_, utils) => {
  utils.addMethod(chai.Assertion.prototype, "toMatchSnapshot", function () {
    const key = `${current.id} ${current.snapshots++}`;
    const text = JSON.stringify(this._obj);
    if (!snapshots.has(key)) snapshots.set(key, text);
    if (snapshots.get(key) !== text) throw new Error(`differs from the snapshot ${key}`);
  });
});

export const expect = (value, message) => chai.expect(value, message);
for (const name of ["arrayContaining", "closeTo", "objectContaining", "stringContaining", "stringMatching", "any"])
  Object.defineProperty(expect, name, { get: () => chai.expect[name] });

let file = "";
const names = [];
let tests = [];
const formatted = (name, row) => row.reduce((text, value) => text.replace(/%[sdifjo]/, () => String(value)), name);
const each = (declare) => (rows) => (name, run) => {
  for (const row of rows) {
    const list = Array.isArray(row) ? row : [row];
    const title = formatted(name, list).replace(/\$(\w+)/g, (_, key) => String(row[key]));
    declare(title, () => run(...list));
  }
};
export const describe = (name, body) => {
  names.push(name);
  body();
  names.pop();
};
export const test = (name, ...rest) => {
  const run = rest.find((part) => typeof part === "function");
  const id = `${file}#${[...names, name].join(" ")}`;
  const same = tests.filter((t) => t.id === id || t.id.startsWith(`${id} (`)).length;
  tests.push({ id: same === 0 ? id : `${id} (${same + 1})`, name, file, run });
};
/** @alias */
export const it = test;
const never = () => undefined;
for (const declare of [describe, test]) {
  declare.each = each(declare);
  declare.skip = Object.assign(never, { each: () => never });
  declare.skipIf = (skip) => (skip ? declare.skip : declare);
  declare.runIf = (run) => (run ? declare : declare.skip);
}

/** Loads test files, given by name with a function that evaluates them, and gives their tests. */
export function collect(files) {
  tests = [];
  for (const [name, load] of files) {
    file = name;
    load();
  }
  return tests;
}
/** Runs one collected test; gives what it threw. */
export async function execute(one) {
  current = { id: one.id, snapshots: 0 };
  try {
    await one.run({ skip: never });
    return undefined;
  } catch (error) {
    return error ?? new Error("threw nothing");
  }
}
