/** The integer set library (Debian's libisl23) through koffi, which bench/ has among its packages. */
import { createRequire } from "node:module";

/** A pointer that isl gave. */
type Handle = unknown;
type Native = (...args: readonly unknown[]) => Handle;
interface Koffi {
  readonly load: (library: string) => { readonly func: (prototype: string) => Native };
}

const prototypes = {
  allocContext: "void *isl_ctx_alloc()",
  setOnError: "int isl_options_set_on_error(void *ctx, int value)",
  setMaxOperations: "void isl_ctx_set_max_operations(void *ctx, unsigned long n)",
  lastError: "int isl_ctx_last_error(void *ctx)",
  resetError: "void isl_ctx_reset_error(void *ctx)",
  resetOperations: "void isl_ctx_reset_operations(void *ctx)",
  readMap: "void *isl_map_read_from_str(void *ctx, const char *text)",
  copyMap: "void *isl_map_copy(void *map)",
  freeMap: "void *isl_map_free(void *map)",
  reverse: "void *isl_map_reverse(void *map)",
  applyRange: "void *isl_map_apply_range(void *a, void *b)",
  applyDomain: "void *isl_map_apply_domain(void *a, void *b)",
  intersectMaps: "void *isl_map_intersect(void *a, void *b)",
  lexLess: "void *isl_map_lex_lt_map(void *a, void *b)",
  deltas: "void *isl_map_deltas(void *map)",
  readSet: "void *isl_set_read_from_str(void *ctx, const char *text)",
  copySet: "void *isl_set_copy(void *set)",
  freeSet: "void *isl_set_free(void *set)",
  intersect: "void *isl_set_intersect(void *a, void *b)",
  subtract: "void *isl_set_subtract(void *a, void *b)",
  isEmpty: "int isl_set_is_empty(void *set)",
  projectOut: "void *isl_set_project_out(void *set, int type, uint first, uint n)",
  countDims: "int isl_set_dim(void *set, int type)",
  isSingleton: "int isl_set_is_singleton(void *set)",
  setText: "const char *isl_set_to_str(void *set)",
  readUnionMap: "void *isl_union_map_read_from_str(void *ctx, const char *text)",
  unionFromMap: "void *isl_union_map_from_map(void *map)",
  unionEquals: "int isl_union_map_is_equal(void *a, void *b)",
  freeUnionMap: "void *isl_union_map_free(void *map)",
  accessFromSink: "void *isl_union_access_info_from_sink(void *sink)",
  accessMaySource: "void *isl_union_access_info_set_may_source(void *info, void *source)",
  accessScheduleMap: "void *isl_union_access_info_set_schedule_map(void *info, void *schedule)",
  computeFlow: "void *isl_union_access_info_compute_flow(void *info)",
  flowMayDependences: "void *isl_union_flow_get_may_dependence(void *flow)",
  freeFlow: "void *isl_union_flow_free(void *flow)",
} as const;
type Functions = Readonly<Record<keyof typeof prototypes, Native>>;

const dimParameter = 1;
const dimSet = 3;
/** isl's ISL_ON_ERROR_CONTINUE: functions give null, and nothing is printed. */
const continueOnError = 1;
/** isl's isl_error_quota: it reached the limit of operations. */
const errorQuota = 6;
/** Beyond this many of its operations isl gives up on a question. */
const maxOperations = 1_000_000;

/** isl gave up on a question. */
export class IslGaveUp extends Error {}

/** What the checks ask isl; every set and map lives until `release`. */
export class Isl {
  readonly #f: Functions;
  readonly #ctx: Handle;
  readonly #sets: Handle[] = [];
  readonly #maps: Handle[] = [];

  constructor(functions: Functions) {
    this.#f = functions;
    this.#ctx = functions.allocContext();
    functions.setOnError(this.#ctx, continueOnError);
    functions.setMaxOperations(this.#ctx, maxOperations);
  }
  /** Frees all sets and maps given so far, and starts counting operations anew. */
  release(): void {
    for (const s of this.#sets.splice(0)) this.#f.freeSet(s);
    for (const m of this.#maps.splice(0)) this.#f.freeMap(m);
    this.#f.resetOperations(this.#ctx);
    this.#f.resetError(this.#ctx);
  }
  /** What went wrong: isl reached its limit, or does not take what it was given. */
  #failure(what: string): Error {
    return this.#f.lastError(this.#ctx) === errorQuota ? new IslGaveUp() : new Error(`isl refuses ${what}`);
  }
  #set(s: Handle): Handle {
    if (!s) throw this.#failure("an operation on sets");
    this.#sets.push(s);
    return s;
  }
  #map(m: Handle): Handle {
    if (!m) throw this.#failure("an operation on relations");
    this.#maps.push(m);
    return m;
  }
  #true(answer: Handle): boolean {
    if (answer !== 0 && answer !== 1) throw this.#failure("a question");
    return answer === 1;
  }

  /** A relation from its text. */
  map(text: string): Handle {
    return this.#map(this.#read(this.#f.readMap, text));
  }
  /** A set from its text. */
  set(text: string): Handle {
    return this.#set(this.#read(this.#f.readSet, text));
  }
  #read(read: Native, text: string): Handle {
    const made = read(this.#ctx, text);
    if (made) return made;
    // The parser stops at the limit too, but calls that bad syntax.
    this.#f.resetOperations(this.#ctx);
    const again = read(this.#ctx, text);
    if (!again) throw new Error(`isl cannot read ${text}`);
    this.#f.freeSet(again);
    throw new IslGaveUp();
  }
  /** Pairs of instances that touch one element, the first scheduled before the second. */
  conflicts(x: { access: Handle; schedule: Handle }, y: { access: Handle; schedule: Handle }): Handle {
    const f = this.#f;
    const touching = f.applyRange(f.copyMap(x.access), f.reverse(f.copyMap(y.access)));
    const ordered = f.lexLess(f.copyMap(x.schedule), f.copyMap(y.schedule));
    return this.#map(f.intersectMaps(touching, ordered));
  }
  /** Sink minus source, in the coordinates that the two maps give. */
  deltas(pairs: Handle, source: Handle, sink: Handle): Handle {
    const f = this.#f;
    const common = f.applyRange(f.applyDomain(f.copyMap(pairs), f.copyMap(source)), f.copyMap(sink));
    return this.#set(f.deltas(common));
  }
  intersect(a: Handle, b: Handle): Handle {
    return this.#set(this.#f.intersect(this.#f.copySet(a), this.#f.copySet(b)));
  }
  subtract(a: Handle, b: Handle): Handle {
    return this.#set(this.#f.subtract(this.#f.copySet(a), this.#f.copySet(b)));
  }
  isEmpty(s: Handle): boolean {
    return this.#true(this.#f.isEmpty(s));
  }
  /** Whether dimension k takes one value only, for all values of the parameters. */
  isFixed(s: Handle, k: number): boolean {
    const f = this.#f;
    const dims = Number(f.countDims(s, dimSet));
    let one = f.projectOut(f.copySet(s), dimSet, k + 1, dims - k - 1);
    one = f.projectOut(one, dimSet, 0, k);
    one = f.projectOut(one, dimParameter, 0, Number(f.countDims(one, dimParameter)));
    return this.#true(f.isSingleton(this.#set(one)));
  }
  text(s: Handle): string {
    return String(this.#f.setText(s));
  }
  /** Whether isl's own dataflow analysis, without kills, finds the same pairs; texts as for `map`. */
  flowAgrees(pairs: Handle, access: { source: string; sink: string; schedule: string }): boolean {
    const f = this.#f;
    const read = (text: string): Handle => f.readUnionMap(this.#ctx, text);
    let question = f.accessFromSink(read(access.sink));
    question = f.accessMaySource(question, read(access.source));
    question = f.accessScheduleMap(question, read(access.schedule));
    const flow = f.computeFlow(question);
    if (!flow) throw new IslGaveUp();
    const found = f.flowMayDependences(flow);
    const expected = f.unionFromMap(f.copyMap(pairs));
    const same = f.unionEquals(found, expected);
    f.freeUnionMap(found);
    f.freeUnionMap(expected);
    f.freeFlow(flow);
    return this.#true(same);
  }
}

/** isl, or why it is not there. */
export function loadIsl(): Isl | string {
  const require = createRequire(new URL("../../../../bench/package.json", import.meta.url));
  try {
    const library = (require("koffi") as Koffi).load(process.env.ISL ?? "libisl.so.23");
    const bound = Object.entries(prototypes).map(([name, prototype]) => [name, library.func(prototype)]);
    return new Isl(Object.fromEntries(bound) as Functions);
  } catch (error) {
    return `isl is not there: ${(error as Error).message.split("\n")[0]}`;
  }
}
