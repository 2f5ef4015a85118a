/** Symbols of ELF object files: what two networks in one program share or must not see of each other. */
import { InternalError } from "../../ir/support/errors.ts";

const symbolTable = 2;
const sectionHeaderBytes = 64;
const symbolBytes = 24;
const bindingWeak = 2;
const bindingGlobal = 1;
const visibilityHidden = 2;

/** How the symbols that an object defines are seen from other files. */
export interface SymbolChange {
  /** Definitions of the same name may stand in several objects; they are the same code. */
  readonly weak?: boolean;
  /** Seen in the program or library that the object is linked into, and not outside. */
  readonly hidden?: boolean;
}

/** A copy of a 64-bit little-endian object file whose global symbols are changed. @throws InternalError for another file */
export function changeSymbols(object: Uint8Array, change: SymbolChange): Uint8Array {
  const copy = new Uint8Array(object);
  const view = new DataView(copy.buffer);
  if (copy.length < 64 || view.getUint32(0) !== 0x7f454c46 || copy[4] !== 2 || copy[5] !== 1)
    throw new InternalError("runtime/elf", "an object file is no 64-bit little-endian ELF file");
  const sections = Number(view.getBigUint64(0x28, true));
  const count = view.getUint16(0x3c, true);
  for (let s = 0; s < count; s++) {
    const header = sections + s * sectionHeaderBytes;
    if (view.getUint32(header + 4, true) !== symbolTable) continue;
    const offset = Number(view.getBigUint64(header + 24, true));
    const size = Number(view.getBigUint64(header + 32, true));
    for (let at = offset; at < offset + size; at += symbolBytes) changeSymbol(view, at, change);
  }
  return copy;
}

function changeSymbol(view: DataView, at: number, { weak, hidden }: SymbolChange): void {
  const facts = view.getUint8(at + 4);
  const isDefined = view.getUint16(at + 6, true) !== 0;
  if (!isDefined || facts >> 4 !== bindingGlobal) return;
  if (weak) view.setUint8(at + 4, (bindingWeak << 4) | (facts & 0xf));
  if (hidden) view.setUint8(at + 5, (view.getUint8(at + 5) & ~3) | visibilityHidden);
}
