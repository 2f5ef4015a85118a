/**
 * Examples for the pages of primitives: for each one, a program, steps that are applied, and steps of which the last one
 * is refused. The pages show the text between the braces, so it is what a reader would write.
 */
import { compute, indexMap, placeholder, reduceAxis, type Schedule, schedule, sum, where } from "tilewright";
import { fmaOuterProduct } from "../passes/schedule/library/intrinsics.ts";

/** Programs by name; each ends in a schedule of it. */
export const programs = {
  matmul() {
    const [A, B] = [placeholder("A", [64, 48]), placeholder("B", [48, 32])];
    const k = reduceAxis("k", 48);
    const C = compute("C", [64, 32], (i, j) => sum(A.at(i, k).mul(B.at(k, j)), k));
    return schedule(C);
  },
  scale() {
    const A = placeholder("A", [100, 32]);
    return schedule(compute("B", [100, 32], (i, j) => A.at(i, j).mul(2)));
  },
  stages() {
    const A = placeholder("A", [66]);
    const B = compute("B", [66], (i) => A.at(i).mul(2));
    return schedule(compute("C", [64], (i) => B.at(i).add(B.at(i.add(2)))));
  },
  chain() {
    const A = placeholder("A", [16, 32]);
    const B = compute("B", [16, 32], (i, j) => A.at(i, j).mul(2));
    return schedule(compute("C", [16, 32], (i, j) => B.at(i, j).add(1)));
  },
  pair() {
    const A = placeholder("A", [16, 32]);
    const B = compute("B", [16, 32], (i, j) => A.at(i, j).mul(2));
    return schedule([B, compute("C", [16], (i) => A.at(i, 0).add(1))]);
  },
  rows() {
    const A = placeholder("A", [16, 128]);
    const k = reduceAxis("k", 128);
    return schedule(compute("R", [16], (i) => sum(A.at(i, k), k)));
  },
  normalize() {
    const A = placeholder("A", [16, 32]);
    const k = reduceAxis("k", 32);
    const R = compute("R", [16], (i) => sum(A.at(i, k), k));
    return schedule(compute("N", [16, 32], (i, j) => A.at(i, j).div(R.at(i))));
  },
  padded() {
    const A = placeholder("A", [8]);
    const P = compute("P", [10], (x) => where(x.ge(1).and(x.lt(9)), A.at(x.sub(1)), 0));
    return schedule(compute("Q", [8], (x) => P.at(x).add(P.at(x.add(2)))));
  },
  scan() {
    const A = placeholder("A", [64]);
    const k = reduceAxis("k", 64);
    return schedule(compute("S", [64], (i) => sum(where(k.le(i), A.at(k), 0), k)));
  },
} as const satisfies Record<string, () => Schedule>;

/** One primitive's example. */
export interface PrimitiveExample {
  readonly program: keyof typeof programs;
  /** Legal steps; the last ones show the primitive. */
  readonly run: (s: Schedule) => void;
  /** Steps of which the last is refused. */
  readonly refused: (s: Schedule) => void;
}

/** By primitive. */
export const examples: Readonly<Record<string, PrimitiveExample>> = {
  split: {
    program: "matmul",
    run(s) {
      const [outer, inner] = s.split(s.loop("i"), { factor: 8 });
      s.split(s.loop("j"), { factors: [null, 4, 2] });
      console.log(outer.name, inner.name);
    },
    refused(s) {
      s.split(s.loop("k"), { factor: 10, tail: "exact" });
    },
  },
  fuse: {
    program: "scale",
    run(s) {
      const both = s.fuse(s.loop("i"), s.loop("j"));
      s.parallel(both);
    },
    refused(s) {
      s.fuse(s.loop("j"), s.loop("i"));
    },
  },
  reorder: {
    program: "matmul",
    run(s) {
      s.reorder(s.loop("k"), s.loop("j"));
    },
    refused(s) {
      s.decomposeReduction(s.block("C"), s.loop("k"));
      s.reorder(s.loop("k", "C"), s.loop("j", "C"));
    },
  },
  vectorize: {
    program: "scale",
    run(s) {
      const [, lanes] = s.split(s.loop("j"), { factor: 16 });
      s.vectorize(lanes);
    },
    refused(s) {
      s.vectorize(s.loop("i"));
      s.vectorize(s.loop("j"));
    },
  },
  unroll: {
    program: "matmul",
    run(s) {
      const [, inner] = s.split(s.loop("k"), { factor: 4 });
      s.unroll(inner);
    },
    refused(s) {
      const all = s.fuse(s.loop("i"), s.loop("j"));
      s.unroll(all);
    },
  },
  parallel: {
    program: "matmul",
    run(s) {
      s.parallel(s.loop("i"));
    },
    refused(s) {
      s.parallel(s.loop("k"));
    },
  },
  decomposeReduction: {
    program: "matmul",
    run(s) {
      const init = s.decomposeReduction(s.block("C"), s.loop("k"));
      console.log(init.name);
    },
    refused(s) {
      s.reorder(s.loop("k"), s.loop("j"));
      s.decomposeReduction(s.block("C"), s.loop("j"));
    },
  },
  computeAt: {
    program: "stages",
    run(s) {
      const [tile] = s.split(s.loopAt("C", 0), { factor: 16 });
      s.computeAt(s.block("B"), tile);
    },
    refused(s) {
      s.computeAt(s.block("C"), s.loopAt("B", 0));
    },
  },
  slideAt: {
    program: "stages",
    run(s) {
      s.slideAt(s.block("B"), s.loopAt("C", 0));
    },
    refused(s) {
      s.parallel(s.loopAt("C", 0));
      s.slideAt(s.block("B"), s.loopAt("C", 0));
    },
  },
  reverseComputeAt: {
    program: "chain",
    run(s) {
      s.reverseComputeAt(s.block("C"), s.loopAt("B", 0));
    },
    refused(s) {
      s.reverseComputeAt(s.block("B"), s.loopAt("C", 0));
    },
  },
  computeWith: {
    program: "pair",
    run(s) {
      s.computeWith(s.block("C"), s.loopAt("B", 0));
    },
    refused(s) {
      s.computeWith(s.block("C"), s.loopAt("B", 1));
    },
  },
  computeInline: {
    program: "chain",
    run(s) {
      s.computeInline(s.block("B"));
    },
    refused(s) {
      s.computeInline(s.block("C"));
    },
  },
  reverseComputeInline: {
    program: "chain",
    run(s) {
      s.reverseComputeInline(s.block("C"));
    },
    refused(s) {
      s.reverseComputeInline(s.block("B"));
    },
  },
  cacheRead: {
    program: "matmul",
    run(s) {
      const copy = s.cacheRead(s.block("C"), "B", "stack");
      console.log(copy.name);
    },
    refused(s) {
      s.cacheRead(s.block("C"), "X", "stack");
    },
  },
  cacheWrite: {
    program: "matmul",
    run(s) {
      const back = s.cacheWrite(s.block("C"), "C", "stack");
      s.reverseComputeAt(back, s.loopAt("C", 0));
    },
    refused(s) {
      s.cacheWrite(s.block("C"), "A", "stack");
    },
  },
  cacheReadAt: {
    program: "matmul",
    run(s) {
      const [tile] = s.split(s.loop("i"), { factor: 8 });
      s.cacheReadAt(tile, s.block("C"), "A", "stack");
    },
    refused(s) {
      s.cacheReadAt(s.loop("i"), s.block("C"), "C", "stack");
    },
  },
  cacheWriteAt: {
    program: "matmul",
    run(s) {
      const [tile] = s.split(s.loop("i"), { factor: 8 });
      s.cacheWriteAt(tile, s.block("C"), "C", "stack");
    },
    refused(s) {
      s.cacheWriteAt(s.loop("k"), s.block("C"), "C", "stack");
    },
  },
  setScope: {
    program: "chain",
    run(s) {
      s.setScope(s.block("B"), "B", "stack");
    },
    refused(s) {
      s.setScope(s.block("C"), "C", "stack");
    },
  },
  transformLayout: {
    program: "chain",
    run(s) {
      const inBlocks = indexMap((i, j) => [j.floordiv(8), i, j.floormod(8)]);
      s.transformLayout(s.block("B"), "B", inBlocks);
    },
    refused(s) {
      s.transformLayout(s.block("B"), "B", [{ axis: 0, divisor: 1 }]);
    },
  },
  rfactor: {
    program: "rows",
    run(s) {
      const [, lane] = s.split(s.loop("k"), { factor: 8 });
      s.rfactor(lane, 1);
    },
    refused(s) {
      s.rfactor(s.loopAt("R", 0), 0);
    },
  },
  annotate: {
    program: "scale",
    run(s) {
      s.annotate(s.loop("i"), "note", "rows of the picture");
    },
    refused(s) {
      s.annotate(s.loop("i"), "two words", 1);
    },
  },
  fission: {
    program: "chain",
    run(s) {
      s.computeAt(s.block("B"), s.loopAt("C", 0));
      s.fission(s.loopAt("C", 0), s.block("B"));
    },
    refused(s) {
      s.fission(s.loopAt("C", 0), s.block("C"));
    },
  },
  cutLoop: {
    program: "scale",
    run(s) {
      const [first, rest] = s.cutLoop(s.loop("i"), 96);
      console.log(first.name, rest.name);
    },
    refused(s) {
      s.cutLoop(s.loop("i"), 100);
    },
  },
  peel: {
    program: "scale",
    run(s) {
      s.peel(s.loop("i"), 1, 1);
    },
    refused(s) {
      s.peel(s.loop("i"), 50, 50);
    },
  },
  loopPartition: {
    program: "padded",
    run(s) {
      s.loopPartition(s.loopAt("P", 0));
    },
    refused(s) {
      s.loopPartition(s.loopAt("Q", 0));
    },
  },
  hoistStorage: {
    program: "normalize",
    run(s) {
      s.computeAt(s.block("R"), s.loopAt("N", 0));
      s.hoistStorage(s.block("R"), "R", s.loopAt("N", 0));
    },
    refused(s) {
      s.hoistStorage(s.block("R"), "R", s.loopAt("R", 0));
    },
  },
  storageAlign: {
    program: "chain",
    run(s) {
      s.storageAlign(s.block("B"), "B", 0, 16, 8);
    },
    refused(s) {
      s.storageAlign(s.block("B"), "B", 1, 16);
    },
  },
  storageFold: {
    program: "stages",
    run(s) {
      s.slideAt(s.block("B"), s.loopAt("C", 0));
      s.storageFold(s.block("B"), "B", 0, 4);
    },
    refused(s) {
      s.slideAt(s.block("B"), s.loopAt("C", 0));
      s.storageFold(s.block("B"), "B", 0, 2);
    },
  },
  prefetch: {
    program: "rows",
    run(s) {
      const [outer] = s.split(s.loop("k"), { factor: 16 });
      s.prefetch(s.block("R"), "A", outer, 4);
    },
    refused(s) {
      s.prefetch(s.block("R"), "A", s.loop("k"), 0);
    },
  },
  nontemporal: {
    program: "normalize",
    run(s) {
      s.nontemporal(s.block("N"));
    },
    refused(s) {
      s.nontemporal(s.block("R"));
    },
  },
  sampleTile: {
    program: "matmul",
    run(s) {
      const factors = s.sampleTile(s.loop("i"), 2, 16);
      s.split(s.loop("i"), { factors });
    },
    refused(s) {
      s.sampleTile(s.loop("i"), 2, 16, [2, 32]);
    },
  },
  sampleCategorical: {
    program: "scale",
    run(s) {
      const factor = s.sampleCategorical([4, 8, 16], [0.2, 0.4, 0.4]);
      s.split(s.loop("j"), { factor });
    },
    refused(s) {
      s.sampleCategorical([4, 8, 16], [0.5, 0.5]);
    },
  },
  sampleComputeLocation: {
    program: "chain",
    run(s) {
      const loop = s.sampleComputeLocation(s.block("B"));
      if (loop) s.computeAt(s.block("B"), loop);
    },
    refused(s) {
      s.sampleComputeLocation(s.block("B"), 99);
    },
  },
  reindex: {
    program: "stages",
    run(s) {
      s.reindex(s.block("C"), "C");
    },
    refused(s) {
      s.reindex(s.block("C"), "B");
    },
  },
  decomposePadding: {
    program: "padded",
    run(s) {
      s.decomposePadding(s.block("P"));
    },
    refused(s) {
      s.decomposePadding(s.block("Q"));
    },
  },
  padEinsum: {
    program: "matmul",
    run(s) {
      s.padEinsum(s.block("C"), [6, 16, 1]);
    },
    refused(s) {
      s.padEinsum(s.block("C"), [6, 16]);
    },
  },
  tensorize: {
    program: "matmul",
    run(s) {
      const { inner } = s.tile([s.loop("i"), s.loop("j")], [4, 16], "exact");
      s.reorder(s.loop("k"), ...inner);
      s.decomposeReduction(s.block("C"), s.loop("k"));
      s.tensorize(inner[0]!, fmaOuterProduct(4));
    },
    refused(s) {
      s.tensorize(s.loop("k"), fmaOuterProduct(4));
    },
  },
  bind: {
    program: "scale",
    run(s) {
      const { outer, inner } = s.tile([s.loop("i"), s.loop("j")], [4, 32]);
      s.bind(outer[0]!, "blockIdx.x");
      s.bind(inner[0]!, "threadIdx.y");
      s.bind(inner[1]!, "threadIdx.x");
    },
    refused(s) {
      s.bind(s.loop("i"), "threadIdx.x");
      s.bind(s.loop("j"), "threadIdx.x");
    },
  },
  atomic: {
    program: "rows",
    run(s) {
      s.decomposeReduction(s.block("R"), s.loopAt("R", 0));
      s.atomic(s.block("R"));
      s.parallel(s.loop("k"));
    },
    refused(s) {
      s.atomic(s.block("R"));
    },
  },
  softwarePipeline: {
    program: "chain",
    run(s) {
      s.computeAt(s.block("B"), s.loopAt("C", 0));
      s.softwarePipeline(s.loopAt("C", 0), [0, 1]);
    },
    refused(s) {
      s.computeAt(s.block("B"), s.loopAt("C", 0));
      s.softwarePipeline(s.loopAt("C", 0), [1, 0]);
    },
  },
  doubleBuffer: {
    program: "chain",
    run(s) {
      s.computeAt(s.block("B"), s.loopAt("C", 0));
      s.doubleBuffer(s.block("B"), "B", s.loopAt("C", 0), 0, 1);
    },
    refused(s) {
      s.doubleBuffer(s.block("B"), "B", s.loopAt("C", 0), 0, 1);
    },
  },
  blockize: {
    program: "scale",
    run(s) {
      const { inner } = s.tile([s.loop("i"), s.loop("j")], [10, 8], "exact");
      s.blockize(inner[0]!);
    },
    refused(s) {
      s.vectorize(s.loop("j"));
      s.blockize(s.loop("i"));
    },
  },
  skew: {
    program: "scale",
    run(s) {
      s.skew(s.loop("i"), s.loop("j"), 1);
    },
    refused(s) {
      s.skew(s.loop("j"), s.loop("i"), 1);
    },
  },
};
