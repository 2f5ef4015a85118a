/** Activations that models write as several operators, and that take fewer operations as one. */

import type { Graph } from "../../ir/graph/graph.ts";
import { graphPattern, graphRule, rewriteGraph } from "../core/graph-rewriting.ts";

const { node, value } = graphPattern;

/** x · sigmoid(x) is x / (1 + e^-x): one division instead of a division and a product (Ramachandran et al. 2017). */
const swish = graphRule(
  "swish",
  node("Mul", [value("x"), node("Sigmoid", [value("x")])]),
  ({ values }, build) => build.node("Swish", [values.x], { opset: 24 })[0],
);

/** Replaces activations made of several nodes. Results may differ in the last place. */
export const recognizeActivations = (graph: Graph): Graph => rewriteGraph(graph, [swish]);
