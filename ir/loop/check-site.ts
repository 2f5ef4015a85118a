/** The accesses of a function that check their bounds: the table behind the numbers in `checkBounds`, kept in an annotation. */
import type { ScalarType } from "../expr/dtype.ts";
import type { PrimFunc, StoreOrigin } from "./program.ts";

/** One access that is checked; `origin` says where it stands in the scheduled program. */
export interface CheckSite {
  readonly access: "load" | "store";
  readonly buffer: string;
  readonly dtype: ScalarType;
  readonly origin?: StoreOrigin;
}

const key = "check_sites";

/** The function with its table of sites. */
export const withCheckSites = (f: PrimFunc, sites: readonly CheckSite[]): PrimFunc => ({
  ...f,
  annotations: { ...f.annotations, [key]: sites.map((s) => JSON.stringify(s)) },
});
/** The sites of a function, by number; none when nothing is checked. */
export function checkSitesOf(f: PrimFunc): readonly CheckSite[] {
  const table = f.annotations?.[key];
  return Array.isArray(table) ? table.map((s) => JSON.parse(String(s)) as CheckSite) : [];
}
