import { expect, test } from "vitest";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { serializeThreads } from "../../../passes/lower/serialize-threads.ts";
import { matmul } from "../schedule/loop-programs.ts";

test("threads become loops, shared memory the stack", () => {
  const program = parseProgram(`program f(A: int32[8], B: output int32[8]):
  bind(blockIdx.x) for i in 0..2:
    allocate T: int32[4] in shared
    bind(threadIdx.x) for t in 0..4:
      T[t] = A[i * 4 + t]
    bind(threadIdx.x) for u in 0..4:
      B[i * 4 + u] = T[3 - u]
`);
  expect(printProgram(serializeThreads(program))).toBe(`program f(A: int32[8], B: output int32[8]):
  for i in 0..2:
    allocate T: int32[4] in stack
    for t in 0..4:
      T[t] = A[i * 4 + t]
    for u in 0..4:
      B[i * 4 + u] = T[3 - u]
`);
});
test("a program without kernels stays the same object", () => {
  const program = matmul(2, 2, 2);
  expect(serializeThreads(program)).toBe(program);
});
