/** Symbols: what a person or a model file calls things never reaches IR text unescaped. */

/** Keeps letters, digits, `_` and `.`; everything else becomes `_`. Never empty, never starts with a digit. */
export function symbolName(name: string): string {
  const safe = name.replace(/[^A-Za-z0-9_.]/g, "_").slice(0, 120);
  return /^[A-Za-z_]/.test(safe) ? safe : `f_${safe}`;
}

/** Hands out symbols that differ from each other. */
export class SymbolTable {
  readonly #used = new Set<string>();
  readonly #byName = new Map<string, string>();

  /** The symbol of a function; the same for the same name. */
  symbolOf(name: string): string {
    const known = this.#byName.get(name);
    if (known) return known;
    const base = symbolName(name);
    let symbol = base;
    for (let n = 1; this.#used.has(symbol); n++) symbol = `${base}.${n}`;
    this.#used.add(symbol);
    this.#byName.set(name, symbol);
    return symbol;
  }
}
