/** This machine as a target of code generation. */
import type { CodegenTarget } from "../../codegen/llvm/module.ts";
import { hostCpu } from "../../native/addon.ts";

/** Options of LLVM, of lowering and of code generation for this machine, or for a processor that it can stand in for. */
export function hostTarget(vectorBits = 512, other: Partial<CodegenTarget> = {}) {
  const cpu = hostCpu();
  const features = cpu.features.split(",");
  const [avx2, avx512] = [features.includes("+avx2"), features.includes("+avx512f")];
  return { triple: cpu.triple, cpu: cpu.name, features: cpu.features, vectorBits, avx2, avx512, ...other };
}
