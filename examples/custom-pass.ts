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
  insertPass,
  pattern,
  plainContext,
  printing,
  rewritePass,
  rewriteRule,
  verifying,
} from "tilewright/passes";

const { any, binary, commutative, typed } = pattern;
const product = binary("mul", any("a"), any("b"));
const fuse = rewriteRule("fuse", typed(["float32", "float64"], commutative("add", product, any("c"))), ({ a, b, c }) =>
  call("fma", [a, b, c], a.dtype),
);
const fuseMultiplyAdd = rewritePass<"flat">({
  name: "fuse-multiply-add",
  doc: "Turns a * b + c into one operation that rounds once.",
  requires: ["explicit-vectors"],
  rules: { exprs: [fuse] },
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
