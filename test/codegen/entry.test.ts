import { expect, it } from "vitest";
import { emitHeader } from "../../codegen/c/header.ts";
import { emitEntry } from "../../codegen/llvm/entry.ts";
import {
  addressOf,
  allocAligned,
  compileIr,
  hostCpu,
  invoke,
  jitCreate,
  jitLookup,
  serial,
} from "../../native/addon.ts";
import { describeNative } from "./native-run.ts";

const kernel = `define void @twice(ptr %rt, ptr %in, ptr %out) nounwind {
  %x = load float, ptr %in
  %y = fadd float %x, %x
  store float %y, ptr %out
  ret void
}`;

describeNative("emitEntry", () => {
  it("calls kernels in order and takes time stamps between them", () => {
    const cpu = hostCpu();
    const steps = [
      {
        symbol: "twice",
        args: [
          { base: "io", index: 0 },
          { base: "arena", offset: 64 },
        ],
      },
      {
        symbol: "twice",
        args: [
          { base: "arena", offset: 64 },
          { base: "io", index: 1, offset: 4 },
        ],
      },
    ] as const;
    const text = emitEntry(steps, { profileIndex: 2 });
    const jit = jitCreate([compileIr(kernel, cpu), compileIr(text, cpu)]);
    const [x, y, stamps] = [new Float32Array([3]), new Float32Array(2), new BigInt64Array(3)];
    const arena = allocAligned(128);
    const io = BigUint64Array.from([x, y, stamps].map((a) => addressOf(a)));
    const code = invoke(jitLookup(jit, "tw_main"), serial, addressOf(arena), 0n, io);
    expect([code, y[1]]).toEqual([0, 12]);
    expect(stamps[0]! > 0n && stamps[2]! >= stamps[1]! && stamps[1]! >= stamps[0]!).toBe(true);
  });
  it("refuses names that are no symbols", () => {
    expect(() => emitEntry([{ symbol: 'x"() { ret void }', args: [] }])).toThrow(/is not a symbol/);
  });
});

it("writes a header without unescaped names", () => {
  const tensor = { dtype: "float32", dims: [1, 3], bytes: 12 } as const;
  const text = emitHeader({
    name: "net */ int x;",
    symbol: "tw_main",
    arenaBytes: 64,
    constantsBytes: 128,
    inputs: [{ name: "x\n#error", ...tensor }],
    outputs: [{ name: "x\n#error", ...tensor }],
  });
  expect(text).not.toContain("#error");
  expect(text).toContain("#define NET____INT_X__ARENA_BYTES 64");
  expect(text).toContain("int32_t tw_main(void *rt, void *arena, const void *constants, void **io);");
});
