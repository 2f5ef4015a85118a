/**
 * The error families. The user's: ScheduleError, InputError, UsageError. Not yet: UnsupportedError. Ours: InternalError.
 * Each has a stable `code` (kebab-case, `family/rule`), `details` as plain data, and a rendered message.
 */

/** Plain data that an error carries beside its text. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** Base of every error that Tilewright throws on purpose. */
export abstract class TilewrightError extends Error {
  readonly code: string;
  readonly details: ErrorDetails;
  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message);
    this.code = code;
    this.details = details;
    this.name = new.target.name;
  }
}

/** A schedule primitive was asked for something illegal; `code` is `primitive/rule`. */
export class ScheduleError extends TilewrightError {}

/** A model, tensor or file the user gave is bad. */
export class InputError extends TilewrightError {}

/** A call or command line is malformed. */
export class UsageError extends TilewrightError {}

/** One thing that is not supported yet. */
export interface UnsupportedItem {
  readonly op: string;
  readonly domain: string;
  readonly opset: number;
  readonly node: string;
  readonly reason: string;
}

/** Something valid that Tilewright does not do yet; for models it lists every offending node at once. */
export class UnsupportedError extends TilewrightError {
  readonly items: readonly UnsupportedItem[];
  constructor(code: string, message: string, items: readonly UnsupportedItem[] = [], details: ErrorDetails = {}) {
    super(code, message, { ...details, items });
    this.items = items;
  }
}

/** A bug of ours: a broken invariant or a pass that produced ill-formed IR. */
export class InternalError extends TilewrightError {}

/** An access of compiled code, built with checks, left its buffer; `details` name it. */
export class BoundsError extends TilewrightError {}

/** A back end or device is not available on this machine. */
export class UnavailableError extends TilewrightError {}
