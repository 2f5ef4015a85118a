/**
 * Compiled networks as files (`.tw`). Magic (8 bytes), format version (u32), CRC-32 of the header (u32), length of the
 * header (u64), the header as JSON, then the blobs it lists with their CRC-32s, each on a 64-byte boundary.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { crc32 } from "node:zlib";
import { type ScalarType, scalarTypes } from "../../ir/expr/dtype.ts";
import { InputError } from "../../ir/support/errors.ts";
import type { Target } from "../../ir/target/target.ts";
import { allocAligned } from "../../native/addon.ts";
import type { ExecutableParts, Port, StepReport } from "./executable.ts";
import { missingHere } from "./host.ts";

/** The version of the file format that this compiler writes and reads. */
export const artifactVersion = 2;

/** What a file says beside its code. */
export interface ArtifactFacts {
  /** The network's name. */
  readonly name: string;
  readonly target: Pick<Target, "name" | "arch" | "triple" | "cpu" | "features">;
  /** Compiler that wrote the file, for people. */
  readonly compiler: string;
  /** Files that the network was made from and that decide whether it still stands; absent when none does. */
  readonly sources?: readonly FileIdentity[];
}

/** Which file it was, in which state: a change of the file changes a field. Numbers too large for JSON are texts. */
export interface FileIdentity {
  readonly path: string;
  readonly device: string;
  readonly inode: string;
  readonly bytes: string;
  readonly modifiedNs: string;
  readonly changedNs: string;
}

/** Where a compiled network is read from. */
interface ByteSource {
  readonly size: number;
  /** Fills `target` from `position`; both lie within the source. */
  read(target: Uint8Array, position: number): void;
}

interface Blob {
  readonly offset: number;
  readonly bytes: number;
  readonly crc32: number;
}
interface Header extends ArtifactFacts {
  readonly entry: string;
  readonly profileEntry?: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly steps: readonly StepReport[];
  readonly threads: number;
  readonly arenaBytes: number;
  readonly checks?: ExecutableParts["checks"];
  /** Offsets count from the end of the header, rounded up to 64. */
  readonly objects: readonly Blob[];
  readonly constants: Blob;
}

const magic = Buffer.from("TWNET\r\n\x1a", "latin1");
const prefixBytes = magic.length + 4 + 4 + 8;
const alignment = 64;
const alignUp = (n: number): number => Math.ceil(n / alignment) * alignment;

/** Whether a file's first bytes are those of a compiled network. */
export const isArtifact = (start: Uint8Array): boolean =>
  start.length >= magic.length && magic.equals(start.subarray(0, magic.length));

/** The bytes of a file with a compiled network. */
export function encodeArtifact(parts: ExecutableParts, facts: ArtifactFacts): Uint8Array {
  const blobs = [...parts.objects, new Uint8Array(parts.constants)];
  let end = 0;
  const places = blobs.map((b): Blob => {
    const place = { offset: end, bytes: b.length, crc32: crc32(b) };
    end = alignUp(end + b.length);
    return place;
  });
  const { name, target, compiler, sources } = facts;
  const { entry, profileEntry, inputs, outputs, steps, threads, arenaBytes, checks } = parts;
  const header: Header = {
    name,
    target: {
      name: target.name,
      arch: target.arch,
      triple: target.triple,
      cpu: target.cpu,
      features: target.features,
    },
    compiler,
    ...(sources ? { sources } : {}),
    entry,
    ...(profileEntry ? { profileEntry } : {}),
    inputs,
    outputs,
    steps,
    threads,
    arenaBytes,
    ...(checks ? { checks } : {}),
    objects: places.slice(0, -1),
    constants: places.at(-1)!,
  };
  const json = Buffer.from(JSON.stringify(header));
  const start = alignUp(prefixBytes + json.length);
  const out = Buffer.alloc(start + end);
  magic.copy(out);
  out.writeUInt32LE(artifactVersion, 8);
  out.writeUInt32LE(crc32(json), 12);
  out.writeBigUInt64LE(BigInt(json.length), 16);
  json.copy(out, prefixBytes);
  for (const [i, b] of blobs.entries()) out.set(b, start + places[i]!.offset);
  return out;
}

/** A compiled network as it stood in a file. */
export interface Artifact {
  readonly facts: ArtifactFacts;
  readonly parts: ExecutableParts;
}

/**
 * Reads a file with a compiled network. Its code runs in this process: read only files from where you trust.
 * @throws InputError [artifact/…] for a damaged file, another version, or a target that this machine cannot run; the
 * system's errors for a file that cannot be read
 */
export function readArtifact(path: string): Artifact {
  const file = openSync(path, "r");
  try {
    return decode({ size: fstatSync(file).size, read: (target, position) => fill(file, target, position, path) }, path);
  } finally {
    closeSync(file);
  }
}

/** As `readArtifact`, for bytes in memory. */
export function decodeArtifact(bytes: Uint8Array, what = "the file"): Artifact {
  const read = (target: Uint8Array, position: number) => target.set(bytes.subarray(position, position + target.length));
  return decode({ size: bytes.length, read }, what);
}

function decode(source: ByteSource, what: string): Artifact {
  const prefix = Buffer.alloc(prefixBytes);
  source.read(prefix.subarray(0, Math.min(prefixBytes, source.size)), 0);
  if (!isArtifact(prefix)) throw new InputError("artifact/not-one", `${what} is no compiled network`);
  if (source.size < prefixBytes) damaged(what, "it is cut off");
  const version = prefix.readUInt32LE(8);
  if (version !== artifactVersion)
    throw new InputError(
      "artifact/version",
      `${what} has format version ${version}, this compiler reads version ${artifactVersion}: compile the model again`,
      { version, reads: artifactVersion },
    );
  const length = prefix.readBigUInt64LE(16);
  if (length > BigInt(source.size - prefixBytes)) damaged(what, "its header is cut off");
  const json = Buffer.alloc(Number(length));
  source.read(json, prefixBytes);
  if (crc32(json) !== prefix.readUInt32LE(12)) damaged(what, "its checksum is wrong");
  const header = parseHeader(json.toString(), what);
  refuseOtherTargets(header, what);
  const start = alignUp(prefixBytes + json.length);
  const load = (blob: Blob, target: (bytes: number) => Uint8Array): Uint8Array => {
    if (start + blob.offset + blob.bytes > source.size) damaged(what, "a part of it is cut off");
    const bytes = target(blob.bytes);
    source.read(bytes, start + blob.offset);
    if (crc32(bytes) !== blob.crc32) damaged(what, "its checksum is wrong");
    return bytes;
  };
  const objects = header.objects.map((blob) => load(blob, (bytes) => new Uint8Array(bytes)));
  const { bytes: constantBytes } = header.constants;
  let constants = new ArrayBuffer(0);
  load(header.constants, () => {
    constants = allocAligned(Math.max(alignment, constantBytes));
    return new Uint8Array(constants, 0, constantBytes);
  });
  const { name, target, compiler, sources, objects: _, ...rest } = header;
  return {
    facts: { name, target, compiler, ...(sources ? { sources } : {}) },
    parts: { ...rest, objects, constants },
  };
}

function fill(file: number, target: Uint8Array, position: number, what: string): void {
  for (let filled = 0; filled < target.length; ) {
    const count = readSync(file, target, filled, target.length - filled, position + filled);
    if (count === 0) damaged(what, "it is cut off");
    filled += count;
  }
}

function refuseOtherTargets(header: Header, what: string): void {
  const missing = missingHere(header.target);
  if (missing.length === 0) return;
  throw new InputError(
    "artifact/other-target",
    `${what} was compiled for ${header.target.name} and this machine lacks ${missing.join(", ")}: compile the model for this machine`,
    { target: header.target.name, missing },
  );
}

function damaged(what: string, why: string): never {
  throw new InputError("artifact/damaged", `${what} is damaged: ${why}`);
}

function parseHeader(text: string, what: string): Header {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch {
    return damaged(what, "its header is no JSON");
  }
  if (!isHeader(header)) return damaged(what, "its header lacks a field");
  return header;
}

type Fields = Readonly<Record<string, unknown>>;
const isFields = (v: unknown): v is Fields => typeof v === "object" && v !== null && !Array.isArray(v);
const isText = (v: unknown): v is string => typeof v === "string";
const isSymbol = (v: unknown): boolean => isText(v) && /^\w+$/.test(v);
const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const listOf =
  (check: (v: unknown) => boolean) =>
  (v: unknown): boolean =>
    Array.isArray(v) && v.every(check);
const isBlob = (v: unknown): boolean => isFields(v) && [v.offset, v.bytes, v.crc32].every(isCount);
const isSource = (v: unknown): boolean =>
  isFields(v) && [v.path, v.device, v.inode, v.bytes, v.modifiedNs, v.changedNs].every(isText);
const isPort = (v: unknown): boolean =>
  isFields(v) && isText(v.name) && scalarTypes.includes(v.type as ScalarType) && listOf(isCount)(v.dims);
const isRefusal = (v: unknown): boolean => isFields(v) && isText(v.recipe) && isText(v.reason);
const isStep = (v: unknown): boolean =>
  isFields(v) &&
  isText(v.name) &&
  isText(v.symbol) &&
  isCount(v.flops) &&
  isCount(v.bytes) &&
  (v.refusals === undefined || listOf(isRefusal)(v.refusals));
const isSite = (v: unknown): boolean =>
  isFields(v) &&
  (v.access === "load" || v.access === "store") &&
  isText(v.buffer) &&
  scalarTypes.includes(v.dtype as ScalarType) &&
  (v.origin === undefined || (isFields(v.origin) && isCount(v.origin.line) && isText(v.origin.text)));
const isTarget = (v: unknown): boolean =>
  isFields(v) && [v.name, v.arch, v.triple, v.cpu].every(isText) && listOf(isText)(v.features);

function isHeader(h: unknown): h is Header {
  if (!isFields(h)) return false;
  const named = isText(h.name) && isText(h.compiler) && isTarget(h.target);
  const entries = isSymbol(h.entry) && (h.profileEntry === undefined || isSymbol(h.profileEntry));
  const counts = isCount(h.arenaBytes) && isCount(h.threads) && h.threads >= 1 && h.threads <= 1024;
  const lists = listOf(isPort)(h.inputs) && listOf(isPort)(h.outputs) && listOf(isStep)(h.steps);
  const made = h.sources === undefined || listOf(isSource)(h.sources);
  const checked = h.checks === undefined || listOf(listOf(isSite))(h.checks);
  return named && entries && counts && lists && checked && made && listOf(isBlob)(h.objects) && isBlob(h.constants);
}
