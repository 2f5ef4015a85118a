/** What the debug variables of the environment ask for: passes that print, are timed, are verified, or end early. */
import { type Instrument, instrumentsFrom } from "../../passes/core/instrument.ts";

/** The instruments of every pipeline that this process runs; see the table in CONTRIBUTING. They write to stderr. */
export function environmentInstruments(): readonly Instrument[] {
  return instrumentsFrom(process.env, {
    write: (text) => process.stderr.write(text),
    nowMs: () => performance.now(),
  });
}
