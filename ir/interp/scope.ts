/** Compile-time scopes (ids to slots) and the run-time frame they index. */
import type { Buffer, Var } from "../expr/expr.ts";
import type { BufferId, VarId } from "../support/ids.ts";
import { InterpreterError } from "./error.ts";
import type { Scalar } from "./scalar.ts";
import type { Storage } from "./storage.ts";

/** The variables and buffers of one running function. */
export interface Frame {
  readonly vars: (Scalar | readonly Scalar[])[];
  readonly buffers: (Storage | undefined)[];
  /** The innermost running block, for errors. */
  block: string | undefined;
}
export const newFrame = (): Frame => ({ vars: [], buffers: [], block: undefined });

/** An expression made ready: its value at `lane` (0 for scalars). Vectors are evaluated lane by lane, which is lazy. */
export type Thunk = (frame: Frame, lane: number) => Scalar;
/** A statement made ready. */
export type Action = (frame: Frame) => void;

/** Hands out a slot for each variable and buffer of a function. */
export class SlotScope {
  readonly checkUninitialized: boolean;
  readonly #vars = new Map<VarId, number>();
  readonly #buffers = new Map<BufferId, number>();
  constructor(checkUninitialized: boolean) {
    this.checkUninitialized = checkUninitialized;
  }
  bindVar(v: Pick<Var, "id">): number {
    return bind(this.#vars, v.id);
  }
  bindBuffer(b: Pick<Buffer, "id">): number {
    return bind(this.#buffers, b.id);
  }
  varSlot(v: Var): number {
    const slot = this.#vars.get(v.id);
    if (slot === undefined) throw new InterpreterError("interp/unbound-variable", `variable ${v.name} is not bound`);
    return slot;
  }
  bufferSlot(b: Buffer): number {
    const slot = this.#buffers.get(b.id);
    if (slot === undefined) throw new InterpreterError("interp/unknown-buffer", `buffer ${b.name} is not in scope`);
    return slot;
  }
}
function bind<K>(slots: Map<K, number>, id: K): number {
  const known = slots.get(id);
  if (known !== undefined) return known;
  slots.set(id, slots.size);
  return slots.size - 1;
}
