/** What is read from assembly: instructions, blocks, loops, chains. */
import { describe, expect, it } from "vitest";
import { basicBlocks, innermostLoops, loopBody } from "../../../../src/runtime/profile/blocks.ts";
import { chainCycles } from "../../../../src/runtime/profile/latency.ts";
import { executionOf, hottestLoop, phasesOf } from "../../../../src/runtime/profile/mix.ts";
import { parseInstruction } from "../../../../src/runtime/profile/x86.ts";

const latencies = { multiplyAdd: 4, add: 3 };
const facts = (text: string) => {
  const { unit, width, lanes, loads, stores, loadWidth } = parseInstruction(`\t${text}`)!;
  return [unit, width, lanes, loads, stores, loadWidth];
};

describe("instructions", () => {
  it.each([
    ["vfmadd231ps\t%zmm30, %zmm31, %zmm28", ["multiplyAdd", 512, 16, 0, 0, 512]],
    ["vfmadd231ps\t(%rax){1to16}, %zmm1, %zmm2", ["multiplyAdd", 512, 16, 1, 0, 128]],
    ["vfnmadd213ps\t64(%rcx,%rdi), %ymm1, %ymm2", ["multiplyAdd", 256, 8, 1, 0, 256]],
    ["vfmadd132ss\t%xmm1, %xmm2, %xmm3", ["multiplyAdd", 128, 1, 0, 0, 128]],
    ["vmulpd\t%ymm1, %ymm2, %ymm3", ["multiply", 256, 4, 0, 0, 256]],
    ["vaddps\t%zmm1, %zmm2, %zmm3 {%k1}", ["add", 512, 16, 0, 0, 512]],
    ["vdivps\t%zmm1, %zmm2, %zmm3", ["divide", 512, 16, 0, 0, 512]],
    ["vbroadcastss\t128(%rcx,%rdi), %zmm31", ["move", 512, 0, 1, 0, 128]],
    ["vbroadcastss\t%xmm0, %zmm31", ["vector", 512, 0, 0, 0, 128]],
    ["vmovaps\t64(%rsi,%r9), %zmm29", ["move", 512, 0, 1, 0, 512]],
    ["vmovups\t%ymm0, (%rdx,%rax,4)", ["move", 256, 0, 0, 1, 256]],
    ["vmaxps\t%zmm0, %zmm1, %zmm2", ["vector", 512, 0, 0, 0, 512]],
    ["vgatherdps\t(%rax,%zmm1,4), %zmm0 {%k1}", ["vector", 512, 0, 16, 0, 128]],
    ["mulps\t(%rax), %xmm1", ["multiply", 128, 4, 1, 0, 128]],
    ["movq\t8(%rsi), %rdx", ["integer", 128, 0, 1, 0, 128]],
    ["addq\t$1, (%rax)", ["integer", 128, 0, 1, 1, 128]],
    ["cmpq\t$5, (%rax)", ["integer", 128, 0, 1, 0, 128]],
    ["leaq\t64(%rax,%rbx), %rcx", ["integer", 128, 0, 0, 0, 128]],
    ["pushq\t%rbx", ["integer", 128, 0, 0, 1, 128]],
    ["jb\t.LBB2_6", ["branch", 128, 0, 0, 0, 128]],
    ["callq\ttw_parallel_for@PLT", ["call", 128, 0, 0, 0, 128]],
  ])("%s", (text, expected) => expect(facts(text)).toEqual(expected));

  it("read what they accumulate onto and what masks keep", () => {
    const reads = (text: string) => parseInstruction(`\t${text}`)?.reads;
    expect(reads("vfmadd231ps\t%zmm30, %zmm31, %zmm28")).toEqual([30, 31, 28]);
    expect(reads("vaddps\t%zmm1, %zmm2, %zmm3")).toEqual([1, 2]);
    expect(reads("vaddps\t%zmm1, %zmm2, %zmm3 {%k1}")).toEqual([1, 2, 3]);
    expect(reads("vaddps\t%zmm1, %zmm2, %zmm3 {%k1} {z}")).toEqual([1, 2]);
    expect(reads("vxorps\t%xmm0, %xmm0, %xmm0")).toEqual([]);
    expect(reads("addps\t%xmm1, %xmm0")).toEqual([1, 0]);
  });

  it("are told from labels, directives and comments", () => {
    for (const line of [".LBB0_1:", "\t.p2align\t4", "\t#APP", "# %bb.1:", ""])
      expect(parseInstruction(line)).toBe(undefined);
  });
});

/** Two accumulators on zmm1 and zmm2, inside a loop that runs around it. */
const nest = `\t.text
\t.type\tf,@function
f:
\txorl\t%eax, %eax
.LBB0_1:
\tvxorps\t%xmm1, %xmm1, %xmm1
.LBB0_2:
\tvmovaps\t(%rdi), %zmm3
\tvfmadd231ps\t%zmm3, %zmm4, %zmm1
\tvfmadd231ps\t%zmm3, %zmm5, %zmm2
\tvfmadd231ps\t%zmm3, %zmm6, %zmm1
\taddq\t$64, %rdi
\tcmpq\t%rsi, %rdi
\tjb\t.LBB0_2
\tvmovaps\t%zmm1, (%rdx)
\tincl\t%eax
\tcmpl\t$7, %eax
\tjne\t.LBB0_1
\tretq
.Lfunc_end0:
\t.section\t.rodata
.LCPI0_0:
\t.long\t1
`;

describe("blocks and loops", () => {
  const blocks = basicBlocks(nest);
  it("are those of functions only, each from a label or a jump to the next", () => {
    expect(blocks.map((b) => [b.labels.join(), b.instructions.length])).toEqual([
      ["f", 1],
      [".LBB0_1", 1],
      [".LBB0_2", 7],
      ["", 4],
      ["", 1],
    ]);
    const lines = nest.split("\n");
    expect(blocks.map((b) => lines[b.line]!.trim().split("\t")[0])).toEqual([
      "xorl",
      "vxorps",
      "vmovaps",
      "vmovaps",
      "retq",
    ]);
  });
  it("leave out loops around others", () => expect(innermostLoops(blocks)).toEqual([{ first: 2, last: 2 }]));
  it("wait for the longest chain of dependent arithmetic", () => {
    expect(chainCycles(loopBody(blocks, { first: 2, last: 2 }), latencies)).toBe(8);
    expect(chainCycles(blocks[3]!.instructions, latencies)).toBe(0);
  });
  it("add up to what is executed", () => {
    const e = executionOf(blocks, [1, 7, 700, 7, 1], latencies);
    expect(e.total.multiplyAdds).toEqual({ 128: 0, 256: 0, 512: 2100 });
    expect(e.total.instructions).toBe(1 + 7 + 4900 + 28 + 1);
    expect(e.total.stores[512]).toBe(7);
    expect(e.total.operations).toBe(2100 * 32);
    expect(e.chainCycles).toBe(5600);
    expect(e.hotLoop).toMatchObject({ iterations: 700, iteration: { instructions: 7, loads: { 512: 1 } } });
    expect(e.hotLoop!.share).toBeCloseTo(4900 / 4937, 6);
  });
  it("are taken apart loop by loop", () => {
    const phases = phasesOf(blocks, [1, 7, 700, 7, 1], latencies);
    expect(phases.map((p) => [p.total.instructions, p.chainCycles])).toEqual([
      [4900, 5600],
      [37, 0],
    ]);
  });
  it("are counted without running, too", () => {
    expect(hottestLoop(blocks)).toMatchObject({ instructions: 7, multiplyAdds: { 512: 3 }, stackReferences: 0 });
    expect(hottestLoop(basicBlocks("\t.type\tf,@function\nf:\n\tretq\n.Lfunc_end0:\n"))).toBe(undefined);
  });
});
