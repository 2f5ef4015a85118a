/**
 * Convolutions of oneDNN (Debian: `libdnnl-dev`, 2.6) through koffi; `convolution.c` is built into a folder of the system's
 * temporary files, one for each state of the source.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import koffi from "koffi";

/** `dnnl_alg_kind_t` of what may be asked for; `auto` leaves the choice to oneDNN. */
const algorithms = { direct: 0x1, winograd: 0x2, auto: 0x3 };
/** `dnnl_alg_kind_t` of the activations that it does in the same pass, by ONNX operator. */
const activations = { Relu: 0x1f, HardSwish: 0x70 };

/** Whether an ONNX operator of this name can follow a convolution in the same pass. */
export const fusesActivation = (op) => op in activations;

/** Loads the peer: its version, and `convolutions` for a shape. */
export function oneDnn() {
  const library = koffi.load(builtLibrary());
  const create = library.func("void *convolution_create(const int *shape, int algorithm, int activation, int threads)");
  const implementation = library.func("const char *convolution_implementation(void *c)");
  const bind = library.func("int convolution_bind(void *c, float *source, float *weights, float *bias, float *output)");
  const run = library.func("int convolution_run(void *c, int repeats, double *ns)");
  const destroy = library.func("void convolution_destroy(void *c)");
  const version = library.func("const char *convolution_version()")();
  return { version, convolutions };

  /**
   * One convolution for each implementation that some algorithm gives. `arrays` are plain float32 arrays outside
   * JavaScript's heap: source [c, h, w], weights [o, c / groups, kh, kw], bias [o], output [o, oh, ow].
   */
  function convolutions(shape, activation, threads, arrays) {
    const found = new Map();
    for (const algorithm of Object.values(algorithms)) {
      const handle = create(shapeNumbers(shape), algorithm, activations[activation] ?? 0, threads);
      if (handle === null) continue;
      const name = implementation(handle);
      if (found.has(name)) destroy(handle);
      else found.set(name, handle);
    }
    return [...found].map(([name, handle]) => {
      const { source, weights, bias, output } = arrays;
      must(name, bind(handle, source, weights, bias, output));
      return {
        implementation: name,
        /** Nanoseconds of each of `count` convolutions; the output is that of the last one. */
        run: (count) => {
          const ns = new Float64Array(count);
          must(name, run(handle, count, ns));
          return ns;
        },
        dispose: () => destroy(handle),
      };
    });
  }
}

/** In the order of the source's `struct shape`. */
function shapeNumbers({ channels, outputs, group, extents, kernel, strides, dilations, pads }) {
  return Int32Array.of(channels, outputs, group, ...extents, ...kernel, ...strides, ...dilations, ...pads);
}

function must(name, status) {
  if (status !== 0) throw new Error(`oneDNN's ${name} gave status ${status}`);
}

function builtLibrary() {
  const source = fileURLToPath(new URL("convolution.c", import.meta.url));
  const state = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), `tilewright-onednn-${state}`);
  const library = join(folder, "convolution.so");
  if (existsSync(library)) return library;
  mkdirSync(folder, { recursive: true });
  const flags = ["-O2", "-shared", "-fPIC", "-fopenmp"];
  try {
    execFileSync("cc", [...flags, source, "-ldnnl", "-o", library], { stdio: ["ignore", 2, 2] });
  } catch (error) {
    throw new Error("the calls of oneDNN do not compile; on Debian install libdnnl-dev", { cause: error });
  }
  return library;
}
