/** Intermediate buffers by block and name, with where they are allocated: what the storage primitives share. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer } from "../../../ir/expr/expr.ts";
import type { Allocate, Block, For, Program } from "../../../ir/loop/program.ts";
import type { BlockRef, Violation } from "../primitive.ts";
import { type Path, pathToBlock } from "../tree.ts";
import { bufferNamed, roleOf } from "./support-buffer.ts";
import { loopsOf, pathToAllocation } from "./support-nest.ts";

/** A buffer that the function allocates. */
export interface Intermediate {
  readonly path: Path;
  readonly block: Block;
  readonly buffer: Buffer;
  readonly allocation: Allocate;
  readonly allocationPath: Path;
  /** The loops around the allocation. */
  readonly outside: readonly For[];
}
export const intermediateRules = {
  found: "the block is part of the program",
  "uses-buffer": "the block reads or writes a buffer of that name",
  "not-parameter": "the buffer is no parameter of the function",
  "static-shape": "the buffer's shape is constant",
};
export type IntermediateRule = keyof typeof intermediateRules;

/** The intermediate buffer of this name that a block uses, or the rule that fails. */
export function intermediateOf(
  program: Program,
  at: BlockRef,
  name: string,
): Intermediate | Violation<IntermediateRule> {
  const path = pathToBlock(program, at.id);
  const block = path?.stmts.at(-1);
  if (!path || block?.kind !== "block") return { rule: "found", because: `there is no block ${at.name}`, at };
  const buffer = bufferNamed(block, name, "store") ?? bufferNamed(block, name, "load");
  if (!buffer) return { rule: "uses-buffer", because: `${block.name} does not use ${name}`, at };
  const allocationPath = pathToAllocation(program, buffer.id);
  const allocation = allocationPath?.stmts.at(-1);
  if (roleOf(path.func, buffer.id) || allocation?.kind !== "allocate" || !allocationPath)
    return { rule: "not-parameter", because: `${name} is a parameter`, at };
  if (buffer.shape.some((n) => constantValue(n) === undefined))
    return { rule: "static-shape", because: `a dimension of ${name} is not constant`, at };
  return { path, block, buffer, allocation, allocationPath, outside: loopsOf(allocationPath.stmts) };
}
