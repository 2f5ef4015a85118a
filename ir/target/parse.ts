/** Target strings: a preset's name, then `+feature` and `-feature`. */
import { UsageError } from "../support/errors.ts";
import { nearest } from "../support/nearest.ts";
import { impliedFeatures, otherFeatures, presets } from "./presets.ts";
import type { Architecture, Caches, Target } from "./target.ts";

/** The features in force: what the processor implies, with the target's own changes applied in order. */
export function featuresOf(target: Target): ReadonlySet<string> {
  const features = new Set(impliedFeatures[target.cpu] ?? []);
  for (const f of target.features) {
    if (f.startsWith("-")) for (const gone of [f.slice(1), ...dependents(f.slice(1))]) features.delete(gone);
    else features.add(f.slice(1));
  }
  return features;
}
/** Whether `feature` (LLVM's name, without sign) is available. */
export const hasFeature = (target: Target, feature: string): boolean => featuresOf(target).has(feature);

const allFeatures = new Set([...Object.values(impliedFeatures).flat(), ...Object.values(otherFeatures).flat()]);
/** What cannot exist without `feature`. */
function dependents(feature: string): string[] {
  if (feature === "avx512f") return [...allFeatures].filter((f) => f.startsWith("avx512"));
  if (feature === "avx2") return [...allFeatures].filter((f) => f.startsWith("avx512"));
  if (feature === "avx") return [...allFeatures].filter((f) => f.startsWith("avx") || f === "fma" || f === "f16c");
  return [];
}

/**
 * The target that `text` names, such as `x86-64-v3` or `znver4-avx512bf16`. `host` is not known here: see `hostTarget`.
 * @throws UsageError `target/unknown` or `target/unknown-feature`, with the nearest names
 */
export function parseTarget(text: string): Target {
  const base = presets
    .filter((p) => text === p.name || (text.startsWith(p.name) && "+-".includes(text[p.name.length]!)))
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (!base) return unknownTarget(text);
  return withFeatures(base, text.slice(base.name.length), text);
}
/** `base` with the changes of a suffix such as `+avx512bf16-avx512fp16`. */
export function withFeatures(base: Target, suffix: string, name = base.name + suffix): Target {
  const known = knownFeatures(base.arch);
  const changes = splitFeatures(suffix, known);
  for (const change of changes) if (!known.includes(change.slice(1))) unknownFeature(change, base, known);
  if (changes.length === 0) return base;
  return withVectors({ ...base, name, features: [...base.features, ...changes] });
}
function knownFeatures(arch: Architecture): readonly string[] {
  const cpus = presets.filter((p) => p.arch === arch).map((p) => p.cpu);
  return [...new Set([...cpus.flatMap((c) => impliedFeatures[c] ?? []), ...otherFeatures[arch]])];
}
/** Cuts at signs; a `-` inside a known name (amx-int8) does not cut. */
function splitFeatures(suffix: string, known: readonly string[]): string[] {
  const changes: string[] = [];
  let rest = suffix;
  while (rest !== "") {
    const fits = known.filter(
      (f) => rest.startsWith(f, 1) && (rest.length === f.length + 1 || "+-".includes(rest[f.length + 1]!)),
    );
    const longest = fits.sort((a, b) => b.length - a.length)[0];
    const end = longest === undefined ? (/^.[^+-]*/.exec(rest)?.[0].length ?? 1) : longest.length + 1;
    changes.push(rest.slice(0, end));
    rest = rest.slice(end);
  }
  return changes;
}
/** The vector width and registers that the features leave. */
function withVectors(target: Target): Target {
  if (target.arch !== "x86_64") return target;
  const features = featuresOf(target);
  const wide = features.has("avx512f");
  const vectorBits = wide && !features.has("prefer-256-bit") ? 512 : features.has("avx") ? 256 : 128;
  return { ...target, vectorBits, vectorRegisters: wide ? 32 : 16 };
}
function unknownTarget(text: string): never {
  const names = [...presets.map((p) => p.name), "host"];
  const near = nearest(text, names);
  throw new UsageError("target/unknown", `unknown target ${JSON.stringify(text)}; the nearest are ${near.join(", ")}`, {
    target: text,
    nearest: near,
    known: names,
  });
}
function unknownFeature(change: string, base: Target, known: readonly string[]): never {
  const near = nearest(change.slice(1), known);
  throw new UsageError(
    "target/unknown-feature",
    `unknown feature ${JSON.stringify(change)} of target ${base.name}; the nearest are ${near.join(", ")}`,
    { target: base.name, feature: change, nearest: near },
  );
}

/** What the machine says of itself. */
export interface HostFacts {
  /** LLVM's name of the processor. */
  readonly cpuName: string;
  /** LLVM's features: `+avx2,-avx512f,…`. */
  readonly featureString: string;
  /** Default: aarch64 where the features name NEON, else x86_64. */
  readonly arch?: Architecture;
  /** Default: Linux on `arch`. */
  readonly triple?: string;
  /** The processor's marketing name, which tells its maker. */
  readonly model?: string;
  readonly caches: Caches;
  /** Cores that may be used. */
  readonly cores: number;
}
/**
 * The target of the machine that `facts` describe: the numbers of the preset that comes nearest, with the machine's own
 * features, caches and cores.
 */
export function hostTarget(facts: HostFacts): Target {
  const { cpuName, featureString, cores } = facts;
  const features = featureString.split(",").filter((f) => f !== "");
  const arch = facts.arch ?? (features.includes("+neon") ? "aarch64" : "x86_64");
  const preset = nearestPreset(facts, arch, features);
  return withVectors({
    ...preset,
    name: "host",
    triple: facts.triple ?? preset.triple,
    cpu: cpuName,
    features,
    caches: mergeCaches(facts.caches, preset.caches),
    cores,
  });
}
/**
 * The preset of the processor's name; else, of those whose features this machine has, the one with most. Virtual machines
 * report models of other generations, so a name is not believed whose processors lack features that are here.
 */
function nearestPreset({ cpuName, model = "" }: HostFacts, arch: Architecture, features: readonly string[]): Target {
  const implied = impliedFeatures[cpuName] ?? [];
  const has = (f: string): boolean =>
    features.includes(`+${f}`) || (!features.includes(`-${f}`) && implied.includes(f));
  const known = presets.filter((p) => p.arch === arch);
  const named = known.find((p) => p.cpu === cpuName);
  if (named && !generations.some((f) => has(f) && !implied.includes(f))) return named;
  const makers = ["AMD", "Intel"].filter((maker) => model.includes(maker));
  const fits = known.filter((p) => {
    const ofOther = p.maker !== undefined && makers.length > 0 && !makers.includes(p.maker);
    return !ofOther && impliedFeatures[p.cpu]!.every(has);
  });
  const generic = known.find((p) => p.name === genericName(arch, has))!;
  // Of presets with the same features, the maker's own.
  const score = (p: Target): number => 2 * impliedFeatures[p.cpu]!.length + Number(makers.includes(p.maker ?? ""));
  return fits.reduce((best, p) => (score(p) > score(best) ? p : best), generic);
}
/** Features by which generations of processors differ in their pipes and caches. */
const generations = ["avx512f", "avx512vnni", "avx512fp16", "amx-tile"];
function genericName(arch: Architecture, has: (f: string) => boolean): string {
  if (arch === "aarch64") return "aarch64-generic";
  if (has("avx512f") && has("avx512vl")) return "x86-64-v4";
  return has("avx2") && has("fma") ? "x86-64-v3" : "x86-64-v2";
}
/** Takes a preset's size where the machine does not say. */
const mergeCaches = (own: Caches, fallback: Caches): Caches => ({
  l1dBytes: own.l1dBytes || fallback.l1dBytes,
  l2Bytes: own.l2Bytes || fallback.l2Bytes,
  l3Bytes: own.l3Bytes || fallback.l3Bytes,
  lineBytes: own.lineBytes || fallback.lineBytes,
});
