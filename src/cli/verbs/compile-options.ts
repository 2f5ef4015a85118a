/** What `tilewright compile --emit` can write. */
export const emissions = ["graph", "loops", "trace", "llvm", "asm", "object", "shared", "header", "ptx"] as const;
/** One of them. */
export type Emission = (typeof emissions)[number];
