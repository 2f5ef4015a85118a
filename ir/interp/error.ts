import { TilewrightError } from "../support/errors.ts";

/** The program did something `semantics.md` calls ill-formed; `code` is `interp/rule`. */
export class InterpreterError extends TilewrightError {}

/** Throws for integer division by zero. */
export function divisionByZero(): never {
  throw new InterpreterError("interp/division-by-zero", "integer division by zero");
}
