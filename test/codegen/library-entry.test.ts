import { expect, it } from "vitest";
import { emitHeader } from "../../codegen/c/header.ts";
import { emitLibraryEntry, libraryArenaBytes } from "../../codegen/llvm/library-entry.ts";
import { compileIr, hostCpu } from "../../native/addon.ts";
import { changeSymbols } from "../../src/runtime/elf.ts";
import { describeNative } from "./native-run.ts";

const library = { stem: "net", arenaBytes: 100, inputBytes: [12, 0], outputBytes: [65] };

it("leaves room for a copy of every tensor, and a vector behind it", () => {
  // 100 → 128; 12 + 64 → 128; 0 + 64 → 64; 65 + 64 → 192.
  expect(libraryArenaBytes(library)).toBe(128 + 128 + 64 + 192);
});

it("refuses stems that are no names in C", () => {
  for (const stem of ["", "1net", "net-work", 'x"() { ret void }'])
    expect(() => emitLibraryEntry({ ...library, stem })).toThrow(/is no name in C/);
});

it("declares functions over tensors, with names that C has no other use for", () => {
  const tensor = { dtype: "int8", dims: [3], bytes: 3 } as const;
  const text = emitHeader({
    name: "net",
    symbol: "net",
    library: true,
    arenaBytes: 512,
    constantsBytes: 0,
    inputs: [
      { name: "int", ...tensor },
      { name: "runtime", ...tensor },
      { name: "*/ x", ...tensor },
    ],
    outputs: [{ name: "int", ...tensor }],
  });
  const run = /int32_t net_run\((.*)\);/.exec(text)![1]!;
  const names = run.split(", ").map((p) => p.split(/[ *]/).at(-1)!);
  expect(new Set(names).size).toBe(5);
  expect(names).not.toContain("int");
  expect(text).not.toContain("*/ x");
  expect(text).toContain("#define NET_ARENA_BYTES 512");
});

describeNative("library entries", () => {
  it("are modules that LLVM takes, with and without tensors", () => {
    for (const l of [library, { ...library, inputBytes: [], outputBytes: [] }])
      expect(compileIr(emitLibraryEntry(l), hostCpu()).length).toBeGreaterThan(0);
  });

  it("change only symbols that the object defines", () => {
    const object = compileIr(emitLibraryEntry(library), hostCpu());
    const changed = changeSymbols(object, { weak: true, hidden: true });
    const count = object.filter((b, i) => b !== changed[i]).length;
    // Binding and visibility of net_run and net_run_in.
    expect(count).toBe(4);
    expect(changeSymbols(object, {})).toEqual(object);
    expect(() => changeSymbols(Buffer.from("!<arch>\n"), {})).toThrow(/no 64-bit little-endian ELF/);
  });
});
