/** The part of the ZIP format that .npz files use: stored and deflated entries, with ZIP64 sizes on reading. */
import { crc32, deflateRawSync, inflateRawSync } from "node:zlib";
import { InputError, UnsupportedError } from "../../ir/support/errors.ts";

/** One file of an archive. */
export interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const signature = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator64: 0x07064b50 };
const method = { stored: 0, deflated: 8 };
const utf8Flag = 0x800;
/** 1 January 1980, the first date that ZIP can say. */
const firstDate = 0x21;
const max32 = 0xffff_ffff;
/** Uncompressed bytes of an archive, against archives that unpack to far more than they hold. */
const mostBytes = 8 * 2 ** 30;

/** Unpacks every file. @throws InputError [zip/malformed], [zip/too-large], UnsupportedError [zip/…] */
export function readZip(bytes: Uint8Array, what = "the archive"): ZipEntry[] {
  return new ZipReader(bytes, what).entries();
}

/** Packs files in order; deflates where asked. @throws UnsupportedError [zip/size] above 4 GiB */
export function writeZip(entries: readonly ZipEntry[], options: { readonly compress?: boolean } = {}): Uint8Array {
  const parts: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let offset = 0;
  for (const { name, bytes } of entries) {
    const packed = options.compress ? deflateRawSync(bytes) : bytes;
    const record = { name: new TextEncoder().encode(name), bytes, packed, deflated: options.compress === true };
    const local = localHeader(record);
    central.push(centralHeader(record, offset));
    parts.push(local, packed);
    offset += local.length + packed.length;
  }
  const centralSize = central.reduce((sum, c) => sum + c.length, 0);
  if (offset + centralSize > max32) throw new UnsupportedError("zip/size", "archives above 4 GiB are not written");
  return concatenate([...parts, ...central, endRecord(entries.length, centralSize, offset)]);
}

interface PackedEntry {
  readonly name: Uint8Array;
  readonly bytes: Uint8Array;
  readonly packed: Uint8Array;
  readonly deflated: boolean;
}

/** The fields that the local and the central header share, from "version needed" to "extra length". */
function commonFields(e: PackedEntry): Uint8Array {
  const out = new Uint8Array(26);
  const view = new DataView(out.buffer);
  view.setUint16(0, 20, true);
  view.setUint16(2, utf8Flag, true);
  view.setUint16(4, e.deflated ? method.deflated : method.stored, true);
  view.setUint16(8, firstDate, true);
  view.setUint32(10, crc32(e.bytes), true);
  view.setUint32(14, e.packed.length, true);
  view.setUint32(18, e.bytes.length, true);
  view.setUint16(22, e.name.length, true);
  return out;
}

const localHeader = (e: PackedEntry): Uint8Array => concatenate([uint32(signature.local), commonFields(e), e.name]);

function centralHeader(e: PackedEntry, offset: number): Uint8Array {
  const tail = new Uint8Array(14);
  new DataView(tail.buffer).setUint32(10, offset, true);
  return concatenate([uint32(signature.central), Uint8Array.of(20, 0), commonFields(e), tail, e.name]);
}

function endRecord(count: number, centralSize: number, centralOffset: number): Uint8Array {
  if (count >= 0xffff) throw new UnsupportedError("zip/size", "archives of 65,535 files or more are not written");
  const out = new Uint8Array(22);
  const view = new DataView(out.buffer);
  view.setUint32(0, signature.end, true);
  view.setUint16(8, count, true);
  view.setUint16(10, count, true);
  view.setUint32(12, centralSize, true);
  view.setUint32(16, centralOffset, true);
  return out;
}

function uint32(value: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, true);
  return out;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** What the central directory says of one file. */
interface DirectoryEntry {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly packedSize: number;
  readonly size: number;
  readonly offset: number;
}

class ZipReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #total = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  entries(): ZipEntry[] {
    const { count, offset } = this.#directory();
    const entries: ZipEntry[] = [];
    let at = offset;
    for (let i = 0; i < count; i++) {
      const { entry, next } = this.#directoryEntry(at);
      entries.push({ name: entry.name, bytes: this.#unpack(entry) });
      at = next;
    }
    return entries;
  }

  #directory(): { readonly count: number; readonly offset: number } {
    const longestComment = 0xffff;
    for (let at = this.#bytes.length - 22; at >= 0 && at >= this.#bytes.length - 22 - longestComment; at--) {
      if (this.#u32(at) !== signature.end) continue;
      const plain = { count: this.#u16(at + 10), offset: this.#u32(at + 16) };
      return plain.count === 0xffff || plain.offset === max32 ? this.#directory64(at) : plain;
    }
    return this.#malformed("it has no directory at its end");
  }

  #directory64(end: number): { readonly count: number; readonly offset: number } {
    if (this.#u32(end - 20) !== signature.locator64) this.#malformed("it lacks its ZIP64 locator");
    const at = this.#u64(end - 12);
    if (this.#u32(at) !== signature.end64) this.#malformed("it lacks its ZIP64 directory");
    return { count: this.#u64(at + 32), offset: this.#u64(at + 48) };
  }

  #directoryEntry(at: number): { readonly entry: DirectoryEntry; readonly next: number } {
    if (this.#u32(at) !== signature.central) this.#malformed("an entry of its directory is damaged");
    const nameLength = this.#u16(at + 28);
    const extraLength = this.#u16(at + 30);
    const next = at + 46 + nameLength + extraLength + this.#u16(at + 32);
    const sizes = this.#wideSizes(at, at + 46 + nameLength, extraLength);
    const name = new TextDecoder().decode(this.#range(at + 46, nameLength));
    const entry = { name, flags: this.#u16(at + 8), method: this.#u16(at + 10), crc: this.#u32(at + 16), ...sizes };
    return { entry, next };
  }

  /** Sizes and offset; those that do not fit 32 bits stand, in this order, in the ZIP64 extra field. */
  #wideSizes(at: number, extra: number, extraLength: number) {
    let wide = this.#zip64Field(extra, extraLength);
    const read = (narrow: number): number => {
      if (narrow !== max32 || wide === undefined) return narrow;
      wide += 8;
      return this.#u64(wide - 8);
    };
    const size = read(this.#u32(at + 24));
    const packedSize = read(this.#u32(at + 20));
    return { size, packedSize, offset: read(this.#u32(at + 42)) };
  }

  #zip64Field(extra: number, extraLength: number): number | undefined {
    for (let at = extra; at + 4 <= extra + extraLength; at += 4 + this.#u16(at + 2))
      if (this.#u16(at) === 1) return at + 4;
    return undefined;
  }

  #unpack(entry: DirectoryEntry): Uint8Array {
    const name = JSON.stringify(entry.name);
    if (entry.flags & 1) throw new UnsupportedError("zip/encrypted", `${this.#what}: ${name} is encrypted`);
    this.#total += entry.size;
    if (this.#total > mostBytes)
      throw new InputError("zip/too-large", `${this.#what} unpacks to more than ${mostBytes} bytes`);
    if (this.#u32(entry.offset) !== signature.local) this.#malformed(`${name} is not where the directory says`);
    const start = entry.offset + 30 + this.#u16(entry.offset + 26) + this.#u16(entry.offset + 28);
    const bytes = this.#inflated(this.#range(start, entry.packedSize), entry, name);
    if (bytes.length !== entry.size || crc32(bytes) !== entry.crc) this.#malformed(`${name} is damaged`);
    return bytes;
  }

  #inflated(packed: Uint8Array, entry: DirectoryEntry, name: string): Uint8Array {
    if (entry.method === method.stored) return packed;
    if (entry.method !== method.deflated)
      throw new UnsupportedError("zip/method", `${this.#what}: ${name} is compressed by method ${entry.method}`);
    try {
      return inflateRawSync(packed, { maxOutputLength: Math.max(1, entry.size) });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      return this.#malformed(`${name} does not inflate (${why})`);
    }
  }

  #range(start: number, length: number): Uint8Array {
    if (start < 0 || start + length > this.#bytes.length) this.#malformed("it is cut off");
    return this.#bytes.subarray(start, start + length);
  }
  #u16(at: number): number {
    return this.#within(at, 2).getUint16(at, true);
  }
  #u32(at: number): number {
    return this.#within(at, 4).getUint32(at, true);
  }
  #u64(at: number): number {
    const value = this.#within(at, 8).getBigUint64(at, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.#malformed(`a size of ${value}`);
    return Number(value);
  }
  #within(at: number, length: number): DataView {
    if (at < 0 || at + length > this.#bytes.length) this.#malformed("it is cut off");
    return this.#view;
  }
  #malformed(why: string): never {
    throw new InputError("zip/malformed", `${this.#what} is not a well-formed ZIP archive: ${why}`);
  }
}
