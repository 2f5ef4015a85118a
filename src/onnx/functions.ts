/** Lookup of a model's local functions, and the checks that make inlining them end. */
import { InputError } from "../../ir/support/errors.ts";
import type { OnnxLimits } from "./limits.ts";
import type { AttributeProto, FunctionProto, NodeProto } from "./onnx_pb.ts";
import { quote } from "./quote.ts";

/** The empty domain and "ai.onnx" are the same. */
export const domainOf = (domain: string): string => (domain === "ai.onnx" ? "" : domain);

const keyOf = (domain: string, name: string, overload: string): string =>
  JSON.stringify([domainOf(domain), name, overload]);

/** Local functions by domain, name and overload. @throws InputError [onnx/duplicate-name] */
export function functionTable(functions: readonly FunctionProto[]): ReadonlyMap<string, FunctionProto> {
  const table = new Map<string, FunctionProto>();
  for (const f of functions) {
    const key = keyOf(f.domain, f.name, f.overload);
    if (table.has(key)) throw new InputError("onnx/duplicate-name", `function ${quote(f.name)} is defined twice`);
    table.set(key, f);
  }
  return table;
}

/** The local function that a node calls, undefined when it is an operator. */
export const calledFunction = (
  table: ReadonlyMap<string, FunctionProto>,
  node: NodeProto,
): FunctionProto | undefined =>
  table.size === 0 ? undefined : table.get(keyOf(node.domain, node.opType, node.overload));

/** Checks that calling `callee` neither recurs nor nests too deep. @throws InputError [onnx/recursive-function], [onnx/too-deep] */
export function checkCall(callee: FunctionProto, callers: readonly FunctionProto[], limits: OnnxLimits): void {
  if (callers.includes(callee))
    throw new InputError("onnx/recursive-function", `function ${quote(callee.name)} calls itself`);
  if (callers.length >= limits.functionDepth)
    throw new InputError(
      "onnx/too-deep",
      `functions call functions deeper than the limit functionDepth = ${limits.functionDepth}`,
    );
}

/** Attributes that the body of `callee` may refer to: its defaults, then what the call gives. */
export function callAttributes(
  callee: FunctionProto,
  given: readonly AttributeProto[],
): ReadonlyMap<string, AttributeProto> {
  return new Map([...callee.attributeProto, ...given].map((a) => [a.name, a]));
}

/**
 * The attributes of a body node with references replaced by what the call gives. A reference to an attribute that the
 * call leaves out, and that has no default, leaves the attribute out (ONNX IR, "attribute references").
 * @throws InputError [onnx/attribute-reference] outside a function
 */
export function resolveAttributes(
  node: NodeProto,
  available: ReadonlyMap<string, AttributeProto> | undefined,
): readonly AttributeProto[] {
  return node.attribute.flatMap((a) => {
    if (a.refAttrName === "") return [a];
    if (available === undefined)
      throw new InputError(
        "onnx/attribute-reference",
        `attribute ${quote(a.name)} refers to ${quote(a.refAttrName)} outside a function`,
      );
    const target = available.get(a.refAttrName);
    return target === undefined ? [] : [{ ...target, name: a.name }];
  });
}
