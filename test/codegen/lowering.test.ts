import { expect, it } from "vitest";
import {
  add,
  binary,
  buffer,
  cast,
  compare,
  constant,
  floordiv,
  floormod,
  index,
  load,
  mul,
  select,
  sub,
  variable,
} from "../../ir/expr/build.ts";
import { dtype, float32, type ScalarType } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr, Scope, Var } from "../../ir/expr/expr.ts";
import { arrayTypeOf, type TypedArray } from "../../ir/graph/tensor-value.ts";
import { runProgram } from "../../ir/interp/run.ts";
import { allocate, forLoop, ifThen, letIn, primFunc, program, seq, store } from "../../ir/loop/build.ts";
import type { LoopKind, ParamRole, Program, Stmt } from "../../ir/loop/program.ts";
import { IdSource } from "../../ir/support/ids.ts";
import { poolCreate, poolDispose } from "../../native/addon.ts";
import { describeNative, numbers, runNative, textOf } from "./native-run.ts";

/** Declares parameters and loops of one function. */
class Sketch {
  readonly ids = new IdSource();
  readonly params: { buffer: Buffer; role: ParamRole }[] = [];
  param(name: string, shape: number[], role: ParamRole = "input", type: ScalarType = "float32"): Buffer {
    const b = buffer(this.ids, name, type, shape);
    this.params.push({ buffer: b, role });
    return b;
  }
  local(name: string, shape: number[], scope: Scope = "global", type: ScalarType = "float32"): Buffer {
    return buffer(this.ids, name, type, shape, { scope });
  }
  loop(
    name: string,
    extent: number | Expr,
    body: (v: Var) => Stmt,
    loopKind: LoopKind = "serial",
    min: number | Expr = 0,
  ): Stmt {
    const v = variable(this.ids, name);
    return forLoop(v, extent, body(v), { loopKind, min });
  }
  finish(body: Stmt): Program {
    return program([primFunc({ name: "f", params: this.params, body })], this.ids);
  }
}

function randomInputs(p: Program): Record<string, TypedArray> {
  let state = 7;
  const next = (): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 32;
  };
  const inputs: Record<string, TypedArray> = {};
  for (const { buffer: b, role } of p.functions[0]!.params) {
    if (role !== "input" && role !== "constant") continue;
    const n = b.shape.reduce((k, e) => k * Number(e.kind === "const" ? e.value : Number.NaN), 1);
    const array = new (arrayTypeOf(b.dtype.scalar))(n);
    for (let k = 0; k < n; k++) {
      const v = b.dtype.scalar.startsWith("float") ? next() * 2 - 1 : Math.floor(next() * 7);
      array[k] = (b.dtype.scalar === "int64" ? BigInt(v) : v) as never;
    }
    inputs[b.name] = array;
  }
  return inputs;
}
/** Same outputs as the interpreter, to 1e-5 of the largest, at several vector widths, with and without threads. */
function expectTwin(p: Program, widths: readonly number[] = [128, 256, 512]): void {
  const inputs = randomInputs(p);
  const expected = runProgram(p, inputs);
  const pool = poolCreate(2);
  try {
    for (const vectorBits of widths) {
      for (const options of [{ vectorBits }, { vectorBits, pool }]) {
        const actual = runNative(p, inputs, options);
        for (const [name, want] of Object.entries(expected)) {
          const largest = Math.max(1e-3, ...numbers(want).map(Math.abs));
          const wrong = numbers(want).map((v, k) => Math.abs(v - Number(actual[name]![k])) / largest);
          expect(Math.max(...wrong), `${name} at ${vectorBits} bits`).toBeLessThanOrEqual(1e-5);
        }
      }
    }
  } finally {
    poolDispose(pool);
  }
}
const zero = constant(float32, 0);
const extents = [1, 2, 3, 7, 8, 15, 16, 17, 31, 64, 100, 193];

describeNative("lowered programs equal the interpreter", () => {
  it.each(extents)("contiguous, strided, reversed and broadcast accesses, extent %i", (n) => {
    const s = new Sketch();
    const [a, b, c] = [s.param("a", [n]), s.param("b", [3 * n]), s.param("c", [1])];
    const out = s.param("out", [n], "output");
    const body = s.loop(
      "i",
      n,
      (i) => {
        const strided = load(b, [add(mul(i, 3), 1)]);
        const reversed = load(a, [sub(n - 1, i)]);
        return store(out, [i], add(add(mul(load(a, [i]), strided), reversed), load(c, [0])));
      },
      "vectorized",
    );
    expectTwin(s.finish(body));
  });
  it.each(extents)("strided stores, gathers and index arithmetic, extent %i", (n) => {
    const s = new Sketch();
    const [a, at] = [s.param("a", [n]), s.param("at", [n], "input", "int64")];
    const [out, spread] = [s.param("out", [n], "output"), s.param("spread", [2 * n], "output")];
    const body = s.loop(
      "i",
      n,
      (i) => {
        const picked = load(a, [floormod(add(load(at, [i]), i), n)]);
        const blocked = load(a, [add(mul(floordiv(i, 4), 4), floormod(i, 4))]);
        return seq([
          store(out, [i], add(picked, cast("float32", floordiv(i, 3)))),
          store(spread, [mul(i, 2)], blocked),
          store(spread, [add(mul(i, 2), 1)], zero),
        ]);
      },
      "vectorized",
    );
    expectTwin(s.finish(body));
  });
  it.each([1, 5, 16, 29, 48])("guarded tails of %i elements in chunks of 16", (n) => {
    const s = new Sketch();
    const [a, w] = [s.param("a", [n]), s.param("w", [4])];
    const out = s.param("out", [n], "output");
    const body = s.loop("o", Math.ceil(n / 16), (o) =>
      s.loop(
        "i",
        16,
        (i) => {
          const j = add(mul(o, 16), i);
          return ifThen(compare("lt", j, n), store(out, [j], mul(load(a, [j]), load(w, [floormod(o, 4)]))));
        },
        "vectorized",
      ),
    );
    expectTwin(s.finish(body));
  });
  it.each(["add", "mul", "min", "max"] as const)("vectorized %s reduction under a mask", (op) => {
    const s = new Sketch();
    const a = s.param("a", [5, 37]);
    const out = s.param("out", [5], "output");
    const body = s.loop("r", 5, (r) =>
      seq([
        store(out, [r], constant(float32, 0.5)),
        s.loop(
          "k",
          48,
          (k) => ifThen(compare("lt", k, 37), store(out, [r], binary(op, load(out, [r]), load(a, [r, k])))),
          "vectorized",
        ),
      ]),
    );
    expectTwin(s.finish(body));
  });
  it.each(["int32", "int8", "uint8", "int64", "float64", "float16"] as const)("reduction of %s", (type) => {
    const s = new Sketch();
    const a = s.param("a", [100], "input", type === "float16" ? "int8" : type);
    const out = s.param("out", [1], "output", type);
    const value = (k: Var): Expr => (type === "float16" ? cast("float16", load(a, [k])) : load(a, [k]));
    const body = seq([
      store(out, [0], constant(dtype(type), 1)),
      s.loop("k", 100, (k) => store(out, [0], binary("add", load(out, [0]), value(k))), "vectorized"),
    ]);
    expectTwin(s.finish(body));
  });
  it("lets, inner loops and private buffers inside a vectorized loop", () => {
    const s = new Sketch();
    const a = s.param("a", [20, 9]);
    const out = s.param("out", [20], "output");
    const t = s.local("t", [9], "register");
    const sum = s.local("sum", [1], "register");
    const body = s.loop(
      "i",
      20,
      (i) => {
        const twice = variable(s.ids, "twice", float32);
        const fill = s.loop("k", 9, (k) =>
          letIn(twice, mul(load(a, [i, k]), constant(float32, 2)), store(t, [k], mul(twice, twice))),
        );
        const total = s.loop("k", 9, (k) => store(sum, [0], add(load(sum, [0]), load(t, [sub(8, k)]))));
        return allocate(t, allocate(sum, seq([fill, store(sum, [0], zero), total, store(out, [i], load(sum, [0]))])));
      },
      "vectorized",
    );
    expectTwin(s.finish(body));
  });
  it("selects do not load what they do not choose", () => {
    const s = new Sketch();
    const a = s.param("a", [30]);
    const out = s.param("out", [34], "output");
    for (const kind of ["serial", "vectorized"] as const) {
      const t = new Sketch();
      const [b, o] = [t.param("a", [30]), t.param("out", [34], "output")];
      const body = t.loop(
        "i",
        34,
        (i) => {
          const inside = binary("and", compare("ge", i, 2), compare("lt", i, 32));
          return store(o, [i], select(inside, load(b, [sub(i, 2)]), zero));
        },
        kind,
      );
      expectTwin(t.finish(body));
    }
    expect([a.name, out.name]).toEqual(["a", "out"]);
  });
  it.each([1, 3, 8, 50])("parallel loops with captures and intermediates, extent %i", (n) => {
    const s = new Sketch();
    const a = s.param("a", [n, 40]);
    const [out, total] = [s.param("out", [n, 40], "output"), s.param("total", [n], "output")];
    const shared = s.local("shared", [n, 40]);
    const own = s.local("own", [40]);
    const large = s.local("large", [40_000]);
    const first = s.loop(
      "r",
      n,
      (r) =>
        allocate(
          own,
          seq([
            s.loop("j", 40, (j) => store(own, [j], mul(load(a, [r, j]), constant(float32, 3))), "vectorized"),
            s.loop("j", 40, (j) => store(shared, [r, j], add(load(own, [sub(39, j)]), load(a, [r, j]))), "vectorized"),
          ]),
        ),
      "parallel",
    );
    const second = s.loop(
      "r",
      n,
      (r) =>
        allocate(
          large,
          seq([
            store(total, [r], zero),
            s.loop("j", 40_000, (j) => store(large, [j], load(shared, [r, floormod(j, 40)]))),
            s.loop("j", 40_000, (j) => store(total, [r], add(load(total, [r]), load(large, [j])))),
            s.loop("j", 40, (j) => store(out, [r, j], load(large, [mul(j, 997)])), "vectorized"),
          ]),
        ),
      "parallel",
    );
    expectTwin(s.finish(allocate(shared, seq([first, second]))), [512]);
  });
  it("intermediates with disjoint lifetimes share the workspace", () => {
    const s = new Sketch();
    const a = s.param("a", [10_000]);
    const out = s.param("out", [10_000], "output");
    const stages = Array.from({ length: 5 }, (_, k) => s.local(`t${k}`, [10_000]));
    const copy = (from: Buffer, to: Buffer): Stmt =>
      s.loop("i", 10_000, (i) => store(to, [i], add(load(from, [i]), constant(float32, 1))), "vectorized");
    const chain = [a, ...stages, out];
    const steps = chain.slice(1).map((to, k) => copy(chain[k]!, to));
    const p = s.finish(stages.reduce<Stmt>((inner, b) => allocate(b, inner), seq(steps)));
    expectTwin(p, [512]);
    expect(textOf(p).functions[0]!.workspaceBytes).toBe(2 * 40_000);
  });
  it("unrolled loops fold their indices", () => {
    const s = new Sketch();
    const a = s.param("a", [6, 5]);
    const out = s.param("out", [5, 6], "output");
    const body = s.loop(
      "i",
      6,
      (i) => s.loop("j", 5, (j) => store(out, [j, i], load(a, [i, j])), "unrolled"),
      "unrolled",
    );
    const p = s.finish(body);
    expectTwin(p, [512]);
    expect(textOf(p).text).not.toMatch(/phi/);
  });
  it("vectorized loops whose extent an unrolled loop decides", () => {
    const s = new Sketch();
    const a = s.param("a", [4, 20]);
    const out = s.param("out", [4, 20], "output");
    const body = s.loop(
      "i",
      4,
      (i) =>
        seq([
          s.loop("j", 20, (j) => store(out, [i, j], zero), "vectorized"),
          s.loop("j", add(mul(i, 5), index(3)), (j) => store(out, [i, j], load(a, [i, j])), "vectorized"),
        ]),
      "unrolled",
    );
    expectTwin(s.finish(body));
  });
});
