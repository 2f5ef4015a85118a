/** Hardware as data. Recipes, lowering and code generation read it; nothing here asks the machine. */
import { bytesOf, type ScalarType } from "../expr/dtype.ts";

export type Architecture = "x86_64" | "aarch64" | "nvptx64";

/** Sizes of the data caches, in bytes; 0 where a level is absent. `l3Bytes` is the whole shared cache. */
export interface Caches {
  readonly l1dBytes: number;
  readonly l2Bytes: number;
  readonly l3Bytes: number;
  readonly lineBytes: number;
}
/** What one core reads, in bytes a cycle, when it does nothing else. */
export interface ReadRates {
  readonly l2: number;
  readonly l3: number;
  readonly memory: number;
  /**
   * What the last cache is reached by. On the mesh of a server each of a few cores reads memory at the same rate, and the
   * last cache hardly faster.
   */
  readonly interconnect: "ring" | "mesh";
}
/** Limits of an NVIDIA streaming multiprocessor. */
export interface GpuLimits {
  /** 80 for sm_80. */
  readonly smVersion: number;
  /** Shared memory that one thread block can have. */
  readonly sharedBytes: number;
  /** Threads of one thread block. */
  readonly maxThreads: number;
  readonly regsPerThread: number;
}
/** A processor as data: what lowering, code generation and recipes may ask of it. */
export interface Target {
  /** As `parseTarget` takes it. */
  readonly name: string;
  readonly arch: Architecture;
  readonly triple: string;
  /** LLVM's name of the processor. */
  readonly cpu: string;
  /** LLVM's `+x`, `-y`, applied after what `cpu` implies. */
  readonly features: readonly string[];
  /** Width of the widest vector register that code should use. */
  readonly vectorBits: number;
  /** Architectural vector registers. */
  readonly vectorRegisters: number;
  /** Full-width fused multiply-adds a core can start each cycle. */
  readonly fmaPerCycle: number;
  /**
   * Loads that the model of register tiles allows a cycle beside multiply-adds, of numbers that are spread over a vector and of
   * vectors: what measured tiles agree with, which may be less than the ports have.
   */
  readonly loadsPerCycle: number;
  readonly caches: Caches;
  readonly reads: ReadRates;
  readonly cores: number;
  /** Who makes the processor, where the preset is one maker's. */
  readonly maker?: "AMD" | "Intel";
  readonly gpu?: GpuLimits;
}

/** Elements of `scalar` in one vector register (at least 1). */
export const lanesOf = (target: Target, scalar: ScalarType): number =>
  Math.max(1, target.vectorBits / 8 / bytesOf(scalar));
