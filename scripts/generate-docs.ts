/**
 * Writes the pages of schedule primitives from their source files: `npm run docs`. With `--check` it writes nothing, and
 * fails when a page is not what it would write.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ScheduleError } from "tilewright";
import ts from "typescript";
import { primitives } from "../passes/schedule/apply.ts";
import { commonRules } from "../passes/schedule/schedule.ts";
import { examples, type PrimitiveExample, programs } from "./primitive-examples.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Where the pages are, from the root. */
export const pagesFolder = "docs/schedule/primitives";
const notice = "<!-- Written by `npm run docs` from the primitive's source file. -->";

/** What pages need of a primitive. */
interface Documented {
  readonly name: string;
  readonly doc: string;
  readonly before: string;
  readonly after: string;
  readonly rules: Readonly<Record<string, string>>;
}
const kebab = (name: string): string => name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
const folder = "passes/schedule/primitive";
/** The file of a primitive: the one of its name, else the one that defines it. */
function fileOf(name: string): string {
  const files = readdirSync(join(root, folder)).filter((file) => file.endsWith(".ts"));
  const own = `${kebab(name)}.ts`;
  const defines = (file: string): boolean => readFileSync(join(root, folder, file), "utf8").includes(`name: "${name}"`);
  const found = files.includes(own) ? own : files.find(defines);
  if (found === undefined) throw new Error(`no file in ${folder} defines ${name}`);
  return `${folder}/${found}`;
}
const parse = (path: string): ts.SourceFile =>
  ts.createSourceFile(path, readFileSync(join(root, path), "utf8"), ts.ScriptTarget.Latest, true);

/** Every node of a tree, parents first. */
function* nodesIn(node: ts.Node): Generator<ts.Node> {
  yield node;
  for (const child of node.getChildren()) yield* nodesIn(child);
}
const fenced = (language: string, text: string): string => `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``;
/** The text between the braces of a function, without its indentation. */
function bodyText(f: ts.FunctionLikeDeclaration): string {
  const text = f.body!.getText().slice(1, -1).replace(/^\n/, "").trimEnd();
  const indent = /^ */.exec(text)![0].length;
  return text.replaceAll(new RegExp(`^ {${indent}}`, "gm"), "");
}

/** The functions of the examples file, by the path of names to them, as `programs.matmul` and `examples.split.run`. */
function exampleTexts(): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  const visit = (node: ts.Node, path: readonly string[]): void => {
    const named = ts.isVariableDeclaration(node) || ts.isPropertyAssignment(node) || ts.isMethodDeclaration(node);
    const inside = named ? [...path, node.name.getText()] : path;
    if (ts.isMethodDeclaration(node)) texts.set(inside.join("."), bodyText(node));
    else ts.forEachChild(node, (child) => visit(child, inside));
  };
  visit(parse("scripts/primitive-examples.ts"), []);
  return texts;
}

/** The calls of a primitive as they are written: overloads of the class, else the parameters of its face. */
function signatures(name: string, table: ts.SourceFile, schedule: ts.SourceFile): readonly string[] {
  const methods = [...nodesIn(schedule)].filter(
    (n): n is ts.MethodDeclaration => ts.isMethodDeclaration(n) && n.name.getText() === name,
  );
  const written = methods.length > 1 ? methods.filter((m) => m.body === undefined) : methods;
  const faces = written.length > 0 ? written : faceOf(name, table);
  return faces.map((f) => `s.${name}(${f.parameters.map((p) => p.getText().replace(/\s+/g, " ")).join(", ")})`);
}
function faceOf(name: string, table: ts.SourceFile): readonly ts.SignatureDeclaration[] {
  const row = [...nodesIn(table)].find(
    (n): n is ts.PropertyAssignment =>
      ts.isPropertyAssignment(n) && n.name.getText() === name && ts.isCallExpression(n.initializer),
  );
  const face = row && (row.initializer as ts.CallExpression).arguments[1];
  const made = [...nodesIn(table)].find(
    (n): n is ts.VariableDeclaration => ts.isVariableDeclaration(n) && n.name.getText() === face?.getText(),
  )?.initializer;
  return made && ts.isArrowFunction(made) ? [made] : [];
}
/** What the source file says of its arguments' fields. */
function fieldDocs(file: ts.SourceFile): ReadonlyMap<string, string> {
  const docs = new Map<string, string>();
  for (const n of nodesIn(file)) {
    if (!ts.isPropertySignature(n)) continue;
    const comment = ts.getJSDocCommentsAndTags(n).map((d) => (typeof d.comment === "string" ? d.comment : ""));
    if (comment.length > 0) docs.set(n.name.getText(), comment.join(" ").replace(/\s+/g, " "));
  }
  return docs;
}

/** What a function prints. */
function printedBy(run: () => void): string {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...parts: readonly unknown[]) => void lines.push(parts.map(String).join(" "));
  try {
    run();
  } finally {
    console.log = log;
  }
  return lines.join("\n");
}
function refusalOf(name: string, e: PrimitiveExample): string {
  const s = programs[e.program]();
  try {
    printedBy(() => e.refused(s));
  } catch (error) {
    if (error instanceof ScheduleError && error.code.startsWith(`${name}/`)) return error.message;
    throw error;
  }
  throw new Error(`the example of ${name} is not refused`);
}

const doors: Readonly<Record<string, readonly string[]>> = {
  tilewright: ["compute", "indexMap", "placeholder", "reduceAxis", "schedule", "sum", "where"],
  "tilewright/passes": ["fmaOuterProduct"],
};
function importsFor(code: string): string {
  return Object.entries(doors)
    .map(([door, names]) => [door, names.filter((n) => new RegExp(`\\b${n}\\(`).test(code))] as const)
    .filter(([, names]) => names.length > 0)
    .map(([door, names]) => `import { ${names.join(", ")} } from "${door}";`)
    .join("\n");
}
function exampleSection(name: string, e: PrimitiveExample, texts: ReadonlyMap<string, string>): string[] {
  const program = texts.get(`programs.${e.program}`)!.replace(/^return ([\s\S]*);$/m, "const s = $1;");
  const steps = texts.get(`examples.${name}.run`)!;
  const code = `${program}\n\n${steps}\nconsole.log(s.print());`;
  const s = programs[e.program]();
  const said = printedBy(() => e.run(s));
  if (!s.trace.steps.some((step) => step.primitive === name))
    throw new Error(`the example of ${name} has no such step`);
  return [
    "## Example",
    fenced("ts", `${importsFor(code)}\n\n${code}`),
    fenced("text", `${said}${said === "" ? "" : "\n"}${s.print()}`),
    "## Refused",
    "On the same program:",
    fenced("ts fragment", texts.get(`examples.${name}.refused`)!),
    fenced("text", refusalOf(name, e)),
  ];
}
const cell = (text: string): string => text.replaceAll("|", "\\|").replace(/\s+/g, " ");

/** The page of one primitive. */
function pageOf(p: Documented, shape: object, sources: Sources): string {
  const fields = fieldDocs(parse(fileOf(p.name)));
  const example = examples[p.name];
  const told = Object.keys(shape).some((field) => fields.has(field));
  const head = told ? ["| argument | kind | what it is |", "|---|---|---|"] : ["| argument | kind |", "|---|---|"];
  const rows = Object.entries(shape as Readonly<Record<string, string>>).map(([field, kind]) => {
    const text = kind.endsWith("?") ? `${kind.slice(0, -1)}, optional` : kind;
    return `| \`${field}\` | ${text} |${told ? ` ${cell(fields.get(field) ?? "")} |` : ""}`;
  });
  const rules = Object.entries(p.rules).map(([rule, demand]) => `| \`${p.name}/${rule}\` | ${cell(demand)} |`);
  const calls = signatures(p.name, sources.table, sources.schedule);
  return `${[
    notice,
    `# ${p.name}`,
    p.doc,
    fenced("text", p.before),
    "becomes",
    fenced("text", p.after),
    "## Arguments",
    ...(calls.length > 0 ? [fenced("ts fragment", calls.join("\n"))] : []),
    [...head, ...rows].join("\n"),
    "## Rules",
    "Besides those that [every primitive has](README.md#rules-of-every-primitive):",
    ["| rule | demands |", "|---|---|", ...rules].join("\n"),
    ...(example ? exampleSection(p.name, example, sources.texts) : []),
    `Source: [${fileOf(p.name)}](../../../${fileOf(p.name)})`,
  ].join("\n\n")}\n`;
}
interface Sources {
  readonly table: ts.SourceFile;
  readonly schedule: ts.SourceFile;
  readonly texts: ReadonlyMap<string, string>;
}

function indexPage(all: readonly Documented[]): string {
  const rows = all.map((p) => `| [${p.name}](${kebab(p.name)}.md) | ${cell(p.doc)} |`);
  const common = Object.entries(commonRules).map(([rule, demand]) => `| \`${rule}\` | ${cell(demand)} |`);
  return `${[
    notice,
    "# Primitives",
    "Each is a method of `Schedule`, a step of a trace, and a set of rules. A step that breaks a rule is refused with the rule's name; `s.why(name, args)` says whether a step is legal, and which arguments would be, without an exception.",
    ["| primitive | what it does |", "|---|---|", ...rows].join("\n"),
    "## Rules of every primitive",
    "A rule below stands behind the primitive's name in the code of an error, as in `split/live-handle`.",
    ["| rule | demands |", "|---|---|", ...common].join("\n"),
  ].join("\n\n")}\n`;
}

/** Every page by its path from the root. */
export function pages(): ReadonlyMap<string, string> {
  const sources: Sources = {
    table: parse("passes/schedule/apply.ts"),
    schedule: parse("passes/schedule/schedule.ts"),
    texts: exampleTexts(),
  };
  const rows = Object.values(primitives).map(({ primitive, shape }) => ({ primitive: primitive as Documented, shape }));
  const list = rows.map((r) => r.primitive).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return new Map([
    [`${pagesFolder}/README.md`, indexPage(list)],
    ...rows.map(
      (r) => [`${pagesFolder}/${kebab(r.primitive.name)}.md`, pageOf(r.primitive, r.shape, sources)] as const,
    ),
  ]);
}
/** The pages that are not as they would be written, or that no primitive has any more. */
export function stalePages(wanted: ReadonlyMap<string, string>): readonly string[] {
  const there = new Set(readdirSync(join(root, pagesFolder)).map((name) => `${pagesFolder}/${name}`));
  const stale = [...wanted].filter(
    ([path, text]) => !there.has(path) || readFileSync(join(root, path), "utf8") !== text,
  );
  return [...stale.map(([path]) => path), ...[...there].filter((path) => !wanted.has(path))];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = pages();
  mkdirSync(join(root, pagesFolder), { recursive: true });
  const stale = stalePages(wanted);
  if (process.argv.includes("--check")) {
    for (const path of stale) console.error(`${path} is not current: npm run docs`);
    process.exitCode = stale.length > 0 ? 1 : 0;
  } else {
    for (const path of stale) {
      const text = wanted.get(path);
      if (text === undefined) rmSync(join(root, path));
      else writeFileSync(join(root, path), text);
      console.log(text === undefined ? `removed ${path}` : `wrote ${path}`);
    }
  }
}
