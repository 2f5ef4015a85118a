/** Runs a bench on an up-to-date build, with the peers installed: node bench/run.mjs zoo [flags]. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [name, ...rest] = process.argv.slice(2);
const script = join(here, `${name}.mjs`);
if (!existsSync(script)) {
  process.stderr.write(
    `no bench ${name}; usage: node bench/run.mjs zoo|convolutions|start|compile|overhead|kernels|schedules|soak [flags]\n`,
  );
  process.exit(2);
}
if (!existsSync(join(here, "node_modules"))) must("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], here);
must("npm", ["run", "-s", "build"], dirname(here));
process.exit(spawnSync(process.execPath, ["--expose-gc", script, ...rest], { stdio: "inherit" }).status ?? 1);

/** Runs a command with its output on stderr; ends with its status where it fails. */
function must(command, args, cwd) {
  const { status } = spawnSync(command, args, { cwd, stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
}
