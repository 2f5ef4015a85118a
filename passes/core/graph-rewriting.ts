/** Patterns over operators: a subgraph whose inner values nobody else reads becomes something else. */
import { GraphBuilder, producers } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import { UsageError } from "../../ir/support/errors.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { dropDead, replaceUses, useCounts } from "../graph/rewriting.ts";
import { definePass, type Pass } from "./pass.ts";

/** Values, and nodes, by the names that a pattern gives them. */
export interface GraphCaptures {
  readonly values: Readonly<Record<string, ValueId>>;
  readonly nodes: Readonly<Record<string, Node>>;
}
const nothing: GraphCaptures = { values: {}, nodes: {} };

/** What patterns look things up in. */
interface View {
  readonly graph: Graph;
  readonly makers: ReadonlyMap<ValueId, Node>;
  readonly uses: ReadonlyMap<ValueId, number>;
}
/** A pattern for a value; `Values` and `Nodes` are the names it captures. */
export interface GraphPattern<Values extends string, Nodes extends string = never> {
  readonly text: string;
  readonly match: (value: ValueId, view: View, known: GraphCaptures, root: boolean) => GraphCaptures | undefined;
  readonly values?: readonly Values[];
  readonly nodes?: readonly Nodes[];
}
type AnyGraphPattern = Pick<GraphPattern<string, string>, "text" | "match"> & {
  readonly values?: readonly string[];
  readonly nodes?: readonly string[];
};
type ValuesOf<P> = P extends GraphPattern<infer Values, string> ? Values : never;
type NodesOf<P> = P extends GraphPattern<string, infer Nodes> ? Nodes : never;
/** What a pattern found. */
export interface Found<Values extends string, Nodes extends string> {
  readonly values: Readonly<Record<Values, ValueId>>;
  readonly nodes: Readonly<Record<Nodes, Node>>;
}

/** Any value; the same name twice is the same value. */
const value = <Name extends string>(name: Name): GraphPattern<Name> => ({
  text: name,
  match: (id, _view, known) => {
    const before = known.values[name];
    if (before !== undefined) return before === id ? known : undefined;
    return { ...known, values: { ...known.values, [name]: id } };
  },
});
/** A constant whose elements all are `wanted`, to a relative 1e-6: exporters write what their floats round to. */
const scalar = (wanted: number): GraphPattern<never> => ({
  text: String(wanted),
  match: (id, { graph }, known) => {
    const constant = graph.values.get(id)?.constant;
    const near = (x: unknown): boolean => Math.abs(Number(x) - wanted) <= 1e-6 * Math.abs(wanted);
    return constant && constant.data.length > 0 && Array.from(constant.data as ArrayLike<unknown>).every(near)
      ? known
      : undefined;
  },
});
const swaps: ReadonlySet<string> = new Set(["Add", "Mul", "And", "Or", "Xor", "Equal", "Min", "Max"]);

/**
 * The only output of an operator of the standard domain with these inputs. Inside of a pattern its value must have no
 * other reader. Operands of commutative operators match either way round. `as` captures the node.
 */
function node<const Inputs extends readonly AnyGraphPattern[]>(
  op: string,
  inputs: Inputs,
): GraphPattern<ValuesOf<Inputs[number]>, NodesOf<Inputs[number]>>;
function node<const Inputs extends readonly AnyGraphPattern[], const Name extends string>(
  op: string,
  inputs: Inputs,
  options: { readonly as: Name },
): GraphPattern<ValuesOf<Inputs[number]>, NodesOf<Inputs[number]> | Name>;
function node(
  op: string,
  inputs: readonly AnyGraphPattern[],
  options: { readonly as?: string } = {},
): GraphPattern<string, string> {
  const orders = swaps.has(op) && inputs.length === 2 ? [inputs, inputs.toReversed()] : [inputs];
  return {
    text: `${op}(${inputs.map((i) => i.text).join(", ")})`,
    match: (id, view, known, root) => {
      const maker = view.makers.get(id);
      if (maker?.op !== op || maker.domain !== "" || maker.inputs.length !== inputs.length) return undefined;
      if (maker.outputs.length !== 1 || (!root && view.uses.get(id) !== 1)) return undefined;
      const started = options.as === undefined ? known : { ...known, nodes: { ...known.nodes, [options.as]: maker } };
      for (const order of orders) {
        const all = order.reduce<GraphCaptures | undefined>((found, p, k) => {
          const input = maker.inputs[k];
          return found && input !== undefined ? p.match(input, view, found, false) : undefined;
        }, started);
        if (all) return all;
      }
      return undefined;
    },
  };
}
/** Makers of patterns over operators, as `graphPattern.node("Mul", [graphPattern.value("x"), graphPattern.scalar(2)])`. */
export const graphPattern = { node, scalar, value };

/** One named rewrite of a value of a graph. */
export interface GraphRule {
  readonly name: string;
  /** The value that stands instead and the builder it was made with; undefined where the rule does not apply. */
  readonly apply: (id: ValueId, view: View) => { readonly made: ValueId; readonly build: GraphBuilder } | undefined;
}
/**
 * A rule on graphs: where `pattern` matches and `where` holds, every reader of the value reads what `replacement` gives.
 * New nodes are made with the builder it gets; they stand where the replaced one did.
 */
export function graphRule<Values extends string, Nodes extends string>(
  name: string,
  pattern: GraphPattern<Values, Nodes>,
  replacement: (found: Found<Values, Nodes>, build: GraphBuilder, graph: Graph) => ValueId | undefined,
  options: { readonly where?: (found: Found<Values, Nodes>, graph: Graph) => boolean } = {},
): GraphRule {
  return {
    name,
    apply: (id, view) => {
      const found = pattern.match(id, view, nothing, true) as Found<Values, Nodes> | undefined;
      if (found === undefined || (options.where && !options.where(found, view.graph))) return undefined;
      const build = new GraphBuilder(view.graph);
      const made = replacement(found, build, view.graph);
      return made === undefined ? undefined : { made, build };
    },
  };
}

/** How many rewrites a graph may take, as a multiple of its nodes. */
const maxRewritesPerNode = 64;

/**
 * Applies the rules in execution order until none applies; what nothing reads any more is dropped.
 * @throws UsageError `rewrite/endless` for rules that undo each other
 */
export function rewriteGraph(graph: Graph, rules: readonly GraphRule[]): Graph {
  const most = maxRewritesPerNode * (graph.nodes.length + 1);
  let current = graph;
  for (let step = 0; step < most; step++) {
    const next = rewriteOnce(current, rules);
    if (next === undefined) return current;
    current = next;
  }
  throw new UsageError(
    "rewrite/endless",
    `${rules.map((r) => r.name).join(", ")} rewrote ${graph.name} ${most} times and would go on`,
    {
      rules: rules.map((r) => r.name),
    },
  );
}
function rewriteOnce(graph: Graph, rules: readonly GraphRule[]): Graph | undefined {
  const view: View = { graph, makers: producers(graph), uses: useCounts(graph) };
  for (const [k, n] of graph.nodes.entries()) {
    const id = n.outputs.length === 1 ? n.outputs[0] : undefined;
    if (id === undefined) continue;
    for (const rule of rules) {
      const rewritten = rule.apply(id, view);
      if (rewritten && rewritten.made !== id) return replaced(graph, k, id, rewritten.made, rewritten.build);
    }
  }
  return undefined;
}
/** `made` stands for the output of node `k`; its type and, for an output of the graph, its name are kept. */
function replaced(graph: Graph, k: number, id: ValueId, made: ValueId, build: GraphBuilder): Graph {
  const old = graph.values.get(id)!;
  const fresh = !graph.values.has(made);
  if (fresh && old.type) build.update(made, { type: old.type });
  const nodes = [...graph.nodes.slice(0, k), ...build.nodes, ...graph.nodes.slice(k + 1)];
  const values = new Map(build.values);
  if (fresh) {
    values.delete(id);
    values.set(made, { ...values.get(made)!, name: old.name });
  }
  const rebuilt: Graph = { ...graph, nodes, values, nextId: build.ids.next };
  return dropDead(replaceUses(rebuilt, new Map([[id, made]])));
}

/** A graph pass that applies rules. */
export function graphRewritePass(
  parts: Pick<Pass<"graph", "graph">, "name" | "doc"> &
    Partial<Pick<Pass<"graph", "graph">, "requires" | "ensures" | "invalidates">> & {
      readonly rules: readonly GraphRule[];
    },
): Pass<"graph", "graph"> {
  const { rules, ...rest } = parts;
  return definePass<"graph", "graph">({ ...rest, run: (graph) => rewriteGraph(graph, rules) });
}
