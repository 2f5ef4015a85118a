/** The C header that `--emit header` writes beside an object or shared library. */
import type { ScalarType } from "../../ir/expr/dtype.ts";

/** An input or output of a network, in the order of the io list. */
export interface HeaderTensor {
  readonly name: string;
  readonly dtype: ScalarType;
  readonly dims: readonly number[];
  readonly bytes: number;
}
export interface HeaderContents {
  /** Name of the network, for comments and macros. */
  readonly name: string;
  /** The entry function. */
  readonly symbol: string;
  readonly arenaBytes: number;
  readonly constantsBytes: number;
  readonly inputs: readonly HeaderTensor[];
  readonly outputs: readonly HeaderTensor[];
}

const cTypes: Record<ScalarType, string> = {
  bool: "uint8_t",
  int8: "int8_t",
  int16: "int16_t",
  int32: "int32_t",
  int64: "int64_t",
  uint8: "uint8_t",
  uint16: "uint16_t",
  uint32: "uint32_t",
  uint64: "uint64_t",
  float16: "uint16_t",
  bfloat16: "uint16_t",
  float32: "float",
  float64: "double",
};

/** Letters, digits and `_`; names of models never reach C unescaped. */
const identifier = (name: string): string => {
  const safe = name.replace(/[^A-Za-z0-9_]/g, "_").slice(0, 64);
  return /^[A-Za-z_]/.test(safe) ? safe : `x_${safe}`;
};

/** Writes the header. */
export function emitHeader(h: HeaderContents): string {
  const macro = identifier(h.name).toUpperCase();
  const tensors = [
    ...h.inputs.map((t) => ({ t, direction: "input" })),
    ...h.outputs.map((t) => ({ t, direction: "output" })),
  ];
  const used = new Set<string>();
  const slots = tensors.map(({ t, direction }, i) => {
    let name = `${macro}_${direction.toUpperCase()}_${identifier(t.name).toUpperCase()}`;
    while (used.has(name)) name = `${name}_${i}`;
    used.add(name);
    return [
      `/* ${direction} ${i}: ${cTypes[t.dtype]} (${t.dtype}) [${t.dims.join(", ")}], ${t.bytes} bytes */`,
      `#define ${name} ${i}`,
    ].join("\n");
  });
  const symbol = identifier(h.symbol);
  return `/* ${identifier(h.name)}: compiled by Tilewright. Link with tw_runtime.c, libm and pthreads. */
#ifndef ${macro}_H
#define ${macro}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of the arena and of the constants; both aligned to 64. */
#define ${macro}_ARENA_BYTES ${h.arenaBytes}
#define ${macro}_CONSTANTS_BYTES ${h.constantsBytes}

/* Indices into io. Every pointer is aligned to 64 bytes. */
#define ${macro}_IO_COUNT ${tensors.length}
${slots.join("\n")}

/* Runs the network. rt: from tw_runtime_create, or NULL for one thread. Gives 0. */
int32_t ${symbol}(void *rt, void *arena, const void *constants, void **io);

#ifdef __cplusplus
}
#endif

#endif
`;
}
