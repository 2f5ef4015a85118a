/** Removes nodes that hand their input on unchanged: Identity, inference-time Dropout, no-op reshapes, casts and transposes. */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { dropDead, replaceUses } from "./rewriting.ts";

const shapeOnly: ReadonlySet<string> = new Set([
  "Reshape",
  "Flatten",
  "Squeeze",
  "Unsqueeze",
  "Expand",
  "Tile",
  "Pad",
  "Slice",
]);

export function forwardIdentities(graph: Graph): Graph {
  const renaming = new Map<ValueId, ValueId>();
  const graphInputs = new Set(graph.inputs);
  const graphOutputs = new Set(graph.outputs);
  for (const n of graph.nodes) {
    const [input] = n.inputs;
    const [output] = n.outputs;
    if (input === undefined || output === undefined || !handsOn(graph, n, input, output)) continue;
    // A graph output keeps its own storage: it may not alias an input, a constant or another output.
    if (graphOutputs.has(output)) continue;
    if (graphInputs.has(input) && graphOutputs.has(input)) continue;
    renaming.set(output, input);
  }
  return renaming.size === 0 ? graph : dropDead(replaceUses(graph, renaming));
}
function handsOn(graph: Graph, n: Node, input: ValueId, output: ValueId): boolean {
  if (n.domain !== "" || n.outputs.slice(1).some((o) => o !== undefined)) return false;
  const from = valueOf(graph, input);
  const to = valueOf(graph, output);
  const sameDims = sameShape(staticDims(graph, input), staticDims(graph, output));
  if (n.op === "Identity" || n.op === "Dropout") return true;
  if (n.op === "Cast") return from.type?.dtype === to.type?.dtype;
  if (n.op === "Transpose") return sameDims && isIdentityPermutation(n, staticDims(graph, input));
  return shapeOnly.has(n.op) && sameDims && keepsOrder(graph, n);
}
/** Whether a Slice or Pad that keeps the shape also keeps the elements: neither reverses nor shifts them. */
function keepsOrder(graph: Graph, n: Node): boolean {
  const constantOf = (i: number): readonly number[] | undefined => {
    const value = n.inputs[i] === undefined ? undefined : valueOf(graph, n.inputs[i]).constant;
    return value && Array.from(value.data, Number);
  };
  if (n.op === "Slice") return n.inputs[4] === undefined || (constantOf(4)?.every((step) => step > 0) ?? false);
  if (n.op !== "Pad") return true;
  const attribute = n.attributes.get("pads");
  const amounts = attribute?.kind === "ints" ? attribute.value.map(Number) : constantOf(1);
  return amounts?.every((amount) => amount === 0) ?? false;
}
const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);
/** A permutation that keeps the order of all axes of extent above 1 moves nothing. */
function isIdentityPermutation(n: Node, dims: readonly number[]): boolean {
  const perm = n.attributes.get("perm");
  const order = perm?.kind === "ints" ? perm.value.map(Number) : dims.map((_, i) => dims.length - 1 - i);
  const moved = order.filter((axis) => dims[axis] !== 1);
  return moved.every((axis, i) => i === 0 || axis > moved[i - 1]!);
}
