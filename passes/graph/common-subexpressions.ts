/** Merges nodes that compute the same thing from the same inputs, and equal small constants. */
import type { Attribute, Graph, Node } from "../../ir/graph/graph.ts";
import { elementCount } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { dropDead, replaceUses } from "./rewriting.ts";

/** Operators whose every evaluation differs. */
const impure: ReadonlySet<string> = new Set([
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
  "Multinomial",
  "Bernoulli",
]);
/** Constants above this many elements are not compared. */
const largestCompared = 4096;
const latin1 = new TextDecoder("latin1");

export function eliminateCommonSubexpressions(graph: Graph): Graph {
  const renaming = new Map<ValueId, ValueId>();
  mergeConstants(graph, renaming);
  const seen = new Map<string, Node>();
  // A graph output keeps its own value: its name is what callers ask for.
  const outputs = new Set(graph.outputs);
  for (const n of graph.nodes) {
    if (impure.has(n.op)) continue;
    const key = nodeKey(n, renaming);
    const first = seen.get(key);
    if (!first || n.outputs.some((o) => o !== undefined && outputs.has(o))) {
      seen.set(key, n);
      continue;
    }
    n.outputs.forEach((o, i) => {
      const same = first.outputs[i];
      if (o !== undefined && same !== undefined) renaming.set(o, same);
    });
  }
  return renaming.size === 0 ? graph : dropDead(replaceUses(graph, renaming));
}
function mergeConstants(graph: Graph, renaming: Map<ValueId, ValueId>): void {
  const seen = new Map<string, ValueId>();
  for (const v of graph.values.values()) {
    const c = v.constant;
    if (!c || graph.outputs.includes(v.id) || elementCount(c.dims) > largestCompared) continue;
    const bytes = latin1.decode(new Uint8Array(c.data.buffer, c.data.byteOffset, c.data.byteLength));
    const key = `${c.type}[${c.dims}]${bytes}`;
    const first = seen.get(key);
    if (first === undefined) seen.set(key, v.id);
    else renaming.set(v.id, first);
  }
}
function nodeKey(n: Node, renaming: ReadonlyMap<ValueId, ValueId>): string {
  const inputs = n.inputs.map((i) => (i === undefined ? "" : (renaming.get(i) ?? i)));
  const attributes = [...n.attributes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, a]) => `${k}=${attributeKey(a)}`);
  const asked = n.outputs.map((o) => (o === undefined ? "-" : "+"));
  return [n.domain, n.op, n.opset, inputs, attributes.join(";"), asked.join("")].join("|");
}
function attributeKey(a: Attribute): string {
  if (a.kind === "tensor") return `${a.value.type}[${a.value.dims}]${[...a.value.data].join(",")}`;
  if (a.kind === "opaque") return `opaque ${a.what}`;
  return `${a.kind}:${String(a.value)}`;
}
