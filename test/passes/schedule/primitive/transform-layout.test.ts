import { describe, expect, it } from "vitest";
import { buffer, load, variable } from "../../../../ir/expr/build.ts";
import { channelBlocked } from "../../../../ir/graph/layout.ts";
import {
  allocate,
  block,
  forLoop,
  iterVar,
  program as makeProgram,
  primFunc,
  seq,
  store,
} from "../../../../ir/loop/build.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import { printProgram } from "../../../../ir/text/printer.ts";
import { computeAt } from "../../../../passes/schedule/primitive/compute-at.ts";
import { split } from "../../../../passes/schedule/primitive/split.ts";
import { transformLayout } from "../../../../passes/schedule/primitive/transform-layout.ts";
import {
  apply,
  chain,
  convolution,
  deadBlock,
  expectRefused,
  expectTwins,
  loopOf,
  matmul,
  named,
} from "./block-fixtures.ts";

const blocked = (lanes: number) => [
  { axis: 1, divisor: lanes },
  { axis: 0, divisor: 1 },
  { axis: 1, divisor: 1, modulus: lanes },
];

describe("transformLayout", () => {
  it.each([
    [1, 1, 4],
    [7, 13, 4],
    [3, 8, 4],
  ])("blocks the columns of a %i x %i intermediate by %i", (m, n, lanes) => {
    const p = chain(m, n);
    const { program } = apply(transformLayout, p, { block: named(p, "y"), buffer: "y", dims: blocked(lanes) });
    expect(printProgram(program)).toContain(`allocate y: float32[${Math.ceil(n / lanes)}, ${m}, ${lanes}]`);
    expectTwins(p, program);
  });
  it("transposes", () => {
    const p = matmul(3, 5, 4);
    const dims = [
      { axis: 1, divisor: 1 },
      { axis: 0, divisor: 1 },
    ];
    const { program } = apply(transformLayout, p, { block: named(p, "y"), buffer: "y", dims });
    expect(printProgram(program)).toContain("z[vi, vj] = y[vj, vi] + 1.0");
    expectTwins(p, program);
  });
  it("cancels the division when the producer's loops are blocked alike", () => {
    const p = convolution({ ci: 2, co: 8, h: 1, w: 3, middle: "plain" });
    const dims = channelBlocked(4, 4).dims;
    const { program } = apply(transformLayout, p, { block: named(p, "conv"), buffer: "conv", dims });
    expect(printProgram(program)).toContain("max(conv[0, vc_o, 0, vw, vc_i]");
    expectTwins(p, program);
  });
  it("leaves a transformed producer movable", () => {
    const p = chain(5, 10);
    const q = apply(transformLayout, p, { block: named(p, "y"), buffer: "y", dims: blocked(4) }).program;
    const tiled = apply(split, q, { loop: loopOf(q, "z", 0), factor: 2, tail: "guard" }).program;
    expectTwins(p, apply(computeAt, tiled, { block: named(tiled, "y"), loop: loopOf(tiled, "z", 0) }).program);
  });

  it("refuses a block that is gone", () => {
    expectRefused(
      transformLayout,
      chain(2, 2),
      { block: deadBlock, buffer: "y", dims: blocked(2) },
      { rule: "found", at: "gone" },
    );
  });
  it("refuses a buffer that the block does not use", () => {
    const p = chain(2, 2);
    expectRefused(
      transformLayout,
      p,
      { block: named(p, "y"), buffer: "z", dims: blocked(2) },
      { rule: "uses-buffer", at: "y" },
    );
  });
  it("refuses a parameter", () => {
    const p = chain(2, 2);
    expectRefused(
      transformLayout,
      p,
      { block: named(p, "y"), buffer: "x", dims: blocked(2) },
      { rule: "not-parameter", at: "y" },
    );
  });
  it("refuses a symbolic shape", () => {
    const ids = new IdSource();
    const n = variable(ids, "n");
    const [x, y, z] = ["x", "y", "z"].map((name) => buffer(ids, name, "float32", [n]));
    const stage = (name: string, from: NonNullable<typeof x>, to: NonNullable<typeof x>) => {
      const [i, v] = [variable(ids, "i"), variable(ids, "vi")];
      const parts = { name, iterVars: [iterVar(v, n)], bindings: [i], body: store(to, [v], load(from, [v])) };
      return forLoop(i, n, block(ids, parts));
    };
    const body = allocate(y!, seq([stage("y", x!, y!), stage("z", y!, z!)]));
    const params = [
      { buffer: x!, role: "input" as const },
      { buffer: z!, role: "output" as const },
    ];
    const p = makeProgram([primFunc({ name: "f", params, scalars: [n], body })], ids);
    const dims = [
      { axis: 0, divisor: 4 },
      { axis: 0, divisor: 1, modulus: 4 },
    ];
    expectRefused(transformLayout, p, { block: named(p, "y"), buffer: "y", dims }, { rule: "static-shape", at: "y" });
  });
  it.each([
    [
      "a missing remainder",
      [
        { axis: 0, divisor: 1 },
        { axis: 1, divisor: 4 },
      ],
    ],
    ["a missing dimension", [{ axis: 1, divisor: 1 }]],
    [
      "overlapping digits",
      [
        { axis: 0, divisor: 1 },
        { axis: 1, divisor: 4 },
        { axis: 1, divisor: 1, modulus: 8 },
      ],
    ],
    [
      "an unknown dimension",
      [
        { axis: 0, divisor: 1 },
        { axis: 1, divisor: 1 },
        { axis: 2, divisor: 1 },
      ],
    ],
  ])("refuses %s", (_, dims) => {
    const p = chain(4, 8);
    expectRefused(transformLayout, p, { block: named(p, "y"), buffer: "y", dims }, { rule: "bijective", at: "y" });
  });
});
