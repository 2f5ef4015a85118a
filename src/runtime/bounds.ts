/** Reading what a failed check of bounds left behind, and the error that says it. */
import { boundsRecordWords, emitBoundsRecord, takeBoundsSymbol } from "../../codegen/llvm/bounds.ts";
import type { CheckSite } from "../../ir/loop/check-site.ts";
import { BoundsError, UsageError } from "../../ir/support/errors.ts";
import { invariant } from "../../ir/support/invariant.ts";
import * as native from "../../native/addon.ts";
import { isOn } from "../../passes/core/instrument.ts";

/** What compiled code checks while it runs: nothing, or the bounds of every access. */
export type Checks = "none" | "bounds";

/** The checks that are asked for: by the caller, else by `TILEWRIGHT_CHECK_BOUNDS=1`. @throws UsageError for another word */
export function checksOf(
  given: Checks | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Checks {
  if (given === undefined) return isOn(env, "TILEWRIGHT_CHECK_BOUNDS") ? "bounds" : "none";
  if (given === "none" || given === "bounds") return given;
  throw new UsageError("usage/checks", `checks are "none" or "bounds", not ${JSON.stringify(given)}`);
}

/** The module that functions with checks are linked with. */
export const boundsRecordIr = emitBoundsRecord;

/** Reads and clears the record of a linked program. */
export class BoundsRecord {
  readonly #take: native.Address;
  readonly #memory = native.allocAligned(8 * boundsRecordWords);
  constructor(jit: native.JitHandle) {
    this.#take = native.jitLookup(jit, takeBoundsSymbol);
  }
  /** The number of the site that failed, and index and extent of each dimension; undefined when all went well. */
  take(): Failure | undefined {
    native.invokeKernel(this.#take, native.serial, BigUint64Array.of(native.addressOf(this.#memory)));
    const words = new BigInt64Array(this.#memory, 0, boundsRecordWords);
    if (words[0] === 0n) return undefined;
    const pairs = Array.from({ length: Number(words[1]) }, (_, d) =>
      [words[2 + 2 * d]!, words[3 + 2 * d]!].map(Number),
    );
    return { site: Number(words[0]! - 1n), indices: pairs.map((p) => p[0]!), extents: pairs.map((p) => p[1]!) };
  }
  dispose(): void {
    native.freeAligned(this.#memory);
  }
}
/** What a failed check says. */
interface Failure {
  readonly site: number;
  readonly indices: readonly number[];
  readonly extents: readonly number[];
}

/** The error for an access of a function or a kernel that went out of its buffer. */
export function boundsError(f: Failure, sites: readonly CheckSite[], kind: string, name: string): BoundsError {
  const site = sites[f.site];
  const where = `${kind} ${name}`;
  invariant(site, `${where} has no checked access ${f.site}`);
  const { access, buffer, dtype, origin } = site;
  const dimension = f.indices.findIndex((i, d) => i < 0 || i >= f.extents[d]!);
  const place = `${buffer}[${f.indices.join(", ")}]`;
  const shape = `${dtype}[${f.extents.join(", ")}]`;
  const lines = [
    `${access} of ${place} is outside of ${buffer}: ${shape}; index ${dimension} is ${f.indices[dimension]}, not in 0..${f.extents[dimension]}`,
  ];
  if (origin) {
    const block = origin.block === undefined ? "" : `block ${origin.block} of `;
    const number = String(origin.line).padStart(4);
    const column = Math.max(0, origin.text.indexOf(`${buffer}[`));
    lines.push(`  in ${block}${where}, line ${origin.line} of the scheduled program`, `${number} │ ${origin.text}`);
    lines.push(`     │ ${" ".repeat(column)}${"^".repeat(buffer.length)}`);
  } else lines.push(`  in ${where}`);
  const details = { access, buffer, dtype, indices: f.indices, extents: f.extents, dimension, [kind]: name };
  return new BoundsError(`bounds/${access}`, lines.join("\n"), {
    ...details,
    ...(origin ? { block: origin.block, line: origin.line, text: origin.text } : {}),
  });
}
