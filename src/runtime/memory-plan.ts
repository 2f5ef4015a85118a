/**
 * Where every value of a compiled network lives: intermediates share one arena by liveness, constants lie packed in
 * one block, graph inputs and outputs are the caller's. Reshapes alias what they reshape, parts of concatenations lie
 * within the result, and slices within what they are cut from.
 */

import { valueOf } from "../../ir/graph/build.ts";
import type { FusedGraph, Group } from "../../ir/graph/graph.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";
import { describesInput } from "../../passes/graph/layout-views.ts";
import { bytesOf, type InPlace, type PartPlace, placedWithin } from "../../passes/graph/parts-in-place.ts";
import { planArena } from "../../passes/lower/plan-arena.ts";
import { packedBytes } from "./constants.ts";

/** A place relative to a base pointer, in bytes; `io` has a list of base pointers. */
export type Location =
  | { readonly base: "arena" | "constants"; readonly offset: number }
  | { readonly base: "io"; readonly index: number; readonly offset: number };

/** One kernel call: its group, how much scratch it needs. */
export interface PlannedStep {
  readonly group: Group;
  readonly workspaceBytes: number;
}

export interface MemoryPlan {
  readonly locations: ReadonlyMap<ValueId, Location>;
  /** Byte offset in the arena of each step's workspace. */
  readonly workspaces: readonly number[];
  readonly arenaBytes: number;
  readonly constants: readonly { readonly value: ValueId; readonly offset: number; readonly bytes: number }[];
  readonly constantBytes: number;
}

const alignment = 64;
const alignUp = (n: number): number => Math.ceil(n / alignment) * alignment;

/** Whether a group needs no kernel: it renames its input, cuts it, or concatenates what its producers write in place. */
export function isView(fused: FusedGraph, g: Group): boolean {
  return describesInput(fused.graph, g) || storageOf(fused).views.has(g.outputs[0]!);
}

const storages = new WeakMap<FusedGraph, InPlace>();

function storageOf(fused: FusedGraph): InPlace {
  let storage = storages.get(fused);
  if (storage === undefined) {
    const { places: within, views } = placedWithin(fused);
    const places = new Map(within);
    for (const g of fused.groups)
      if (describesInput(fused.graph, g)) places.set(g.outputs[0]!, { whole: g.inputs[0]!, offset: 0 });
    storage = { places, views };
    storages.set(fused, storage);
  }
  return storage;
}

/** The value whose memory holds `v`, and how many bytes from its start. */
export function storagePlace(fused: FusedGraph, v: ValueId): PartPlace {
  const { places } = storageOf(fused);
  let place: PartPlace = { whole: v, offset: 0 };
  for (let next = places.get(v); next !== undefined; next = places.get(next.whole))
    place = { whole: next.whole, offset: place.offset + next.offset };
  return place;
}

export function planMemory(fused: FusedGraph, steps: readonly PlannedStep[]): MemoryPlan {
  const { graph } = fused;
  const locations = new Map<ValueId, Location>();
  [...graph.inputs, ...graph.outputs].forEach((v, index) => {
    if (!locations.has(v)) locations.set(v, { base: "io", index, offset: 0 });
  });
  const root = (v: ValueId): ValueId => storagePlace(fused, v).whole;
  const constants = planConstants(fused, steps, root, locations);
  const arena = planIntermediates(fused, steps, root, locations);
  for (const v of storageOf(fused).places.keys()) {
    const { whole, offset } = storagePlace(fused, v);
    const bytes = storageBytes(fused, v);
    invariant(offset >= 0 && offset + bytes <= storageBytes(fused, whole), `value ${v} lies within value ${whole}`);
    const location = locations.get(whole)!;
    locations.set(v, { ...location, offset: location.offset + offset });
  }
  return { locations, ...constants, ...arena };
}

function planConstants(
  fused: FusedGraph,
  steps: readonly PlannedStep[],
  root: (v: ValueId) => ValueId,
  locations: Map<ValueId, Location>,
) {
  const constants: { value: ValueId; offset: number; bytes: number }[] = [];
  let constantBytes = 0;
  const wanted = new Set([...steps.flatMap((s) => s.group.inputs.map(root))]);
  for (const id of wanted) {
    const v = valueOf(fused.graph, id);
    if (!v.constant || locations.has(id)) continue;
    const bytes = packedBytes(v.constant, v.layout);
    constants.push({ value: id, offset: constantBytes, bytes });
    locations.set(id, { base: "constants", offset: constantBytes });
    // A vector past the end is readable, so that kernels may load whole vectors.
    constantBytes = alignUp(constantBytes + bytes + alignment);
  }
  return { constants, constantBytes };
}

function planIntermediates(
  fused: FusedGraph,
  steps: readonly PlannedStep[],
  root: (v: ValueId) => ValueId,
  locations: Map<ValueId, Location>,
) {
  const lifetimes = new Map<ValueId, { id: number; bytes: number; first: number; last: number }>();
  steps.forEach((s, i) => {
    for (const v of [...s.group.inputs, ...s.group.outputs].map(root)) {
      if (locations.has(v)) continue;
      const known = lifetimes.get(v);
      if (known) known.last = i;
      else lifetimes.set(v, { id: v, bytes: storageBytes(fused, v) + alignment, first: i, last: i });
    }
  });
  const scratch = steps.flatMap((s, i) =>
    s.workspaceBytes > 0 ? [{ id: -1 - i, bytes: s.workspaceBytes, first: i, last: i }] : [],
  );
  const { offsets, total } = planArena([...lifetimes.values(), ...scratch], alignment);
  const offsetOf = (id: number): number => {
    const offset = offsets.get(id);
    invariant(offset !== undefined, `no arena offset for ${id}`);
    return offset;
  };
  for (const v of lifetimes.keys()) locations.set(v, { base: "arena", offset: offsetOf(v) });
  const workspaces = steps.map((s, i) => (s.workspaceBytes > 0 ? offsetOf(-1 - i) : 0));
  return { workspaces, arenaBytes: Math.max(total, alignment) };
}

/** Bytes a value takes in memory in its layout. */
export const storageBytes = ({ graph }: FusedGraph, id: ValueId): number => bytesOf(graph, id);
