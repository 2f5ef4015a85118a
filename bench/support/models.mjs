/** The networks that benches measure: the shared zoo where it lies beside the checkout, else our own MobileNetV2. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./report.mjs";

export const zooNames = [
  "resnet50",
  "resnet18",
  "mobilenetv2",
  "mobilenetv3",
  "efficientnetb0",
  "squeezenet",
  "unet",
  "bertmini",
];
const zooScript = join(root, "..", "shared", "zoo", "zoo.mjs");

/** Writes the models that are not there yet to `build/zoo`; gives path and name of each. */
export async function benchModels(only = []) {
  const folder = join(root, "build", "zoo");
  mkdirSync(folder, { recursive: true });
  if (!existsSync(zooScript)) return [await ownMobileNet(folder)];
  const unknown = only.filter((name) => !zooNames.includes(name));
  if (unknown.length > 0) throw new Error(`no network ${unknown.join(", ")}; there are ${zooNames.join(", ")}`);
  const names = only.length > 0 ? only : zooNames;
  const models = names.map((name) => ({ name, path: join(folder, `${name}.onnx`) }));
  const missing = models.filter((m) => !existsSync(m.path)).map((m) => m.name);
  if (missing.length > 0) writeZoo(folder, missing);
  return models;
}

/** Whether the zoo of the project's shared folder is at hand. */
export const zooAvailable = () => existsSync(zooScript);

function writeZoo(folder, names) {
  const partial = join(folder, `partial-${process.pid}`);
  const result = spawnSync(process.execPath, [zooScript, partial, ...names], {
    env: { ...process.env, ZOO_MODULES: root },
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (result.status !== 0) throw new Error(`writing the zoo failed with status ${result.status}`);
  for (const name of names) renameSync(join(partial, `${name}.onnx`), join(folder, `${name}.onnx`));
}

async function ownMobileNet(folder) {
  const path = join(folder, "own-mobilenetv2.onnx");
  process.stderr.write("the shared zoo is not beside this checkout: measuring our own MobileNetV2 only\n");
  const { buildMobileNetV2, writeOnnx } = await import("../../dist/src/index.js");
  writeFileSync(`${path}.tmp`, writeOnnx(buildMobileNetV2()));
  renameSync(`${path}.tmp`, path);
  return { name: "mobilenetv2-own", path };
}
