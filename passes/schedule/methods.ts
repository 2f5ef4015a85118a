/** The types of the methods that a schedule gets from the table of primitives. */
import type { FaceOf, PrimitiveName, ResultOf } from "./apply.ts";
import type { BlockRef, LoopRef } from "./primitive.ts";
import type { BlockCursor, LoopCursor } from "./query.ts";
import type { SamplingName } from "./sampling.ts";

/** What a primitive gives, its handles as cursors. */
type Cursors<T> = T extends LoopRef
  ? LoopCursor
  : T extends BlockRef
    ? BlockCursor
    : T extends readonly unknown[]
      ? { [K in keyof T]: Cursors<T[K]> }
      : T;
/** Primitives by name, with handles and options as written out in the table of `apply.ts`. */
export type Methods = {
  [N in Exclude<PrimitiveName, "split" | SamplingName>]: (...args: FaceOf<N>) => Cursors<ResultOf<N>>;
};
