/**
 * How often each basic block of a kernel runs: its own assembly with a counter at the start of every block. The kernel that
 * is measured stays as it is; this is a copy, run once.
 */
import { UnsupportedError } from "../../../ir/support/errors.ts";
import * as native from "../../../native/addon.ts";
import { basicBlocks } from "./blocks.ts";

const countersOf = (symbol: string): string => `${symbol}.counts`;
const takeOf = (symbol: string): string => `${symbol}.take_counts`;

/**
 * LLVM IR of a module that holds `assembly` with counters, which `readCounts` reads. Counts are right only while one thread
 * runs the code. @throws UnsupportedError [profile/assembly] for assembly of another processor than x86-64
 */
export function countedModule(assembly: string, symbol: string): string {
  const blocks = basicBlocks(assembly);
  if (blocks.length === 0) throw new UnsupportedError("profile/assembly", `no x86-64 code to count in ${symbol}`);
  const lines = assembly.split("\n");
  const counted: string[] = [];
  let next = 0;
  lines.forEach((line, i) => {
    for (; blocks[next]?.line === i; next++) counted.push(...increment(`${countersOf(symbol)}+${8 * next}`));
    counted.push(line);
  });
  const bytes = 8 * blocks.length;
  return `${counted.map((line) => `module asm "${quoted(line)}"`).join("\n")}

@${countersOf(symbol)} = hidden global [${blocks.length} x i64] zeroinitializer, align 64
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define void @${takeOf(symbol)}(ptr %rt, ptr %args) nounwind {
  %to = load ptr, ptr %args, align 8
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr @${countersOf(symbol)}, i64 ${bytes}, i1 false)
  ret void
}
`;
}

/** Keeps flags, and what leaf functions have below the stack pointer (128 bytes). */
const increment = (place: string): readonly string[] => [
  "\tleaq\t-128(%rsp), %rsp",
  "\tpushfq",
  `\tincq\t${place}(%rip)`,
  "\tpopfq",
  "\tleaq\t128(%rsp), %rsp",
];
const quoted = (line: string): string =>
  line.replace(/[\\"\t]/g, (c) => `\\${c.charCodeAt(0).toString(16).padStart(2, "0")}`);

/** How often each block of `basicBlocks` has run since the code was linked. */
export function readCounts(jit: native.JitHandle, symbol: string, blocks: number): number[] {
  const memory = native.allocAligned(8 * blocks);
  try {
    native.invokeKernel(
      native.jitLookup(jit, takeOf(symbol)),
      native.serial,
      BigUint64Array.of(native.addressOf(memory)),
    );
    return [...new BigInt64Array(memory, 0, blocks)].map(Number);
  } finally {
    native.freeAligned(memory);
  }
}
