/** Properties draw the same cases in every run: from `TILEWRIGHT_SEED` on, which sweeps change. */
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env.TILEWRIGHT_SEED ?? 1) });
