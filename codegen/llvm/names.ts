/** Symbols: what a person or a model file calls things never reaches IR text unescaped. */

/** What generated code calls itself: the runtime, LLVM's intrinsics, the C library. */
const reserved =
  /^(tw[._].*|llvm\..*|_.*|main|abort|mem(cpy|set|move|cmp)|(a?(sin|cos|tan)h?|exp[2m]?1?(0)?|log(2|10|1p)?|erfc?|pow|f?mod|sqrt|cbrt|floor|ceil|trunc|round(even)?|rint|nearbyint|fm(a|in|ax|od)|fabs|fdim|hypot|remainder|copysign|nextafter|ldexp|frexp|sincos|[tl]gamma|atan2)f?)$/;

/** Keeps letters, digits, `_` and `.`; everything else becomes `_`. Never empty, never a name that means something else. */
function symbolName(name: string): string {
  const safe = name.replace(/[^A-Za-z0-9_.]/g, "_").slice(0, 120);
  return /^[A-Za-z]/.test(safe) && !reserved.test(safe) ? safe : `f_${safe}`;
}

/** A function's symbol and those of its parts. */
const derived = (symbol: string): string[] => [symbol, `${symbol}.packed`, `${symbol}.body`];

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
    for (let n = 1; derived(symbol).some((s) => this.#used.has(s)); n++) symbol = `${base}.${n}`;
    for (const s of derived(symbol)) this.#used.add(s);
    this.#byName.set(name, symbol);
    return symbol;
  }
}
