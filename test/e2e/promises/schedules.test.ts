/** Every kernel of the networks we measure gets its recipe: a refused one would run unscheduled, slowly and unnoticed. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { defaultSchedule } from "../../../passes/schedule/library/index.ts";
import { buildGroupProgram } from "../../../src/operators/build-program.ts";
import { graphOf, kernelContext } from "../../../src/runtime/compile.ts";
import { layOut, simplifyGraph } from "../../../src/runtime/prepare.ts";
import { sharedFolder, zooModel } from "../support.ts";

const names = ["resnet18", "mobilenetv3", "efficientnetb0", "squeezenet", "unet", "bertmini"];
const haveZoo = existsSync(join(sharedFolder, "zoo", "zoo.mjs"));

describe.skipIf(!haveZoo)(`recipes${haveZoo ? "" : " (skipped: ../shared/zoo is absent)"}`, () => {
  test.each(names)("%s: none is refused with 1 or 2 threads", async (name) => {
    const { machine, math } = kernelContext({ cache: false });
    const { graph, groups } = layOut(simplifyGraph(await graphOf(zooModel(name)), { math }), machine);
    const seen = new Set<string>();
    const refused: string[] = [];
    for (const group of groups) {
      const ops = group.nodes.map((node) => node.op).join("+");
      const key = `${ops} ${group.inputs.map((v) => graph.values.get(v)?.type?.dims.join("×"))}`;
      if (seen.has(key)) continue;
      seen.add(key);
      const { program } = buildGroupProgram(graph, group, { name: "kernel", math });
      for (const threads of [1, 2])
        defaultSchedule(program, {
          machine,
          threads,
          onRefusal: ({ recipe, reason }) => refused.push(`${ops}, ${threads} threads: ${recipe}: ${reason}`),
        });
    }
    expect(seen.size).toBeGreaterThan(5);
    expect(refused).toEqual([]);
  });
});
