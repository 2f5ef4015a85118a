/** Loads, stores, gathers, scatters, masks. */
import { constantValue, index } from "../../ir/expr/build.ts";
import { bytesOf, type DType, elementOf, withLanes } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr, Load, Ramp } from "../../ir/expr/expr.ts";
import { constantLanes } from "../../ir/interp/interpret.ts";
import type { Store } from "../../ir/loop/program.ts";
import { invariant } from "../../ir/support/invariant.ts";
import { type Address, commonAlignment, constantCount, elementAddress } from "./address.ts";
import { storeAtomic } from "./atomics.ts";
import { bindingOf, type FunctionContext, splat } from "./function-context.ts";
import { intrinsicSuffix, memoryType, registerType, vectorOf } from "./types.ts";
import { literal, type Value } from "./writer.ts";

/** Writes a load. */
export function loadValue(ctx: FunctionContext, e: Load): Value {
  const at = onlyIndex(e.indices, e.buffer);
  if (e.dtype.lanes === 1) return loadScalar(ctx, e.buffer, at, e.predicate);
  if (at.kind === "broadcast" && !e.predicate)
    return splat(ctx, registerType(elementOf(e.dtype)), loadScalar(ctx, e.buffer, at.value), e.dtype.lanes);
  if (isContiguous(at)) return loadContiguous(ctx, e, at);
  return e.predicate ? gather(ctx, e, at, e.predicate) : loadLanes(ctx, e, at);
}
function onlyIndex(indices: readonly Expr[], buffer: Buffer): Expr {
  const at = indices[0];
  invariant(at && indices.length === 1, `${buffer.name}: storage is flattened before code is generated`);
  return at;
}
const isContiguous = (e: Expr): e is Ramp => e.kind === "ramp" && constantValue(e.stride) === 1;

/** A predicate that is false reads the buffer's first element instead, and drops it. */
function loadScalar(ctx: FunctionContext, buffer: Buffer, at: Expr, predicate?: Expr): Value {
  if (!predicate) return loadAt(ctx, buffer, elementAddress(ctx, buffer, at), buffer.dtype);
  const mask = ctx.emit(predicate);
  const address = elementAddress(ctx, buffer, at);
  const binding = bindingOf(ctx, buffer.id, buffer.name);
  const safe = ctx.writer.hoisted(`select i1 ${mask.ref}, ptr ${address.pointer.ref}, ptr ${binding.pointer.ref}`, [
    mask,
    address.pointer,
    binding.pointer,
  ]);
  const type = memoryType(buffer.dtype);
  const raw = ctx.writer.effect(
    `load ${type}, ptr ${safe.ref}, align ${bytesOf(buffer.dtype.scalar)}${binding.metadata}`,
  );
  const value = fromMemory(ctx, raw, buffer.dtype);
  const register = registerType(buffer.dtype);
  return ctx.writer.pure(`select i1 ${mask.ref}, ${register} ${value.ref}, ${register} ${zeroOf(register)}`);
}
const zeroOf = (type: string): string =>
  type.startsWith("<") ? "zeroinitializer" : isFloatType(type) ? "0.0" : zeroWord(type);
const isFloatType = (t: string): boolean => t === "float" || t === "double" || t === "half";
const zeroWord = (t: string): string => (t === "i1" ? "false" : "0");

/** A vector or scalar at an address, unless it is known already. */
function loadAt(ctx: FunctionContext, buffer: Buffer, a: Address, t: DType): Value {
  const key = elementKey(buffer, a, t.lanes);
  const known = ctx.writer.recall(buffer.id, key);
  if (known) return known;
  const { metadata } = bindingOf(ctx, buffer.id, buffer.name);
  const raw = ctx.writer.effect(`load ${memoryType(t)}, ptr ${a.pointer.ref}, align ${alignmentOf(a, t)}${metadata}`);
  const value = fromMemory(ctx, raw, t);
  ctx.writer.remember(key, { buffer: buffer.id, base: a.base, first: a.first, lanes: t.lanes, value });
  return value;
}
const elementKey = (b: Buffer, a: Address, lanes: number): string => `${b.id}:${a.base}:${a.first}:${lanes}`;
const alignmentOf = (a: Address, t: DType): number =>
  Math.max(bytesOf(t.scalar), commonAlignment(a.alignment, 2 ** 30));

function fromMemory(ctx: FunctionContext, raw: Value, t: DType): Value {
  if (t.scalar !== "bool") return raw;
  return ctx.writer.pure(`icmp ne ${memoryType(t)} ${raw.ref}, ${zeroOf(memoryType(t))}`);
}
function toMemory(ctx: FunctionContext, v: Value, t: DType): Value {
  if (t.scalar !== "bool") return v;
  return ctx.writer.pure(`zext ${registerType(t)} ${v.ref} to ${memoryType(t)}`);
}

function loadContiguous(ctx: FunctionContext, e: Load, at: Ramp): Value {
  const address = elementAddress(ctx, e.buffer, at.base);
  if (!e.predicate) return loadAt(ctx, e.buffer, address, e.dtype);
  const mask = maskOf(ctx, e.predicate, e.dtype.lanes);
  const type = memoryType(e.dtype);
  const callee = ctx.module.declare(`llvm.masked.load.${intrinsicSuffix(type)}.p0`, type, [
    "ptr",
    "i32 immarg",
    vectorOf("i1", e.dtype.lanes),
    type,
  ]);
  const { metadata } = bindingOf(ctx, e.buffer.id, e.buffer.name);
  const raw = ctx.writer.effect(
    `call ${type} ${callee}(ptr ${address.pointer.ref}, i32 ${alignmentOf(address, e.dtype)}, ` +
      `${vectorOf("i1", e.dtype.lanes)} ${mask.ref}, ${type} zeroinitializer)${metadata}`,
  );
  return fromMemory(ctx, raw, e.dtype);
}
/** A predicate with one bool a lane. */
function maskOf(ctx: FunctionContext, predicate: Expr, lanes: number): Value {
  const v = ctx.emit(predicate);
  return predicate.dtype.lanes === 1 ? splat(ctx, "i1", v, lanes) : v;
}

/** The lanes that a predicate of constants alone holds for; undefined for any other. */
const lanesOn = (predicate: Expr): readonly number[] | undefined =>
  predicate.dtype.lanes === 1 ? undefined : constantLanes(predicate)?.flatMap((v, k) => (v === 0 ? [] : [k]));

/** Up to this stride, whole vectors hold enough of the elements. */
const longestStride = 4;

/** The scalar index of one lane of a vector index. */
function laneIndex(at: Expr, lane: number): Expr | undefined {
  if (at.kind === "broadcast") return at.value;
  if (at.kind !== "ramp") return undefined;
  return { kind: "binary", op: "add", a: at.base, b: times(at.stride, lane), dtype: at.base.dtype };
}
const times = (e: Expr, k: number): Expr => ({ kind: "binary", op: "mul", a: e, b: index(k), dtype: e.dtype });

/** The address of one lane: a displacement where the index is a ramp, else computed from the vector of indices. */
function laneAddress(ctx: FunctionContext, buffer: Buffer, at: Expr, lane: number): Address {
  const scalar = laneIndex(at, lane);
  if (scalar) return elementAddress(ctx, buffer, scalar);
  const all = ctx.emit(at);
  const one = ctx.writer.pure(`extractelement ${registerType(at.dtype)} ${all.ref}, i64 ${lane}`);
  const binding = bindingOf(ctx, buffer.id, buffer.name);
  const pointer = ctx.writer.pure(
    `getelementptr ${memoryType(buffer.dtype)}, ptr ${binding.pointer.ref}, i64 ${one.ref}`,
  );
  return { pointer, base: one.ref, first: 0, alignment: bytesOf(buffer.dtype.scalar) };
}
function loadLanes(ctx: FunctionContext, e: Load, at: Expr): Value {
  const stride = at.kind === "ramp" ? constantValue(at.stride) : undefined;
  const { lanes } = e.dtype;
  if (stride !== undefined && stride > 1 && stride <= Math.min(longestStride, lanes) && e.buffer.scope !== "register")
    return loadStrided(ctx, e, (at as Ramp).base, stride);
  const type = registerType(e.dtype);
  const element = registerType(e.buffer.dtype);
  let result = literal("poison");
  for (let k = 0; k < e.dtype.lanes; k++) {
    const lane = loadAt(ctx, e.buffer, laneAddress(ctx, e.buffer, at, k), e.buffer.dtype);
    result = ctx.writer.pure(`insertelement ${type} ${result.ref}, ${element} ${lane.ref}, i64 ${k}`);
  }
  return result;
}
/**
 * Every `stride`-th element: whole vectors of all elements, one after the other, the last of which ends with the last lane,
 * and a shuffle for each but the first.
 */
function loadStrided(ctx: FunctionContext, e: Load, base: Expr, stride: number): Value {
  const { lanes } = e.dtype;
  const type = registerType(e.dtype);
  const starts = Array.from({ length: stride }, (_, p) => Math.min(p * lanes, (lanes - 1) * stride + 1 - lanes));
  const parts = starts.map((start) => {
    const at: Expr = { kind: "binary", op: "add", a: base, b: index(start), dtype: base.dtype };
    return loadAt(ctx, e.buffer, elementAddress(ctx, e.buffer, at), e.dtype);
  });
  return parts.reduce((found, part, p) => {
    const lane = (l: number): number => {
      const element = l * stride;
      if (element >= p * lanes) return lanes + Math.min(element - starts[p]!, lanes - 1);
      return p === 1 ? element : l;
    };
    const mask = Array.from({ length: lanes }, (_, l) => `i32 ${lane(l)}`).join(", ");
    return ctx.writer.pure(`shufflevector ${type} ${found.ref}, ${type} ${part.ref}, <${lanes} x i32> <${mask}>`);
  });
}
function pointerVector(ctx: FunctionContext, buffer: Buffer, at: Expr): Value {
  const binding = bindingOf(ctx, buffer.id, buffer.name);
  const indices = ctx.emit(at);
  return ctx.writer.pure(
    `getelementptr ${memoryType(buffer.dtype)}, ptr ${binding.pointer.ref}, ${registerType(at.dtype)} ${indices.ref}`,
  );
}
function gather(ctx: FunctionContext, e: Load, at: Expr, predicate: Expr): Value {
  const { lanes } = e.dtype;
  const [type, pointers, mask] = [memoryType(e.dtype), vectorOf("ptr", lanes), vectorOf("i1", lanes)];
  const callee = ctx.module.declare(`llvm.masked.gather.${intrinsicSuffix(type)}.v${lanes}p0`, type, [
    pointers,
    "i32 immarg",
    mask,
    type,
  ]);
  const where = pointerVector(ctx, e.buffer, at);
  const { metadata } = bindingOf(ctx, e.buffer.id, e.buffer.name);
  const raw = ctx.writer.effect(
    `call ${type} ${callee}(${pointers} ${where.ref}, i32 ${bytesOf(e.dtype.scalar)}, ` +
      `${mask} ${maskOf(ctx, predicate, lanes).ref}, ${type} zeroinitializer)${metadata}`,
  );
  return fromMemory(ctx, raw, e.dtype);
}

/** Writes a store. */
export function storeValue(ctx: FunctionContext, s: Store): void {
  if (s.atomic) {
    storeAtomic(ctx, s);
    return;
  }
  const at = onlyIndex(s.indices, s.buffer);
  const lanes = Math.max(at.dtype.lanes, s.value.dtype.lanes);
  const t = withLanes(s.buffer.dtype, lanes);
  const raw = ctx.emit(s.value);
  const value = s.value.dtype.lanes === lanes ? raw : splat(ctx, registerType(s.value.dtype), raw, lanes);
  const hint = s.nontemporal ? `, !nontemporal ${ctx.module.nontemporal()}` : "";
  if (lanes === 1) {
    const store = (): void => storeAt(ctx, s.buffer, elementAddress(ctx, s.buffer, at), t, value, hint);
    if (s.predicate) ctx.writer.branch(ctx.emit(s.predicate), store);
    else store();
  } else if (s.predicate) storeMasked(ctx, s, at, value);
  else if (isContiguous(at)) storeAt(ctx, s.buffer, elementAddress(ctx, s.buffer, at.base), t, value, hint);
  else storeLanes(ctx, s.buffer, at, value, lanes);
}
function storeAt(ctx: FunctionContext, buffer: Buffer, a: Address, t: DType, value: Value, hint = ""): void {
  const { metadata } = bindingOf(ctx, buffer.id, buffer.name);
  const raw = toMemory(ctx, value, t);
  ctx.writer.instruction(
    `store ${memoryType(t)} ${raw.ref}, ptr ${a.pointer.ref}, align ${alignmentOf(a, t)}${metadata}${hint}`,
  );
  forgetOverlapping(ctx, buffer, a, t.lanes);
  const element = { buffer: buffer.id, base: a.base, first: a.first, lanes: t.lanes, value };
  ctx.writer.remember(elementKey(buffer, a, t.lanes), element);
}
/** Elements with the same symbolic part overlap only where their constants do. */
function forgetOverlapping(ctx: FunctionContext, buffer: Buffer, a: Address, lanes: number): void {
  ctx.writer.forget(buffer.id, (k) => k.base !== a.base || (k.first < a.first + lanes && a.first < k.first + k.lanes));
}

function storeLanes(ctx: FunctionContext, buffer: Buffer, at: Expr, value: Value, lanes: number): void {
  const vector = registerType(withLanes(buffer.dtype, lanes));
  for (let k = 0; k < lanes; k++) {
    const one = ctx.writer.pure(`extractelement ${vector} ${value.ref}, i64 ${k}`);
    storeAt(ctx, buffer, laneAddress(ctx, buffer, at, k), buffer.dtype, one);
  }
}
/** Whether a vector of a buffer begins where a register does, and ends within the buffer. */
const isRegister = (b: Buffer, a: Address, t: DType): boolean =>
  alignmentOf(a, t) >= bytesOf(t.scalar) * t.lanes && constantCount(b) % t.lanes === 0;
// LLVM 22 turns a masked store of truncated elements into a store of one whole, wider element where the mask is known to
// hold for one lane only, and writes past it (X86's reduceMaskedStoreToScalarStore).
function storeMasked(ctx: FunctionContext, s: Store, at: Expr, value: Value): void {
  const on = lanesOn(s.predicate!);
  const [lane] = on ?? [];
  if (lane !== undefined && on?.length === 1) {
    const vector = registerType(withLanes(s.buffer.dtype, at.dtype.lanes));
    const one = ctx.writer.pure(`extractelement ${vector} ${value.ref}, i64 ${lane}`);
    storeAt(ctx, s.buffer, laneAddress(ctx, s.buffer, at, lane), s.buffer.dtype, one);
    return;
  }
  const lanes = at.dtype.lanes;
  const t = withLanes(s.buffer.dtype, lanes);
  const [type, maskType] = [memoryType(t), vectorOf("i1", lanes)];
  const mask = maskOf(ctx, s.predicate!, lanes).ref;
  const raw = toMemory(ctx, value, t);
  // A masked store would keep the buffer in memory. Lane 0 exists, so the whole register does, and keeps its other lanes.
  const first = lane === 0 && s.buffer.scope === "register" && isContiguous(at);
  const whole = first ? elementAddress(ctx, s.buffer, at.base) : undefined;
  if (whole && isRegister(s.buffer, whole, t)) {
    const place = `ptr ${whole.pointer.ref}, align ${alignmentOf(whole, t)}`;
    const old = ctx.writer.effect(`load ${type}, ${place}`);
    const both = ctx.writer.pure(`select ${maskType} ${mask}, ${type} ${raw.ref}, ${type} ${old.ref}`);
    ctx.writer.instruction(`store ${type} ${both.ref}, ${place}`);
    ctx.writer.forget(s.buffer.id);
    return;
  }
  const { metadata } = bindingOf(ctx, s.buffer.id, s.buffer.name);
  if (isContiguous(at)) {
    const a = elementAddress(ctx, s.buffer, at.base);
    const types = [type, "ptr", "i32 immarg", maskType];
    const callee = ctx.module.declare(`llvm.masked.store.${intrinsicSuffix(type)}.p0`, "void", types);
    ctx.writer.instruction(
      `call void ${callee}(${type} ${raw.ref}, ptr ${a.pointer.ref}, i32 ${alignmentOf(a, t)}, ${maskType} ${mask})${metadata}`,
    );
  } else {
    const pointers = vectorOf("ptr", lanes);
    const types = [type, pointers, "i32 immarg", maskType];
    const callee = ctx.module.declare(`llvm.masked.scatter.${intrinsicSuffix(type)}.v${lanes}p0`, "void", types);
    const where = pointerVector(ctx, s.buffer, at);
    ctx.writer.instruction(
      `call void ${callee}(${type} ${raw.ref}, ${pointers} ${where.ref}, i32 ${bytesOf(t.scalar)}, ${maskType} ${mask})${metadata}`,
    );
  }
  ctx.writer.forget(s.buffer.id);
}
