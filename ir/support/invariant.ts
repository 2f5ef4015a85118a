import { InternalError } from "./errors.ts";

/** Throws an InternalError when `condition` does not hold: for what must be true whatever the user did. */
export function invariant(
  condition: unknown,
  message: string,
  details: Record<string, unknown> = {},
): asserts condition {
  if (!condition) throw new InternalError("internal/invariant", message, details);
}

/** Ends a `switch` over a closed union; reaching it is a bug. */
export function assertNever(value: never): never {
  throw new InternalError("internal/unreachable", `unreachable case: ${JSON.stringify(value)}`);
}
