/**
 * Compiled networks as files (`.tw`). Magic (8 bytes), format version (u32), reserved (u32), SHA-256 of all that follows
 * (32), length of the header (u64), the header as JSON, then the blobs it lists, each on a 64-byte boundary.
 */
import { createHash } from "node:crypto";
import { type ScalarType, scalarTypes } from "../../ir/expr/dtype.ts";
import { InputError } from "../../ir/support/errors.ts";
import type { Target } from "../../ir/target/target.ts";
import { allocAligned } from "../../native/addon.ts";
import type { ExecutableParts, Port, StepReport } from "./executable.ts";
import { missingHere } from "./host.ts";

/** The version of the file format that this compiler writes and reads. */
export const artifactVersion = 1;

/** What a file says beside its code. */
export interface ArtifactFacts {
  /** The network's name. */
  readonly name: string;
  readonly target: Pick<Target, "name" | "arch" | "triple" | "cpu" | "features">;
  /** Compiler that wrote the file, for people. */
  readonly compiler: string;
}

interface Blob {
  readonly offset: number;
  readonly bytes: number;
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
const prefixBytes = magic.length + 4 + 4 + 32 + 8;
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
    const place = { offset: end, bytes: b.length };
    end = alignUp(end + b.length);
    return place;
  });
  const { name, target, compiler } = facts;
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
  out.writeBigUInt64LE(BigInt(json.length), 48);
  json.copy(out, prefixBytes);
  for (const [i, b] of blobs.entries()) out.set(b, start + places[i]!.offset);
  checksum(out).copy(out, 16);
  return out;
}

/**
 * Reads a file with a compiled network. Its code runs in this process: read only files from where you trust.
 * @throws InputError [artifact/…] for a damaged file, another version, or a target that this machine cannot run
 */
export function decodeArtifact(
  bytes: Uint8Array,
  what = "the file",
): { readonly facts: ArtifactFacts; readonly parts: ExecutableParts } {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (!isArtifact(file)) throw new InputError("artifact/not-one", `${what} is no compiled network`);
  if (file.length < prefixBytes) damaged(what, "it is cut off");
  const version = file.readUInt32LE(8);
  if (version !== artifactVersion)
    throw new InputError(
      "artifact/version",
      `${what} has format version ${version}, this compiler reads version ${artifactVersion}: compile the model again`,
      { version, reads: artifactVersion },
    );
  if (!checksum(file).equals(file.subarray(16, 48))) damaged(what, "its checksum is wrong");
  const length = file.readBigUInt64LE(48);
  if (length > BigInt(file.length - prefixBytes)) damaged(what, "its header is cut off");
  const header = parseHeader(file.subarray(prefixBytes, prefixBytes + Number(length)).toString(), what);
  refuseOtherTargets(header, what);
  const start = alignUp(prefixBytes + Number(length));
  const blob = ({ offset, bytes: count }: Blob): Uint8Array => {
    if (start + offset + count > file.length) damaged(what, "a part of it is cut off");
    return new Uint8Array(file.subarray(start + offset, start + offset + count));
  };
  const packed = blob(header.constants);
  const objects = header.objects.map(blob);
  const constants = allocAligned(Math.max(alignment, packed.length));
  new Uint8Array(constants).set(packed);
  const { name, target, compiler, objects: _, ...rest } = header;
  return { facts: { name, target, compiler }, parts: { ...rest, objects, constants } };
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

/** Of everything after the checksum, and of the version before it. */
function checksum(file: Buffer): Buffer {
  return createHash("sha256").update(file.subarray(8, 16)).update(file.subarray(48)).digest();
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
const isBlob = (v: unknown): boolean => isFields(v) && isCount(v.offset) && isCount(v.bytes);
const isPort = (v: unknown): boolean =>
  isFields(v) && isText(v.name) && scalarTypes.includes(v.type as ScalarType) && listOf(isCount)(v.dims);
const isStep = (v: unknown): boolean =>
  isFields(v) && isText(v.name) && isText(v.symbol) && isCount(v.flops) && isCount(v.bytes);
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
  const checked = h.checks === undefined || listOf(listOf(isSite))(h.checks);
  return named && entries && counts && lists && checked && listOf(isBlob)(h.objects) && isBlob(h.constants);
}
