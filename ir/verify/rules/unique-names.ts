import { visitStmt } from "../../loop/traverse.ts";
import type { VerifyRule } from "../issue.ts";

/** Names that people and traces refer to are unambiguous. */
export const uniqueNames: VerifyRule = {
  name: "unique-names",
  doc: "Functions of a program, and blocks of a function, have different names.",
  check: (program, report) => {
    const functions = new Set<string>();
    for (const f of program.functions) {
      if (functions.has(f.name)) report(`two functions are called ${f.name}`, f);
      functions.add(f.name);
      const blocks = new Set<string>();
      visitStmt(f.body, (s) => {
        if (s.kind !== "block") return;
        if (blocks.has(s.name)) report(`two blocks of ${f.name} are called ${s.name}`, s);
        blocks.add(s.name);
      });
    }
  },
};
