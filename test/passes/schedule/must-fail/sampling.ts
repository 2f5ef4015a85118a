import type { Refused } from "../fixtures.ts";
import { scale, stencil, symbolic } from "../loop-programs.ts";

/** A schedule whose every choice is drawn. */
export const fixtures: Record<string, Refused> = {
  "sampleTile/constant-extent": { program: symbolic, steps: (s) => s.sampleTile(s.loop("j"), 2, 8), at: "j" },
  "sampleTile/perfect-factors": {
    program: () => scale(12, 4),
    steps: (s) => s.sampleTile(s.loop("i"), 2, 8, [5, 2]),
    at: "i",
  },
  "sampleTile/inner-limit": {
    program: () => scale(12, 4),
    steps: (s) => s.sampleTile(s.loop("i"), 2, 4, [2, 6]),
    at: "i",
  },
  "sampleCategorical/probabilities": {
    program: () => scale(12, 4),
    steps: (s) => s.sampleCategorical([1, 2], [1]),
    at: undefined,
  },
  "sampleCategorical/among-values": {
    program: () => scale(12, 4),
    steps: (s) => s.sampleCategorical([1, 2], [1, 1], 2),
    at: undefined,
  },
  "sampleComputeLocation/legal-location": {
    program: () => stencil(8),
    steps: (s) => s.sampleComputeLocation(s.block("C"), 0),
    at: "C",
  },
};
