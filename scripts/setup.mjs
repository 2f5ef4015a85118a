// Prepares a checkout: npm packages, LLVM, the native add-on, the compiled TypeScript. Does only what is out of date.
// Plain Node without packages of its own, because it runs before there are any.
//
//   node scripts/setup.mjs [--for test] [--no-build] [--no-install]
//
//   --for test    leaves the TypeScript alone: the tests run from the sources
//   --no-build    the same, under its own name
//   --no-install  prints what is missing instead of installing Debian packages
//   LLVM_CONFIG   the llvm-config to use
//
// In a project that has tilewright among its packages: npm --prefix node_modules/tilewright run setup
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Installed as a package there are neither a lock file nor sources: npm has done the rest, the add-on is left. */
const isCheckout = existsSync(join(root, "package-lock.json"));
const argv = process.argv.slice(2);
const forTest = argv.includes("--for") && argv[argv.indexOf("--for") + 1] === "test";
const buildTypeScript = isCheckout && !forTest && !argv.includes("--no-build");
const mayInstall = !argv.includes("--no-install");

const oldestLlvm = 19;
const llvmVersions = [22, 21, 20, 19];
const buildTools = ["cmake", "g++", "make"];
/** Libraries that LLVM's archives refer to. */
const linkLibraries = ["zlib1g-dev", "libzstd-dev"];

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}

/** Runs a step and says how long it took; output is shown only when it fails. */
function run(label, command, args, options = {}) {
  const start = performance.now();
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28, ...options });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
    const reason = result.error?.message ?? (result.signal ? `signal ${result.signal}` : `status ${result.status}`);
    fail(`${label} failed (${command} ${args.join(" ")}): ${reason}`);
  }
  say(`${label}: done in ${seconds} s`);
  return result.stdout;
}

function capture(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

function onPath(command) {
  return (process.env.PATH ?? "").split(":").some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** SHA-256 over names and contents of files and folders, and any further texts. */
function hashOf(paths, ...texts) {
  const hash = createHash("sha256");
  const visit = (path) => {
    if (!existsSync(path)) return;
    if (!statSync(path).isDirectory()) {
      hash.update(`${path.slice(root.length)}\0`).update(readFileSync(path));
      return;
    }
    for (const name of readdirSync(path).sort()) {
      if (!["build", "node_modules", "dist"].includes(name)) visit(join(path, name));
    }
  };
  for (const path of paths) visit(join(root, path));
  for (const text of texts) hash.update(`\0${text}`);
  return hash.digest("hex");
}

function readStamp(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

// ---------------------------------------------------------------- npm packages

/** Whether what npm says it installed is what the lock file asks for (packages for other platforms aside). */
function packagesMatch() {
  const installed = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installed)) return false;
  const have = JSON.parse(readFileSync(installed, "utf8")).packages ?? {};
  const want = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages ?? {};
  return Object.entries(want).every(([path, { version, optional, link }]) => {
    if (path === "" || link) return true;
    if (!have[path]) return optional === true;
    return have[path].version === version && existsSync(join(root, path, "package.json"));
  });
}

function installPackages() {
  if (packagesMatch()) return say("npm packages: up to date");
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  const start = performance.now();
  const result = spawnSync("npm", ["ci", ...quiet], { cwd: root, encoding: "utf8" });
  if (result.status === 0) return say(`npm packages: done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  // A registry mirror without the other platforms' packages leaves them out of the lock file, which `npm ci` refuses.
  if (!/in sync/.test(result.stderr ?? "")) {
    fail(`npm ci failed: ${result.error?.message ?? ""}\n${result.stdout ?? ""}${result.stderr ?? ""}`);
  }
  say(
    "npm packages: the lock file lacks other platforms' optional packages; installing the locked versions without them",
  );
  run("npm packages", "npm", ["install", "--no-save", ...quiet]);
}

// ---------------------------------------------------------------- LLVM and build tools

function llvmOf(command) {
  const version = capture(command, ["--version"]);
  if (version === undefined) return undefined;
  // A run-time package alone has llvm-config's libraries but not the headers.
  const include = capture(command, ["--includedir"]) ?? "";
  const usable = Number.parseInt(version, 10) >= oldestLlvm && existsSync(join(include, "llvm-c", "Core.h"));
  return usable ? { command, version } : undefined;
}

function findLlvm() {
  const given = process.env.LLVM_CONFIG;
  if (given) {
    const llvm = llvmOf(given);
    if (!llvm) fail(`LLVM_CONFIG=${given} is no llvm-config of LLVM ${oldestLlvm} or newer with its headers`);
    return llvm;
  }
  for (const version of llvmVersions) {
    for (const command of [`llvm-config-${version}`, `/usr/lib/llvm-${version}/bin/llvm-config`]) {
      const llvm = llvmOf(command);
      if (llvm) return llvm;
    }
  }
  return llvmOf("llvm-config");
}

/** True when the linker can find a library that the static LLVM needs. */
function libraryPresent(packageName) {
  const name = { "zlib1g-dev": "libz", "libzstd-dev": "libzstd" }[packageName];
  const folders = ["/usr/lib", "/usr/local/lib", "/usr/lib64", ...multiarchFolders()];
  return folders.some((folder) => ["a", "so", "so.1"].some((end) => existsSync(join(folder, `${name}.${end}`))));
}

function multiarchFolders() {
  return ["/usr/lib", "/lib"].flatMap((base) =>
    existsSync(base)
      ? readdirSync(base)
          .filter((name) => name.includes("-linux-gnu"))
          .map((name) => join(base, name))
      : [],
  );
}

function missingPackages() {
  return [
    ...buildTools.filter((tool) => !onPath(tool)),
    ...linkLibraries.filter((name) => !libraryPresent(name)),
    ...(findLlvm() ? [] : ["llvm-22-dev"]),
  ];
}

/** Debian packages, as root; else the line that installs them. */
function installDebianPackages(missing) {
  const isDebian = existsSync("/etc/debian_version") && onPath("apt-get");
  const line = `apt-get update && apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (!isDebian) {
    fail(
      `missing: ${missing.join(", ")}. Install them (LLVM ${oldestLlvm} or newer with headers; LLVM_CONFIG names it)`,
    );
  }
  if (!mayInstall || process.getuid?.() !== 0) fail(`missing: ${missing.join(", ")}. Run:\n  sudo sh -c '${line}'`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get update", "apt-get", ["update", "-qq"], { env });
  const packages = missing.flatMap((name) => (name === "llvm-22-dev" ? llvmPackages() : [name]));
  run(
    `apt-get install ${packages.join(" ")}`,
    "apt-get",
    ["install", "-y", "-qq", "--no-install-recommends", ...packages],
    {
      env,
    },
  );
}

/** The newest LLVM that this Debian offers. */
function llvmPackages() {
  for (const version of llvmVersions) {
    const policy = capture("apt-cache", ["policy", `llvm-${version}-dev`]) ?? "";
    const candidate = /Candidate: (\S+)/.exec(policy)?.[1];
    if (candidate && candidate !== "(none)") return [`llvm-${version}-dev`];
  }
  fail(`this Debian has no LLVM ${oldestLlvm} or newer: add bookworm-updates or apt.llvm.org, or set LLVM_CONFIG`);
}

function ensureLlvm() {
  const missing = missingPackages();
  if (missing.length > 0) installDebianPackages(missing);
  const llvm = findLlvm();
  if (!llvm) fail("LLVM was installed but no llvm-config is found; set LLVM_CONFIG");
  say(`LLVM ${llvm.version} (${llvm.command})`);
  return llvm;
}

// ---------------------------------------------------------------- the add-on

function buildAddon(llvm) {
  const build = join(root, "native", "addon", "build");
  const addon = join(build, "Release", "tilewright.node");
  const stamp = join(build, "stamp");
  const identity = `${llvm.command} ${llvm.version} ${process.arch}`;
  const want = hashOf(["native/addon", "native/runtime-c"], identity);
  if (existsSync(addon) && readStamp(stamp) === want) return say("native add-on: up to date");
  // CMake remembers the LLVM it was configured for.
  const configured = join(build, "configured-for");
  if (existsSync(build) && readStamp(configured) !== identity) rmSync(build, { recursive: true });
  mkdirSync(build, { recursive: true });
  const headers = join(dirname(createRequire(join(root, "package.json")).resolve("node-api-headers")), "include");
  const options = ["-DCMAKE_BUILD_TYPE=Release", `-DLLVM_CONFIG=${llvm.command}`, `-DNODE_API_HEADERS=${headers}`];
  run("configure the native add-on", "cmake", ["-S", join(root, "native", "addon"), "-B", build, ...options]);
  writeFileSync(configured, identity);
  run("build the native add-on", "cmake", ["--build", build, "--parallel", "2"]);
  const version = capture(process.execPath, ["-p", `require(${JSON.stringify(addon)}).llvmVersion()`]);
  if (version === undefined) fail(`the add-on was built but does not load: ${addon}`);
  writeFileSync(stamp, want);
}

// ---------------------------------------------------------------- TypeScript

function compileTypeScript() {
  const configs = [
    "tsconfig.json",
    "tsconfig.build.json",
    "package.json",
    "scripts/bundle.mjs",
    "scripts/lazy-modules.mjs",
  ];
  const sources = ["ir", "passes", "codegen", "native", "src", ...configs];
  const stamp = join(root, "dist", ".stamp");
  const want = hashOf(sources);
  if (readStamp(stamp) === want) return say("TypeScript: up to date");
  run("TypeScript", process.execPath, [join("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.build.json"]);
  run("bundles", process.execPath, [join("scripts", "bundle.mjs")]);
  writeFileSync(stamp, want);
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) fail(`Node 20.19 or newer is needed, this is ${process.versions.node}`);
const start = performance.now();
if (isCheckout) installPackages();
buildAddon(ensureLlvm());
if (buildTypeScript) compileTypeScript();
say(`ready in ${((performance.now() - start) / 1000).toFixed(1)} s`);
