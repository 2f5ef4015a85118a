/** A second copy of a statement in the same function: everything it binds gets ids of its own, and blocks names. */
import { variable } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import type { Block, Program, Stmt } from "../../../ir/loop/program.ts";
import { mapChildStmts, visitStmt } from "../../../ir/loop/traverse.ts";
import type { IdSource, VarId } from "../../../ir/support/ids.ts";
import { substituteStmt } from "../rebuild.ts";
import { blocksIn } from "../tree.ts";
import { freshBufferName, remapBuffer } from "./support-buffer.ts";

/** Names of a program's blocks, and the fresh ones given since. */
export class BlockNames {
  readonly #taken: Set<string>;
  constructor(program: Program) {
    this.#taken = new Set(blocksIn(program).map((b) => b.name));
  }
  /** `wanted`, or the first of `wanted_1`, `wanted_2` … that is free. */
  fresh(wanted: string): string {
    let name = wanted;
    for (let k = 1; this.#taken.has(name); k++) name = `${wanted}_${k}`;
    this.#taken.add(name);
    return name;
  }
}
/** What copies are made with. */
export interface Copying {
  readonly program: Program;
  readonly ids: IdSource;
  readonly names: BlockNames;
}

/** A copy of `s`; its blocks are called `<name>_<suffix>`. Variables in `map` are replaced on the way. */
export function duplicate(s: Stmt, c: Copying, suffix: string, map: ReadonlyMap<VarId, Expr> = new Map()): Stmt {
  const renamed = new Map<VarId, Expr>(map);
  const copies = new Map<Buffer, Buffer>();
  visitStmt(s, (n) => {
    const bound =
      n.kind === "for" || n.kind === "let" ? [n.var] : n.kind === "block" ? n.iterVars.map((v) => v.var) : [];
    for (const v of bound) renamed.set(v.id, variable(c.ids, v.name, v.dtype));
    if (n.kind === "allocate") {
      const name = freshBufferName(c.program, `${n.buffer.name}_${suffix}`);
      copies.set(n.buffer, { ...n.buffer, id: c.ids.fresh(), name });
    }
  });
  const bind = (n: Stmt): Stmt => {
    const inner = mapChildStmts(n, bind);
    if (inner.kind === "for" || inner.kind === "let") return { ...inner, var: renamedVar(renamed, inner.var) };
    return inner.kind === "block" ? bindBlock(inner, c, suffix, renamed) : inner;
  };
  let copy = substituteStmt(bind(s), renamed);
  for (const [from, to] of copies) copy = remapBuffer(copy, { from: from.id, to });
  return copy;
}
function bindBlock(b: Block, c: Copying, suffix: string, renamed: ReadonlyMap<VarId, Expr>): Block {
  const iterVars = b.iterVars.map((v) => ({ ...v, var: renamedVar(renamed, v.var) }));
  return { ...b, id: c.ids.fresh(), name: c.names.fresh(`${b.name}_${suffix}`), iterVars };
}
function renamedVar<V extends { readonly id: VarId }>(renamed: ReadonlyMap<VarId, Expr>, v: V): V {
  const to = renamed.get(v.id);
  return to?.kind === "var" ? { ...v, id: to.id } : v;
}
