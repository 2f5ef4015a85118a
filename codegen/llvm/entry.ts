/** The entry point of a network: calls its kernels in order, with pointers into the arena, the constants and the io list. */

import { UsageError } from "../../ir/support/errors.ts";
import { boundsRecordDeclaration } from "./bounds.ts";

/** Where an argument of a kernel is. `io` indexes the list of input and output pointers; offsets are in bytes. */
export type EntryArgument =
  | { readonly base: "arena" | "constants"; readonly offset: number }
  | { readonly base: "io"; readonly index: number; readonly offset?: number };

/** One call of a kernel: `void symbol(ptr rt, ptr arg0, …)`. */
export interface EntryStep {
  readonly symbol: string;
  readonly args: readonly EntryArgument[];
}

export interface EntryOptions {
  /** Name of the function; `tw_main` if absent. */
  readonly symbol?: string;
  /** Index in `io` of an int64 buffer that gets steps + 1 time stamps (nanoseconds of `tw_now`). */
  readonly profileIndex?: number;
  /** Ends after the first step that found an access out of bounds, with its number (from 1) as the code. */
  readonly checked?: boolean;
}

/** Writes `i32 tw_main(ptr rt, ptr arena, ptr constants, ptr io)`, which gives 0, or the number of a step that failed its checks. */
export function emitEntry(steps: readonly EntryStep[], options: EntryOptions = {}): string {
  const { symbol = "tw_main", profileIndex } = options;
  const declared = new Map<string, number>();
  for (const s of steps) declareKernel(declared, s);
  const lines: string[] = [];
  const io = new Map<number, string>();
  const indices = steps.flatMap((s) => s.args.flatMap((a) => (a.base === "io" ? [a.index] : [])));
  for (const i of [...indices, ...(profileIndex === undefined ? [] : [profileIndex])]) {
    if (io.has(i)) continue;
    io.set(i, `%io${i}`);
    lines.push(
      `  %slot${i} = getelementptr ptr, ptr %io, i64 ${whole(i)}`,
      `  %io${i} = load ptr, ptr %slot${i}, align 8`,
    );
  }
  const stamps = profileIndex === undefined ? undefined : io.get(profileIndex);
  const writer = new EntryWriter(lines, io);
  if (options.checked) lines.push("  store i64 0, ptr @tw_bounds, align 8");
  if (stamps) writer.stamp(stamps, 0);
  steps.forEach((s, i) => {
    const args = s.args.map((a) => `ptr ${writer.pointer(a)}`);
    lines.push(`  call void @${checked(s.symbol)}(${["ptr %rt", ...args].join(", ")})`);
    if (options.checked) lines.push(...stopIfFailed(i + 1));
    if (stamps) writer.stamp(stamps, i + 1);
  });
  const declarations = [...declared].map(
    ([name, n]) =>
      `declare void @${name}(${Array(n + 1)
        .fill("ptr")
        .join(", ")})`,
  );
  if (options.checked) declarations.push(boundsRecordDeclaration);
  if (stamps) declarations.push("declare i64 @tw_now()");
  const head = `define i32 @${checked(symbol)}(ptr %rt, ptr %arena, ptr %constants, ptr %io) nounwind {\nentry:`;
  return `${head}\n${lines.join("\n")}\n  ret i32 0\n}\n\n${declarations.join("\n")}\n`;
}

const stopIfFailed = (step: number): readonly string[] => [
  `  %site${step} = load i64, ptr @tw_bounds, align 8`,
  `  %failed${step} = icmp ne i64 %site${step}, 0`,
  `  br i1 %failed${step}, label %stop${step}, label %step${step}`,
  `stop${step}:`,
  `  ret i32 ${step}`,
  `step${step}:`,
];

function declareKernel(declared: Map<string, number>, s: EntryStep): void {
  const known = declared.get(checked(s.symbol));
  if (known !== undefined && known !== s.args.length)
    throw new UsageError(
      "codegen/kernel-arity",
      `${s.symbol} is called with ${known} and with ${s.args.length} arguments`,
    );
  declared.set(s.symbol, s.args.length);
}

/** Numbers registers. */
class EntryWriter {
  readonly #lines: string[];
  readonly #io: ReadonlyMap<number, string>;
  readonly #known = new Map<string, string>();
  #registers = 0;
  constructor(lines: string[], io: ReadonlyMap<number, string>) {
    this.#lines = lines;
    this.#io = io;
  }
  pointer(a: EntryArgument): string {
    const base = a.base === "io" ? this.#io.get(a.index)! : `%${a.base}`;
    const offset = a.offset ?? 0;
    if (offset === 0) return base;
    const text = `getelementptr i8, ptr ${base}, i64 ${whole(offset)}`;
    let register = this.#known.get(text);
    if (!register) {
      register = `%r${this.#registers++}`;
      this.#known.set(text, register);
      this.#lines.push(`  ${register} = ${text}`);
    }
    return register;
  }
  stamp(buffer: string, i: number): void {
    const [now, place] = [`%now${i}`, `%stamp${i}`];
    this.#lines.push(`  ${now} = call i64 @tw_now()`, `  ${place} = getelementptr i64, ptr ${buffer}, i64 ${i}`);
    this.#lines.push(`  store i64 ${now}, ptr ${place}, align 8`);
  }
}

function checked(symbol: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_.]*$/.test(symbol))
    throw new UsageError("codegen/symbol", `"${symbol}" is not a symbol: letters, digits, _ and . only`);
  return symbol;
}
function whole(n: number): number {
  if (!Number.isSafeInteger(n) || n < 0)
    throw new UsageError("codegen/offset", `an offset is a non-negative integer, got ${n}`);
  return n;
}
