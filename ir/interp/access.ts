/** Addresses of buffer elements, bounds checked against the buffer's shape. */
import { constantValue } from "../expr/build.ts";
import type { Buffer, Expr } from "../expr/expr.ts";
import { InterpreterError } from "./error.ts";
import type { Scalar } from "./scalar.ts";
import type { Frame, SlotScope, Thunk } from "./scope.ts";
import { elementReader, elementWriter, type Storage } from "./storage.ts";

/** How a buffer's elements lie: extents and strides as thunks where the shape is symbolic. */
type Compile = (e: Expr) => Thunk;

function outOfBounds(b: Buffer, indices: readonly Scalar[], extents: readonly Scalar[], frame: Frame): never {
  const where = frame.block === undefined ? "" : ` in block ${frame.block}`;
  throw new InterpreterError(
    "interp/out-of-bounds",
    `${b.name}[${indices.join(", ")}] is outside its shape [${extents.join(", ")}]${where}`,
    { buffer: b.name, indices: indices.map(Number), extents: extents.map(Number), block: frame.block },
  );
}

/** Gives the offset in elements of the access. Shapes known at compile time take a fast path. */
export function addressOf(b: Buffer, indices: readonly Expr[], compile: Compile): Thunk {
  const extents = b.shape.map(constantValue);
  const thunks = indices.map(compile);
  return extents.every((n) => n !== undefined)
    ? staticAddress(b, thunks, extents as readonly number[])
    : symbolicAddress(b, thunks, b.shape.map(compile));
}
function staticAddress(
  b: Buffer,
  thunks: readonly Thunk[],
  extents: readonly number[],
): (f: Frame, l: number) => number {
  const strides = b.strides ?? compactStrides(extents);
  const offset = b.offset ?? 0;
  const fail = (frame: Frame, lane: number): never =>
    outOfBounds(
      b,
      thunks.map((t) => t(frame, lane)),
      extents,
      frame,
    );
  if (thunks.length === 1) {
    const [i0, n0, s0] = [thunks[0]!, extents[0]!, strides[0]!];
    return (frame, lane) => {
      const x = i0(frame, lane) as number;
      return x >= 0 && x < n0 ? offset + x * s0 : fail(frame, lane);
    };
  }
  if (thunks.length === 2) {
    const [i0, n0, s0] = [thunks[0]!, extents[0]!, strides[0]!];
    const [i1, n1, s1] = [thunks[1]!, extents[1]!, strides[1]!];
    return (frame, lane) => {
      const x = i0(frame, lane) as number;
      const y = i1(frame, lane) as number;
      return x >= 0 && x < n0 && y >= 0 && y < n1 ? offset + x * s0 + y * s1 : fail(frame, lane);
    };
  }
  return (frame, lane) => {
    let at = offset;
    for (let k = 0; k < thunks.length; k++) {
      const x = thunks[k]!(frame, lane) as number;
      if (!(x >= 0 && x < extents[k]!)) fail(frame, lane);
      at += x * strides[k]!;
    }
    return at;
  };
}
function symbolicAddress(
  b: Buffer,
  thunks: readonly Thunk[],
  shape: readonly Thunk[],
): (f: Frame, l: number) => number {
  return (frame, lane) => {
    const extents = shape.map((n) => Number(n(frame, 0)));
    const strides = b.strides ?? compactStrides(extents);
    const indices = thunks.map((t) => Number(t(frame, lane)));
    if (!indices.every((x, k) => x >= 0 && x < extents[k]!)) outOfBounds(b, indices, extents, frame);
    return indices.reduce((at, x, k) => at + x * strides[k]!, b.offset ?? 0);
  };
}
/** Row-major strides in elements. */
export function compactStrides(extents: readonly number[]): number[] {
  const strides = extents.map(() => 1);
  for (let k = extents.length - 2; k >= 0; k--) strides[k] = strides[k + 1]! * extents[k + 1]!;
  return strides;
}
/** Elements that the memory of a buffer must hold. */
export function physicalCount(b: Buffer, extents: readonly number[]): number {
  if (extents.some((n) => n === 0)) return b.offset ?? 0;
  const strides = b.strides ?? compactStrides(extents);
  return extents.reduce((at, n, k) => at + (n - 1) * strides[k]!, (b.offset ?? 0) + 1);
}

function tooSmall(b: Buffer, at: number, frame: Frame): never {
  throw new InterpreterError(
    "interp/outside-memory",
    `${b.name}: element ${at} lies outside the memory given${frame.block === undefined ? "" : ` in block ${frame.block}`}`,
    { buffer: b.name, at, block: frame.block },
  );
}

/** Reads the element that `address` finds. */
export function reading(b: Buffer, address: Thunk, scope: SlotScope): Thunk {
  const slot = scope.bufferSlot(b);
  const scalar = b.dtype.scalar;
  if (scope.checkUninitialized) return checkedReading(b, address, slot);
  if (scalar === "float32" || scalar === "float64" || scalar === "int32" || scalar === "uint8" || scalar === "int8") {
    return (frame, lane) => {
      const at = address(frame, lane) as number;
      const v = (frame.buffers[slot]!.elements as Float32Array)[at];
      return v === undefined ? tooSmall(b, at, frame) : v;
    };
  }
  const read = elementReader(scalar);
  return (frame, lane) => {
    const at = address(frame, lane) as number;
    const { elements } = frame.buffers[slot]!;
    return at < elements.length && at >= 0 ? read(elements, at) : tooSmall(b, at, frame);
  };
}
function checkedReading(b: Buffer, address: Thunk, slot: number): Thunk {
  const read = elementReader(b.dtype.scalar);
  return (frame, lane) => {
    const at = address(frame, lane) as number;
    const { elements, written } = frame.buffers[slot] as Storage;
    if (!(at < elements.length && at >= 0)) tooSmall(b, at, frame);
    if (written?.[at] === 0) uninitialized(b, at, frame);
    return read(elements, at);
  };
}
function uninitialized(b: Buffer, at: number, frame: Frame): never {
  const where = frame.block === undefined ? "" : ` in block ${frame.block}`;
  throw new InterpreterError(
    "interp/uninitialized",
    `element ${at} of ${b.name} is read before it is written${where}`,
    {
      buffer: b.name,
      at,
      block: frame.block,
    },
  );
}

/** Writes to an element offset found before. */
export function writing(b: Buffer, scope: SlotScope): (frame: Frame, at: number, v: Scalar) => void {
  const slot = scope.bufferSlot(b);
  const write = elementWriter(b.dtype.scalar);
  return (frame, at, v) => {
    const { elements, written } = frame.buffers[slot]!;
    if (!(at < elements.length && at >= 0)) tooSmall(b, at, frame);
    write(elements, at, v);
    if (written) written[at] = 1;
  };
}
