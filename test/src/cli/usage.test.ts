import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { InternalError, ScheduleError, UnavailableError } from "../../../ir/support/errors.ts";
import { CompileCrashError, CompileError } from "../../../native/compile-pool.ts";
import { exitCodeOf, reportError } from "../../../src/cli/errors.ts";
import { openTerminal } from "../../../src/cli/terminal.ts";
import { writeClassifier, writeUnsupported } from "./models.ts";
import { cli, endOf, json, spawnCli, startCli, temporaryFolder } from "./run-cli.ts";

const folder = temporaryFolder();
const verbs = ["inspect", "compile", "run", "verify", "bench", "schedule", "doctor", "targets", "cache"];

describe("wrong command lines", () => {
  const refusals: readonly (readonly [readonly string[], RegExp])[] = [
    [["rum", "x.onnx"], /\[usage\/verb\]: there is no verb "rum"; did you mean run\?/],
    [["rum", "--json-ish"], /there is no verb "rum"/],
    [[], /a verb is missing: inspect, compile, run, verify, bench, schedule, doctor, targets, cache/],
    [["--frob"], /the verb comes first, got "--frob"/],
    [["run"], /missing required argument 'model'/],
    [["run", "x", "--thread", "2"], /unknown option '--thread'; did you mean --threads\?/],
    [["run", "x", "y"], /too many arguments/],
    [["run", "x", "--threads", "0"], /--threads takes a whole number from 1 to 1024, got "0"/],
    [["run", "x", "--fill", "randm"], /--fill takes one of random, zeros, ones, got "randm"; did you mean random\?/],
    [["run", "x", "--shape", "x=1,a"], /--shape takes whole numbers, as x=1,3,224,224/],
    [["run", "x", "--shape", "1,3"], /--shape takes NAME=1,3,224,224, got "1,3"/],
    [["compile", "x", "--emit", "obj"], /--emit takes one of .*; did you mean/],
    [["cache", "flush"], /cache takes one of stats, clear/],
    [["run", "x", "--scale", "big"], /--scale takes a number, got "big"/],
    [["run", "x", "--mean", "0.5,x"], /--mean takes a number or one a channel/],
    [["run", "x", "-o", "out.txt"], /-o writes \.npz or \.npy, not out\.txt/],
    [["run", "x", "--input", "x=in.txt"], /--input reads \.npy, \.npz/],
    [["verify", "x", "--rtol", "-1"], /--rtol takes a number from 0/],
  ];
  for (const [argv, text] of refusals)
    it(`refuses ${JSON.stringify(argv)}`, async () => {
      const { status, stdout, stderr } = await cli(...argv);
      expect(status).toBe(2);
      expect(stdout).toBe("");
      expect(stderr).toMatch(text);
      expect(stderr).toMatch(/^UsageError \[usage\//);
    });

  it("gives help for every verb, with exit status 0", async () => {
    const all = await cli("--help");
    for (const verb of verbs) {
      expect(all.stdout).toContain(`  ${verb} `);
      const { status, stdout } = await cli(verb, "--help");
      expect(status).toBe(0);
      for (const flag of ["--json", "--seed", "--quiet", "--verbose"]) expect(stdout).toContain(flag);
    }
    expect(all.stdout).not.toContain("demo");
    expect((await cli("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("errors", () => {
  it("have exit statuses by family", () => {
    const codes = [
      new ScheduleError("split/x", ""),
      new CompileError("llvm/parse", ""),
      new UnavailableError("native/x", ""),
      new InternalError("x", ""),
      new CompileCrashError("llvm/crash", ""),
      new TypeError("x"),
    ].map(exitCodeOf);
    expect(codes).toEqual([4, 4, 7, 1, 1, 1]);
  });

  it("say in JSON what happened", async () => {
    const path = writeUnsupported(folder);
    const { status, document, stderr } = await json<{ error: Record<string, unknown> }>("run", path);
    expect(status).toBe(3);
    expect(document.error).toMatchObject({ family: "UnsupportedError", code: "model/unsupported", exitCode: 3 });
    expect((document.error.details as { items: unknown[] }).items).toHaveLength(2);
    expect(stderr).toContain("Frobnicate");
    expect(stderr).toContain("Wibble");
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it("show where they come from with -v", async () => {
    expect((await cli("run", join(folder, "absent.onnx"), "-v")).stderr).toMatch(/^ +at /m);
  });

  it("of ours leave a bundle", async () => {
    const model = join(folder, "model.bin");
    writeFileSync(model, "abc");
    const error = new InternalError("pass/x", "it broke", { pass: "x", before: "program before", big: 3n });
    let printed = "";
    const real = process.stderr.write;
    process.stderr.write = (text: string | Uint8Array) => {
      printed += String(text);
      return true;
    };
    let status: number;
    try {
      status = reportError(error, openTerminal(), { argv: ["run", model], modelPath: model });
    } finally {
      process.stderr.write = real;
    }
    expect(status).toBe(1);
    const bundle = /lies in (\S+)/.exec(printed)![1]!;
    expect(readdirSync(bundle).sort()).toEqual(["before.txt", "report.json"]);
    expect(readFileSync(join(bundle, "before.txt"), "utf8")).toBe("program before");
    const report = JSON.parse(readFileSync(join(bundle, "report.json"), "utf8")) as Record<string, unknown>;
    expect(report).toMatchObject({
      argv: ["run", model],
      model: { path: model, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
      error: { code: "pass/x", message: "it broke", details: { pass: "x", big: "3" } },
    });
  });
});

describe("a process of its own", () => {
  const model = writeClassifier(folder);

  it("keeps results on stdout and remarks on stderr, silent with -q, without colours", async () => {
    const { status, stdout, stderr } = await spawnCli(["inspect", model, "--check"], {
      NO_COLOR: "1",
      FORCE_COLOR: "1",
    });
    expect(status).toBe(0);
    expect(stdout).toContain("Conv");
    expect(stderr).toContain("every operator is supported");
    expect(stdout + stderr).not.toContain("\u001b[");
  });

  it("colours when it is forced to", async () => {
    const { stdout } = await spawnCli(["targets"], { FORCE_COLOR: "1", NO_COLOR: "" });
    expect(stdout).toContain("\u001b[");
  });

  it("ends with 130 when it is interrupted, and leaves nothing behind", async () => {
    const temporary = join(folder, "tmp");
    mkdirSync(temporary);
    // Linking an object uses a temporary folder; -v speaks before the work begins.
    const object = join(folder, "interrupted.o");
    const argv = ["compile", model, "--emit", "object", "-o", object, "--no-cache", "-v"];
    const child = startCli(argv, { TMPDIR: temporary });
    child.stderr?.once("data", () => child.kill("SIGINT"));
    const { status, stderr } = await endOf(child);
    expect(status).toBe(130);
    expect(stderr).toContain("interrupted");
    expect(readdirSync(temporary).filter((name) => name.startsWith("tilewright-"))).toEqual([]);
    expect(existsSync(object)).toBe(false);
  });
});
