// Compiles, checks and measures a network with the compiled sources in dist/ (scripts/setup.mjs makes them).
//
//   npm run demo
//   npm run demo -- model.onnx --image photo.jpg
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const entry = new URL("../dist/bundle/cli.js", import.meta.url);
if (!existsSync(fileURLToPath(entry))) {
  process.stderr.write("the TypeScript is not compiled yet; run `npm run setup` first\n");
  process.exit(7);
}
process.argv.splice(2, 0, "demo");
await import(entry.href);
