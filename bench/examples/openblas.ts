/** OpenBLAS through koffi: `cblas_sgemm` on row-major matrices, for a fixed number of threads. */
import koffi from "koffi";

const rowMajor = 101;
const noTranspose = 111;

export interface OpenBlas {
  /** Version and kernel family, as the library says it. */
  readonly config: string;
  /** C = A·B with A [m, k], B [k, n], C [m, n]. */
  readonly sgemm: (
    shape: { readonly m: number; readonly n: number; readonly k: number },
    a: Float32Array,
    b: Float32Array,
    c: Float32Array,
  ) => void;
}

/** Loads the system's OpenBLAS, or the one that the environment variable OPENBLAS names. */
export function openBlas(threads: number): OpenBlas {
  const library = loaded(process.env.OPENBLAS ?? "libopenblas.so.0");
  library.func("void openblas_set_num_threads(int threads)")(threads);
  const config = library.func("const char *openblas_get_config()")() as string;
  const sgemm = library.func(
    "void cblas_sgemm(int order, int transA, int transB, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc)",
  );
  return {
    config,
    sgemm: ({ m, n, k }, a, b, c) => {
      sgemm(rowMajor, noTranspose, noTranspose, m, n, k, 1, a, k, b, n, 0, c, n);
    },
  };
}

function loaded(path: string): ReturnType<typeof koffi.load> {
  try {
    return koffi.load(path);
  } catch (error) {
    const found = `OpenBLAS was not found at ${path}: ${(error as Error).message}`;
    throw new Error(`${found}; on Debian install libopenblas0-pthread, or name the library in OPENBLAS`);
  }
}
