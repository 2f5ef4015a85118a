/** Networks that no recipe was tuned on, written as ONNX files once. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeOnnx } from "../../dist/src/index.js";
import { root } from "../support/report.mjs";
import { densenet121, inception, regnet, resnext, vgg11 } from "./classifiers.mjs";
import { detector, keywords, mnasnet, shufflenetv2 } from "./mobile.mjs";
import { superresolution, unetodd } from "./pictures.mjs";
import { convnext, gpt2, lstm, mixer, temporal, vit } from "./sequences.mjs";

const classifiers = { vgg11, densenet121, inception, resnext, regnet };
const mobile = { shufflenetv2, mnasnet, keywords, detector };
const sequences = { vit, gpt2, mixer, convnext, lstm, temporal };
const generators = { ...classifiers, ...mobile, ...sequences, superresolution, unetodd };

/** Writes the models that are not there yet to `build/unseen`; gives path and name of each. */
export function unseenModels(only = []) {
  const folder = join(root, "build", "unseen");
  mkdirSync(folder, { recursive: true });
  const unknown = only.filter((name) => !(name in generators));
  const known = Object.keys(generators);
  if (unknown.length > 0) throw new Error(`no network ${unknown.join(", ")}; there are ${known.join(", ")}`);
  return (only.length > 0 ? only : known).map((name) => {
    const path = join(folder, `${name}.onnx`);
    if (!existsSync(path)) {
      writeFileSync(`${path}.tmp`, writeOnnx(generators[name]()));
      renameSync(`${path}.tmp`, path);
    }
    return { name, path };
  });
}
