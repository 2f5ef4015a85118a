/**
 * The peers made by `halide/`, called through koffi; built into a folder of the system's temporary files, one for
 * each state of the sources.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import koffi from "koffi";

const names = ["blur_8", "blur_32", "unsharp", "local_laplacian", "attention", "inverted_residual"] as const;
export type HalidePeer = (typeof names)[number];

/** A dense array with its extents, outermost first. */
export interface Pixels {
  readonly dims: readonly number[];
  readonly values: Float32Array | Uint16Array;
}
export interface Halide {
  readonly threads: (count: number) => void;
  /** Runs a pipeline. @throws an Error with Halide's code */
  readonly call: (peer: HalidePeer, input: Pixels, output: Pixels) => void;
}

/** Loads the peers. */
export function halide(): Halide {
  const sources = fileURLToPath(new URL("halide", import.meta.url));
  const hash = createHash("sha256");
  for (const file of readdirSync(sources).sort()) hash.update(readFileSync(join(sources, file)));
  const state = hash.digest("hex").slice(0, 16);
  const folder = process.env.HALIDE_PEERS ?? join(tmpdir(), `tilewright-halide-peers-${state}`);
  const library = join(folder, "peers.so");
  const script = join(sources, "build.sh");
  if (!existsSync(library)) execFileSync(script, [folder], { stdio: ["ignore", 2, 2] });
  const loaded = koffi.load(library);
  const threads = loaded.func("int set_threads(int n)");
  const call = loaded.func("int call_peer(int which, void *input, void *output, const int32_t *dims, int floats)");
  return {
    threads: (count) => void threads(count),
    call: (peer, input, output) => {
      const dims = Int32Array.of(
        input.dims.length,
        output.dims.length,
        ...[...input.dims].reverse(),
        ...[...output.dims].reverse(),
      );
      const isFloat = input.values instanceof Float32Array ? 1 : 0;
      const code = call(names.indexOf(peer), input.values, output.values, dims, isFloat) as number;
      if (code !== 0) throw new Error(`Halide's ${peer} gave code ${code}`);
    },
  };
}
