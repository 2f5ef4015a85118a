/**
 * Small loops in LLVM IR whose speed is known once a machine's is: each keeps one part of a core busy and nothing else.
 * Context of all: { i64 passes, ptr buffer, i64 sliceBytes, ptr sink, i64 tasks }; a sink is 64 bytes a task.
 */

/** Vector width. */
export type Bits = 128 | 256 | 512;

/** Vectors that a reading or writing loop accesses in a step. */
export const readStreams = 8;
/** Steps of a chain loop for each pass of its context. */
export const stepsPerPass = 256;

/** An entry point that runs the body of this name in parallel. */
export function entryText(name: string): string {
  return `define i32 @${name}(ptr %rt, ptr %arena, ptr %context, ptr %io) nounwind {
  %slot = getelementptr i64, ptr %context, i64 4
  %tasks = load i64, ptr %slot
  call void @tw_parallel_for(ptr %rt, ptr @${name}_body, ptr %context, i64 %tasks)
  ret i32 0
}
`;
}

/** A body that runs `loop` for every task; `%task`, `%passes`, `%buffer`, `%slice` and `%sink` are at hand. */
function bodyText(name: string, bits: Bits, loop: string): string {
  return `define internal void @${name}_body(ptr %context, i64 %begin, i64 %end) nounwind \
"prefer-vector-width"="${bits}" "min-legal-vector-width"="${bits}" {
entry:
  %passes = load i64, ptr %context
  %slot1 = getelementptr i64, ptr %context, i64 1
  %buffer = load ptr, ptr %slot1
  %slot2 = getelementptr i64, ptr %context, i64 2
  %slice = load i64, ptr %slot2
  %slot3 = getelementptr i64, ptr %context, i64 3
  %sinks = load ptr, ptr %slot3
  br label %each
each:
  %task = phi i64 [ %begin, %entry ], [ %next_task, %finish ]
  %sink_offset = mul i64 %task, 64
  %sink = getelementptr i8, ptr %sinks, i64 %sink_offset
${loop}
finish:
  %next_task = add i64 %task, 1
  %more_tasks = icmp slt i64 %next_task, %end
  br i1 %more_tasks, label %each, label %done
done:
  ret void
}
`;
}

/** What a chain of operations is made of: each takes the result of the one before and a constant. */
export type Operation = "multiplyAdd" | "add" | "divide" | "logic";

/** How many operations may run at once, and how many follow each other in one step. */
export interface Chains {
  readonly operation: Operation;
  readonly chains: number;
  readonly links: number;
}

/** Independent chains of operations on registers. */
export function chainBody(name: string, bits: Bits, { operation, chains, links }: Chains): string {
  const lanes = bits / 32;
  const vector = `<${lanes} x ${operation === "logic" ? "i32" : "float"}>`;
  const start = (i: number): string => `splat (${operation === "logic" ? `i32 ${i}` : `float ${i}.0`})`;
  const constant =
    operation === "divide"
      ? `  %zero = load volatile ${vector}, ptr %sink, align 64\n  %constant = fadd ${vector} %zero, splat (float 1.0)`
      : `  %constant = load volatile ${vector}, ptr %sink, align 64`;
  const link = (from: string, to: string): string => {
    if (operation !== "multiplyAdd") {
      const instruction = { add: "fadd", divide: "fdiv", logic: "xor" }[operation];
      return `  ${to} = ${instruction} ${vector} ${from}, %constant`;
    }
    return `  ${to}p = fmul contract ${vector} ${from}, %constant\n  ${to} = fadd contract ${vector} ${to}p, %constant`;
  };
  const place = (i: number, k: number): string => (k === links ? `%new${i}` : k === 0 ? `%acc${i}` : `%link${i}_${k}`);
  const body = range(links).flatMap((k) => range(chains).map((i) => link(place(i, k), place(i, k + 1))));
  return bodyText(
    name,
    bits,
    `${constant}
  %steps = mul i64 %passes, ${stepsPerPass}
  br label %loop
loop:
  %step = phi i64 [ 0, %each ], [ %next_step, %loop ]
${range(chains)
  .map((i) => `  %acc${i} = phi ${vector} [ ${start(i)}, %each ], [ %new${i}, %loop ]`)
  .join("\n")}
${body.join("\n")}
  %next_step = add i64 %step, 1
  %more = icmp ult i64 %next_step, %steps
  br i1 %more, label %loop, label %sum
sum:
${reduceText("new", chains, `${operation === "logic" ? "xor" : "fadd"} ${vector}`)}
  store ${vector} %total, ptr %sink, align 64
  br label %finish`,
  );
}

/** `count` operations on integers in one chain, an addition and a logical one in turn: a cycle each. */
export const clockBody = (name: string, count: number): string =>
  bodyText(
    name,
    128,
    `  %constant = load volatile i64, ptr %sink, align 64
  br label %loop
loop:
  %step = phi i64 [ 0, %each ], [ %next_step, %loop ]
  %link0 = phi i64 [ 1, %each ], [ %link${count}, %loop ]
${range(count)
  .map((k) => `  %link${k + 1} = ${k % 2 === 0 ? "add" : "xor"} i64 %link${k}, %constant`)
  .join("\n")}
  %next_step = add i64 %step, 1
  %more = icmp ult i64 %next_step, %passes
  br i1 %more, label %loop, label %sum
sum:
  store i64 %link${count}, ptr %sink, align 64
  br label %finish`,
  );

/** Sets a register to 0, which takes a place in the front end but no unit (a `nop` takes half a place on some processors). */
const clearRegister =
  process.arch === "arm64"
    ? `asm sideeffect "mov w9, wzr", "~{w9}"()`
    : `asm sideeffect "xorl %eax, %eax", "~{eax},~{flags}"()`;

/** `count` instructions that need no unit. */
export const issueBody = (name: string, count: number): string =>
  bodyText(
    name,
    128,
    `  br label %loop
loop:
  %step = phi i64 [ 0, %each ], [ %next_step, %loop ]
${range(count)
  .map(() => `  call void ${clearRegister}`)
  .join("\n")}
  %next_step = add i64 %step, 1
  %more = icmp ult i64 %next_step, %passes
  br i1 %more, label %loop, label %finish`,
  );

/** Nothing at all: what is left is the fork and the join. */
export const emptyBody = (name: string): string => bodyText(name, 128, "  br label %finish");

/** Writes the task's slice `passes` times, `readStreams` vectors a step. */
export function writeBody(name: string, bits: Bits): string {
  const vector = `<${bits / 32} x i32>`;
  return bodyText(
    name,
    bits,
    `  %offset = mul i64 %task, %slice
  %start = getelementptr i8, ptr %buffer, i64 %offset
  br label %pass
pass:
  %round = phi i64 [ 0, %each ], [ %next_round, %passed ]
  br label %loop
loop:
  %at = phi i64 [ 0, %pass ], [ %next_at, %loop ]
  %cursor = getelementptr i8, ptr %start, i64 %at
${range(readStreams)
  .map(
    (i) =>
      `  %p${i} = getelementptr i8, ptr %cursor, i64 ${(i * bits) / 8}\n  store ${vector} zeroinitializer, ptr %p${i}, align ${bits / 8}`,
  )
  .join("\n")}
  %next_at = add i64 %at, ${(bits / 8) * readStreams}
  %more = icmp ult i64 %next_at, %slice
  br i1 %more, label %loop, label %passed
passed:
  %next_round = add i64 %round, 1
  %again = icmp ult i64 %next_round, %passes
  br i1 %again, label %pass, label %finish`,
  );
}

/** Reads the task's slice `passes` times, `readStreams` vectors a step. */
export function readBody(name: string, bits: Bits): string {
  const vector = `<${bits / 32} x i32>`;
  const stepBytes = (bits / 8) * readStreams;
  const loop = `  %offset = mul i64 %task, %slice
  %start = getelementptr i8, ptr %buffer, i64 %offset
  br label %pass
pass:
  %round = phi i64 [ 0, %each ], [ %next_round, %passed ]
${range(readStreams)
  .map((i) => `  %kept${i} = phi ${vector} [ zeroinitializer, %each ], [ %new${i}, %passed ]`)
  .join("\n")}
  br label %loop
loop:
  %at = phi i64 [ 0, %pass ], [ %next_at, %loop ]
${range(readStreams)
  .map((i) => `  %acc${i} = phi ${vector} [ %kept${i}, %pass ], [ %new${i}, %loop ]`)
  .join("\n")}
  %cursor = getelementptr i8, ptr %start, i64 %at
${range(readStreams)
  .map(
    (i) => `  %p${i} = getelementptr i8, ptr %cursor, i64 ${(i * bits) / 8}
  %v${i} = load ${vector}, ptr %p${i}, align ${bits / 8}
  %new${i} = add ${vector} %acc${i}, %v${i}`,
  )
  .join("\n")}
  %next_at = add i64 %at, ${stepBytes}
  %more = icmp ult i64 %next_at, %slice
  br i1 %more, label %loop, label %passed
passed:
  %next_round = add i64 %round, 1
  %again = icmp ult i64 %next_round, %passes
  br i1 %again, label %pass, label %sum
sum:
${reduceText("new", readStreams, `add ${vector}`)}
  store ${vector} %total, ptr %sink, align 64
  br label %finish`;
  return bodyText(name, bits, loop);
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Adds up values `%prefix0 …` with `operator`, one after the other; the last is `%total`. */
function reduceText(prefix: string, count: number, operator: string): string {
  if (count === 1) return `  %total = ${operator} %${prefix}0, %${prefix}0`;
  return range(count - 1)
    .map((i) => {
      const left = i === 0 ? `%${prefix}0` : `%sum${i}`;
      const name = i === count - 2 ? "%total" : `%sum${i + 1}`;
      return `  ${name} = ${operator} ${left}, %${prefix}${i + 1}`;
    })
    .join("\n");
}
