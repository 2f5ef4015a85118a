/** This machine as a target of code generation. */
import { hostCpu } from "../../native/addon.ts";

/** Options of LLVM and of lowering for this machine. */
export function hostTarget(vectorBits = 512) {
  const cpu = hostCpu();
  const avx512 = cpu.features.split(",").includes("+avx512f");
  return { triple: cpu.triple, cpu: cpu.name, features: cpu.features, vectorBits, avx512 };
}
