// Stryker's plugin for this project: runs the tests of `passes/` within Stryker's process, because a mutant then costs the
// milliseconds of its tests instead of the seconds that a test runner takes to start, and leaves texts for people alone.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { Script } from "node:vm";
import { build } from "esbuild";
import * as standIn from "./vitest.mjs";

const namespace = "__stryker__";

/** All test files as one script: evaluating it gives new instances of every module of ours. */
async function bundle(root, files) {
  const entries = files.map((f) => `[${JSON.stringify(f)}, () => require(${JSON.stringify(`./${f}`)})]`);
  const { outputFiles } = await build({
    stdin: { contents: `module.exports = [${entries.join()}];`, resolveDir: root, loader: "js" },
    bundle: true,
    write: false,
    format: "cjs",
    platform: "node",
    target: "node20",
    packages: "external",
    sourcemap: false,
    keepNames: true,
    logLevel: "error",
    plugins: [{ name: "import-meta", setup: (b) => b.onLoad({ filter: /\.ts$/ }, withOwnUrl) }],
  });
  const text = `(function (module, exports, require) {${outputFiles[0].text}\n})`;
  return new Script(text, { filename: "tests.cjs" });
}
const withOwnUrl = ({ path }) => ({
  contents: readFileSync(path, "utf8").replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)),
  loader: "ts",
});

/**
 * Whether a mutant is of a sample of so many in a hundred; the same ones each time, whatever else is mutated. Stryker
 * counts columns from 0 for runners and from 1 in results.
 */
export function isSampled({ fileName, mutatorName, replacement, location }, percent, firstColumn = 1) {
  const { start, end } = location;
  const key = [basename(fileName), mutatorName, replacement, start.column - firstColumn, end.column - start.column];
  return createHash("sha256").update(key.join("\n")).digest().readUInt32LE() % 100_000 < percent * 1000;
}

class InProcessRunner {
  constructor(options) {
    this.files = options.inProcess.testFiles;
    this.percent = options.inProcess.percent ?? 100;
    this.root = process.cwd();
    this.durations = new Map();
    /** How many mutants each test has killed: what has killed before kills again. */
    this.kills = new Map();
  }
  capabilities() {
    return { reloadEnvironment: true };
  }
  async init() {
    process.env.TILEWRIGHT_SHARE ??= "0.04";
    process.env.TILEWRIGHT_PAIRS ??= "40";
    console.log = () => undefined;
    this.ns = globalThis[namespace] ??= {};
    this.script = await bundle(this.root, this.files);
    this.load();
  }
  load() {
    const own = createRequire(join(this.root, "package.json"));
    const module = { exports: {} };
    const require = (id) => (id === "vitest" ? standIn : own(id));
    this.script.runInThisContext()(module, module.exports, require);
    const tests = standIn.collect(module.exports);
    this.tests = new Map(tests.map((t) => [t.id, t]));
  }

  async dryRun() {
    // Loading once more with coverage on finds what runs while modules are evaluated.
    this.ns.activeMutant = undefined;
    this.ns.mutantCoverage = undefined;
    this.load();
    const tests = [];
    for (const t of this.tests.values()) {
      const start = performance.now();
      this.ns.currentTestId = t.id;
      const error = await standIn.execute(t);
      this.ns.currentTestId = undefined;
      const timeSpentMs = performance.now() - start;
      this.durations.set(t.id, timeSpentMs);
      const outcome = error ? { status: 1, failureMessage: String(error.stack ?? error) } : { status: 0 };
      tests.push({ id: t.id, name: t.id, fileName: join(this.root, t.file), timeSpentMs, ...outcome });
    }
    return { status: "complete", tests, mutantCoverage: this.ns.mutantCoverage };
  }

  async mutantRun({ activeMutant, mutantActivation, testFilter, hitLimit }) {
    if (!isSampled(activeMutant, this.percent, 0)) return { status: "error", errorMessage: "not of the sample" };
    const fresh = mutantActivation === "static";
    let result = await this.attempt(activeMutant.id, testFilter, hitLimit, fresh);
    if (!fresh && result.status === "killed" && (await this.isSpoilt(result.killedBy[0])))
      result = await this.attempt(activeMutant.id, testFilter, hitLimit, true);
    if (fresh) this.reset();
    return result;
  }
  /** Whether a test fails without a mutant: an earlier one left something behind in the caches of a module. */
  async isSpoilt(id) {
    this.ns.activeMutant = undefined;
    return (await standIn.execute(this.tests.get(id))) !== undefined;
  }
  reset() {
    this.ns.activeMutant = undefined;
    this.load();
  }
  async attempt(mutant, filter, hitLimit, fresh) {
    if (fresh) this.reset();
    this.ns.hitCount = 0;
    this.ns.hitLimit = hitLimit;
    this.ns.activeMutant = mutant;
    try {
      // A mutant of what runs while modules are evaluated must be active by then.
      if (fresh) this.load();
    } catch (error) {
      return killed(filter?.[0] ?? [...this.tests.keys()][0], error, 0);
    }
    const cost = (id) => (this.durations.get(id) ?? 0) / (1 + 4 * (this.kills.get(id) ?? 0)) ** 2;
    const ids = (filter ?? [...this.tests.keys()]).filter((id) => this.tests.has(id));
    let count = 0;
    for (const id of ids.sort((a, b) => cost(a) - cost(b))) {
      count++;
      const error = await standIn.execute(this.tests.get(id));
      if (hitLimit !== undefined && this.ns.hitCount > hitLimit) return { status: "timeout", reason: "hit limit" };
      if (error) {
        this.kills.set(id, (this.kills.get(id) ?? 0) + 1);
        return killed(id, error, count);
      }
    }
    this.ns.activeMutant = undefined;
    return { status: "survived", nrOfTests: count };
  }
}
const killed = (id, error, nrOfTests) => ({
  status: "killed",
  killedBy: [id],
  failureMessage: String(error.message ?? error).slice(0, 200),
  nrOfTests,
});

/** Texts that only people read: the documentation of primitives, and what a broken invariant says. */
const documented = new Set(["doc", "before", "after"]);
const texts = {
  shouldIgnore(path) {
    const node = path.node;
    if (node.type !== "StringLiteral" && node.type !== "TemplateLiteral") return undefined;
    for (let p = path.parentPath; p; p = p.parentPath) {
      if (p.isVariableDeclarator() && /^(r|.*R)ules$/.test(p.node.id.name)) return "documentation";
      if (p.isStatement()) return undefined;
      if (p.isCallExpression() && p.node.callee.name === "invariant") return "the text of an invariant";
      if (!p.isObjectProperty()) continue;
      const key = p.node.key.name ?? p.node.key.value;
      if (documented.has(key) || key === "rules") return "documentation";
    }
    return undefined;
  },
};

export const strykerPlugins = [
  {
    kind: "TestRunner",
    name: "in-process",
    factory: Object.assign((options) => new InProcessRunner(options), { inject: ["options"] }),
  },
  { kind: "Ignore", name: "texts", value: texts },
];
export const strykerValidationSchema = { type: "object", properties: { inProcess: { type: "object" } } };
