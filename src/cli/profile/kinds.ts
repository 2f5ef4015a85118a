/** Limits in the groups that pictures have colours for. */
import type { LimitName } from "../../runtime/profile/limits.ts";

/** Each kind, and how legends name it. */
export const kinds = {
  arithmetic: "arithmetic: FMA, add, vector ports, divider",
  access: "loads, stores, front end",
  far: "L2, L3, memory",
  waiting: "latency, fork-join",
  unexplained: "nothing counted explains it",
} as const;

const kindOfLimit: Readonly<Record<LimitName, keyof typeof kinds>> = {
  "FMA ports": "arithmetic",
  "add ports": "arithmetic",
  "vector ports": "arithmetic",
  divider: "arithmetic",
  "load ports": "access",
  "store ports": "access",
  "front end": "access",
  latency: "waiting",
  L2: "far",
  L3: "far",
  memory: "far",
  "fork-join": "waiting",
};

export const kindOf = (bound: LimitName | undefined): keyof typeof kinds =>
  bound === undefined ? "unexplained" : kindOfLimit[bound];
