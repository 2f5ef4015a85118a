/** Layouts chosen one group after the other, for values of many forms. */
import { expect, it } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Layout } from "../../../ir/graph/layout.ts";
import { greedyLayouts } from "../../../passes/graph/greedy-layouts.ts";
import { noWishes } from "../../../passes/graph/layout-candidate.ts";
import { cheapestReading, type FormCandidate, Forms } from "../../../passes/graph/layout-forms.ts";
import { genericMachine } from "../../../passes/schedule/library/plan.ts";

/** Channels in blocks of `lanes`. */
const blocked = (lanes: number): Layout => ({
  name: `blocks of ${lanes}`,
  rank: 2,
  dims: [
    { axis: 0, divisor: 1 },
    { axis: 1, divisor: lanes },
    { axis: 1, divisor: 1, modulus: lanes },
  ],
});

it("tells more than 32 forms of a value apart", () => {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [4, 4096] });
  const graph = b.finish({ name: "forms", inputs: [x], outputs: [] });
  const forms = new Forms({ graph, groups: [] }, genericMachine);
  const readers = Array.from({ length: 40 }, (_, i): FormCandidate[] => {
    const layout = blocked(i + 2);
    const form = forms.of(x).numberOf({ layout, haloed: false });
    return [{ candidate: noWishes, makes: new Map(), reads: new Map([[x, [{ form, layout, cycles: i }]]]) }];
  });
  const set = greedyLayouts(readers, forms).sets.get(x)!;
  expect(set).toEqual(Array.from({ length: 41 }, (_, form) => form));
  const readings = readers.flatMap(([c]) => c!.reads.get(x)!);
  expect(cheapestReading(readings, [40])?.layout.name).toBe("blocks of 41");
  expect(cheapestReading(readings, set)?.layout.name).toBe("blocks of 2");
});
