/** The ONNX project's own single-operator tests of the core tier, against the interpreter. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { TensorValue } from "../../../ir/graph/tensor-value.ts";
import { UnsupportedError } from "../../../ir/support/errors.ts";
import { loadOnnxSync } from "../../../src/onnx/load.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";

const shared = new URL("../../../../shared/", import.meta.url);
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
const harness = async (): Promise<Harness> => ({
  ...(await import(new URL("conformance/cases.mjs", shared).href)),
  ...(await import(new URL("conformance/compare.mjs", shared).href)),
});

/** "pass", "unsupported", or what is wrong. */
function verdict(h: Harness, c: Case): string {
  const graph = loadOnnxSync(c.model);
  for (const { inputs, outputs } of h.loadCase(c).sets) {
    const got = interpretGraph(inferGraph(graph, {}, inputs), inputs);
    for (const [name, want] of Object.entries(outputs)) {
      const result = h.compareTensor(got[name], want, c);
      if (!result.ok) return `${name}: ${result.why}`;
    }
  }
  return "pass";
}
function safeVerdict(h: Harness, c: Case): string {
  try {
    return verdict(h, c);
  } catch (error) {
    return error instanceof UnsupportedError ? "unsupported" : `${error}`;
  }
}

describe.skipIf(!present)("ONNX node tests of the core tier", () => {
  it("agree with the interpreter or are refused", { timeout: 120_000 }, async () => {
    const h = await harness();
    const core = new Set(readFileSync(new URL("data/onnx/core-tier.txt", shared), "utf8").trim().split("\n"));
    const cases = h.listCases(["node"]).filter((c) => core.has(c.id.slice("node/".length)));
    const verdicts = cases.map((c) => [c.id, safeVerdict(h, c)] as const);
    expect(verdicts.filter(([, v]) => v !== "pass" && v !== "unsupported")).toEqual([]);
    expect(verdicts.filter(([, v]) => v === "pass").length).toBeGreaterThanOrEqual(975);
  });
});
