import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { structurallyEqual } from "../../../ir/loop/equality.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { matmul, scale, symbolic } from "../../passes/schedule/loop-programs.ts";
import { Random } from "../../property/support/random.ts";
import { cli, json, spawnCli, temporaryFolder } from "./run-cli.ts";

const folder = temporaryFolder();
mkdirSync(folder, { recursive: true });
const at = (name: string): string => join(folder, name);
function put(name: string, text: string): string {
  writeFileSync(at(name), text);
  return at(name);
}
const text = printProgram(matmul(48, 32, 40));
const file = put("matmul.loop", text);
const tiles = put(
  "tiles.ts",
  `import type { Schedule } from "tilewright";
import { ScheduleError } from "tilewright";
interface Tile { readonly rows: number; readonly columns: number }
export default function (s: Schedule): void {
  const tile: Tile = { rows: 8, columns: 16 };
  const { inner } = s.tile([s.loop("i"), s.loop("j")], [tile.rows, tile.columns], "exact");
  s.reorder(s.loop("k"), ...inner);
  s.decomposeReduction(s.block("C"), s.loop("k"));
  try {
    s.parallel(s.loop("k"));
  } catch (error) {
    if (!(error instanceof ScheduleError)) throw error;
  }
  for (const l of s.findAll({ loop: "*", innermost: true })) s.vectorize(l);
}
`,
);

describe("schedule", () => {
  it("shows the program as it is without a script", async () => {
    expect(await cli("schedule", file)).toEqual({ status: 0, stdout: text, stderr: "" });
  });
  it("runs a script in TypeScript, which may import tilewright, and shows the nest after", async () => {
    const { status, stdout, stderr } = await cli("schedule", file, tiles);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("vectorized for j_i in 0..16:");
    expect(printProgram(parseProgram(stdout))).toBe(stdout);
  });
  it("runs scripts in JavaScript, and waits for those that take time", async () => {
    const script = put("slow.mjs", "export default async (s) => { await null; s.unroll(s.loop('k')); };");
    expect((await cli("schedule", file, script)).stdout).toContain("unrolled for k in 0..40:");
  });
  it("shows extents, footprints and intensity for the caches of a target", async () => {
    const flags = ["--print", "extents,footprints,intensity", "--target", "znver4"];
    const { stdout } = await cli("schedule", file, tiles, ...flags);
    expect(stdout).toMatch(
      /for k in 0\.\.40: +# 40 × \(480 in all\) \| .*A 1\.25 KiB, B 2\.50 KiB.*fits L1 \| [\d.]+ op\/B/,
    );
    const { document } = await json<{ target: string; levels: { loop: { name: string }; fits: string }[] }>(
      "schedule",
      file,
      ...flags,
    );
    expect(document.target).toBe("znver4");
    expect(document.levels.map((l) => [l.loop.name, l.fits])).toEqual([
      ["i", "L1"],
      ["j", "L1"],
      ["k", "L1"],
    ]);
  });
  it("writes a trace as JSON and as a script, and takes both", async () => {
    const [trace, script] = [at("trace.json"), at("trace.ts")];
    const first = await cli("schedule", file, tiles, "--trace", trace, "-q");
    expect(first.stdout).toMatch(/trace\.json \(.*B\)\n$/);
    await cli("schedule", file, tiles, "--trace", script);
    const { document } = await json<{ program: string; trace: object }>("schedule", file, tiles);
    for (const flags of [["--replay", trace], [script]]) {
      const again = await json<{ program: string; trace: object }>("schedule", file, ...flags);
      expect(again.status).toBe(0);
      expect(again.document).toEqual(document);
    }
    expect(JSON.parse(readFileSync(trace, "utf8"))).toEqual(document.trace);
    const more = put("more.mjs", "export default (s) => s.unroll(s.loop('i_i', 'C'));");
    const both = await cli("schedule", file, more, "--replay", trace);
    expect(both.stdout).toContain("unrolled for i_i");
  });
  it("writes a page", async () => {
    const page = at("page.html");
    expect((await cli("schedule", file, tiles, "--html", page)).status).toBe(0);
    const html = readFileSync(page, "utf8");
    expect(html).toContain("<title>Schedule of matmul</title>");
    expect(html).toContain('id="step-5"');
  });
  it("emits the loops, LLVM IR and assembly, to stdout or a file", async () => {
    const loop = await cli("schedule", file, tiles, "--emit", "loop");
    expect(
      structurallyEqual(parseProgram(loop.stdout), parseProgram((await cli("schedule", file, tiles)).stdout)),
    ).toBe(true);
    const llvm = await cli("schedule", file, tiles, "--emit", "llvm", "--target", "x86-64-v4");
    expect(llvm.stdout).toMatch(/fmul contract <16 x float>/);
    const out = at("matmul.s");
    const asm = await cli("schedule", file, tiles, "--emit", "asm", "--target", "x86-64-v4", "-o", out);
    expect([asm.status, asm.stdout]).toEqual([0, expect.stringMatching(/matmul\.s \(.*KiB\)\n$/)]);
    expect(readFileSync(out, "utf8")).toContain("vfmadd");
  });
  it("runs it beside the unscheduled program", async () => {
    const { status, stdout } = await cli("schedule", file, tiles, "--run", "--seed", "3");
    expect(status).toBe(0);
    expect(stdout).toMatch(/output \(against interpreter\)[\s\S]*C +1536 .* equal[\s\S]*GFLOP\/s[\s\S]*× the speed/);
    const { document } = await json<{ run: Record<string, unknown> }>(
      "schedule",
      file,
      tiles,
      "--run",
      "--threads",
      "2",
    );
    expect(document.run).toMatchObject({ ok: true, operations: 2 * 48 * 32 * 40, against: "interpreter" });
    expect(document.run.rtol).toBe(2 ** -23 * 44);
    const whole = put("scale.loop", printProgram(scale(13, 8)));
    const integers = await json<{ run: Record<string, unknown> }>("schedule", whole, "--run");
    expect(integers.document.run).toMatchObject({ ok: true, rtol: 0 });
  });
});

describe("a script that goes wrong", () => {
  it("by an illegal step ends with 4: rule, place, reason, what would be legal, and the line", async () => {
    const script = put(
      "illegal.ts",
      `import type { Schedule } from "tilewright";
type Loop = ReturnType<Schedule["loop"]>;
export default (s: Schedule): void => {
  const k: Loop = s.loop("k");
  s.parallel(k);
};
`,
    );
    const { status, stdout, stderr } = await cli("schedule", file, script);
    expect([status, stdout]).toEqual([4, ""]);
    expect(stderr.match(/ScheduleError \[parallel\/independent-iterations\]/g)).toHaveLength(1);
    for (const line of ["for k in 0..40:", "  rule:  ", "  because:", "  instead:", "  loop may be: i, j"])
      expect(stderr).toContain(line);
    expect(stderr).toContain(`  at ${script}:5`);
    const { document } = await json<{ error: { exitCode: number; details: Record<string, unknown> } }>(
      "schedule",
      file,
      script,
    );
    expect(document.error).toMatchObject({ exitCode: 4, code: "parallel/independent-iterations" });
    expect(document.error.details).toMatchObject({ rule: "independent-iterations", primitive: "parallel", step: 1 });
    expect(document.error.details.alternatives).toMatchObject([
      { argument: "loop", values: [{ name: "i" }, { name: "j" }] },
    ]);
  });
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ["no-default.ts", "export const x = 1;", /\[script\/no-default\].*no default export that is a function/],
    ["syntax.ts", "export default (s) => {", /\[script\/failed\]: .*syntax\.ts.*Error/],
    [
      "throws.ts",
      "export default () => {\n  throw new TypeError('oh');\n};",
      /\[script\/failed\]: .*throws\.ts:2: TypeError: oh/,
    ],
    ["imports.ts", 'import "./absent.ts";\nexport default () => {};', /\[script\/unreadable\].*absent/],
    ["unknown-name.ts", "export default (s) => s.loop('x');", /ScheduleError \[schedule\/unknown-name\].*no loop x/],
  ];
  for (const [name, source, message] of wrong)
    it(`as ${name} says so`, async () => {
      const { status, stderr } = await cli("schedule", file, put(name, source));
      expect(stderr).toMatch(message);
      expect(stderr).not.toContain("bug of Tilewright");
      expect(status).toBe(name.startsWith("unknown") ? 4 : 3);
    });
  it("by not being there", async () => {
    const { status, stderr } = await cli("schedule", file, at("nowhere.ts"));
    expect(stderr).toMatch(/\[script\/unreadable\].*nowhere\.ts/);
    expect(status).toBe(3);
  });
});

describe("a file that goes wrong", () => {
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ["nothing", "# a comment\n", /\[loop\/empty\]/],
    ["no program", "hello world\n", /\[parse\/unexpected-token\][\s\S]*line 1, column 1/],
    [
      "unknown name",
      text.replace("reads C[vi, vj]", "reads D[vi, vj]"),
      /\[parse\/unknown-name\][\s\S]*no buffer is called D/,
    ],
    ["wrong type", text.replace("= 0.0", "= 0"), /\[parse\/type-mismatch\]/],
    ["open block", text.replace("C[vi, vj] = 0.0", "C[vi, j] = 0.0"), /\[loop\/block-closed\]/],
    [
      "too many loops",
      `program p(A: output float32[1]):\n${Array.from({ length: 5000 }, (_, k) => `${" ".repeat(k + 1)}for i in 0..1:\n`).join("")}`,
      /\[(parse\/(too-deep|indentation)|loop\/too-large)\]/,
    ],
    ["deep nesting", `program p(A: output float32[1]):\n  A[0] = ${"(".repeat(200_000)}1.0\n`, /\[parse\/too-deep\]/],
  ];
  for (const [what, source, message] of wrong)
    it(`with ${what} is refused with the file and the line`, async () => {
      const path = put("wrong.loop", source);
      const { status, stdout, stderr } = await cli("schedule", path);
      expect([status, stdout]).toEqual([3, ""]);
      expect(stderr).toMatch(message);
      expect(stderr).toContain("wrong.loop");
    });
  it("damaged at random is refused or means something, and never crashes", async () => {
    const r = new Random(11);
    const tokens = [
      "(",
      ")",
      "[",
      "]",
      ":",
      "=",
      "0..",
      "-1",
      "for",
      "block",
      "float32",
      "int8",
      "C",
      "vi",
      "1e999",
      "\t",
      "@{",
      "`",
    ];
    for (let k = 0; k < 300; k++) {
      let damaged = text;
      for (let n = r.int(1, 3); n > 0; n--) {
        const from = r.int(0, damaged.length - 1);
        const cut = r.chance(0.5) ? 0 : r.int(1, 12);
        const piece = r.chance(0.7) ? r.pick(tokens) : damaged.slice(r.int(0, damaged.length - 1)).slice(0, 10);
        damaged = damaged.slice(0, from) + piece + damaged.slice(from + cut);
      }
      const { status, stderr } = await cli("schedule", put("damaged.loop", damaged));
      expect([0, 3], `${stderr}\n${damaged}`).toContain(status);
    }
  });
  it("by not being there or by its trace", async () => {
    expect((await cli("schedule", at("nowhere.loop"))).stderr).toContain("[file/unreadable]");
    const bad = await cli("schedule", file, "--replay", put("bad.json", "{"));
    expect([bad.status, bad.stderr]).toEqual([3, expect.stringMatching(/\[trace\/malformed\].*is not JSON/)]);
    await cli("schedule", file, tiles, "--trace", at("other.json"));
    const other = await cli("schedule", put("scale.loop", printProgram(scale(4, 4))), "--replay", at("other.json"));
    expect([other.status, other.stderr]).toEqual([3, expect.stringMatching(/\[schedule\/no-function\]/)]);
  });
});

describe("options that do not fit", () => {
  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [
      ["--print", "extent"],
      /--print takes one of extents, footprints, intensity, got "extent"; did you mean extents\?/,
    ],
    [["--emit", "object"], /--emit takes one of loop, llvm, asm/],
    [["-o", "x"], /-o goes with --emit/],
    [["--trace", at("x.txt")], /--trace writes \.json or \.ts, not x\.txt/],
  ];
  for (const [flags, message] of refused)
    it(flags.join(" ").replace(folder, ""), async () => {
      const { status, stderr } = await cli("schedule", file, ...flags);
      expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
    });
  it("--run with open extents", async () => {
    const open = put("open.loop", printProgram(symbolic()));
    const { status, stderr } = await cli("schedule", open, "--run");
    expect([status, stderr]).toEqual([2, expect.stringMatching(/--run takes constant extents; n leaves some open/)]);
  });
  it("--run of what leaves its buffers", async () => {
    const outside = text.replace("vk: reduction 40 = k", "vk: reduction 40 = k * 200");
    const { status, stderr } = await cli("schedule", put("outside.loop", outside), "--run");
    expect([status, stderr]).toEqual([3, expect.stringMatching(/InputError \[bounds\/load\]: load of A\[0, 200\]/)]);
  });
  it("--run of more than memory holds", async () => {
    const large = put("large.loop", printProgram(scale(2 ** 20, 2 ** 20)));
    const { status, stderr } = await cli("schedule", large, "--run");
    expect([status, stderr]).toEqual([2, expect.stringMatching(/the arguments take 8\.00 TiB/)]);
  });
  it("--target that is not known", async () => {
    expect((await cli("schedule", file, "--target", "znver9")).stderr).toContain("znver4");
  });
});

describe("a process of its own", () => {
  it("colours when it is forced to, and not when NO_COLOR says so", async () => {
    const coloured = await spawnCli(["schedule", file, tiles], { FORCE_COLOR: "1", NO_COLOR: "" });
    expect(coloured.stdout).toContain("\u001b[34mvectorized");
    const plain = await spawnCli(["schedule", file, tiles], { FORCE_COLOR: "1", NO_COLOR: "1" });
    expect(plain.stdout).not.toContain("\u001b[");
    expect(plain.status).toBe(0);
  });
});
