/** `tilewright targets`: what can be compiled for. */
import { presets } from "../../../ir/target/presets.ts";
import { lanesOf, type Target } from "../../../ir/target/target.ts";
import { byteText } from "../../../ir/text/units.ts";
import { addonAvailable } from "../../../native/addon.ts";
import { missingHere, resolveTarget } from "../../runtime/host.ts";
import { table } from "../table.ts";
import type { Terminal } from "../terminal.ts";

/** Prints the host and every preset. */
export function targets(terminal: Terminal): number {
  const host = addonAvailable() ? resolveTarget("host") : undefined;
  const rows = [...(host ? [host] : []), ...presets].map((t) => ({
    name: t.name,
    arch: t.arch,
    cpu: t.cpu,
    vectorBits: t.vectorBits,
    float32Lanes: lanesOf(t, "float32"),
    vectorRegisters: t.vectorRegisters,
    fmaPerCycle: t.fmaPerCycle,
    caches: t.caches,
    cores: t.cores,
    ...(t.gpu ? { gpu: t.gpu } : {}),
    status: statusOf(t, host),
  }));
  terminal.result({ targets: rows }, () =>
    table(
      [
        { title: "target" },
        { title: "processor" },
        { title: "lanes", right: true },
        { title: "registers", right: true },
        { title: "FMA/cycle", right: true },
        { title: "L1d", right: true },
        { title: "L2", right: true },
        { title: "L3", right: true },
        { title: "" },
      ],
      rows.map((r) => [
        r.name,
        r.cpu,
        String(r.float32Lanes),
        String(r.vectorRegisters),
        String(r.fmaPerCycle),
        byteText(r.caches.l1dBytes),
        byteText(r.caches.l2Bytes),
        r.caches.l3Bytes === 0 ? "-" : byteText(r.caches.l3Bytes),
        r.status,
      ]),
      terminal.colors,
    ),
  );
  return 0;
}

/** Whether code for a target runs here, can be compiled, or neither. */
function statusOf(target: Target, host: Target | undefined): string {
  if (target.arch === "nvptx64") return "not available yet";
  return host && missingHere(target).length === 0 ? "runs here" : "compiles";
}
