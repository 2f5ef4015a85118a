import fc from "fast-check";
import { expect, it } from "vitest";
import { planArena } from "../../../passes/lower/plan-arena.ts";

const lifetime = fc.record({ bytes: fc.integer({ min: 0, max: 1000 }), first: fc.nat(20), length: fc.nat(6) });

it("never overlaps buffers that live together, and aligns each", () => {
  fc.assert(
    fc.property(fc.array(lifetime, { maxLength: 30 }), fc.constantFrom(1, 16, 64), (list, alignment) => {
      const lives = list.map((l, id) => ({ id, bytes: l.bytes, first: l.first, last: l.first + l.length }));
      const { offsets, total } = planArena(lives, alignment);
      for (const a of lives) {
        const x = offsets.get(a.id)!;
        expect(x % alignment).toBe(0);
        expect(x + a.bytes).toBeLessThanOrEqual(total);
        for (const b of lives) {
          if (b.id <= a.id || b.first > a.last || a.first > b.last) continue;
          const y = offsets.get(b.id)!;
          expect(x + a.bytes <= y || y + b.bytes <= x).toBe(true);
        }
      }
    }),
  );
});
it("reuses the bytes of buffers that are dead", () => {
  const chain = [0, 1, 2, 3, 4].map((k) => ({ id: k, bytes: 100, first: k, last: k + 1 }));
  expect(planArena(chain, 4).total).toBe(200);
});
it("fills the tightest gap", () => {
  const lives = [
    { id: "a", bytes: 300, first: 0, last: 9 },
    { id: "b", bytes: 200, first: 0, last: 3 },
    { id: "c", bytes: 150, first: 0, last: 9 },
    { id: "d", bytes: 100, first: 5, last: 9 },
  ];
  expect(planArena(lives, 1).offsets.get("d")).toBe(300);
});
