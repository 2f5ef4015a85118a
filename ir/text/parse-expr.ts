/** Reads expressions: precedence climbing over the vocabulary's table. */
import { broadcast, call, constant, load, ramp, shuffle, unary, vectorReduce } from "../expr/build.ts";
import { boolType, type DType, dtype, indexType, isFloat, type ScalarType } from "../expr/dtype.ts";
import type { BinaryOp, CompareOp, Expr, Intrinsic, UnaryOp } from "../expr/expr.ts";
import type { Range } from "../loop/program.ts";
import { rawBinary, rawCast, rawCompare, rawSelect } from "./nodes.ts";
import type { Reader } from "./reader.ts";
import { binaryCalls, comparisons, infixes, precedence, reduceOps, suffixes, unaryCalls } from "./vocabulary.ts";

/** An expression of at least the given binding strength. */
export function parseExpr(r: Reader, level: number = precedence.or): Expr {
  let left = parsePrefix(r, level);
  for (;;) {
    const infix = infixes.find((i) => r.is(i.symbol) && i.level >= level);
    const comparison = precedence.compare >= level ? comparisonAt(r) : undefined;
    if (!infix && !comparison) return left;
    const operator = r.next();
    const right = parseExpr(r, (infix?.level ?? precedence.compare) + 1);
    if (left.dtype !== right.dtype) {
      r.fail(
        "type-mismatch",
        `operands of ${operator.text} are ${nameOf(left.dtype)} and ${nameOf(right.dtype)}`,
        operator,
      );
    }
    left = infix ? rawBinary(infix.op, left, right) : rawCompare(comparison!, left, right);
  }
}
const nameOf = (t: DType): string => (t.lanes === 1 ? t.scalar : `${t.scalar}x${t.lanes}`);
function comparisonAt(r: Reader): CompareOp | undefined {
  return (Object.keys(comparisons) as CompareOp[]).find((op) => r.is(comparisons[op]));
}
function parsePrefix(r: Reader, level: number): Expr {
  if (r.is("not")) {
    if (level > precedence.not) r.fail("unexpected-token", "`not` binds weaker here; put it in parentheses");
    r.next();
    return unary("not", parseExpr(r, precedence.not));
  }
  if (r.is("~")) {
    r.next();
    return unary("not", parsePrefix(r, precedence.prefix));
  }
  if (!r.take("-")) return parseAtom(r);
  if (r.token.kind === "number" || isWord(r)) return parseConstant(r, true);
  return unary("neg", parsePrefix(r, precedence.prefix));
}
const words = /^(inf|nan)(_(f16|bf16|f64))?$/;
const isWord = (r: Reader): boolean => r.token.kind === "name" && !r.token.quoted && words.test(r.token.text);

function parseAtom(r: Reader): Expr {
  if (r.take("(")) {
    const inner = parseExpr(r);
    r.expect(")");
    return inner;
  }
  if (r.token.kind === "number" || isWord(r)) return parseConstant(r, false);
  if (r.is("true") || r.is("false")) return constant(boolType, r.next().text === "true");
  if (r.token.kind !== "name") return r.fail("unexpected-token", `expected an expression, found ${r.found()}`);
  const follower = r.peek(1);
  if (follower.kind === "symbol" && follower.text === "(") return parseCall(r);
  if (follower.kind === "symbol" && follower.text === "[") return parseLoad(r);
  const token = r.next();
  const meaning = r.names.get(token.text);
  if (!meaning || !("var" in meaning)) return r.fail("unknown-name", `no variable is called ${token.text} here`, token);
  return meaning.var;
}
function parseLoad(r: Reader): Expr & { kind: "load" } {
  const token = r.token;
  const source = r.buffer();
  const indices = parseIndices(r);
  if (indices.length !== source.shape.length) {
    r.fail("index-count", `${token.text} has ${source.shape.length} dimensions, got ${indices.length} indices`, token);
  }
  return load(source, indices);
}
/** `[i, j]`. */
export function parseIndices(r: Reader): Expr[] {
  r.expect("[");
  return r.list("]", () => parseExpr(r));
}

const scalarOfSuffix = new Map(Object.entries(suffixes).map(([scalar, suffix]) => [suffix, scalar as ScalarType]));
function parseConstant(r: Reader, negative: boolean): Expr {
  const token = r.next();
  const sign = negative ? "-" : "";
  if (token.kind === "name") {
    const [word, suffix] = token.text.split("_");
    const magnitude = word === "inf" ? Number.POSITIVE_INFINITY : Number.NaN;
    return constant(dtype(scalarOfSuffix.get(suffix ?? "f32")!), negative ? -magnitude : magnitude);
  }
  const [, digits, suffix] = /^([\d.]+(?:[eE][+-]?\d+)?)((?:bf|[iuf])\d+)?$/.exec(token.text) ?? [];
  const whole = digits !== undefined && /^\d+$/.test(digits);
  const scalar = suffix === undefined ? (whole ? "int64" : "float32") : scalarOfSuffix.get(suffix);
  if (digits === undefined || scalar === undefined) return r.fail("bad-number", `${token.text} is no number`, token);
  if (isFloat(scalar)) return constant(dtype(scalar), Number(sign + digits));
  if (!whole) return r.fail("bad-number", `${token.text} is not whole`, token);
  return constant(dtype(scalar), BigInt(sign + digits));
}

function parseCall(r: Reader): Expr {
  const token = r.token;
  const { text: name } = token;
  if (r.isType()) {
    const type = r.type();
    const value = argumentsOf(r, 1)[0]!;
    if (type.lanes !== 1) r.fail("unknown-type", "a cast names a scalar type", token);
    return rawCast(type, value);
  }
  r.next();
  if (unaryCalls.has(name)) return unary(name as UnaryOp, argumentsOf(r, 1)[0]!);
  if ((binaryCalls as readonly string[]).includes(name)) {
    const [a, b] = argumentsOf(r, 2) as [Expr, Expr];
    if (a.dtype !== b.dtype) r.fail("type-mismatch", `arguments of ${name} differ in type`, token);
    return rawBinary(name as BinaryOp, a, b);
  }
  const parse = Object.hasOwn(special, name) ? special[name] : undefined;
  if (!parse) return r.fail("unknown-name", `there is no operator ${name}`, token);
  return parse(r);
}
function argumentsOf(r: Reader, count: number): Expr[] {
  const token = r.expect("(");
  const args = r.list(")", () => parseExpr(r));
  if (args.length !== count) r.fail("argument-count", `expected ${count} argument(s), got ${args.length}`, token);
  return args;
}
const special: Readonly<Record<string, (r: Reader) => Expr>> = {
  select: (r) => {
    const at = r.token;
    const [condition, then, otherwise] = argumentsOf(r, 3) as [Expr, Expr, Expr];
    if (condition.dtype.scalar !== "bool" || then.dtype !== otherwise.dtype) {
      r.fail("type-mismatch", "select takes a bool and two values of one type", at);
    }
    return rawSelect(condition, then, otherwise);
  },
  masked: (r) => {
    r.expect("(");
    const access = parseLoad(r);
    r.expect(",");
    const predicate = parseExpr(r);
    r.expect(")");
    return load(access.buffer, access.indices, predicate);
  },
  ramp: (r) => {
    r.expect("(");
    const base = parseExpr(r);
    r.expect(",");
    const stride = parseExpr(r);
    return ramp(base, stride, lanesArgument(r));
  },
  broadcast: (r) => {
    r.expect("(");
    const value = parseExpr(r);
    if (value.dtype.lanes !== 1) r.fail("type-mismatch", "only scalars are broadcast");
    return broadcast(value, lanesArgument(r));
  },
  shuffle: (r) => {
    const at = r.expect("(");
    r.expect("[");
    const vectors = r.list("]", () => parseExpr(r));
    r.expect(",");
    r.expect("[");
    const lanes = r.list("]", () => r.whole());
    r.expect(")");
    if (vectors.length === 0 || lanes.length === 0) r.fail("argument-count", "a shuffle needs a vector and a lane", at);
    return shuffle(vectors, lanes);
  },
  vectorReduce: (r) => {
    r.expect("(");
    const token = r.token;
    const name = r.name();
    const op = reduceOps.find((o) => o === name);
    if (!op) return r.fail("unknown-name", `there is no reduction ${token.text}`, token);
    r.expect(",");
    const value = parseExpr(r);
    r.expect(")");
    return vectorReduce(op, value);
  },
  fma: (r) => {
    const args = argumentsOf(r, 3);
    return call("fma", args, args[0]!.dtype);
  },
  bitcast: (r) => typedCall(r, "bitcast"),
  prefetch: (r) => typedCall(r, "prefetch"),
  scheduleBarrier: (r) => typedCall(r, "scheduleBarrier"),
  checkBounds: (r) => typedCall(r, "checkBounds"),
};
function typedCall(r: Reader, callee: Exclude<Intrinsic, "fma">): Expr {
  r.expect("(");
  const type = r.type();
  if (callee === "scheduleBarrier") {
    r.expect(")");
    return call(callee, [], type);
  }
  r.expect(",");
  return call(
    callee,
    r.list(")", () => parseExpr(r)),
    type,
  );
}
function lanesArgument(r: Reader): number {
  r.expect(",");
  const at = r.token;
  const lanes = r.whole();
  if (lanes < 1) r.fail("bad-number", "lanes must be positive", at);
  r.expect(")");
  return lanes;
}

/** `0..n`, `2..10`, `min..+extent`. */
export function parseRange(r: Reader): Range {
  return rangeAfter(r, parseExpr(r));
}
/** A dimension of a region: a range, or one index. */
export function parseRegionRange(r: Reader): Range {
  const min = parseExpr(r);
  return r.is("..") ? rangeAfter(r, min) : { min, extent: constant(indexType, 1) };
}
function rangeAfter(r: Reader, min: Expr): Range {
  const dots = r.expect("..");
  if (r.take("+")) return { min, extent: parseExpr(r) };
  const end = parseExpr(r);
  if (min.kind !== "const" || min.dtype !== indexType || typeof min.value !== "number") {
    return r.fail("bad-range", "after a first value that is no index constant, write ..+extent", dots);
  }
  if (min.value === 0) return { min, extent: end };
  if (end.kind !== "const" || typeof end.value !== "number" || end.dtype !== indexType) {
    return r.fail(
      "bad-range",
      "after a first value other than 0, the end is an index constant, or write ..+extent",
      dots,
    );
  }
  return { min, extent: constant(indexType, end.value - min.value) };
}
