// Bundles the package's doors and its command line to dist/bundle. Loading 300 modules one by one takes Node five times as
// long as loading a few large ones, and that is most of the time of a program's second start; so the doors share no
// pieces with the command line either, whose verbs would cut them into many. tsc's modules stay beside them: types belong
// to them, and benchmarks look into single modules.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "dist", "bundle");

const doors = { index: "src/index.ts", onnxruntime: "src/onnxruntime.ts", passes: "src/passes.ts" };
const options = {
  absWorkingDir: root,
  outdir: out,
  bundle: true,
  splitting: true,
  // It loads its own compiler from the files beside it.
  external: ["jiti"],
  format: "esm",
  platform: "node",
  target: "node20",
  // Names stay: stacks and printed passes show them.
  minifyWhitespace: true,
  minifySyntax: true,
  keepNames: false,
  sourcemap: "linked",
  sourcesContent: false,
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
  define: { TILEWRIGHT_CODE_VERSION: JSON.stringify(codeVersion()) },
  // CommonJS packages within ask for Node's own modules.
  banner: {
    js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
  },
};

rmSync(out, { recursive: true, force: true });
const bundles = [
  await build({ ...options, entryPoints: doors }),
  await build({ ...options, entryPoints: { cli: "src/cli/main.ts" } }),
];
const inputs = bundles.flatMap(({ metafile }) => Object.keys(metafile.inputs));
writeFileSync(join(out, "LICENSES.txt"), licenses(inputs));

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
