/** What the functions of one module share: declarations, helper functions, loop metadata, attributes. */
import { SymbolTable } from "./names.ts";

/** The processor facts that codegen needs; `ir/target` has them. */
export interface CodegenTarget {
  /** LLVM CPU name, as `znver4`. */
  readonly cpu: string;
  /** LLVM feature string, as `+avx512f,+fma`; may be empty. */
  readonly features: string;
  /** Bits of the widest vectors to use. */
  readonly vectorBits: number;
  /** Whether instructions of AVX2 may be named; false if absent. */
  readonly avx2?: boolean;
  /** Whether instructions of AVX-512F and VL may be named; false if absent. */
  readonly avx512?: boolean;
}

/** Collects everything outside of function bodies. */
export class ModuleWriter {
  readonly target: CodegenTarget;
  readonly symbols = new SymbolTable();
  readonly #declarations = new Map<string, string>();
  readonly #definitions = new Map<string, string>();
  readonly #globals = new Set<string>();
  readonly #metadata: string[] = [];
  readonly #functions: string[] = [];
  #plainLoop: string | undefined;
  #nontemporal: string | undefined;
  /** Bits of the widest vectors that some function names itself; 0 when none is wider than the target's. */
  #wide = 0;

  constructor(target: CodegenTarget) {
    this.target = target;
  }

  /** Declares an external function or intrinsic and gives its symbol. */
  declare(symbol: string, result: string, args: readonly string[], attributes = ""): string {
    if (!this.#declarations.has(symbol))
      this.#declarations.set(symbol, `declare ${result} @${symbol}(${args.join(", ")})${attributes}`);
    return `@${symbol}`;
  }
  /** Defines a helper function once. */
  define(symbol: string, text: () => string): string {
    if (!this.#definitions.has(symbol)) {
      this.#definitions.set(symbol, "");
      this.#definitions.set(symbol, text());
    }
    return `@${symbol}`;
  }
  /** Declares a global variable once. */
  global(text: string): void {
    this.#globals.add(text);
  }
  addFunction(text: string): void {
    this.#functions.push(text);
  }
  /** A metadata node; gives its reference. */
  metadata(node: (self: string) => string): string {
    const self = `!${this.#metadata.length}`;
    this.#metadata.push("");
    this.#metadata[this.#metadata.length - 1] = `${self} = ${node(self)}`;
    return self;
  }
  /** Metadata of a loop that LLVM is to leave as it is: schedules decide on vectors and unrolling. */
  loopMetadata(): string {
    this.#plainLoop ??= [
      this.metadata(() => '!{!"llvm.loop.vectorize.enable", i1 false}'),
      this.metadata(() => '!{!"llvm.loop.unroll.disable"}'),
    ].join(", ");
    const facts = this.#plainLoop;
    return this.metadata((self) => `distinct !{${self}, ${facts}}`);
  }

  /** The node that marks stores past the caches. */
  nontemporal(): string {
    this.#nontemporal ??= this.metadata(() => "!{i32 1}");
    return this.#nontemporal;
  }

  /** The attributes of a function that names vectors of so many bits itself: wider ones than the target prefers, perhaps. */
  attributesFor(bits: number): string {
    if (bits <= this.target.vectorBits) return "#0";
    this.#wide = Math.max(this.#wide, bits);
    return "#1";
  }

  /** The module's text. */
  finish(): string {
    const { vectorBits } = this.target;
    return [
      ...this.#globals,
      ...this.#functions,
      ...[...this.#definitions.values()].filter((d) => d !== ""),
      [...this.#declarations.values()].join("\n"),
      this.#attributes(0, vectorBits),
      ...(this.#wide > 0 ? [this.#attributes(1, this.#wide)] : []),
      this.#metadata.join("\n"),
      "",
    ].join("\n\n");
  }
  #attributes(group: number, legalBits: number): string {
    const { cpu, features, vectorBits } = this.target;
    const attributes = [
      "nounwind",
      ...(cpu ? [`"target-cpu"="${attributeText(cpu)}"`] : []),
      ...(features ? [`"target-features"="${attributeText(features)}"`] : []),
      `"prefer-vector-width"="${vectorBits}"`,
      `"min-legal-vector-width"="${legalBits}"`,
      '"no-trapping-math"="true"',
    ];
    return `attributes #${group} = { ${attributes.join(" ")} }`;
  }
}

/** CPU and feature names hold nothing that would end a quoted attribute. */
const attributeText = (text: string): string => text.replace(/[^A-Za-z0-9_.,+-]/g, "");
