/** The transposition of a square tile in registers, for `tensorize`. */
import type { TensorIntrinsic } from "../primitive/tensorize.ts";

/** Bits of the element types that tiles are moved in. */
const bits: Readonly<Record<string, number>> = {
  float32: 32,
  int32: 32,
  uint32: 32,
  float64: 64,
  int64: 64,
  uint64: 64,
};
/** Whether tiles of this element type can be transposed in registers. */
export const movesInTiles = (scalar: string): boolean => Object.hasOwn(bits, scalar);

/**
 * B[i, j] = A[j, i] for n × n elements of 4 or 8 bytes, n a power of two. For each bit d of an index, rows r and r + d
 * exchange the elements whose row and column differ in that bit (Eklundh, A fast computer method for matrix transposing,
 * 1972): n shuffles of two vectors for each of the log2(n) bits, and no element goes through memory.
 */
export function transposeTile(n: number, scalar: string): TensorIntrinsic {
  const element = `i${bits[scalar]!}`;
  const vector = `<${n} x ${element}>`;
  const align = bits[scalar]! / 8;
  const lines: string[] = [];
  const emit = (text: string): string => {
    const name = `%v${lines.length}`;
    lines.push(`  ${name} = ${text}`);
    return name;
  };
  const row = (buffer: string, r: number): string =>
    emit(`getelementptr ${element}, ptr %${buffer}, i64 ${emit(`mul i64 %${buffer}_s0, ${r}`)}`);
  const exchange = (a: string, b: string, from: (lane: number) => number): string => {
    const mask = Array.from({ length: n }, (_, lane) => `i32 ${from(lane)}`).join(", ");
    return emit(`shufflevector ${vector} ${a}, ${vector} ${b}, <${n} x i32> <${mask}>`);
  };
  const rows = Array.from({ length: n }, (_, r) => emit(`load ${vector}, ptr ${row("A", r)}, align ${align}`));
  for (let d = n / 2; d >= 1; d /= 2)
    for (let r = 0; r < n; r++) {
      if (r & d) continue;
      const [a, b] = [rows[r]!, rows[r + d]!];
      rows[r] = exchange(a, b, (lane) => (lane & d ? n + lane - d : lane));
      rows[r + d] = exchange(a, b, (lane) => (lane & d ? n + lane : lane + d));
    }
  for (const [r, value] of rows.entries()) {
    const to = row("B", r);
    lines.push(`  store ${vector} ${value}, ptr ${to}, align ${align}`);
  }
  const meaning = `program transpose(A: ${scalar}[${n}, ${n}], B: output ${scalar}[${n}, ${n}]):
  for i in 0..${n}:
    for j in 0..${n}:
      B[i, j] = A[j, i]
`;
  return { name: `transpose-${n}-${scalar}`, meaning, body: lines.join("\n"), declarations: [], reassociates: false };
}
