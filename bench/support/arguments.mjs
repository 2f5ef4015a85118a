/** Flags of the benches. */
import { parseArgs } from "node:util";

/** Parses flags; prints the usage and ends with status 2 on a wrong one. */
export function flags(usage, options) {
  try {
    return parseArgs({ options: { json: { type: "boolean", default: false }, ...options } }).values;
  } catch (error) {
    process.stderr.write(`${error.message}\nusage: ${usage}\n`);
    process.exit(2);
  }
}

/** Positive whole numbers, separated by commas; ends with status 2 on anything else. */
export function wholeNumbers(name, text) {
  const values = String(text).split(",").map(Number);
  if (values.every((value) => Number.isInteger(value) && value > 0)) return values;
  process.stderr.write(`--${name} takes positive whole numbers, got ${text}\n`);
  process.exit(2);
}
