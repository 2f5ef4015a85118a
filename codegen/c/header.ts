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
  /** The entry function; with `run`, the stem of the functions `…_run` and `…_run_in` of a library. */
  readonly symbol: string;
  /** Whether the header is of a library, whose functions take the tensors one by one and which has its constants. */
  readonly library?: boolean;
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

const keywords = new Set(
  "alignas alignof auto bool break case char class const continue default delete do double else enum extern false float for friend goto if inline int long namespace new nullptr operator private protected public register restrict return short signed sizeof static static_assert struct switch template this thread_local throw true try typedef typename typeof union unsigned using virtual void volatile while".split(
    " ",
  ),
);

/** A name in C: letters, digits and `_`; names of models never reach C unescaped. */
export const identifier = (name: string): string => {
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
  return `/* ${identifier(h.name)}: compiled by Tilewright.${h.library ? "" : " Link with tw_runtime.c, libm and pthreads."} */
#ifndef ${macro}_H
#define ${macro}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

${h.library ? libraryText(h, macro) : entryText(h, macro, slots)}

#ifdef __cplusplus
}
#endif

#endif
`;
}

function entryText(h: HeaderContents, macro: string, slots: readonly string[]): string {
  return `/* Bytes of the arena and of the constants; both aligned to 64. */
#define ${macro}_ARENA_BYTES ${h.arenaBytes}
#define ${macro}_CONSTANTS_BYTES ${h.constantsBytes}

/* Indices into io. Every pointer is aligned to 64 bytes. */
#define ${macro}_IO_COUNT ${slots.length}
${slots.join("\n")}

/* Runs the network. rt: from tw_runtime_create, or NULL for one thread. Gives 0. */
int32_t ${identifier(h.symbol)}(void *rt, void *arena, const void *constants, void **io);`;
}

function libraryText(h: HeaderContents, macro: string): string {
  const used = new Set<string>(["runtime", "arena"]);
  const parameter = (t: HeaderTensor, isOutput: boolean, i: number): string => {
    let name = identifier(t.name);
    while (used.has(name) || keywords.has(name)) name = `${name}_${i}`;
    used.add(name);
    return `${isOutput ? "" : "const "}${cTypes[t.dtype]} *${name}`;
  };
  const tensors = [...h.inputs.map((t) => parameter(t, false, 0)), ...h.outputs.map((t) => parameter(t, true, 1))];
  const shapes = [...h.inputs, ...h.outputs].map((t) => ` *   ${t.dtype} [${t.dims.join(", ")}], ${t.bytes} bytes`);
  const symbol = identifier(h.symbol);
  const list = tensors.length === 0 ? "" : `, ${tensors.join(", ")}`;
  return `/* The thread pool of a run; NULL stands for the calling thread alone. */
typedef struct tw_runtime tw_runtime;
tw_runtime *tw_runtime_create(int threads);
void tw_runtime_destroy(tw_runtime *runtime);

/* Bytes that a run works in, aligned to 64. */
#define ${macro}_ARENA_BYTES ${h.arenaBytes}

/* Runs the network in memory of its own, so one call at a time; gives 0. Row-major tensors, inputs then outputs:
${shapes.join("\n")}
 * Tensors that are aligned to 64 bytes are used in place, others are copied. */
int32_t ${symbol}_run(void *runtime${list});

/* The same in memory of the caller's: calls with arenas and runtimes of their own may run at once. */
int32_t ${symbol}_run_in(void *runtime, void *arena${list});`;
}
