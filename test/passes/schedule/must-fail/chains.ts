/** Programs of two nests, one of which reads what the other wrote. */
import { point, text } from "./texts.ts";

/** B[i] = 2·A[i] and C[j] = B[j] + 1, each in a nest of its own. */
export const chain = (n = 8): ReturnType<typeof text> =>
  text(
    `A: int32[${n}], C: output int32[${n}]`,
    `allocate B: int32[${n}]`,
    ...point(`i in 0..${n}`, "B", "B[v] = A[v] * 2i32"),
    ...point(`j in 0..${n}`, "C", "C[v] = B[v] + 1i32"),
  );
/** The same with another body for each, over `n` elements, and statements between and after. */
interface Links {
  readonly params?: string;
  readonly first?: readonly string[];
  readonly between?: readonly string[];
  readonly second?: readonly string[];
  readonly after?: readonly string[];
}
export const links = (l: Links): ReturnType<typeof text> =>
  text(
    l.params ?? "A: int32[8], C: output int32[8]",
    "allocate B: int32[16]",
    ...(l.first ?? point("i in 0..8", "B", "B[v] = A[v] * 2i32")),
    ...(l.between ?? []),
    ...(l.second ?? point("j in 0..8", "C", "C[v] = B[v] + 1i32")),
    ...(l.after ?? []),
  );
export const strided = links({
  first: point("i in 0..8", "B", "B[v * 2] = A[v]"),
  second: point("j in 0..8", "C", "C[v] = B[v * 2]"),
});
export const zeroed = ["for z in 0..16:", "  block Z(vz: spatial 16 = z):", "    writes B[vz]", "    B[vz] = 0i32"];
export const total = [
  "for i in 0..8:",
  "  for k in 0..4:",
  "    block B(v: spatial 8 = i, q: reduction 4 = k):",
  "      reads B[v], A[v]",
  "      writes B[v]",
  "      init:",
  "        B[v] = 0i32",
  "      B[v] = B[v] + A[v]",
];
export const unknown = text(
  "n: int64, A: int32[n], C: output int32[n]",
  "allocate B: int32[n]",
  ...point("i in 0..n", "B", "B[v] = A[v]"),
  ...point("j in 0..n", "C", "C[v] = B[v]"),
);
export const large = text(
  "A: int32[8192], C: output int32[8192]",
  "allocate B: int32[8192]",
  ...point("i in 0..8192", "B", "B[v] = A[v]"),
  ...point("j in 0..8192", "C", "C[v] = B[v]"),
);
/** Rows of B, each read in one go. */
export const rows = text(
  "A: int32[8, 8], C: output int32[8, 8]",
  "allocate B: int32[8, 8]",
  ...["B[vi, vj] = A[vi, vj] * 2i32", "C[vi, vj] = B[vi, vj] + 1i32"].flatMap((body) => [
    "for i in 0..8:",
    "  for j in 0..8:",
    `    block ${body[0]}(vi: spatial 8 = i, vj: spatial 8 = j):`,
    `      reads ${body.slice(12, 21)}`,
    `      writes ${body.slice(0, 9)}`,
    `      ${body}`,
  ]),
);
