declare const brand: unique symbol;

/** A branded number: ids of different kinds cannot be mixed. */
export type Id<K extends string> = number & { readonly [brand]: K };

export type VarId = Id<"var">;
export type BufferId = Id<"buffer">;
export type BlockId = Id<"block">;
export type ValueId = Id<"value">;
export type NodeId = Id<"node">;

/** Hands out fresh ids, counting up from `next`. One belongs to each context that builds or rewrites IR; never shared. */
export class IdSource {
  next: number;
  constructor(next = 1) {
    this.next = next;
  }
  /** Gives an id that this source never gave before. */
  fresh<K extends string>(): Id<K> {
    return this.next++ as Id<K>;
  }
}
