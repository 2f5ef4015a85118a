/** Compile-time properties of hot loops, read from the assembly. */
import { expect, it } from "vitest";
import { runProgram } from "../../ir/interp/run.ts";
import { hostCpu, setLlvmOptions } from "../../native/addon.ts";
import { type ConvTile, convTile } from "./conv-tile.ts";
import { assemblyOf, describeNative, numbers, runNative } from "./native-run.ts";

const avx512 = (): boolean => hostCpu().features.includes("+avx512f");

/** The basic block with the most multiply-adds. */
function hottestBlock(assembly: string): string[] {
  const blocks: string[][] = [[]];
  for (const line of assembly.split("\n")) {
    if (/^[.\w]+:/.test(line)) blocks.push([]);
    else if (/^\t[a-z]/.test(line)) blocks.at(-1)!.push(line.trim());
    if (/^\tj/.test(line)) blocks.push([]);
  }
  const weight = (b: string[]): number => b.filter((l) => l.startsWith("vfmadd")).length;
  return blocks.reduce((best, b) => (weight(b) > weight(best) ? b : best));
}
const layer = (px: number, ob: number): ConvTile => ({ ic: 64, oc: 16 * ob * 2, size: px * 4, px, ob, lanes: 16 });

describeNative("register-blocked convolution", () => {
  it.each([
    [14, 2],
    [9, 3],
    [8, 3],
    [6, 4],
    [28, 1],
  ])("%ix%i keeps its accumulators in registers", (px, ob) => {
    if (!avx512()) return console.warn("skipped: this machine has no AVX-512");
    setLlvmOptions(["-enable-misched=false"]);
    const hot = hottestBlock(assemblyOf(convTile(layer(px, ob))));
    expect(hot.filter((l) => l.startsWith("vfmadd") && l.includes("%zmm")).length).toBe(px * ob * 16);
    // A pointer or two may be reloaded once in 16 steps, and with all 32 registers in use one accumulator.
    const onStack = hot.filter((l) => l.includes("(%rsp"));
    expect(onStack.filter((l) => l.includes("mm")).length).toBeLessThanOrEqual(px * ob + ob + 2 > 31 ? 4 : 0);
    expect(onStack.length).toBeLessThanOrEqual(6);
    expect(hot.filter((l) => /%[xy]mm/.test(l))).toEqual([]);
    expect(hot.length).toBeLessThan(px * ob * 16 + (px + ob + 4) * 16);
  });
  it("computes what the interpreter computes", () => {
    for (const parallel of [false, true]) {
      const p = convTile({ ic: 16, oc: 64, size: 6, px: 3, ob: 2, lanes: 16, barrier: true, parallel });
      const inputs = {
        X: Float32Array.from({ length: 8 * 8 * 16 }, (_, k) => Math.sin(k)),
        W: Float32Array.from({ length: 2 * 9 * 16 * 32 }, (_, k) => Math.cos(k * 3)),
      };
      const [actual, expected] = [runNative(p, inputs).Y!, runProgram(p, inputs).Y!];
      const worst = Math.max(...numbers(expected).map((v, k) => Math.abs(v - Number(actual[k]))));
      expect(worst).toBeLessThanOrEqual(1e-4);
    }
  });
});
