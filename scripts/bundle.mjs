// Bundles all our code into one script, dist/bundle/tilewright.cjs, and writes the files of the doors, which load it with
// what V8 compiled of it before (src/load.ts). Loading 300 modules one by one takes Node five times as long, and compiling
// them was most of the time of a program's second start. tsc's modules stay beside it: types belong to them, and
// benchmarks look into single modules.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { lazyModules } from "./lazy-modules.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "dist", "bundle");

const doors = { index: "src/index.ts", onnxruntime: "src/onnxruntime.ts", passes: "src/passes.ts" };
const commandLine = "src/cli/main.ts";

/** A module of ours as tsc compiled it; a module of a package as it is. */
const builtPath = (path) =>
  path.endsWith(".ts") ? join(root, "dist", relative(root, path).replace(/\.ts$/, ".js")) : path;

const options = {
  absWorkingDir: root,
  bundle: true,
  // It loads its own compiler from the files beside it.
  external: ["jiti"],
  format: "cjs",
  platform: "node",
  target: "node20",
  // Lines and names stay as they are: stacks and printed passes show them.
  sourcemap: "linked",
  sourcesContent: false,
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
  define: { TILEWRIGHT_CODE_VERSION: JSON.stringify(codeVersion()), "import.meta.url": "bundleUrl" },
  plugins: [lazyModules(/^(node:|@bufbuild\/|pngjs$|jpeg-js$|\.\/onnx_pb\.ts$)/, builtPath)],
};

rmSync(out, { recursive: true, force: true });
const bundles = await Promise.all([
  build({
    ...options,
    stdin: { contents: doorsModule({ ...doors, cli: commandLine }), resolveDir: root },
    outfile: join(out, "tilewright.cjs"),
    banner: { js: 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
  }),
  build({ ...options, entryPoints: ["src/load.ts"], outfile: join(out, "load.cjs") }),
]);
for (const [name, source] of Object.entries(doors))
  writeFileSync(join(out, `${name}.js`), await doorFile(name, source));
writeFileSync(join(out, "cli.js"), `#!/usr/bin/env node\n${loadDoor("cli")}`);
const inputs = bundles.flatMap(({ metafile }) => Object.keys(metafile.inputs));
writeFileSync(join(out, "LICENSES.txt"), licenses(inputs));

/** A module that evaluates each door when it is asked for. */
function doorsModule(sources) {
  const entries = Object.entries(sources).map(([name, path]) => `${name}: () => require("./${path}")`);
  return `module.exports = { ${entries.join(", ")} };`;
}

/** A door as an ES module, with the exports that its source has. */
async function doorFile(name, source) {
  const exports = Object.keys(await import(pathToFileURL(builtPath(join(root, source))).href));
  const names = exports.filter((key) => key !== "default");
  const defaultExport = exports.includes("default") ? "export default door.default;\n" : "";
  return `${loadDoor(name, "const door = ")}export const { ${names.join(", ")} } = door;\n${defaultExport}`;
}

function loadDoor(name, receiver = "") {
  const load = `createRequire(import.meta.url)("./load.cjs").door("${name}")`;
  return `import { createRequire } from "node:module";\n${receiver}${load};\n`;
}

/** What cache keys name our own code by: a hash of all of it. */
function codeVersion() {
  const hash = createHash("sha256");
  for (const folder of ["ir", "passes", "codegen", "native", "src"]) {
    for (const name of readdirSync(join(root, folder), { recursive: true }).sort())
      if (name.endsWith(".ts")) hash.update(`${name}\n`).update(readFileSync(join(root, folder, name)));
  }
  return hash.digest("hex").slice(0, 16);
}

/** The licences of the packages that the bundles hold. */
function licenses(inputs) {
  const packages = new Set(inputs.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []));
  const texts = [...packages].sort().map((name) => {
    const folder = join(root, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text =
      file && existsSync(join(folder, file))
        ? readFileSync(join(folder, file), "utf8")
        : "(the package holds no licence text)";
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}
