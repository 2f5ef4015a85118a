/** Programs whose places are not plain: gathers, scatters, concatenations, reshapes, conditions that are no tails. */
import { add, compare, floordiv, floormod, mul, scalarLike, select, sub } from "../../../ir/expr/build.ts";
import { dtype } from "../../../ir/expr/dtype.ts";
import { inRange, sum, type Tensor } from "../../../ir/loop/compute.ts";
import {
  type Built,
  clamped,
  joined,
  type Maker,
  maybeEpilogue,
  maybePrologue,
  oddCondition,
  pointwise,
  small,
} from "./makers.ts";

const placeTypes = ["int32", "int64", "uint8", "int16"] as const;

/** Rows of a table, chosen by data. */
function gather(m: Maker): Built {
  const [n, rows, columns] = [m.n(), m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [rows, columns], "input"));
  const at = m.b.param("I", m.r.pick(placeTypes), [n], "input");
  const G = m.b.compute("G", m.type, [n, columns], (i, j) => A.at(clamped(m, at.at(i!), rows), j!));
  return { outputs: [maybeEpilogue(m, G)], roundings: 16 };
}
/** Elements chosen by data, then added up: what a sparse product does. */
function gatherReduce(m: Maker): Built {
  const [n, terms, length] = [m.n(), m.n(), m.n()];
  const x = m.b.param("x", m.type, [length], "input");
  const W = m.b.param("W", m.type, [n, terms], "input");
  const I0 = m.b.param("I", m.r.pick(placeTypes), [n, terms], "input");
  const at = m.r.chance(0.5) ? m.b.compute("J", "int64", [n, terms], (i, j) => clamped(m, I0.at(i!, j!), length)) : I0;
  const k = m.b.reduceAxis("k", terms);
  const S = m.b.compute("S", m.type, [n], (i) =>
    sum(mul(x.at(clamped(m, at.at(i!, k.var), length)), W.at(i!, k.var)), k),
  );
  return { outputs: [S], roundings: terms + 16 };
}
function scatter(m: Maker): Built {
  const [n, k] = [m.n(), m.n()];
  const A = m.b.param("A", m.type, [n], "input");
  const U = m.b.param("U", m.type, [k], "input");
  const C = m.b.compute("C", m.type, [n], (i) => A.at(i!));
  const places = m.r.chance(0.5) ? m.b.param("I", m.r.pick(placeTypes), [k], "input") : undefined;
  const adds = m.r.chance(0.4);
  m.b.write(
    C,
    "put",
    [k],
    (i) => {
      const at = places ? clamped(m, places.at(i!), n) : floormod(mul(i!, 3), n);
      return { at: [at], value: adds ? add(C.at(at), U.at(i!)) : U.at(i!) };
    },
    { kinds: ["ordered"] },
  );
  const D = m.b.compute("D", m.type, [n], (i) => add(C.at(i!), C.at(i!)));
  return { outputs: [m.r.chance(0.5) ? C : D], roundings: 8 + k };
}
function concat(m: Maker): Built {
  const [n, a, b] = [m.n(), m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [n, a], "input"));
  const B = m.b.param("B", m.type, [n, b], "input");
  const C = m.b.declare("C", m.type, [n, a + b]);
  m.b.write(C, "left", [n, a], (i, j) => ({ at: [i!, j!], value: A.at(i!, j!) }));
  m.b.write(C, "right", [n, b], (i, j) => ({ at: [i!, add(j!, a)], value: B.at(i!, j!) }));
  return { outputs: [maybeEpilogue(m, C)], roundings: 16 };
}
/** A tensor into a larger one, with what surrounds it. */
function pad(m: Maker): Built {
  const [w, h, before, after] = [m.n(), m.n(), m.r.int(0, 3), m.r.int(0, 3)];
  const A = maybePrologue(m, m.b.param("A", m.type, [w, h], "input"));
  const fill = m.r.chance(0.5) ? scalarLike(dtype(m.type), 0) : small(m);
  const P = m.b.compute("P", m.type, [w, h + before + after], (i, j) => {
    const x = sub(j!, before);
    return select(inRange(x, h), A.at(i!, x), fill);
  });
  const C = m.b.compute("C", m.type, [w, h + before + after], (i, j) => pointwise(m, [P.at(i!, j!)]));
  return { outputs: [m.r.chance(0.5) ? C : maybeEpilogue(m, P)], roundings: 24 };
}
function reshapeTranspose(m: Maker): Built {
  const [a, b] = [m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [a * b], "input"));
  const R = m.b.compute("R", m.type, [a, b], (i, j) => A.at(add(mul(i!, b), j!)));
  const T = m.b.compute("T", m.type, [b, a], (i, j) => R.at(j!, i!));
  const F = m.b.compute("Fl", m.type, [a * b], (i) => pointwise(m, [T.at(floordiv(i!, a), floormod(i!, a))]));
  return { outputs: [F], roundings: 24 };
}
/** One tensor backwards, or every other element of it. */
function strided(m: Maker): Built {
  const [a, b, step] = [m.n(), m.n(), m.r.int(1, 3)];
  const A = maybePrologue(m, m.b.param("A", m.type, [a, b * step], "input"));
  const back = m.r.chance(0.5);
  const C = m.b.compute("C", m.type, [a, b], (i, j) => A.at(back ? sub(a - 1, i!) : i!, mul(j!, step)));
  return { outputs: [maybeEpilogue(m, C)], roundings: 24 };
}
/** Two tensors in turn, element by element or half by half. */
function interleave(m: Maker): Built {
  const [a, n] = [m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [a, n], "input"));
  const B = m.b.param("B", m.type, [a, n], "input");
  const C = m.b.declare("C", m.type, [a, 2 * n]);
  m.b.write(C, "even", [a, n], (i, j) => ({ at: [i!, mul(j!, 2)], value: A.at(i!, j!) }));
  m.b.write(C, "odd", [a, n], (i, j) => ({ at: [i!, add(mul(j!, 2), 1)], value: B.at(i!, sub(n - 1, j!)) }));
  return { outputs: [maybeEpilogue(m, C)], roundings: 24 };
}
/** A choice by a condition over indices that no interval describes. */
function oddChoice(m: Maker): Built {
  const [a, b] = [m.n(), m.n()];
  const A = maybePrologue(m, m.b.param("A", m.type, [a, b], "input"));
  const B = m.b.param("B", m.type, [a, b], "input");
  const C = m.b.compute("C", m.type, [a, b], (i, j) => select(oddCondition(m, i!, j!), A.at(i!, j!), B.at(i!, j!)));
  return { outputs: [maybeEpilogue(m, C)], roundings: 24 };
}
/** Elements of a tensor written again where a condition over indices holds. */
function oddWrites(m: Maker): Built {
  const [a, b] = [m.n(), m.n()];
  const A = m.b.param("A", m.type, [a, b], "input");
  const B = m.b.param("B", m.type, [a, b], "input");
  const C = m.b.compute("C", m.type, [a, b], (i, j) => A.at(i!, j!));
  m.b.write(C, "put", [a, b], (i, j) => ({
    at: [i!, j!],
    value: m.r.chance(0.5) ? joined(m, C.at(i!, j!), B.at(i!, j!)) : B.at(i!, j!),
    predicate: oddCondition(m, i!, j!),
  }));
  return { outputs: [maybeEpilogue(m, C)], roundings: 24 };
}
/** The product of a triangular matrix and another: what lies above the diagonal counts as zero. */
function triangular(m: Maker): Built {
  const [n, columns] = [m.n(), m.n()];
  const A = m.b.param("A", m.type, [n, n], "input");
  const B = m.b.param("B", m.type, [n, columns], "input");
  const k = m.b.reduceAxis("k", n);
  const C = m.b.compute("C", m.type, [n, columns], (i, j) =>
    sum(mul(select(compare("le", k.var, i!), A.at(i!, k.var), scalarLike(dtype(m.type), 0)), B.at(k.var, j!)), k),
  );
  return { outputs: [maybeEpilogue(m, C)], roundings: n + 16 };
}

/** A part of a tensor, a grid in it or its diagonal, with other values. */
function patch(m: Maker, C: Tensor, name: string): void {
  const [a, b] = [C.dims[0]!, C.dims[1]!];
  const n = Math.min(a, b);
  const B = m.b.param(name.toUpperCase(), m.type, [a, b], "input");
  if (m.r.chance(0.3)) {
    m.b.write(C, name, [n], (i) => ({ at: [i!, i!], value: B.at(i!, 0) }));
    return;
  }
  const step = m.r.chance(0.3) && b > 1 ? 2 : 1;
  const [rows, columns] = [m.r.int(1, a), m.r.int(1, Math.ceil(b / step))];
  const [top, left] = [m.r.int(0, a - rows), m.r.int(0, b - 1 - (columns - 1) * step)];
  m.b.write(C, name, [rows, columns], (i, j) => ({
    at: [add(i!, top), add(mul(j!, step), left)],
    value: B.at(i!, j!),
  }));
}
/** A tensor parts of which are written again before it is read. */
function overwritten(m: Maker): Built {
  const A = maybePrologue(m, m.b.param("A", m.type, [m.n(), m.n()], "input"));
  const C = m.b.compute("C", m.type, A.dims, (i, j) => A.at(i!, j!));
  patch(m, C, "first");
  if (m.r.chance(0.4)) patch(m, C, "second");
  return { outputs: [maybeEpilogue(m, C)], roundings: 24 };
}
/** A tensor that is read, changed in parts and read again. */
function updated(m: Maker): Built {
  const A = m.b.param("A", m.type, [m.n(), m.n()], "input");
  const Z = m.b.compute("Z", m.type, A.dims, (i, j) => A.at(i!, j!));
  const B = m.b.compute("B", m.type, A.dims, (i, j) => pointwise(m, [Z.at(i!, j!)]));
  patch(m, Z, "put");
  const C = m.b.compute("C", m.type, A.dims, (i, j) => joined(m, B.at(i!, j!), Z.at(i!, j!)));
  return { outputs: m.r.chance(0.5) ? [C] : [C, Z], roundings: 24 };
}

export const indexed = [
  gather,
  gatherReduce,
  scatter,
  concat,
  pad,
  pad,
  reshapeTranspose,
  strided,
  interleave,
  oddChoice,
  oddWrites,
  overwritten,
  updated,
  triangular,
] as const;
