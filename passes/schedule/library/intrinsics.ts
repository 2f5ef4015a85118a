/** Tensor intrinsics that come with the compiler, for `tensorize`. */
import type { TensorIntrinsic } from "../primitive/tensorize.ts";

const vector = (n: number, type: string): string => `<${n} x ${type}>`;

/** Four bytes of A (or two halves, as `word` lanes), the same for each lane, times B, added into C by one instruction. */
function broadcastDot(lanes: number, type: string, word: string, instruction: string): string {
  const [wide, result] = [vector(lanes, word), vector(lanes, type)];
  return [
    `  %a = load ${word}, ptr %A, align 1`,
    `  %a1 = insertelement ${wide} poison, ${word} %a, i64 0`,
    `  %av = shufflevector ${wide} %a1, ${wide} poison, <${lanes} x i32> zeroinitializer`,
    `  %bv = load ${wide}, ptr %B, align 1`,
    `  %cv = load ${result}, ptr %C, align 1`,
    `  %r = call ${result} asm "${instruction}(${result} %cv, ${wide} %av, ${wide} %bv)`,
    `  store ${result} %r, ptr %C, align 1`,
  ].join("\n");
}
/** C[i] += Σ A[k] · B[width·i + k]. */
const dotMeaning = (lanes: number, width: number, c: string, a: string, b: string): string =>
  `program dot(A: ${a}[${width}], B: ${b}[${lanes * width}], C: output ${c}[${lanes}]):
  for i in 0..${lanes}:
    for k in 0..${width}:
      C[i] = C[i] + ${c}(A[k]) * ${c}(B[i * ${width} + k])
`;

/** AVX-512 VNNI: 16 lanes of int32, each adding four products of unsigned and signed bytes. */
export const vnniDot: TensorIntrinsic = {
  name: "vnni-dot",
  meaning: dotMeaning(16, 4, "int32", "uint8", "int8"),
  body: broadcastDot(16, "i32", "i32", 'vpdpbusd $3, $2, $0", "=v,0,v,v"'),
  declarations: [],
  reassociates: false,
  features: ["avx512vnni"],
};
/** AVX-512 BF16: 16 lanes of float32, each adding two products of bfloat16. */
export const bf16Dot: TensorIntrinsic = {
  name: "bf16-dot",
  meaning: dotMeaning(16, 2, "float32", "bfloat16", "bfloat16"),
  body: broadcastDot(16, "float", "i32", 'vdpbf16ps $3, $2, $0", "=v,0,v,v"'),
  declarations: [],
  reassociates: true,
  features: ["avx512bf16"],
};
/** AArch64 dot product: 4 lanes of int32, each adding four products of signed bytes. */
export const neonSdot: TensorIntrinsic = {
  name: "neon-sdot",
  meaning: dotMeaning(4, 4, "int32", "int8", "int8"),
  body: broadcastDot(4, "i32", "i32", 'sdot $0.4s, $2.16b, $3.16b", "=w,0,w,w"'),
  declarations: [],
  reassociates: false,
  features: ["dotprod"],
};
/** An outer product of a column of `rows` scalars and 16 float32 lanes, added to rows of C by fused multiply-adds. */
export function fmaOuterProduct(rows: number, lanes = 16): TensorIntrinsic {
  const v = vector(lanes, "float");
  const row = (i: number): string[] => [
    `  %ao${i} = mul i64 %A_s0, ${i}`,
    `  %ap${i} = getelementptr float, ptr %A, i64 %ao${i}`,
    `  %a${i} = load float, ptr %ap${i}, align 4`,
    `  %ai${i} = insertelement ${v} poison, float %a${i}, i64 0`,
    `  %av${i} = shufflevector ${v} %ai${i}, ${v} poison, <${lanes} x i32> zeroinitializer`,
    `  %o${i} = mul i64 %C_s0, ${i}`,
    `  %cp${i} = getelementptr float, ptr %C, i64 %o${i}`,
    `  %c${i} = load ${v}, ptr %cp${i}, align 4`,
    `  %r${i} = call ${v} @llvm.fma.v${lanes}f32(${v} %av${i}, ${v} %b, ${v} %c${i})`,
    `  store ${v} %r${i}, ptr %cp${i}, align 4`,
  ];
  return {
    name: `fma-outer-${rows}x${lanes}`,
    meaning: `program outer(A: float32[${rows}, 1], B: float32[${lanes}], C: output float32[${rows}, ${lanes}]):
  for i in 0..${rows}:
    for j in 0..${lanes}:
      C[i, j] = C[i, j] + A[i, 0] * B[j]
`,
    body: [`  %b = load ${v}, ptr %B, align 4`, ...Array.from({ length: rows }, (_, i) => row(i)).flat()].join("\n"),
    declarations: [`declare ${v} @llvm.fma.v${lanes}f32(${v}, ${v}, ${v})`],
    reassociates: true,
  };
}
