/** What bounds a network's kernels, from the counts of `tilewright bench --explain`. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));

/**
 * The time of a network's kernels by the limit that each comes nearest to, the longest first: `{ name, ns, leastNs, amount,
 * unit }`, where `amount` counts what the limit is of (multiply-adds, bytes, quotients), and `leastNs` is what that takes.
 * @throws when the network cannot be run
 */
export function limitsOf(path, target) {
  const flags = ["bench", path, "--threads", "1", "--target", target, "--explain", "--json"];
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...flags], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`tilewright ${flags.join(" ")} ended with status ${status}: ${stderr}`);
  const byName = new Map();
  for (const kernel of JSON.parse(stdout).kernels) {
    const [nearest] = kernel.limits.toSorted((a, b) => b.ns - a.ns);
    if (nearest === undefined) continue;
    const { name, amount, unit } = nearest;
    const sum = byName.get(name) ?? { name, ns: 0, leastNs: 0, amount: 0, unit: unit.replace(/ (\(|of \d).*/, "") };
    const times = { ns: sum.ns + kernel.ns, leastNs: sum.leastNs + nearest.ns };
    byName.set(name, { ...sum, ...times, amount: sum.amount + amount });
  }
  return [...byName.values()].sort((a, b) => b.ns - a.ns);
}

/** `FMA ports 4.10 ms (62 %; at least 3.80 ms for 12.3 M multiply-adds), L3 …`. */
export function describeLimits(limits) {
  const total = limits.reduce((sum, limit) => sum + limit.ns, 0);
  return limits
    .map(({ name, ns, leastNs, amount, unit }) => {
      const ms = (time) => `${(time / 1e6).toFixed(2)} ms`;
      const share = `${((100 * ns) / total).toFixed(0)} %`;
      return `${name} ${ms(ns)} (${share}; at least ${ms(leastNs)} for ${(amount / 1e6).toPrecision(3)} M ${unit})`;
    })
    .join(", ");
}
