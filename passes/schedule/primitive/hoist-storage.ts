/** hoistStorage: the allocation of an intermediate buffer moves into a loop's body, or out of loops. */
import { freeVars } from "../../../ir/expr/traverse.ts";
import { allocate } from "../../../ir/loop/build.ts";
import type { Block, For, Program, Stmt } from "../../../ir/loop/program.ts";
import { rewriteStmt, visitStmt } from "../../../ir/loop/traverse.ts";
import type { BufferId, VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { carries } from "../../lower/compact-buffers.ts";
import { type BlockRef, definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { loopRef, pathToLoop, replaceStmt } from "../tree.ts";
import { blockAccesses, collectAccesses } from "./support-access.ts";
import { loopsOf } from "./support-nest.ts";
import { type Intermediate, intermediateOf, intermediateRules } from "./support-storage.ts";

export interface HoistStorageArgs {
  readonly block: BlockRef;
  /** Name of an intermediate buffer that the block uses. */
  readonly buffer: string;
  /** The loop in whose body the buffer is to be allocated; around all loops when absent. */
  readonly loop?: LoopRef;
}
const rules = {
  ...intermediateRules,
  nested: "the loop is around the allocation, or within it",
  "holds-uses": "every use of the buffer stands under the loop",
  "no-carried-values":
    "no iteration of the loops that come to be around the allocation reads what an earlier one wrote",
  "serial-loops": "the loops that come to be inside the allocation are serial or unrolled",
};
type Rule = keyof typeof rules;
interface Plan extends Intermediate {
  readonly target: For | undefined;
}

function plan(program: Program, args: HoistStorageArgs): Plan | Violation<Rule> {
  const found = intermediateOf(program, args.block, args.buffer);
  if ("rule" in found) return found;
  const { allocation, outside, buffer } = found;
  const at = args.loop;
  const target = at && pathToLoop(program, at.id)?.stmts.at(-1);
  if (at && target?.kind !== "for") return { rule: "nested", because: `there is no loop ${at.name}`, at };
  const loop = target?.kind === "for" ? target : undefined;
  const inner = loop && loopsWithin(allocation, loop);
  if (inner) return inwards(found, loop, inner);
  if (loop && !outside.includes(loop))
    return { rule: "nested", because: `${loop.var.name} is neither around nor within the allocation`, at };
  const crossed = loop ? outside.slice(outside.indexOf(loop) + 1) : outside;
  const shared = crossed.find((l) => l.loopKind !== "serial" && l.loopKind !== "unrolled");
  return shared
    ? {
        rule: "serial-loops",
        because: `iterations of ${shared.var.name}, which is ${shared.loopKind}, would share ${buffer.name}`,
        at: loopRef(shared),
      }
    : { ...found, target: loop };
}
function inwards(found: Intermediate, loop: For, between: readonly For[]): Plan | Violation<Rule> {
  const { allocation, buffer, outside } = found;
  const uses = (s: Stmt): number => collectAccesses(s, (id) => id === buffer.id).length + namesIn(s, buffer.id);
  if (uses(allocation.body) > uses(loop.body))
    return { rule: "holds-uses", because: `${buffer.name} is used outside of ${loop.var.name}`, at: loopRef(loop) };
  for (const [k, l] of between.entries())
    if (carries(l, buffer.id, [...outside, ...between.slice(0, k)]))
      return {
        rule: "no-carried-values",
        because: `an iteration of ${l.var.name} may read what an earlier one wrote to ${buffer.name}`,
        at: loopRef(l),
      };
  return { ...found, target: loop };
}
/** Blocks that name the buffer in their regions. */
function namesIn(s: Stmt, id: BufferId): number {
  let count = 0;
  visitStmt(s, (n) => {
    if (n.kind === "block" && [...n.reads, ...n.writes].some((r) => r.buffer.id === id)) count++;
  });
  return count;
}
/** The loops from an allocation down to and with a loop within it. */
function loopsWithin(s: Stmt, loop: For): For[] | undefined {
  const path = pathToLoop({ kind: "program", functions: [wrap(s)], nextId: 0 }, loop.var.id);
  return path && loopsOf(path.stmts);
}
const wrap = (body: Stmt) => ({ name: "", params: [], scalars: [], math: "default" as const, body });

function rewrite(program: Program, args: HoistStorageArgs) {
  const p = plan(program, args);
  invariant(!("rule" in p), "hoistStorage was checked");
  const { allocation, buffer, target } = p;
  if (target && loopsWithin(allocation, target)) {
    const inner = replaceIn(allocation.body, target, { ...target, body: allocate(buffer, target.body) });
    return { program: replaceStmt(program, allocation, inner), result: undefined };
  }
  const crossed = new Set(p.outside.slice(target ? p.outside.indexOf(target) + 1 : 0).map((l) => l.var.id));
  const inner = rewriteStmt(allocation.body, (s) => (s.kind === "block" ? inOrder(s, buffer.id, crossed) : s));
  if (target) {
    const body = allocate(buffer, replaceIn(target.body, allocation, inner));
    return { program: replaceStmt(program, target, { ...target, body }), result: undefined };
  }
  const bare = replaceStmt(program, allocation, inner);
  const functions = bare.functions.map((f) =>
    f.name === p.path.func.name ? { ...f, body: allocate(buffer, f.body) } : f,
  );
  return { program: { ...bare, functions }, result: undefined };
}
/** Iterations of the loops that now share the buffer store to the same elements of it, one after the other. */
function inOrder(b: Block, id: BufferId, crossed: ReadonlySet<VarId>): Block {
  const stores = blockAccesses(b, (x) => x === id).filter((a) => a.kind === "store");
  if (stores.length === 0) return b;
  const placed = new Set(stores.flatMap((a) => a.indices.flatMap((e) => [...freeVars(e)])));
  const iterVars = b.iterVars.map((v, k) => {
    const shared = v.kind === "spatial" && !placed.has(v.var.id);
    const moves = [...freeVars(b.bindings[k]!)].some((l) => crossed.has(l));
    return shared && moves ? { ...v, kind: "ordered" as const } : v;
  });
  return { ...b, iterVars };
}
function replaceIn(root: Stmt, from: Stmt, to: Stmt): Stmt {
  return replaceStmt({ kind: "program", functions: [wrap(root)], nextId: 0 }, from, to).functions[0]!.body;
}

/** The primitive. */
export const hoistStorage = definePrimitive({
  name: "hoistStorage",
  doc: "Moves the allocation of an intermediate buffer into the body of a loop, or out of loops.",
  before: "allocate T\nfor i in 0..8:\n  T[0] = …\n  C[i] = T[0]",
  after: "for i in 0..8:\n  allocate T\n  T[0] = …\n  C[i] = T[0]",
  rules,
  check: (program: Program, args: HoistStorageArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite,
});
