/** The functions of a network as a C library: pointers one by one, constants and arena inside. */
import { UsageError } from "../../ir/support/errors.ts";

/** What the functions wrap. */
export interface LibraryEntry {
  /** Stem of the names: `stem_run`, `stem_run_in`, and the hidden `stem_entry` and `stem_constants` that they use. */
  readonly stem: string;
  /** Bytes of the network's arena, without room for copies of tensors. */
  readonly arenaBytes: number;
  readonly inputBytes: readonly number[];
  readonly outputBytes: readonly number[];
}

const alignment = 64;
const alignUp = (n: number): number => Math.ceil(n / alignment) * alignment;

/** Bytes of the arena that `stem_run_in` wants: the network's, then room for a copy of every tensor. */
export const libraryArenaBytes = (l: LibraryEntry): number =>
  // Kernels may load whole vectors, so there is room for one more after each tensor.
  [...l.inputBytes, ...l.outputBytes].reduce((sum, bytes) => sum + alignUp(bytes + alignment), alignUp(l.arenaBytes));

/** Writes the module; tensors that are not aligned to 64 bytes are copied. @throws UsageError for a stem that is no C name */
export function emitLibraryEntry(l: LibraryEntry): string {
  const { stem, inputBytes, outputBytes } = l;
  if (!/^[A-Za-z_]\w*$/.test(stem)) throw new UsageError("codegen/symbol", `"${stem}" is no name in C`);
  const sizes = [...inputBytes, ...outputBytes];
  const params = sizes.map((_, i) => `, ptr %t${i}`).join("");
  const places = sizes.map((bytes, i) => place(i, offsetOf(l, i), i < inputBytes.length ? bytes : 0));
  const backs = outputBytes.map((bytes, i) => copyBack(inputBytes.length + i, bytes));
  return `@arena = internal global [${libraryArenaBytes(l)} x i8] zeroinitializer, align ${alignment}
@${stem}_constants = external hidden constant i8, align ${alignment}

declare hidden i32 @${stem}_entry(ptr, ptr, ptr, ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define i32 @${stem}_run(ptr %rt${params}) nounwind {
  %code = call i32 @${stem}_run_in(ptr %rt, ptr @arena${params})
  ret i32 %code
}

define i32 @${stem}_run_in(ptr %rt, ptr %arena${params}) nounwind {
entry:
  %io = alloca [${Math.max(1, sizes.length)} x ptr], align 8
  br label %place0
${places.join("")}place${sizes.length}:
  %code = call i32 @${stem}_entry(ptr %rt, ptr %arena, ptr @${stem}_constants, ptr %io)
  br label %back${inputBytes.length}
${backs.join("")}back${sizes.length}:
  ret i32 %code
}
`;
}

function offsetOf(l: LibraryEntry, tensor: number): number {
  const before = [...l.inputBytes, ...l.outputBytes].slice(0, tensor);
  return before.reduce((sum, bytes) => sum + alignUp(bytes + alignment), alignUp(l.arenaBytes));
}

/** Chooses the tensor's own memory or its room in the arena; `copied` bytes go there (0 for outputs). */
function place(i: number, offset: number, copied: number): string {
  return `place${i}:
  %address${i} = ptrtoint ptr %t${i} to i64
  %low${i} = and i64 %address${i}, ${alignment - 1}
  %odd${i} = icmp ne i64 %low${i}, 0
  %room${i} = getelementptr i8, ptr %arena, i64 ${offset}
  %used${i} = select i1 %odd${i}, ptr %room${i}, ptr %t${i}
  %slot${i} = getelementptr ptr, ptr %io, i64 ${i}
  store ptr %used${i}, ptr %slot${i}, align 8
  br i1 %odd${i}, label %copy${i}, label %place${i + 1}
copy${i}:
  call void @llvm.memcpy.p0.p0.i64(ptr %room${i}, ptr %t${i}, i64 ${copied}, i1 false)
  br label %place${i + 1}
`;
}
function copyBack(i: number, bytes: number): string {
  return `back${i}:
  br i1 %odd${i}, label %return${i}, label %back${i + 1}
return${i}:
  call void @llvm.memcpy.p0.p0.i64(ptr %t${i}, ptr %room${i}, i64 ${bytes}, i1 false)
  br label %back${i + 1}
`;
}
