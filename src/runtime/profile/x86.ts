/** x86-64 assembly as LLVM prints it (AT&T syntax): instructions by the execution units that they need. */

/** Vector widths in bits; scalar floats and whatever else uses a vector register partly count as 128. */
export const widths = [128, 256, 512] as const;
export type Width = (typeof widths)[number];

/**
 * What an instruction needs beside loads and stores: `vector` is any other arithmetic on vector registers (logic, minima,
 * shuffles, conversions), `move` none at all.
 */
export type Unit = "multiplyAdd" | "multiply" | "add" | "divide" | "vector" | "move" | "integer" | "branch" | "call";

/** One instruction. */
export interface Instruction {
  readonly mnemonic: string;
  readonly unit: Unit;
  /** Of the widest register named. */
  readonly width: Width;
  /** Elements that floating-point arithmetic works on; 0 for everything else. */
  readonly lanes: number;
  /** Accesses of memory, and how wide a port each needs. */
  readonly loads: number;
  readonly stores: number;
  readonly loadWidth: Width;
  /** Whether an access is of the stack frame. */
  readonly onStack: boolean;
  /** Numbers of the vector registers that it reads, and of the one it writes. */
  readonly reads: readonly number[];
  readonly writes: number | undefined;
  /** The label that a jump goes to, or the function that a call calls. */
  readonly target: string | undefined;
}

const register = /%([xyz])mm(\d+)/g;
const registerWidths: Readonly<Record<string, Width>> = { x: 128, y: 256, z: 512 };
const multiplyAdd = /^v?fn?m(add|sub|addsub|subadd)\d*[ps][sdh]$/;
const multiply = /^v?mul[ps][sdh]$/;
const add = /^v?(add|sub)[ps][sdh]$/;
const divide = /^v?(div|sqrt)[ps][sdh]$/;
const plainMove = /^v?mov([au]p[sd]|dq[au]\d*|ntp[sd]|ntdqa?|s[sd]|[dq]|lps|hps)$/;
const memoryBroadcast = /^vp?broadcast(s[sd]|[dq]|[fi]\d+x?\d*)$/;
/** Reads of the register that it writes, beside multiply-adds: their first operand, in Intel's order. */
const accumulating = /^v?(pternlog|perm[it]2|pdp|dpbf16)/;
const narrowLoad = /^v?(p?broadcast(s[sd]|[bwdq])|movs[sd]|mov[dq]|pmov[sz]x|pinsr|insertps|\w+s[sd]$)/;
/** Change a place in memory when it stands last, but read it first. */
const readModifyWrite = /^(add|sub|and|or|xor|inc|dec|neg|not|sh[lr]|sar|adc|sbb|xadd|cmpxchg\w*)[bwlq]?$/;
const compares = /^(cmp|test|bt)[bwlq]?$/;

/** Reads one line's instruction; undefined for labels, directives and comments. */
export function parseInstruction(line: string, framePointer = false): Instruction | undefined {
  const match = /^\s+(?:lock\s+|rep\w*\s+)?([a-z]\w*)\s*([^#]*)/.exec(line);
  if (!match) return undefined;
  const [mnemonic, operandText] = [match[1]!, match[2]!.trim()];
  if (mnemonic.startsWith("j"))
    return { ...plain(mnemonic, "branch"), target: operandText.startsWith("*") ? undefined : operandText };
  if (mnemonic.startsWith("call"))
    return { ...plain(mnemonic, "call"), target: operandText.replace(/^\*/, "").replace(/@PLT$/, "") };
  const operands = splitOperands(operandText);
  const memory = operands.findIndex((o) => o.includes("("));
  const touches = memory >= 0 && !/^(lea|nop|prefetch)/.test(mnemonic);
  const onStack = touches && (framePointer ? /%r[sb]p[,)]/ : /%rsp[,)]/).test(operands[memory]!);
  const accesses = touches
    ? accessOf(mnemonic, memory === operands.length - 1, operands.length)
    : { loads: 0, stores: 0 };
  const registers = [...operandText.matchAll(register)];
  if (registers.length === 0)
    return { ...plain(mnemonic, "integer"), ...pushed(mnemonic), ...(touches ? accesses : {}), onStack };
  return vectorInstruction(mnemonic, operands, operandText, { ...accesses, onStack, memory });
}

interface MemoryUse {
  readonly loads: number;
  readonly stores: number;
  readonly onStack: boolean;
  /** Which operand is in memory; -1 for none. */
  readonly memory: number;
}

function vectorInstruction(mnemonic: string, operands: readonly string[], text: string, use: MemoryUse): Instruction {
  const named = (from: string) => [...from.matchAll(register)];
  const width = Math.max(...named(text).map((m) => registerWidths[m[1]!]!)) as Width;
  const last = operands.at(-1)!;
  const writes = use.memory === operands.length - 1 ? undefined : registersOf(last)[0];
  const sources = operands.slice(0, writes === undefined ? operands.length : -1).flatMap(registersOf);
  const unit = unitOf(mnemonic, use.memory, sources.length);
  const masked = text.includes("{%k") && !text.includes("{z}");
  const readsTarget =
    unit === "multiplyAdd" || masked || accumulating.test(mnemonic) || isTwoOperandSse(mnemonic, unit);
  const zeroes = /^v?p?xor/.test(mnemonic) && new Set([...sources, writes]).size === 1;
  const gathers = /^vp?gather/.test(mnemonic);
  return {
    mnemonic,
    unit: zeroes ? "move" : unit,
    width,
    lanes: ["vector", "move"].includes(unit) ? 0 : lanesOf(mnemonic, width),
    loads: gathers ? width / 32 : use.loads,
    stores: use.stores,
    loadWidth: gathers || text.includes("{1to") || narrowLoad.test(mnemonic) ? 128 : width,
    onStack: use.onStack,
    reads: zeroes ? [] : readsTarget && writes !== undefined ? [...sources, writes] : sources,
    writes,
    target: undefined,
  };
}

const plain = (mnemonic: string, unit: Unit): Instruction => ({
  mnemonic,
  unit,
  width: 128,
  lanes: 0,
  loads: 0,
  stores: 0,
  loadWidth: 128,
  onStack: false,
  reads: [],
  writes: undefined,
  target: undefined,
});
const pushed = (mnemonic: string) => ({
  loads: mnemonic.startsWith("pop") && !mnemonic.startsWith("popcnt") ? 1 : 0,
  stores: mnemonic.startsWith("push") ? 1 : 0,
});

function unitOf(mnemonic: string, memory: number, registerSources: number): Unit {
  if (multiplyAdd.test(mnemonic)) return "multiplyAdd";
  if (multiply.test(mnemonic)) return "multiply";
  if (add.test(mnemonic)) return "add";
  if (divide.test(mnemonic)) return "divide";
  // A move of a scalar between three registers merges two of them.
  if (plainMove.test(mnemonic) && registerSources <= 1) return "move";
  return memory >= 0 && memoryBroadcast.test(mnemonic) ? "move" : "vector";
}
const isTwoOperandSse = (mnemonic: string, unit: Unit): boolean => !mnemonic.startsWith("v") && unit !== "move";

/** Elements of packed single (`ps`), double (`pd`) or half (`ph`) arithmetic; 1 of scalar arithmetic. */
function lanesOf(mnemonic: string, width: Width): number {
  const kind = mnemonic.slice(-2);
  if (kind.startsWith("s")) return 1;
  return width / { ps: 32, pd: 64, ph: 16 }[kind as "ps" | "pd" | "ph"];
}

function accessOf(mnemonic: string, isLast: boolean, operands: number): { loads: number; stores: number } {
  if (!isLast || compares.test(mnemonic)) return { loads: 1, stores: 0 };
  if (readModifyWrite.test(mnemonic)) return { loads: 1, stores: 1 };
  // With one operand: `divq (%rax)` reads; `setb (%rax)` writes.
  return operands === 1 && !mnemonic.startsWith("set") ? { loads: 1, stores: 0 } : { loads: 0, stores: 1 };
}

/** Operands between commas outside of parentheses. */
function splitOperands(text: string): string[] {
  return text === "" ? [] : text.split(/,\s*(?![^(]*\))/).map((o) => o.trim());
}
const registersOf = (operand: string): number[] => [...operand.matchAll(register)].map((m) => Number(m[2]));
