/** The accesses of a nest as isl's texts: what is touched by each instance, and when it runs. */
import type { Expr, Load } from "../../../../ir/expr/expr.ts";
import { children } from "../../../../ir/expr/traverse.ts";
import type { For, Stmt, Store } from "../../../../ir/loop/program.ts";
import type { BufferId, VarId } from "../../../../ir/support/ids.ts";
import type { RandomNest } from "./nests.ts";

/** One load or store of one statement. */
export interface AccessRelation {
  readonly stmt: Stmt;
  readonly buffer: BufferId;
  readonly write: boolean;
  /** Instance → element; elements of a buffer allocated within loops carry the iterations of those loops. */
  readonly access: string;
  /** Instance → time: position in the text and loop variables in turn. */
  readonly schedule: string;
  readonly loops: readonly For[];
  /** Instance → the variables of its `n` outermost loops. */
  readonly prefix: (n: number) => string;
}

interface Walk {
  readonly loops: readonly For[];
  readonly vars: Vars;
  readonly constraints: readonly string[];
  /** Positions and variables in turn. */
  readonly time: readonly (string | number)[];
  /** Variables of the loops around the allocation. */
  readonly copies: ReadonlyMap<BufferId, readonly string[]>;
}

/** All accesses, in execution order. */
export function relationsOf(nest: RandomNest): AccessRelation[] {
  const vars = new Map<VarId, Sum>();
  const names = nest.parameters.map((p) => `p${p.id}`);
  for (const p of nest.parameters) vars.set(p.id, sumOfName(`p${p.id}`));
  const constraints: string[] = [];
  for (const l of nest.around) {
    const text = `p${l.var.id}`;
    names.push(text);
    constraints.push(...within(l, text, vars));
    vars.set(l.var.id, sumOfName(text));
  }
  const reader = new Reader(`[${names.join(", ")}]`);
  reader.stmt(nest.root, { loops: [], vars, constraints, time: [0], copies: new Map() });
  return reader.relations();
}
const within = (l: For, v: string, vars: Vars): string[] => [
  `${textOf(l.min, vars)} <= ${v}`,
  `${v} < ${textOf(l.min, vars)} + ${textOf(l.extent, vars)}`,
];

interface Found extends Omit<AccessRelation, "schedule"> {
  readonly instance: string;
  readonly time: Walk["time"];
}
class Reader {
  readonly #found: Found[] = [];
  readonly #parameters: string;
  constructor(parameters: string) {
    this.#parameters = parameters;
  }
  /** What was found; all times get as many coordinates as the longest has. */
  relations(): AccessRelation[] {
    const length = Math.max(0, ...this.#found.map((f) => f.time.length));
    return this.#found.map(({ instance, time, ...rest }) => {
      const whole = [...time, ...new Array<number>(length - time.length).fill(0)].join(", ");
      return { ...rest, schedule: `${this.#parameters} -> { ${instance} -> [${whole}] }` };
    });
  }

  stmt(s: Stmt, w: Walk): void {
    switch (s.kind) {
      case "seq":
        s.body.forEach((c, k) => {
          this.stmt(c, { ...w, time: [...w.time.slice(0, -1), k] });
        });
        break;
      case "for":
        this.#loop(s, w);
        break;
      case "if": {
        // Both arms stand at one place: an instance runs only one of them.
        const condition = textOf(s.condition, w.vars);
        this.stmt(s.then, { ...w, constraints: [...w.constraints, condition], time: [...w.time, 0, 0] });
        const denied = [...w.constraints, `not (${condition})`];
        if (s.otherwise) this.stmt(s.otherwise, { ...w, constraints: denied, time: [...w.time, 0, 1] });
        break;
      }
      case "allocate": {
        const outer = w.loops.map((l) => `i${l.var.id}`);
        this.stmt(s.body, { ...w, copies: new Map(w.copies).set(s.buffer.id, outer), time: [...w.time, 0, 0] });
        break;
      }
      case "let":
        this.stmt(s.body, { ...w, vars: new Map(w.vars).set(s.var.id, sumOf(s.value, w.vars)) });
        break;
      case "block": {
        const vars = new Map(w.vars);
        s.iterVars.forEach((v, k) => {
          vars.set(v.var.id, sumOf(s.bindings[k]!, w.vars));
        });
        const constraints = s.predicate ? [...w.constraints, textOf(s.predicate, w.vars)] : w.constraints;
        this.stmt(s.body, { ...w, vars, constraints });
        break;
      }
      case "store":
        this.#store(s, w);
        break;
      default:
        throw new Error(`random nests have no ${s.kind}`);
    }
  }
  #loop(l: For, w: Walk): void {
    const v = `i${l.var.id}`;
    this.stmt(l.body, {
      ...w,
      loops: [...w.loops, l],
      vars: new Map(w.vars).set(l.var.id, sumOfName(v)),
      constraints: [...w.constraints, ...within(l, v, w.vars)],
      time: [...w.time, v, 0],
    });
  }
  #store(s: Store, w: Walk): void {
    const place = s.indices.map((e) => textOf(e, w.vars)).join();
    let k = 0;
    const isSelf = (l: Load): boolean =>
      l.buffer.id === s.buffer.id && l.indices.map((e) => textOf(e, w.vars)).join() === place;
    const read = (e: Expr, at: Walk): void => {
      if (e.kind === "select") {
        const condition = textOf(e.condition, w.vars);
        read(e.then, { ...at, constraints: [...at.constraints, condition] });
        read(e.otherwise, { ...at, constraints: [...at.constraints, `not (${condition})`] });
        return;
      }
      for (const c of children(e)) read(c, at);
      if (e.kind === "load" && !(isUpdate && isSelf(e))) this.#add(s, e, false, { ...at, time: [...at.time, 0, k++] });
    };
    // `b[i] = b[i] + c` is one access that reads and writes.
    const { value } = s;
    const isUpdate = value.kind === "binary" && value.a.kind === "load" && isSelf(value.a) && !holdsOther(value.b, s);
    read(value, w);
    this.#add(s, s, true, { ...w, time: [...w.time, 0, k] });
  }
  #add(stmt: Stmt, at: Load | Store, write: boolean, w: Walk): void {
    const instance = `S${this.#found.length}[${w.loops.map((l) => `i${l.var.id}`).join(", ")}]`;
    const element = [...(w.copies.get(at.buffer.id) ?? []), ...at.indices.map((e) => textOf(e, w.vars))].join(", ");
    const domain = w.constraints.length > 0 ? ` : ${w.constraints.map((c) => `(${c})`).join(" and ")}` : "";
    this.#found.push({
      stmt,
      buffer: at.buffer.id,
      write,
      access: `${this.#parameters} -> { ${instance} -> B${at.buffer.id}[${element}]${domain} }`,
      instance,
      time: w.time,
      loops: w.loops,
      prefix: (n) => {
        const outer = w.loops.slice(0, n).map((l) => `i${l.var.id}`);
        return `${this.#parameters} -> { ${instance} -> [${outer.join(", ")}] }`;
      },
    });
  }
}
const holdsOther = (e: Expr, s: Store): boolean =>
  (e.kind === "load" && e.buffer.id === s.buffer.id) || children(e).some((c) => holdsOther(c, s));

const operators = { lt: "<", le: "<=", gt: ">", ge: ">=", eq: "=", ne: "!=" } as const;
/** An index expression or a condition in isl's syntax, whose parser does not tell a sum in parentheses from a condition. */
function textOf(e: Expr, vars: Vars): string {
  const of = (x: Expr): string => textOf(x, vars);
  if (e.dtype.scalar !== "bool") return spelled(sumOf(e, vars));
  if (e.kind === "const") return Number(e.value) ? "true" : "false";
  if (e.kind === "compare") return `${of(e.a)} ${operators[e.op]} ${of(e.b)}`;
  if (e.kind === "binary" && (e.op === "and" || e.op === "or")) return `(${of(e.a)}) ${e.op} (${of(e.b)})`;
  if (e.kind === "unary" && e.op === "not") return `not (${of(e.value)})`;
  throw new Error(`random nests have no ${e.kind}`);
}
/** Coefficients by the text of what they multiply; "" is the constant's. */
type Sum = ReadonlyMap<string, number>;
type Vars = ReadonlyMap<VarId, Sum>;
const sumOfName = (name: string): Sum => new Map([[name, 1]]);
function sumOf(e: Expr, vars: Vars): Sum {
  const of = (x: Expr): Sum => sumOf(x, vars);
  if (e.kind === "const") return new Map([["", Number(e.value)]]);
  if (e.kind === "var") return vars.get(e.id)!;
  if (e.kind !== "binary") throw new Error(`random nests have no ${e.kind}`);
  if (e.op === "add" || e.op === "sub") return plus(of(e.a), of(e.b), e.op === "add" ? 1 : -1);
  if (e.op === "mul") return plus(new Map(), of(e.a), constantOf(e.b));
  if (e.op === "min" || e.op === "max") return new Map([[`${e.op}(${spelled(of(e.a))}, ${spelled(of(e.b))})`, 1]]);
  const by = constantOf(e.b);
  const quotient = `floor((${spelled(of(e.a))})/${by})`;
  if (e.op === "floordiv") return new Map([[quotient, 1]]);
  if (e.op === "floormod") return plus(of(e.a), new Map([[quotient, 1]]), -by);
  throw new Error(`random nests have no ${e.op}`);
}
function plus(x: Sum, y: Sum, k: number): Sum {
  const sum = new Map(x);
  for (const [atom, c] of y) sum.set(atom, (sum.get(atom) ?? 0) + k * c);
  return sum;
}
function spelled(sum: Sum): string {
  const terms = [...sum].filter(([, c]) => c !== 0).map(([atom, c]) => (atom === "" ? `${c}` : `${c}*${atom}`));
  return terms.length > 0 ? terms.join(" + ") : "0";
}
function constantOf(e: Expr): number {
  if (e.kind !== "const") throw new Error("random nests multiply and divide by constants");
  return Number(e.value);
}
