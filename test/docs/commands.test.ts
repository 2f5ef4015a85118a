/** The command lines in the README do what they say, on a small network. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import jpeg from "jpeg-js";
import { afterAll, describe, expect, test } from "vitest";
import { printProgram } from "../../ir/text/printer.ts";
import { buildMobileNetV2, writeOnnx } from "../../src/index.ts";
import { root } from "../meta/repository.ts";
import { matmul } from "../passes/schedule/loop-programs.ts";
import { snippetsOf, Workshop } from "./snippets.ts";

const workshop = new Workshop();
afterAll(() => workshop.dispose());
workshop.write("model.onnx", writeOnnx(buildMobileNetV2({ resolution: 32, width: 0.25, classes: 10 })));
const pixels = Buffer.from(Array.from({ length: 48 * 40 * 4 }, (_, i) => (i * 7) % 256));
workshop.write("photo.jpg", jpeg.encode({ data: pixels, width: 48, height: 40 }, 90).data);
workshop.write("matmul.loop", printProgram(matmul(64, 64, 64)));
workshop.write("tiles.ts", "export default (s) => s.tile([s.loop('i'), s.loop('j')], [8, 16]);\n");

const lines = snippetsOf("README.md")
  .filter((s) => s.language === "sh")
  .flatMap((s) => s.text.split("\n"))
  .filter((line) => line.startsWith("tilewright "))
  .map((line) => line.replace(/\s+#.*$/, ""));
const hasPeer = existsSync(join(root, "bench/node_modules/onnxruntime-node"));
if (!hasPeer) console.warn("onnxruntime-node is not installed in bench/: comparisons with it are not tested");

describe("command lines of the README", () => {
  test("show most verbs", () => {
    const verbs = new Set(lines.map((line) => line.split(" ")[1]));
    expect([...verbs].sort()).toEqual([
      "bench",
      "compile",
      "doctor",
      "inspect",
      "run",
      "schedule",
      "targets",
      "verify",
    ]);
  });
  for (const line of lines)
    test.skipIf(line.includes("onnxruntime") && !hasPeer)(line, async () => {
      expect(await workshop.run(join(root, "src/cli/main.ts"), line.split(" ").slice(1))).toMatch(/\w/);
    });
});
