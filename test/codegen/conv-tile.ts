/** A register-blocked direct convolution (3x3, stride 1, NCHW16c, padded input), scheduled by construction. */
import { add, binary, buffer, constant, load, mul, variable } from "../../ir/expr/build.ts";
import { float32 } from "../../ir/expr/dtype.ts";
import type { Expr, Var } from "../../ir/expr/expr.ts";
import { allocate, forLoop, primFunc, program, seq, store } from "../../ir/loop/build.ts";
import type { LoopKind, Program, Stmt } from "../../ir/loop/program.ts";
import { IdSource } from "../../ir/support/ids.ts";

/** Shape of the tile and the layer. */
export interface ConvTile {
  readonly ic: number;
  readonly oc: number;
  readonly size: number;
  readonly px: number;
  readonly ob: number;
  readonly lanes: number;
  readonly barrier?: boolean;
  readonly parallel?: boolean;
}

/** Builds the convolution; X [ic/l, size+2, size+2, l], W [oc/(ob·l), ic/l, 3, 3, l, ob·l], Y [oc/l, size, size, l]. */
export function convTile(c: ConvTile): Program {
  const ids = new IdSource();
  const { lanes, ob, px, size } = c;
  const [icb, tiles, ocTiles] = [c.ic / lanes, size / px, c.oc / (ob * lanes)];
  const x = buffer(ids, "X", "float32", [icb, size + 2, size + 2, lanes]);
  const w = buffer(ids, "W", "float32", [ocTiles, icb, 3, 3, lanes, ob * lanes]);
  const y = buffer(ids, "Y", "float32", [c.oc / lanes, size, size, lanes]);
  const acc = buffer(ids, "acc", "float32", [px, ob, lanes], { scope: "register" });
  const v = (name: string): Var => variable(ids, name);
  const nest = (loops: readonly [Var, number, LoopKind][], body: Stmt, annotated?: Var): Stmt =>
    loops.reduceRight<Stmt>(
      (s, [loopVar, extent, loopKind]) =>
        forLoop(loopVar, extent, s, {
          loopKind,
          ...(annotated === loopVar ? { annotations: { schedule_barrier: true } } : {}),
        }),
      body,
    );
  const tile = (body: (p: Var, o: Var, l: Var) => Stmt): Stmt => {
    const [p, o, l] = [v("p"), v("o"), v("l")];
    return nest(
      [
        [p, px, "unrolled"],
        [o, ob, "unrolled"],
        [l, lanes, "vectorized"],
      ],
      body(p, o, l),
    );
  };
  const [ot, oh, tw] = [v("ot"), v("oh"), v("tw")];
  const [cb, kh, kw, ci] = [v("cb"), v("kh"), v("kw"), v("ci")];
  const init = tile((p, o, l) => store(acc, [p, o, l], constant(float32, 0)));
  const update = tile((p, o, l) => {
    const column = add(add(mul(tw, px), p), kw);
    const a: Expr = load(x, [cb, add(oh, kh), column, ci]);
    const b: Expr = load(w, [ot, cb, kh, kw, ci, add(mul(o, lanes), l)]);
    return store(acc, [p, o, l], binary("add", load(acc, [p, o, l]), binary("mul", a, b)));
  });
  const finish = tile((p, o, l) =>
    store(
      y,
      [add(mul(ot, ob), o), oh, add(mul(tw, px), p), l],
      binary("max", load(acc, [p, o, l]), constant(float32, 0)),
    ),
  );
  const reduce = nest(
    [
      [cb, icb, "serial"],
      [kh, 3, "serial"],
      [kw, 3, "serial"],
      [ci, lanes, "unrolled"],
    ],
    update,
    c.barrier ? ci : undefined,
  );
  const inner = allocate(acc, seq([init, reduce, finish]));
  const body = nest(
    [
      [ot, ocTiles, "serial"],
      [oh, size, c.parallel ? "parallel" : "serial"],
      [tw, tiles, "serial"],
    ],
    inner,
  );
  const params = [
    { buffer: x, role: "input" as const },
    { buffer: w, role: "constant" as const },
    { buffer: y, role: "output" as const },
  ];
  return program([primFunc({ name: "conv", params, body })], ids);
}
