import { createHash, randomUUID } from "node:crypto";
import {
  closeSync,
  fstatSync,
  futimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../../ir/support/errors.ts";

/** Where the cache is and how much it may hold; absent fields come from the environment. */
export interface ObjectCacheOptions {
  /** `off` for no cache. Default: `TILEWRIGHT_CACHE`, else `$XDG_CACHE_HOME/tilewright`, else `~/.cache/tilewright`. */
  readonly folder?: string;
  /** Default: `TILEWRIGHT_CACHE_BYTES`, else 4 GiB. */
  readonly maxBytes?: number;
}

/** What this cache object did, and what lies on the disk. */
export interface ObjectCacheStats {
  /** Absent when the cache is off. */
  readonly folder: string | undefined;
  readonly hits: number;
  readonly misses: number;
  readonly writes: number;
  /** Entries found truncated or damaged, and deleted. */
  readonly damaged: number;
  readonly evicted: number;
  readonly entries: number;
  readonly bytes: number;
}

/** What decides the bytes that a compiler gives. */
export interface ObjectKeyParts {
  readonly irText: string;
  readonly target: string;
  /** Options that change the result, in one canonical text. */
  readonly options: string;
  /** Of LLVM and of our code generator. */
  readonly compilerVersion: string;
}

interface Entry {
  readonly path: string;
  readonly bytes: number;
  readonly usedMs: number;
}

// An entry: magic (8), payload length (8, little endian), SHA-256 of the payload (32), payload.
const magic = Buffer.from("TWOBJ\0\0\x01", "latin1");
const headerBytes = magic.length + 8 + 32;
const suffix = ".two";
/** A compiled network: a file that checks itself. */
const networkSuffix = ".tw";
const temporarySuffix = ".tmp";
const abandonedAfterMs = 10 * 60_000;
const defaultMaxBytes = 4 * 2 ** 30;
/** Eviction scans the folder for one key in this many, whoever writes it; keys are evenly spread. */
const scanOneKeyIn = 128;
/** Eviction stops here, so that the next write does not evict again. */
const lowWater = 0.9;

/**
 * Compiled code on the disk, found by the content that it was compiled from. Processes share a cache freely: entries
 * appear whole by renaming, whoever reads checks length and checksum, and anything damaged counts as absent. The size
 * is bounded approximately: least recently used entries go when a scan finds too many.
 */
export class ObjectCache {
  readonly #folder: string | undefined;
  readonly #maxBytes: number;
  #bytesSinceScan = 0;
  #hits = 0;
  #misses = 0;
  #writes = 0;
  #damaged = 0;
  #evicted = 0;

  private constructor(folder: string | undefined, maxBytes: number) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
  }

  /** Opens the cache and makes its folder. @throws UsageError for a size or a folder that was given and is no good */
  static open(options: ObjectCacheOptions = {}): ObjectCache {
    const chosen = options.folder ?? process.env.TILEWRIGHT_CACHE;
    const folder = chosen || defaultFolder();
    const maxBytes = options.maxBytes ?? maxBytesFromEnvironment();
    if (!(maxBytes >= 0))
      throw new UsageError("cache/bytes", `the cache's size must be a number of bytes`, { maxBytes });
    if (folder === "off") return new ObjectCache(undefined, maxBytes);
    const objects = join(folder, "objects");
    try {
      // Entries are run as code, so nobody else may write them.
      mkdirSync(objects, { recursive: true, mode: 0o700 });
    } catch (error) {
      // A machine without a home that can be written works, without a cache; a folder that was asked for must exist.
      if (!chosen && isReadOnly(error)) return new ObjectCache(undefined, maxBytes);
      throw new UsageError("cache/folder", `the cache's folder cannot be made: ${folder}`, {
        folder,
        cause: String(error),
      });
    }
    return new ObjectCache(objects, maxBytes);
  }

  /** Says whether anything is kept. */
  get enabled(): boolean {
    return this.#folder !== undefined;
  }

  /** Gives an entry's bytes and marks it as used; `undefined` when it is absent or damaged. */
  get(key: string): Uint8Array | undefined {
    const path = this.#path(key);
    const file = path === undefined ? undefined : openIfPresent(path);
    if (path === undefined || file === undefined) {
      this.#misses++;
      return undefined;
    }
    try {
      const payload = readEntry(file);
      if (payload) {
        this.#hits++;
        touch(file);
        return payload;
      }
    } finally {
      closeSync(file);
    }
    this.#damaged++;
    this.#misses++;
    remove(path);
    return undefined;
  }

  /** Keeps bytes under a key. A full or read-only disk is no error: the entry is then absent. */
  put(key: string, bytes: Uint8Array): void {
    this.#write(key, suffix, encodeEntry(bytes));
  }

  /**
   * What `read` makes of the file of a compiled network, marked as used; `undefined` when there is none. A file that
   * `read` gives nothing for, or throws on, is deleted.
   */
  getNetwork<T>(key: string, read: (path: string) => T | undefined): T | undefined {
    const path = this.#path(key, networkSuffix);
    const file = path === undefined ? undefined : openIfPresent(path);
    if (path === undefined || file === undefined) return undefined;
    try {
      const network = read(path);
      if (network !== undefined) {
        this.#hits++;
        touch(file);
        return network;
      }
    } catch {
      this.#damaged++;
    } finally {
      closeSync(file);
    }
    remove(path);
    return undefined;
  }

  /** Keeps the file of a compiled network, as `put` keeps bytes. */
  putNetwork(key: string, file: Uint8Array): void {
    this.#write(key, networkSuffix, file);
  }

  #write(key: string, ending: string, entry: Uint8Array): void {
    const path = this.#path(key, ending);
    if (path === undefined || this.#folder === undefined) return;
    if (entry.length > this.#maxBytes) return;
    const temporary = join(this.#folder, `${key}.${randomUUID()}${temporarySuffix}`);
    try {
      writeFileSync(temporary, entry, { flag: "wx" });
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      if (isNoRoom(error)) return;
      throw error;
    }
    this.#writes++;
    this.#bytesSinceScan += entry.length;
    if (this.#bytesSinceScan >= this.#maxBytes / 64 || hashOf(key) % scanOneKeyIn === 0) this.#evict();
  }

  /** Counts what lies on the disk, so it reads the folder. */
  stats(): ObjectCacheStats {
    const entries = this.#scan();
    return {
      folder: this.#folder,
      hits: this.#hits,
      misses: this.#misses,
      writes: this.#writes,
      damaged: this.#damaged,
      evicted: this.#evicted,
      entries: entries.length,
      bytes: totalBytes(entries),
    };
  }

  /** Deletes every entry. */
  clear(): void {
    for (const entry of this.#scan()) rmSync(entry.path, { force: true });
  }

  #path(key: string, ending = suffix): string | undefined {
    if (!/^[0-9a-f]{8,128}$/.test(key)) {
      throw new UsageError("cache/key", "a cache key is 8 to 128 hexadecimal digits", { key });
    }
    return this.#folder === undefined ? undefined : join(this.#folder, key + ending);
  }

  #evict(): void {
    this.#bytesSinceScan = 0;
    const entries = this.#scan();
    let total = totalBytes(entries);
    if (total <= this.#maxBytes) return;
    for (const entry of entries.sort((a, b) => a.usedMs - b.usedMs)) {
      if (total <= this.#maxBytes * lowWater) return;
      rmSync(entry.path, { force: true });
      total -= entry.bytes;
      this.#evicted++;
    }
  }

  /** Lists the entries, and deletes what writers that died left behind. */
  #scan(): Entry[] {
    const entries: Entry[] = [];
    if (this.#folder === undefined) return entries;
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (!stat?.isFile()) continue;
      if (name.endsWith(suffix) || name.endsWith(networkSuffix))
        entries.push({ path, bytes: stat.size, usedMs: stat.mtimeMs });
      else if (name.endsWith(temporarySuffix) && Date.now() - stat.mtimeMs > abandonedAfterMs) {
        rmSync(path, { force: true });
      }
    }
    return entries;
  }
}

/** The key of what a compiler makes of a module: hexadecimal SHA-256. */
export function objectKey(parts: ObjectKeyParts): string {
  const hash = createHash("sha256");
  for (const part of [parts.compilerVersion, parts.target, parts.options, parts.irText]) {
    hash.update(`${Buffer.byteLength(part)}:`).update(part);
  }
  return hash.digest("hex");
}

function defaultFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "tilewright");
}

function maxBytesFromEnvironment(): number {
  const given = process.env.TILEWRIGHT_CACHE_BYTES;
  return given ? Number(given) : defaultMaxBytes;
}

/** An entry that may not be read is none. */
function openIfPresent(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (hasCode(error, "ENOENT") || hasCode(error, "EACCES")) return undefined;
    throw error;
  }
}

/** Deletes a bad entry; from a read-only cache it cannot go. */
function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    if (!isReadOnly(error)) throw error;
  }
}

function readEntry(file: number): Uint8Array | undefined {
  const total = fstatSync(file).size;
  if (total < headerBytes) return undefined;
  const entry = Buffer.allocUnsafeSlow(total);
  let filled = 0;
  while (filled < total) {
    const count = readSync(file, entry, filled, total - filled, filled);
    if (count === 0) return undefined;
    filled += count;
  }
  if (!entry.subarray(0, magic.length).equals(magic)) return undefined;
  const payload = entry.subarray(headerBytes);
  if (entry.readBigUInt64LE(magic.length) !== BigInt(payload.length)) return undefined;
  if (!entry.subarray(magic.length + 8, headerBytes).equals(checksum(payload))) return undefined;
  return new Uint8Array(payload.buffer, payload.byteOffset, payload.length);
}

function encodeEntry(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([magic, length, checksum(bytes), bytes]);
}

function checksum(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** Marks an entry as used just now; on a read-only cache it stays as old as it is. */
function touch(file: number): void {
  const now = Date.now() / 1000;
  try {
    futimesSync(file, now, now);
  } catch (error) {
    if (!isReadOnly(error)) throw error;
  }
}

function hashOf(key: string): number {
  return Number.parseInt(key.slice(0, 8), 16);
}

function totalBytes(entries: readonly Entry[]): number {
  return entries.reduce((total, entry) => total + entry.bytes, 0);
}

function isReadOnly(error: unknown): boolean {
  return ["EROFS", "EACCES", "EPERM", "ENOENT", "ENOTDIR"].some((code) => hasCode(error, code));
}

function isNoRoom(error: unknown): boolean {
  return isReadOnly(error) || hasCode(error, "ENOSPC") || hasCode(error, "EDQUOT");
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
