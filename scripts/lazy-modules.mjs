// An esbuild plugin: modules that are evaluated when one of their exports is first used (also known as inline requires).
// Bundles to CommonJS reach imports as properties of a module's object, so getters can stand in front of it.
import { createRequire, isBuiltin } from "node:module";
import { pathToFileURL } from "node:url";

const namespace = "lazy";
const require = createRequire(import.meta.url);

/**
 * Makes lazy what `filter` matches of the specifiers in modules outside of node_modules. `builtPath` gives where the
 * JavaScript of a module of ours lies, whose exports are listed from there.
 */
export function lazyModules(filter, builtPath) {
  return {
    name: "lazy-modules",
    setup(build) {
      const { absWorkingDir } = build.initialOptions;
      build.onResolve({ filter }, async ({ path, importer, resolveDir, kind, pluginData, ...from }) => {
        // The module itself: asked for by us just below, or by what stands in front of it.
        if (pluginData === namespace || from.namespace === namespace) return undefined;
        if (importer.includes("node_modules")) return undefined;
        if (isBuiltin(path)) return { path, namespace };
        const resolved = await build.resolve(path, { importer, resolveDir, kind, pluginData: namespace });
        return resolved.errors.length > 0 ? { errors: resolved.errors } : { path: resolved.path, namespace };
      });
      build.onLoad({ filter: /./, namespace }, async ({ path }) => ({
        contents: lazyModule(path, await exportNames(path, builtPath)),
        resolveDir: absWorkingDir,
      }));
    },
  };
}

async function exportNames(path, builtPath) {
  if (isBuiltin(path)) return Object.keys(require(path));
  return Object.keys(await import(pathToFileURL(builtPath(path)).href)).filter((name) => name !== "default");
}

const lazyModule = (path, names) => `
let loaded;
const load = () => (loaded ??= require(${JSON.stringify(path)}));
module.exports = { ${names.map((name) => `get ${name}() { return load().${name}; }`).join(", ")} };
`;
