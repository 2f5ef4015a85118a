/** Turns a decoded ModelProto into a Graph: names become values, constants are decoded, local functions are inlined. */
import { GraphBuilder } from "../../ir/graph/build.ts";
import type { Attribute, Graph, TensorType } from "../../ir/graph/graph.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import { InputError, UnsupportedError, type UnsupportedItem } from "../../ir/support/errors.ts";
import type { NodeId, ValueId } from "../../ir/support/ids.ts";
import { decodeAttribute } from "./attributes.ts";
import { scalarOfCode } from "./codes.ts";
import { constantValue } from "./constant-node.ts";
import { callAttributes, calledFunction, checkCall, domainOf, functionTable, resolveAttributes } from "./functions.ts";
import { checkLimit } from "./limits.ts";
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  OperatorSetIdProto,
  ValueInfoProto,
} from "./onnx_pb.ts";
import { quote } from "./quote.ts";
import { decodeSparseTensor, decodeTensor, type TensorSource, unsupportedElements } from "./tensor-data.ts";
import { bindShapes, declaredType, type InputShapes, type SymbolBindings } from "./value-types.ts";

/** Oldest and newest opset of the default domain that is read. */
const opsetRange = { oldest: 7, newest: 27 } as const;

/** Operators that opset 7 left as they were, so that older models that use them mean the same. */
const sameBeforeOldest = new Set(["Conv", "GlobalAveragePool", "GlobalMaxPool", "Identity", "Not", "Transpose"]);

/** Where names are looked up: the graph itself, or the body of one call of a function. */
interface Scope {
  readonly values: Map<string, ValueId | undefined>;
  readonly opsets: ReadonlyMap<string, number>;
  /** Value ids that the caller has already given to outputs of this body. */
  readonly promised: ReadonlyMap<string, ValueId>;
  /** Attributes of the call; undefined in the graph itself. */
  readonly attributes?: ReadonlyMap<string, AttributeProto>;
  readonly callers: readonly FunctionProto[];
  /** Before the names of values made in this scope. */
  readonly prefix: string;
}

/** Reads a model. @throws InputError [onnx/…], UnsupportedError [onnx/unsupported] with every such node at once */
export function readGraph(model: ModelProto, source: TensorSource, shapes: InputShapes): Graph {
  if (!model.graph) throw new InputError("onnx/malformed", "the file holds no graph: it is not an ONNX model");
  return new GraphReader(model, model.graph, source, shapes).read();
}

class GraphReader {
  readonly #model: ModelProto;
  readonly #graph: GraphProto;
  readonly #source: TensorSource;
  readonly #shapes: InputShapes;
  readonly #builder = new GraphBuilder();
  readonly #functions: ReadonlyMap<string, FunctionProto>;
  readonly #bindings: SymbolBindings;
  readonly #declared = new Map<string, ValueInfoProto>();
  /** Names made by some node of the graph, to tell a missing value from one made later. */
  readonly #made = new Set<string>();
  /** Why a value cannot be used; only its users are refused. */
  readonly #unusable = new Map<ValueId, string>();
  readonly #unsupported: UnsupportedItem[] = [];
  #nodeCount = 0;
  #callCount = 0;

  constructor(model: ModelProto, graph: GraphProto, source: TensorSource, shapes: InputShapes) {
    this.#model = model;
    this.#graph = graph;
    this.#source = source;
    this.#shapes = shapes;
    this.#functions = functionTable(model.functions);
    this.#bindings = bindShapes(graph.input, shapes, source.limits);
    for (const v of [...graph.valueInfo, ...graph.output]) this.#declared.set(v.name, v);
    for (const n of graph.node) for (const o of n.output) this.#made.add(o);
  }

  read(): Graph {
    const scope: Scope = {
      values: new Map(),
      opsets: opsetsOf(this.#model.opsetImport),
      promised: new Map(),
      callers: [],
      prefix: "",
    };
    this.#initializers(scope);
    const inputs = this.#inputs(scope);
    for (const [i, node] of this.#graph.node.entries()) this.#node(node, i, scope);
    const outputs = this.#outputs(scope);
    this.#refuseUnsupported();
    return this.#builder.finish({ name: this.#graph.name, inputs, outputs, metadata: metadataOf(this.#model) });
  }

  #define(scope: Scope, name: string, id: ValueId | undefined): void {
    if (scope.values.has(name))
      throw new InputError("onnx/duplicate-name", `value ${quote(scope.prefix + name)} is defined twice`);
    scope.values.set(name, id);
  }

  #initializers(scope: Scope): void {
    const constant = (name: string, unsupported: string | undefined, decode: () => TensorValue) => {
      if (name === "") throw new InputError("onnx/malformed", "an initializer has no name");
      const id =
        unsupported === undefined ? this.#builder.constant(name, decode()) : this.#unusableValue(name, unsupported);
      this.#define(scope, name, id);
    };
    for (const t of this.#graph.initializer) {
      const what = `initializer ${quote(t.name)}`;
      constant(t.name, unsupportedElements(t.dataType, what), () => decodeTensor(t, what, this.#source));
    }
    for (const s of this.#graph.sparseInitializer) {
      const what = `sparse initializer ${quote(s.values?.name ?? "")}`;
      const unsupported = unsupportedElements(s.values?.dataType ?? 0, what);
      constant(s.values?.name ?? "", unsupported, () => decodeSparseTensor(s, what, this.#source));
    }
  }

  #unusableValue(name: string, reason: string): ValueId {
    const id = this.#builder.value(name);
    this.#unusable.set(id, reason);
    return id;
  }

  /** Inputs that have an initializer are constants: what the initializer says is their default. */
  #inputs(scope: Scope): ValueId[] {
    const inputs: ValueId[] = [];
    const seen = new Set<string>();
    for (const info of this.#graph.input) {
      if (info.name === "") throw new InputError("onnx/malformed", "a graph input has no name");
      if (seen.has(info.name))
        throw new InputError("onnx/duplicate-name", `input ${quote(info.name)} is declared twice`);
      seen.add(info.name);
      if (scope.values.has(info.name)) continue;
      const id = this.#input(info);
      this.#define(scope, info.name, id);
      inputs.push(id);
    }
    return inputs;
  }

  #input(info: ValueInfoProto): ValueId {
    const type = declaredType(info, this.#bindings, this.#source.limits);
    if (type !== undefined && "unsupported" in type) return this.#unusableValue(info.name, type.unsupported);
    return this.#builder.value(info.name, type ?? this.#givenType(info));
  }

  /** The type of an input whose rank the file leaves open. */
  #givenType(info: ValueInfoProto): TensorType {
    const tensor = info.type?.value.case === "tensorType" ? info.type.value.value : undefined;
    const given = Object.hasOwn(this.#shapes, info.name) ? this.#shapes[info.name] : undefined;
    if (tensor === undefined || tensor.elemType === 0)
      throw new InputError("onnx/untyped-input", `input ${quote(info.name)} has no element type`);
    if (given === undefined)
      throw new InputError(
        "onnx/untyped-input",
        `input ${quote(info.name)} has no shape in the file; say it with the option shapes`,
      );
    return { dtype: declaredDtype(tensor.elemType), dims: given };
  }

  #outputs(scope: Scope): ValueId[] {
    const seen = new Set<string>();
    return this.#graph.output.map((info) => {
      if (seen.has(info.name))
        throw new InputError("onnx/duplicate-name", `output ${quote(info.name)} is declared twice`);
      seen.add(info.name);
      const id = scope.values.get(info.name);
      if (id === undefined)
        throw new InputError("onnx/undefined-value", `output ${quote(info.name)} is made by no node`);
      const reason = this.#unusable.get(id);
      if (reason !== undefined)
        this.#unsupported.push({ op: "graph output", domain: "", opset: 0, node: info.name, reason });
      return id;
    });
  }

  #node(proto: NodeProto, position: number, scope: Scope): void {
    checkLimit(this.#source.limits, "nodes", ++this.#nodeCount, "nodes");
    this.#source.budget.takeObjects(proto.input.length + proto.output.length, `node ${quote(proto.name)}`);
    const attributes = resolveAttributes(proto, scope.attributes);
    const callee = calledFunction(this.#functions, proto);
    if (callee !== undefined) {
      this.#call(callee, proto, attributes, scope);
      return;
    }
    const domain = domainOf(proto.domain);
    const opset = opsetOf(scope.opsets, domain, proto);
    const name = nameIn(scope, proto.name || `${proto.opType}_${position}`);
    const refuse = (reason: string) => this.#unsupported.push({ op: proto.opType, domain, opset, node: name, reason });
    if (domain === "" && !readableOpset(opset, proto.opType))
      refuse(`opset ${opset} is outside ${opsetRange.oldest} to ${opsetRange.newest}`);
    const inputs = proto.input.map((i) => this.#use(i, scope, name, refuse));
    const decoded = this.#attributes(attributes, name, refuse);
    if (domain === "" && proto.opType === "Constant") {
      const value = constantValue(decoded, name);
      if (value !== undefined) {
        for (const o of proto.output) if (o !== "") this.#constantOutput(o, value, scope);
        return;
      }
    }
    const outputs = proto.output.map((o) => this.#make(o, scope));
    const id = this.#builder.ids.fresh<"node">() as NodeId;
    this.#builder.add({ id, name, op: proto.opType, domain, opset, inputs, outputs, attributes: decoded });
  }

  #attributes(
    protos: readonly AttributeProto[],
    node: string,
    refuse: (reason: string) => void,
  ): ReadonlyMap<string, Attribute> {
    const decoded = new Map<string, Attribute>();
    for (const a of protos) {
      if (decoded.has(a.name))
        throw new InputError("onnx/duplicate-name", `attribute ${quote(a.name)} of node ${quote(node)} is given twice`);
      const value = decodeAttribute(a, `node ${quote(node)}`, this.#source);
      if (value.kind === "unsupported") refuse(value.reason);
      decoded.set(a.name, value.kind === "unsupported" ? { kind: "opaque", what: value.reason } : value);
    }
    return decoded;
  }

  #constantOutput(name: string, value: TensorValue, scope: Scope): void {
    const id = scope.promised.get(name) ?? this.#builder.value(nameIn(scope, name));
    this.#builder.update(id, { type: { dtype: value.type, dims: value.dims }, constant: value });
    this.#define(scope, name, id);
  }

  #use(name: string, scope: Scope, node: string, refuse: (reason: string) => void): ValueId | undefined {
    if (name === "") return undefined;
    if (!scope.values.has(name)) {
      const later = scope.callers.length === 0 && this.#made.has(name);
      throw new InputError(
        later ? "onnx/not-sorted" : "onnx/undefined-value",
        `node ${quote(node)} reads ${quote(name)}, which ${later ? "is made by itself or a later node" : "nothing makes"}`,
      );
    }
    const id = scope.values.get(name);
    const reason = id === undefined ? undefined : this.#unusable.get(id);
    if (reason !== undefined) refuse(reason);
    return id;
  }

  #make(name: string, scope: Scope): ValueId | undefined {
    if (name === "") return undefined;
    const id = scope.promised.get(name) ?? this.#builder.value(nameIn(scope, name), this.#knownType(name, scope));
    this.#define(scope, name, id);
    return id;
  }

  #knownType(name: string, scope: Scope): TensorType | undefined {
    const info = scope.callers.length === 0 ? this.#declared.get(name) : undefined;
    const type = info && declaredType(info, this.#bindings, this.#source.limits);
    return type === undefined || "unsupported" in type ? undefined : type;
  }

  #call(callee: FunctionProto, call: NodeProto, attributes: readonly AttributeProto[], caller: Scope): void {
    checkCall(callee, caller.callers, this.#source.limits);
    const where = `call of function ${quote(callee.name)}`;
    if (call.input.length > callee.input.length || call.output.length > callee.output.length)
      throw new InputError("onnx/bad-call", `${where} has more inputs or outputs than the function`);
    // A value of an unsupported type is noticed where the body uses it, so nothing is refused here.
    const given = call.input.map((i) => this.#use(i, caller, callee.name, () => {}));
    const outputs = call.output.map((o) => this.#make(o, caller));
    const imports = callee.opsetImport.length > 0 ? callee.opsetImport : this.#model.opsetImport;
    const promised = new Map<string, ValueId>();
    for (const [i, id] of outputs.entries()) {
      const name = callee.output[i]!;
      if (id !== undefined && !callee.input.includes(name) && !promised.has(name)) promised.set(name, id);
    }
    const scope: Scope = {
      values: new Map(),
      opsets: opsetsOf(imports),
      promised,
      attributes: callAttributes(callee, attributes),
      callers: [...caller.callers, callee],
      prefix: `${callee.name.slice(0, longestInlinedName)}.${++this.#callCount}/`,
    };
    for (const [i, name] of callee.input.entries()) this.#define(scope, name, given[i]);
    for (const [i, node] of callee.node.entries()) this.#node(node, i, scope);
    for (const [i, id] of outputs.entries()) if (id !== undefined) this.#deliver(callee.output[i]!, id, scope);
  }

  /** Makes sure that an output of a call has its value: an output that is an input, or stands twice, is copied. */
  #deliver(name: string, id: ValueId, scope: Scope): void {
    const from = scope.values.get(name);
    if (from === id) return;
    if (from === undefined)
      throw new InputError(
        "onnx/undefined-value",
        `output ${quote(scope.prefix + name)} of a function is made by no node`,
      );
    const nodeId = this.#builder.ids.fresh<"node">() as NodeId;
    this.#builder.add({
      id: nodeId,
      name: nameIn(scope, name),
      op: "Identity",
      domain: "",
      opset: scope.opsets.get("") ?? opsetRange.newest,
      inputs: [from],
      outputs: [id],
      attributes: new Map(),
    });
  }

  #refuseUnsupported(): void {
    if (this.#unsupported.length === 0) return;
    const lines = this.#unsupported
      .slice(0, mostLines)
      .map(
        (u) => `  ${u.domain === "" ? "" : `${u.domain}::`}${u.op} (opset ${u.opset}) ${quote(u.node)}: ${u.reason}`,
      );
    if (this.#unsupported.length > mostLines) lines.push(`  and ${this.#unsupported.length - mostLines} more`);
    throw new UnsupportedError(
      "onnx/unsupported",
      `the model needs what is not supported:\n${lines.join("\n")}`,
      this.#unsupported,
    );
  }
}

/** Longest name that is kept when a function is inlined: a long one, times many calls, would fill the memory. */
const longestInlinedName = 200;
/** Lines of an error message; its items have every node. */
const mostLines = 100;

/** The name of a value or node of a scope. */
function nameIn(scope: Scope, name: string): string {
  if (scope.callers.length === 0) return name;
  return scope.prefix + (name.length > longestInlinedName ? `long${scope.values.size}` : name);
}

const readableOpset = (opset: number, op: string): boolean =>
  opset <= opsetRange.newest && (opset >= opsetRange.oldest || sameBeforeOldest.has(op));

function declaredDtype(code: number): TensorType["dtype"] {
  const type = scalarOfCode(code);
  if (type === undefined) throw new InputError("onnx/bad-type", `unknown element type ${code}`);
  return type;
}

/** Opset versions by domain. @throws InputError [onnx/bad-opset] */
function opsetsOf(imports: readonly OperatorSetIdProto[]): ReadonlyMap<string, number> {
  const opsets = new Map<string, number>();
  for (const { domain, version } of imports) {
    if (version < 1n || version > 1_000_000n)
      throw new InputError("onnx/bad-opset", `opset version ${version} of domain ${quote(domain)}`);
    opsets.set(domainOf(domain), Number(version));
  }
  return opsets;
}

/** A node of another domain that is not imported keeps opset 1: it is refused by name in any case. */
function opsetOf(opsets: ReadonlyMap<string, number>, domain: string, node: NodeProto): number {
  const opset = opsets.get(domain) ?? (domain === "" ? undefined : 1);
  if (opset === undefined)
    throw new InputError("onnx/bad-opset", `the model imports no opset of ONNX, but uses ${quote(node.opType)}`);
  return opset;
}

function metadataOf(model: ModelProto): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  const facts: readonly (readonly [string, string])[] = [
    ["producer_name", model.producerName],
    ["producer_version", model.producerVersion],
    ["domain", model.domain],
    ["model_version", model.modelVersion === 0n ? "" : String(model.modelVersion)],
    ["doc_string", model.docString],
  ];
  for (const [key, value] of facts) if (value !== "") metadata.set(key, value);
  for (const { key, value } of model.metadataProps) metadata.set(`custom:${key}`, value);
  return metadata;
}
