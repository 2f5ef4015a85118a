/**
 * Every ONNX test of the core tier through the reader, inference and the interpreter: what an operator row means, before
 * any schedule or code generator. `executor.mjs` beside this file runs the same tests as native code.
 */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import { UnsupportedError } from "../../ir/support/errors.ts";
import { loadOnnxSync } from "../../src/onnx/load.ts";
import { inferGraph } from "../../src/operators/infer.ts";
import { interpretGraph } from "../../src/operators/interpret.ts";

const shared = new URL("../../../shared/", import.meta.url);
const present = existsSync(new URL("data/onnx/core-tier.txt", shared));
if (!present) console.warn("skipped: ../shared/data/onnx is absent");

type Tensors = Readonly<Record<string, TensorValue>>;
interface Case {
  readonly id: string;
  readonly model: string;
}
interface Harness {
  readonly listCases: (suites: readonly string[]) => Case[];
  readonly loadCase: (c: Case) => { sets: readonly { inputs: Tensors; outputs: Tensors }[] };
  readonly compareTensor: (got: TensorValue | undefined, want: TensorValue, c: Case) => { ok: boolean; why?: string };
}
type Verdict =
  | { readonly status: "pass" }
  | { readonly status: "wrong" | "error"; readonly why: string }
  | { readonly status: "unsupported"; readonly error: UnsupportedError };

const harness = async (): Promise<Harness> => ({
  ...(await import(new URL("conformance/cases.mjs", shared).href)),
  ...(await import(new URL("conformance/compare.mjs", shared).href)),
});

function judge(h: Harness, c: Case): Verdict {
  try {
    const graph = loadOnnxSync(c.model);
    for (const { inputs, outputs } of h.loadCase(c).sets) {
      const got = interpretGraph(inferGraph(graph, {}, inputs), inputs);
      for (const [name, want] of Object.entries(outputs)) {
        const result = h.compareTensor(got[name], want, c);
        if (!result.ok) return { status: "wrong", why: `${name}: ${result.why}` };
      }
    }
    return { status: "pass" };
  } catch (error) {
    return error instanceof UnsupportedError
      ? { status: "unsupported", error }
      : { status: "error", why: String(error) };
  }
}

describe.skipIf(!present)("the core tier of the ONNX tests", () => {
  it("passes in the interpreter or is refused by operator and opset", { timeout: 120_000 }, async () => {
    const h = await harness();
    const core = new Set(readFileSync(new URL("data/onnx/core-tier.txt", shared), "utf8").trim().split("\n"));
    const cases = h.listCases(["node", "simple"]).filter((c) => core.has(c.id.replace(/^\w+\//, "")));
    const verdicts = cases.map((c) => ({ id: c.id, ...judge(h, c) }));
    const refusals = verdicts.flatMap((v) => (v.status === "unsupported" ? [v.error] : []));
    const counts = new Map<string, number>();
    for (const { op, reason } of refusals.flatMap((r) => r.items))
      counts.set(`${op}: ${reason}`, (counts.get(`${op}: ${reason}`) ?? 0) + 1);
    console.info(`refused: ${[...counts].map(([what, n]) => `${n} × ${what}`).join("; ")}`);
    expect(cases.length).toBe(core.size);
    expect(verdicts.filter((v) => v.status === "wrong" || v.status === "error")).toEqual([]);
    expect(refusals.filter((r) => r.items.length === 0 || r.items.some((i) => !(i.op && i.opset > 0)))).toEqual([]);
    expect(verdicts.filter((v) => v.status === "pass").length).toBeGreaterThanOrEqual(1346);
  });
});
