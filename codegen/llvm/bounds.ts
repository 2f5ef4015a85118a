/**
 * Checks of bounds: a compare, a branch that is never taken, and a cold function that leaves behind which access it was.
 *
 * Note [Record of bounds]. `tw_bounds` is an array of 64-bit words that a linked program has once: the number of the
 * site plus 1 (0: nothing happened), the number of dimensions, then index and extent of each. The first check that fails
 * wins it with a compare-and-swap, so that the words belong together even where threads fail at once.
 */
import { constantValue } from "../../ir/expr/build.ts";
import { withLanes } from "../../ir/expr/dtype.ts";
import type { Call, Expr } from "../../ir/expr/expr.ts";
import { UnsupportedError } from "../../ir/support/errors.ts";
import { invariant } from "../../ir/support/invariant.ts";
import type { BodyContext } from "./function-context.ts";
import { reduceLanes } from "./reductions.ts";
import { registerType } from "./types.ts";
import { literal, type Value } from "./writer.ts";

/** Symbol of the record. */
const record = "tw_bounds";
/** Symbol of `void take(ptr rt, ptr args)`: copies the record to args[0] and clears it. */
export const takeBoundsSymbol = "tw_bounds_take";
/** 64-bit words of the record. */
export const boundsRecordWords = 64;
const maxRank = (boundsRecordWords - 2) / 2;

/** Declares the record in a module that does not define it. */
export const boundsRecordDeclaration = `@${record} = external global [${boundsRecordWords} x i64], align 64`;

/** The module that defines the record, to be linked once with the functions that check. */
export const emitBoundsRecord =
  (): string => `@${record} = global [${boundsRecordWords} x i64] zeroinitializer, align 64
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define void @${takeBoundsSymbol}(ptr %rt, ptr %args) nounwind {
  %to = load ptr, ptr %args, align 8
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr @${record}, i64 ${8 * boundsRecordWords}, i1 false)
  call void @llvm.memset.p0.i64(ptr @${record}, i8 0, i64 ${8 * boundsRecordWords}, i1 false)
  ret void
}
`;

/** Writes `checkBounds(site, out, index0, extent0, …)`; in a vector the first lane that is out is the one reported. */
export function emitCheck(ctx: BodyContext, e: Call): void {
  const [site, out, ...places] = e.args;
  invariant(site && out && places.length % 2 === 0, "a check has a site, a condition and pairs of index and extent");
  if (out.dtype.lanes === 1 && constantValue(out) === 0) return;
  const condition = ctx.emit(out);
  const any = out.dtype.lanes === 1 ? condition : reduceLanes(ctx, "or", condition, out.dtype);
  const values = places.map((p) => ({ type: registerType(p.dtype), lanes: p.dtype.lanes, value: ctx.emit(p) }));
  ctx.writer.leaveIf(any, () => {
    const lane = out.dtype.lanes === 1 ? literal("0") : firstLane(ctx, condition, out);
    const words = values.map(({ type, lanes, value }) =>
      lanes === 1 ? value : ctx.writer.effect(`extractelement ${type} ${value.ref}, i64 ${lane.ref}`),
    );
    const args = [`i64 ${constantValue(site)}`, ...words.map((w) => `i64 ${w.ref}`)];
    ctx.writer.instruction(`call void ${reporter(ctx, places.length / 2)}(${args.join(", ")})`);
  });
}
function firstLane(ctx: BodyContext, condition: Value, out: Expr): Value {
  const { lanes } = out.dtype;
  const bits = ctx.writer.effect(`bitcast ${registerType(withLanes(out.dtype, lanes))} ${condition.ref} to i${lanes}`);
  const wide = lanes >= 64 ? bits : ctx.writer.effect(`zext i${lanes} ${bits.ref} to i64`);
  const count = ctx.module.declare("llvm.cttz.i64", "i64", ["i64", "i1 immarg"]);
  return ctx.writer.effect(`call i64 ${count}(i64 ${wide.ref}, i1 true)`);
}

/** The function that writes the record for an access of so many dimensions. */
function reporter(ctx: BodyContext, rank: number): string {
  if (rank > maxRank)
    throw new UnsupportedError("codegen/check-rank", `accesses of at most ${maxRank} dimensions can be checked`);
  ctx.module.global(boundsRecordDeclaration);
  const params = Array.from({ length: 2 * rank }, (_, k) => `i64 %v${k}`);
  const put = (word: number, value: string): string =>
    `  %p${word} = getelementptr i64, ptr @${record}, i64 ${word}\n  store i64 ${value}, ptr %p${word}, align 8\n`;
  return ctx.module.define(
    `${record}.fail${rank}`,
    () => `define internal void @${record}.fail${rank}(${["i64 %site", ...params].join(", ")}) noinline cold nounwind {
  %number = add i64 %site, 1
  %old = cmpxchg ptr @${record}, i64 0, i64 %number acq_rel monotonic
  %won = extractvalue { i64, i1 } %old, 1
  br i1 %won, label %first, label %done
first:
${put(1, String(rank))}${params.map((_, k) => put(k + 2, `%v${k}`)).join("")}  br label %done
done:
  ret void
}`,
  );
}
