/** Mutated bytes of real models end in a Graph or a named error, never in another exception, and never take long. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { describe, expect, it } from "vitest";
import { InputError, UnsupportedError } from "../../../ir/support/errors.ts";
import { loadOnnxSync } from "../../../src/onnx/load.ts";
import { modelBytes, node, reluGraph, sharedData } from "./models.ts";

const seed = Number(process.env.TILEWRIGHT_FUZZ_SEED ?? 1);
const mutations = 2_000;
const mostMs = 1_000;
const largestModel = 100_000;

function seeds(): Uint8Array[] {
  const local = {
    name: "F",
    domain: "local",
    input: ["a"],
    output: ["b"],
    node: [node("LeakyRelu", ["a"], ["b"], { attribute: [{ name: "alpha", type: 1, refAttrName: "alpha" }] })],
    opsetImport: [{ domain: "", version: 17n }],
  };
  const called = reluGraph({ node: [node("F", ["x"], ["y"], { domain: "local" })] });
  const own = [modelBytes(called, { functions: [local] }), modelBytes(reluGraph())];
  if (sharedData === undefined) return own;
  const folder = `${sharedData}onnx/node/`;
  const paths = readdirSync(folder).map((d) => `${folder}${d}/model.onnx`);
  const shared = paths.filter((p, i) => i % 17 === 0 && statSync(p).size < largestModel);
  return [...own, ...shared.map((p) => readFileSync(p)), readFileSync(`${sharedData}models/mnist-cntk/model.onnx`)];
}

type Pick = (from: number, to: number) => number;

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

/** Changes, inserts, deletes or repeats a few pieces. */
function mutate(bytes: Uint8Array, pick: Pick): Uint8Array {
  let out = Uint8Array.from(bytes);
  for (let n = pick(1, 6); n > 0; n--) {
    const at = pick(0, out.length - 1);
    const length = pick(1, 12);
    const kind = pick(0, 5);
    if (kind === 0) out[at] = pick(0, 255);
    else if (kind === 1) out[at] = out[at]! ^ (1 << pick(0, 7));
    else if (kind === 2) out = joined(out.subarray(0, at), out.subarray(at + length));
    else if (kind === 3) out = joined(out.subarray(0, at + length), out.subarray(at));
    else if (kind === 4) out.fill(pick(0, 1) * 255, at, at + length);
    else out = out.slice(0, Math.max(1, at));
  }
  return out;
}

describe("mutated models", () => {
  it(`give a graph or a named error, ${mutations} times (seed ${seed})`, () => {
    const generator = xoroshiro128plus(seed);
    const pick: Pick = (from, to) => uniformInt(generator, from, to);
    const models = seeds();
    const outcomes = { graph: 0, input: 0, unsupported: 0 };
    let slowest = 0;
    for (let i = 0; i < mutations; i++) {
      const bytes = mutate(models[pick(0, models.length - 1)]!, pick);
      const start = performance.now();
      try {
        loadOnnxSync(bytes);
        outcomes.graph++;
      } catch (error) {
        if (error instanceof InputError) outcomes.input++;
        else if (error instanceof UnsupportedError) outcomes.unsupported++;
        else throw new Error(`mutation ${i} of seed ${seed}`, { cause: error });
      }
      slowest = Math.max(slowest, performance.now() - start);
    }
    expect(outcomes.graph + outcomes.input + outcomes.unsupported).toBe(mutations);
    expect(outcomes.graph).toBeGreaterThan(20);
    expect(outcomes.input).toBeGreaterThan(200);
    expect(slowest).toBeLessThan(mostMs);
  });
});
