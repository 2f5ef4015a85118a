/** Names that printed variables and buffers get: their own, made unique among what is in scope. */
import type { Buffer, Var } from "../expr/expr.ts";
import { reserved } from "./vocabulary.ts";

const plain = /^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z0-9_$]+)*$/;

/** A name as it stands in text: in backquotes when it is no identifier. */
export const quoteName = (name: string): string =>
  plain.test(name) ? name : `\`${JSON.stringify(name).slice(1, -1).replaceAll("`", "\\u0060")}\``;

/** Tracks which names are taken while a tree is printed. */
export class NameScope {
  readonly #vars = new Map<number, string>();
  readonly #buffers = new Map<number, string>();
  readonly #taken = new Set<string>();

  var(v: Var): string {
    return this.#vars.get(v.id) ?? this.#define(this.#vars, v.id, this.#free(v.name));
  }
  buffer(b: Buffer): string {
    return this.#buffers.get(b.id) ?? this.#define(this.#buffers, b.id, this.#free(b.name));
  }
  /** Runs `inner` with the variables and buffers declared; `prefix` is tried before a number when a name is taken. */
  within<T>(items: { vars?: readonly Var[]; buffers?: readonly Buffer[]; prefix?: string }, inner: () => T): T {
    const { vars = [], buffers = [], prefix = "" } = items;
    const undo: (() => void)[] = [];
    const declare = (map: Map<number, string>, id: number, name: string): void => {
      const outer = map.get(id);
      this.#define(map, id, name);
      undo.push(() => {
        this.#taken.delete(name);
        if (outer === undefined) map.delete(id);
        else map.set(id, outer);
      });
    };
    for (const b of buffers) declare(this.#buffers, b.id, this.#free(b.name, prefix));
    for (const v of vars) declare(this.#vars, v.id, this.#free(v.name, prefix));
    const result = inner();
    for (const f of undo.reverse()) f();
    return result;
  }
  #define(map: Map<number, string>, id: number, name: string): string {
    map.set(id, name);
    this.#taken.add(name);
    return name;
  }
  #free(name: string, prefix = ""): string {
    const fits = (n: string): boolean => !this.#taken.has(n) && !reserved.has(n);
    if (fits(quoteName(name))) return quoteName(name);
    if (prefix !== "" && fits(quoteName(prefix + name))) return quoteName(prefix + name);
    for (let k = 1; ; k++) {
      const next = quoteName(`${name}_${k}`);
      if (fits(next)) return next;
    }
  }
}
