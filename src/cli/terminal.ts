/** Where a command writes: results to stdout, everything else to stderr. */
import picocolors from "picocolors";

/** Functions that colour text, or leave it as it is. */
export type Colors = ReturnType<typeof picocolors.createColors>;

/** What the options that every verb has ask for. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly seed?: number;
}

/** A command's streams. */
export interface Terminal {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Colours of stdout. */
  readonly colors: Colors;
  /** Colours of stderr. */
  readonly errorColors: Colors;
  /** Whether stderr shows progress that rewrites its line. */
  readonly animated: boolean;
  /** Writes to stdout as it is. */
  readonly write: (text: string | Uint8Array) => void;
  /** A remark on stderr, silent with -q. */
  readonly note: (text: string) => void;
  /** A remark on stderr with -v. */
  readonly detail: (text: string) => void;
  /** One document: as JSON with --json, else as text. */
  readonly result: (document: unknown, text: () => string) => void;
}

/** Whether a stream gets colours: NO_COLOR forbids, FORCE_COLOR demands, else only terminals. */
function wantsColors(stream: { readonly isTTY?: boolean }): boolean {
  if (process.env.NO_COLOR) return false;
  return Boolean(process.env.FORCE_COLOR) || (stream.isTTY === true && process.env.TERM !== "dumb");
}

/** Makes the streams of a command. */
export function openTerminal(options: CommonOptions = {}): Terminal {
  const { json = false, quiet = false, verbose = false } = options;
  const write = (text: string | Uint8Array): void => void process.stdout.write(text);
  const error = (text: string): void => void process.stderr.write(`${text}\n`);
  return {
    json,
    quiet,
    verbose,
    colors: picocolors.createColors(!json && wantsColors(process.stdout)),
    errorColors: picocolors.createColors(wantsColors(process.stderr)),
    animated: !quiet && process.stderr.isTTY === true && process.env.TERM !== "dumb",
    write,
    note: (text) => {
      if (!quiet) error(text);
    },
    detail: (text) => {
      if (verbose && !quiet) error(text);
    },
    result: (document, text) => write(json ? `${JSON.stringify(document, plainValue)}\n` : endLine(text())),
  };
}

const endLine = (text: string): string => (text === "" || text.endsWith("\n") ? text : `${text}\n`);

/** JSON has no bigints, NaN or infinities: they go as text. */
function plainValue(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}
