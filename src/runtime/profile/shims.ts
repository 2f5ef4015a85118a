/** Code that is linked with a network so that it calls an instrument instead of a function of the runtime. */
import * as native from "../../../native/addon.ts";

const shims = {
  /** Parallel regions log which thread runs which chunk, and when. */
  chunks: `declare void @tw_traced_parallel_for(ptr, ptr, ptr, i64)
define void @tw_parallel_for(ptr %rt, ptr %fn, ptr %ctx, i64 %n) nounwind {
  call void @tw_traced_parallel_for(ptr %rt, ptr %fn, ptr %ctx, i64 %n)
  ret void
}
`,
  /** Time stamps also read the open counters. */
  counters: `declare i64 @tw_read_counters()
define i64 @tw_now() nounwind {
  %now = call i64 @tw_read_counters()
  ret i64 %now
}
`,
};

/** Links a network's objects with an instrument and calls `use` with its profile entry. */
export function withInstrument<T>(
  instrument: keyof typeof shims,
  parts: { readonly objects: readonly Uint8Array[]; readonly profileEntry?: string },
  use: (profileEntry: native.Address) => T,
): T {
  const cpu = native.hostCpu();
  const shim = native.compileIr(shims[instrument], { triple: cpu.triple, cpu: cpu.name, features: cpu.features });
  const jit = native.jitCreate([...parts.objects, shim]);
  try {
    return use(native.jitLookup(jit, parts.profileEntry!));
  } finally {
    native.jitDispose(jit);
  }
}
