/** What a network is fed: files, an image, or generated values. */
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { arrayTypeOf, elementCount } from "../../ir/graph/tensor-value.ts";
import { InputError, UsageError } from "../../ir/support/errors.ts";
import { encodeBfloat16, encodeFloat16 } from "../../ir/support/half.ts";
import { readNpy } from "../formats/npy.ts";
import { readNpz } from "../formats/npz.ts";
import { loadOnnxTensor } from "../onnx/load.ts";
import type { Port } from "../runtime/executable.ts";
import { Tensor } from "../tensor.ts";
import type { ModelOptions } from "./model.ts";
import type { InputFile } from "./options.ts";

/** How inputs that no file gives are filled. */
export const fills = ["random", "zeros", "ones"] as const;
/** How generated inputs look. */
export type Fill = (typeof fills)[number];

/** Tensors by the name of the input; `undefined` for the only input of a network. */
export type GivenTensors = ReadonlyMap<string | undefined, Tensor>;

/** Reads the files of `--input`: .npy, .npz and ONNX's .pb. */
export function readInputs(files: readonly InputFile[]): GivenTensors {
  const given = new Map<string | undefined, Tensor>();
  const put = (name: string | undefined, tensor: Tensor): void => {
    if (given.has(name)) throw new UsageError("usage/input", `input ${name ?? ""} is given twice`);
    given.set(name, tensor);
  };
  for (const { name, path } of files) {
    if (path.endsWith(".npz") && name === undefined) for (const [n, t] of readNpz(path)) put(n, t);
    else if (path.endsWith(".pb")) {
      const { name: own, value } = loadOnnxTensor(path);
      put(name ?? (own || undefined), Tensor.from(value));
    } else if (path.endsWith(".npy")) put(name, readNpy(path));
    else throw new UsageError("usage/input", `--input reads .npy, .npz (without a name) and .pb files, not ${path}`);
  }
  return given;
}

/** What given tensors tell the compiler of a model: shapes that it leaves open, values that shapes depend on. */
export function tellCompiler<O extends ModelOptions>(options: O, given: GivenTensors): O {
  const named = [...given].flatMap(([name, t]) => (name === undefined ? [] : [[name, t] as const]));
  const shapes = Object.fromEntries(named.map(([name, t]) => [name, t.dims]));
  return { ...options, shape: { ...shapes, ...options.shape }, values: Object.fromEntries(named) };
}

/** The given tensors without those that were compiled in. */
export const stillWanted = (ports: readonly Port[], given: GivenTensors): GivenTensors =>
  new Map([...given].filter(([name]) => name === undefined || ports.some((p) => p.name === name)));

/** Feeds for all inputs: the given ones, the others filled. @throws UsageError [usage/input] */
export function feedsFor(
  ports: readonly Port[],
  given: GivenTensors,
  fill: { readonly fill: Fill | undefined; readonly seed: number },
): Record<string, Tensor> {
  const lone = given.get(undefined);
  if (lone && ports.length !== 1)
    throw new UsageError(
      "usage/input",
      `the network has ${ports.length} inputs, so --input needs a name: ${ports.map((p) => `--input ${p.name}=FILE`).join(" ")}`,
    );
  for (const name of given.keys())
    if (name !== undefined && !ports.some((p) => p.name === name))
      throw new InputError(
        "run/unknown-input",
        `there is no input ${JSON.stringify(name)}; the network has ${ports.map((p) => p.name).join(", ")}`,
      );
  const missing = ports.filter((p) => !lone && !given.has(p.name));
  if (missing.length > 0 && missing.length < ports.length && fill.fill === undefined)
    throw new UsageError(
      "usage/input",
      `no values for ${missing.map((p) => p.name).join(", ")}: add ${missing.map((p) => `--input ${p.name}=FILE`).join(" ")}, or --fill random`,
    );
  const make = filler(fill.fill ?? "random", fill.seed);
  return Object.fromEntries(ports.map((p) => [p.name, given.get(p.name) ?? lone ?? make(p)]));
}

/** Makes tensors: floats in [-1, 1), integers from 0 to 9, booleans both ways. The same seed gives the same values. */
export function filler(fill: Fill, seed: number): (port: Port) => Tensor {
  const generator = xoroshiro128plus(seed);
  const unit = (): number => (generator.next() >>> 0) / 2 ** 32;
  return ({ type, dims }) => {
    const data = new (arrayTypeOf(type))(elementCount(dims));
    const real = fill === "random" ? () => 2 * unit() - 1 : () => (fill === "ones" ? 1 : 0);
    const whole = fill === "random" ? () => Math.floor(unit() * (type === "bool" ? 2 : 10)) : real;
    for (let i = 0; i < data.length; i++) {
      if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(whole());
      else if (type === "float16") data[i] = encodeFloat16(real());
      else if (type === "bfloat16") data[i] = encodeBfloat16(real());
      else data[i] = type === "float32" || type === "float64" ? real() : whole();
    }
    return Tensor.from({ type, dims, data });
  };
}
