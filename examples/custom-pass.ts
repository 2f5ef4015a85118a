/**
 * A pass of one's own in the lowering pipeline: multiplication and addition become one fused operation, rounded once.
 * The runner prints what the pass changed, and verifies every step.
 *
 *   npx tsx examples/custom-pass.ts
 */
import { build, compute, placeholder, schedule } from "tilewright";
import {
  call,
  defaultPipeline,
  definePass,
  insertPass,
  mapBodies,
  plainContext,
  printing,
  rewrite,
  rewriteExprs,
  verifying,
} from "tilewright/passes";

const fuseMultiplyAdd = definePass<"flat", "flat">({
  name: "fuse-multiply-add",
  doc: "Turns a * b + c into one operation that rounds once.",
  requires: ["explicit-vectors"],
  run: (program) =>
    mapBodies(program, (body) =>
      rewriteExprs(body, (expr) =>
        rewrite(expr, (e) => {
          if (e.kind !== "binary" || e.op !== "add" || !e.dtype.scalar.startsWith("float")) return e;
          const { a, b } = e;
          if (a.kind !== "binary" || a.op !== "mul") return e;
          return call("fma", [a.a, a.b, b], e.dtype);
        }),
      ),
    ),
});

const n = 64;
const X = placeholder("X", [n]);
const Y = compute("Y", [n], (i) => X.at(i).mul(0.1).add(1));
const s = schedule(Y);
const [, lanes] = s.split(s.loopAt("Y", 0), { factor: 8 });
s.vectorize(lanes);

// The default passes, with ours before unrolling makes copies of every expression.
const pipeline = insertPass(defaultPipeline("host"), fuseMultiplyAdd, { before: "unroll-loops" });

const output = { write: (text: string) => console.log(text), nowMs: () => performance.now() };
pipeline.run(s.program, { ...plainContext, instruments: [verifying, printing(["fuse-multiply-add"], output)] });

const f = await build(s, { target: "host", pipeline });
const x = Float32Array.from({ length: n }, (_, i) => i);
const y = new Float32Array(n);
f.run({ X: x, Y: y });
console.log(`Y[7] = ${y[7]}`);
f.dispose();
