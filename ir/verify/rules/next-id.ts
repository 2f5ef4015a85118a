import type { VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

/** Fresh ids taken from `nextId` never collide. */
export const nextId: VerifyRule = {
  name: "next-id",
  doc: "The program's nextId is greater than every id within.",
  check: (program, report) => {
    const tooSmall = (id: number): boolean => id >= program.nextId;
    for (const f of program.functions) {
      const ids = [...f.params.map((p) => p.buffer.id), ...f.scalars.map((v) => v.id)];
      if (ids.some(tooSmall)) report(`a parameter's id is not below nextId ${program.nextId}`, f);
    }
    walkProgram(program, {
      stmt: (s, place) => {
        const ids: number[] = [];
        if (s.kind === "for" || s.kind === "let") ids.push(s.var.id);
        if (s.kind === "allocate") ids.push(s.buffer.id);
        if (s.kind === "block") ids.push(s.id, ...s.iterVars.map((v) => v.var.id));
        for (const id of ids.filter(tooSmall)) report(`id ${id} is not below nextId ${program.nextId}`, place);
      },
    });
  },
};
