/** The door of the simplifier: expressions, statements, programs. */
export { indexSimplifier, simplify } from "./expression.ts";
export { simplifyProgram, simplifyStmt } from "./statement.ts";
