/**
 * Writes the instructions of one function as text.
 *
 * Note [Regions]. A region is the function's body, a loop's body or an arm of an `if`; the open ones form a stack, and a
 * value's depth is the index of the region that defines it. The text of a loop is put together when it closes, so pure
 * index arithmetic whose operands are defined further out can still be appended to the region of its deepest operand:
 * it lands in front of the loop. That gives loop-invariant code motion for free, and equal texts are one value.
 */

/** An operand: a register or constant, and the depth of the region that defines it (constants: 0). */
export interface Value {
  readonly ref: string;
  readonly depth: number;
}
/** A constant operand. */
export const literal = (ref: string): Value => ({ ref, depth: 0 });

/** What is known to be in memory; see `memory.ts`. */
export interface KnownElement {
  readonly buffer: number;
  /** Symbolic part of the index. */
  readonly base: string;
  readonly first: number;
  readonly lanes: number;
  readonly value: Value;
}

interface Region {
  readonly kind: "body" | "loop" | "arm";
  readonly lines: string[];
  /** Of the basic block that `lines` ends in. */
  label: string;
  readonly values: Map<string, Value>;
  /** By buffer, then by key. */
  readonly known: Map<number, Map<string, KnownElement>>;
}

/** Bounds and facts of a loop. */
export interface LoopShape {
  readonly begin: Value;
  readonly end: Value;
  /** At least one iteration is certain. */
  readonly nonEmpty: boolean;
  /** Metadata reference for the back edge, as `!4`. */
  readonly metadata: string;
}

/** The text of one function's body. */
export class FunctionWriter {
  readonly #regions: Region[] = [];
  readonly #allocas: string[] = [];
  #registers = 0;
  #labels = 0;

  constructor() {
    this.#open("body", "entry");
  }

  /** The depth of the innermost open region. */
  get depth(): number {
    return this.#regions.length - 1;
  }
  get #current(): Region {
    return this.#regions[this.#regions.length - 1]!;
  }
  #open(kind: Region["kind"], label: string): Region {
    const region: Region = { kind, lines: [], label, values: new Map(), known: new Map() };
    this.#regions.push(region);
    return region;
  }
  #register(): string {
    return `%v${this.#registers++}`;
  }
  #label(): string {
    return `b${this.#labels++}`;
  }

  /** A value without side effects that cannot trap, computed as far out as its operands allow. */
  hoisted(text: string, operands: readonly Value[]): Value {
    let depth = 0;
    for (const o of operands) if (o.depth > depth) depth = o.depth;
    const region = this.#regions[depth]!;
    const known = region.values.get(text);
    if (known) return known;
    const value = { ref: this.#register(), depth };
    region.lines.push(`  ${value.ref} = ${text}`);
    region.values.set(text, value);
    return value;
  }
  /** What `make` gave for `key` before, as long as the region of the deepest operand is open. */
  memo(key: string, depth: number, make: () => Value): Value {
    const { values } = this.#regions[depth]!;
    let value = values.get(key);
    if (!value) {
      value = make();
      values.set(key, value);
    }
    return value;
  }
  /** A value without side effects, computed here unless an open region has it already. */
  pure(text: string): Value {
    for (let d = this.depth; d >= 0; d--) {
      const known = this.#regions[d]!.values.get(text);
      if (known) return known;
    }
    const value = this.effect(text);
    this.#current.values.set(text, value);
    return value;
  }
  /** A value computed exactly here: loads, calls. */
  effect(text: string): Value {
    const value = { ref: this.#register(), depth: this.depth };
    this.#current.lines.push(`  ${value.ref} = ${text}`);
    return value;
  }
  /** An instruction without a result. */
  instruction(text: string): void {
    this.#current.lines.push(`  ${text}`);
  }
  /** Stack memory, allocated once at function entry. */
  alloca(type: string, align: number): Value {
    const value = { ref: this.#register(), depth: 0 };
    this.#allocas.push(`  ${value.ref} = alloca ${type}, align ${align}`);
    return value;
  }

  /** A counted loop in bottom-tested form. */
  loop(shape: LoopShape, body: (counter: Value) => void): void {
    const [head, exit] = [this.#label(), this.#label()];
    const region = this.#open("loop", head);
    const counter = { ref: this.#register(), depth: this.depth };
    body(counter);
    const next = this.effect(`add nsw i64 ${counter.ref}, 1`);
    const more = this.effect(`icmp slt i64 ${next.ref}, ${shape.end.ref}`);
    this.#regions.pop();
    const outer = this.#current;
    const enter = shape.nonEmpty ? `br label %${head}` : this.#guard(shape, head, exit);
    outer.lines.push(`  ${enter}`, `${head}:`);
    outer.lines.push(
      `  ${counter.ref} = phi i64 [ ${shape.begin.ref}, %${outer.label} ], [ ${next.ref}, %${region.label} ]`,
    );
    append(outer.lines, region.lines);
    outer.lines.push(`  br i1 ${more.ref}, label %${head}, label %${exit}, !llvm.loop ${shape.metadata}`, `${exit}:`);
    outer.label = exit;
  }
  #guard(shape: LoopShape, head: string, exit: string): string {
    const some = this.effect(`icmp slt i64 ${shape.begin.ref}, ${shape.end.ref}`);
    return `br i1 ${some.ref}, label %${head}, label %${exit}`;
  }

  /** Runs `body` with a value, then with each `next` that it gives, until it gives `done`. */
  repeat(type: string, first: Value, body: (current: Value) => { readonly next: Value; readonly done: Value }): void {
    const [head, exit] = [this.#label(), this.#label()];
    const region = this.#open("loop", head);
    const current = { ref: this.#register(), depth: this.depth };
    const { next, done } = body(current);
    this.#regions.pop();
    const outer = this.#current;
    outer.lines.push(`  br label %${head}`, `${head}:`);
    outer.lines.push(
      `  ${current.ref} = phi ${type} [ ${first.ref}, %${outer.label} ], [ ${next.ref}, %${region.label} ]`,
    );
    append(outer.lines, region.lines);
    outer.lines.push(`  br i1 ${done.ref}, label %${exit}, label %${head}`, `${exit}:`);
    outer.label = exit;
  }

  /** Runs `then` or `otherwise`. */
  branch(condition: Value, then: () => void, otherwise?: () => void): void {
    const [thenLabel, join] = [this.#label(), this.#label()];
    const elseLabel = otherwise ? this.#label() : join;
    const arms = [this.#arm(thenLabel, join, then)];
    if (otherwise) arms.push(this.#arm(elseLabel, join, otherwise));
    const outer = this.#current;
    outer.lines.push(`  br i1 ${condition.ref}, label %${thenLabel}, label %${elseLabel}`);
    for (const lines of arms) append(outer.lines, lines);
    outer.lines.push(`${join}:`);
    outer.label = join;
  }
  /** Runs `body` and returns from the function where the condition holds. */
  leaveIf(condition: Value, body: () => void): void {
    const [leave, go] = [this.#label(), this.#label()];
    const arm = this.#arm(leave, undefined, body);
    const outer = this.#current;
    outer.lines.push(`  br i1 ${condition.ref}, label %${leave}, label %${go}`);
    append(outer.lines, arm);
    outer.lines.push(`${go}:`);
    outer.label = go;
  }
  /** An arm that goes on at `join`, or ends the function. */
  #arm(label: string, join: string | undefined, body: () => void): string[] {
    const region = this.#open("arm", label);
    region.lines.push(`${label}:`);
    body();
    region.lines.push(join === undefined ? "  ret void" : `  br label %${join}`);
    this.#regions.pop();
    return region.lines;
  }

  /** Notes what an element holds, until `forget`. */
  remember(key: string, element: KnownElement): void {
    const { known } = this.#current;
    const ofBuffer = known.get(element.buffer);
    if (ofBuffer) ofBuffer.set(key, element);
    else known.set(element.buffer, new Map([[key, element]]));
  }
  /** What an element of `buffer` is known to hold. */
  recall(buffer: number, key: string): Value | undefined {
    for (let d = this.depth; d >= 0; d--) {
      const known = this.#regions[d]!.known.get(buffer)?.get(key);
      if (known) return known.value;
    }
    return undefined;
  }
  /** Drops what is known of a buffer, or of those of its elements that satisfy `f`. */
  forget(buffer: number, f?: (element: KnownElement) => boolean): void {
    for (const { known } of this.#regions) {
      const ofBuffer = known.get(buffer);
      if (!ofBuffer) continue;
      if (!f) known.delete(buffer);
      else for (const [key, element] of ofBuffer) if (f(element)) ofBuffer.delete(key);
    }
  }

  /** The finished body, from the entry label to the terminator. */
  finish(terminator = "ret void"): string {
    const body = this.#regions[0]!;
    return ["entry:", ...this.#allocas, ...body.lines, `  ${terminator}`].join("\n");
  }
}

function append(target: string[], lines: readonly string[]): void {
  for (const line of lines) target.push(line);
}
