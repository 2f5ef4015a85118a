/** The command line: verbs, their options, what they call. Verbs load when they are called, so that help is instant. */
import { Command, CommanderError, Option } from "commander";
import { UsageError } from "../../ir/support/errors.ts";
import { nearest } from "../../ir/support/nearest.ts";
import { reportError } from "./errors.ts";
import { fills } from "./feeds.ts";
import { imageFits, imageLayouts, normalizations } from "./image-input.ts";
import { collectInput, collectShape, numberList, oneOf, positiveNumber, realNumber, wholeNumber } from "./options.ts";
import { type CommonOptions, openTerminal, type Terminal } from "./terminal.ts";
import { emissions } from "./verbs/compile-options.ts";
import { nestDetails, scheduleEmissions } from "./verbs/schedule-options.ts";
import { packageVersion } from "./version.ts";

/** What a verb does with its first argument, its options and its other arguments: gives the exit status. */
type Verb<O> = (
  argument: string,
  options: O,
  terminal: Terminal,
  others: readonly (string | undefined)[],
) => Promise<number>;

/** Runs a command line (without `node` and the script) and gives its exit status. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  const run = new CommandLine();
  try {
    await run.program.parseAsync([...argv], { from: "user" });
    return run.status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const scene = { argv, ...(run.modelPath === undefined ? {} : { modelPath: run.modelPath }) };
    return reportError(usageError(error), run.terminal ?? terminalFor(argv), scene);
  }
}

/** Options before parsing has got to them. */
const terminalFor = (argv: readonly string[]): Terminal =>
  openTerminal({ json: argv.includes("--json"), verbose: argv.includes("-v") || argv.includes("--verbose") });

function usageError(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  // `commander.help`: no verb was given; the help is on stderr already.
  const text = error.code === "commander.help" ? "a verb is missing" : error.message.replace(/^error: /, "");
  return new UsageError("usage/command-line", text.replace(/\n\(Did you mean (.*)\?\)/, "; did you mean $1?"));
}

const maths = ["strict", "default", "fast"] as const;
const references = ["unscheduled", "interpreter", "onnxruntime"] as const;

class CommandLine {
  readonly program: Command;
  status = 0;
  terminal: Terminal | undefined;
  modelPath: string | undefined;

  constructor() {
    this.program = new Command("tilewright")
      .description("Compiles ONNX networks to native code.")
      .version(packageVersion(), "-V, --version")
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .showSuggestionAfterError();
    this.#inspect();
    this.#compile();
    this.#run();
    this.#verify();
    this.#bench();
    this.#schedule();
    this.#doctor();
    this.#targets();
    this.#cache();
    this.#demo();
    // What is no verb lands here, with whatever options follow it.
    this.program
      .allowExcessArguments()
      .allowUnknownOption()
      .action(() => this.#refuseVerb(this.program.args[0]));
  }

  #verbs(): string[] {
    return this.program.commands.map((c) => c.name()).filter((name) => name !== "demo");
  }

  #refuseVerb(name: string | undefined): never {
    if (name === undefined)
      throw new UsageError(
        "usage/verb",
        `a verb is missing: ${this.#verbs().join(", ")} (tilewright --help says more)`,
      );
    if (name.startsWith("-")) throw new UsageError("usage/verb", `the verb comes first, got ${JSON.stringify(name)}`);
    const near = nearest(name, this.#verbs(), 1)[0];
    throw new UsageError("usage/verb", `there is no verb ${JSON.stringify(name)}; did you mean ${near}?`);
  }

  #verb(name: string, text: string, hidden = false): Command {
    return this.program
      .command(name, { hidden })
      .description(text)
      .option("--json", "prints one JSON document on stdout")
      .option("--seed <n>", "seed of generated values", wholeNumber("--seed", 0, 2 ** 31 - 1), 0)
      .option("-q, --quiet", "prints results and errors only")
      .option("-v, --verbose", "prints more, and where errors come from");
  }

  /** What a verb's options lead to. */
  #calls<O extends CommonOptions>(command: Command, load: () => Promise<Verb<O>>): void {
    command.action(async (...parts: unknown[]) => {
      const argument = typeof parts[0] === "string" ? parts[0] : "";
      const options = command.opts<O>();
      this.terminal = openTerminal(options);
      if (command.registeredArguments[0]?.name() === "model") this.modelPath = argument;
      this.terminal.detail(`tilewright ${packageVersion()}: ${command.name()} ${argument}`.trimEnd());
      const verb = await load();
      // Commander appends the options and the command.
      const others = parts.slice(1, -2) as (string | undefined)[];
      this.status = await verb(argument, options, this.terminal, others);
    });
  }

  #inspect(): void {
    const command = this.#verb("inspect", "Shows what a model is: inputs, outputs, operators, size.")
      .argument("<model>", "ONNX file")
      .option("--check", "fails with all operators that are not supported")
      .addOption(shapeOption());
    this.#calls(command, async () => (await import("./verbs/inspect.ts")).inspect);
  }

  #compile(): void {
    const command = withCompiling(this.#verb("compile", "Compiles a model to a file."))
      .argument("<model>", "ONNX file")
      .option("-o, --output <file>", "where to; text goes to stdout without it")
      .addOption(
        new Option("--emit <what>", `what to write instead of a .tw file: ${emissions.join(", ")}`).argParser(
          oneOf("--emit", emissions),
        ),
      )
      .option("--kernel <name>", "only kernels whose symbol or operators contain this (graph, loops, trace, llvm, asm)")
      .option("--name <name>", "the network's name in C (default: the file's)")
      .option("--records <db>", "tuned schedules");
    this.#calls(command, async () => (await import("./verbs/compile.ts")).compileVerb);
  }

  #run(): void {
    const command = withImage(withFeeds(withCompiling(this.#verb("run", "Runs a model or a compiled file."))))
      .argument("<model>", "ONNX file or .tw file")
      .option("-o, --output <file>", "writes the outputs to a .npz or .npy file");
    this.#calls(command, async () => (await import("./verbs/run.ts")).run);
  }

  #verify(): void {
    const command = withFeeds(withCompiling(this.#verb("verify", "Compares a compiled model with a reference.")))
      .argument("<model>", "ONNX file")
      .addOption(
        new Option("--against <what>", `the reference: ${references.join(", ")}`)
          .argParser(oneOf("--against", references))
          .default("unscheduled"),
      )
      .option("--rtol <x>", "tolerance, relative to the largest output", positiveNumber("--rtol"), 1e-4);
    this.#calls(command, async () => (await import("./verbs/verify.ts")).verify);
  }

  #bench(): void {
    const command = withFeeds(withCompiling(this.#verb("bench", "Measures a model or a compiled file.")))
      .argument("<model>", "ONNX file or .tw file")
      .addOption(
        new Option("--against <peer>", "also measures onnxruntime, in turn").argParser(
          oneOf("--against", ["onnxruntime"]),
        ),
      )
      .option(
        "--profile [file]",
        "writes file.html, a report, and file.json, a trace for Perfetto or chrome://tracing; beside the model if no file is given",
      )
      .option("--explain", "says what bounds each kernel, from counts of instructions and bytes")
      .option("--repeats <n>", "runs that are timed", wholeNumber("--repeats", 1, 1_000_000), 50);
    this.#calls(command, async () => (await import("./verbs/bench.ts")).bench);
  }

  #schedule(): void {
    const command = this.#verb("schedule", "Schedules the loops of a file with a script, shows and runs them.")
      .argument("<file>", ".loop file: a program as text")
      .argument("[script]", "TypeScript or JavaScript; its default export is called with the schedule")
      .addOption(
        new Option("--print <list>", `what to show beside the loops: ${nestDetails.join(",")}`).argParser(
          (text: string) => text.split(",").map(oneOf("--print", nestDetails)),
        ),
      )
      .option("--replay <file>", "applies a trace first (JSON of --trace)")
      .option("--trace <file>", "writes the steps: .json, or .ts as a script of this verb")
      .option("--html <file>", "writes a page with the nest before and after each step")
      .addOption(
        new Option("--emit <what>", `writes it instead of the nest: ${scheduleEmissions.join(", ")}`).argParser(
          oneOf("--emit", scheduleEmissions),
        ),
      )
      .option("-o, --output <file>", "where --emit writes to")
      .option("--run", "runs it, compares with the unscheduled program, prints time and GFLOP/s")
      .option("--func <name>", "the function to schedule; the first if absent")
      .option("--target <name>", "what to compile for and whose caches --print speaks of; host if absent")
      .option("--threads <n>", "threads of --run; 1 if absent", wholeNumber("--threads", 1, 1024));
    this.#calls(command, async () => (await import("./verbs/schedule.ts")).scheduleVerb);
  }

  #doctor(): void {
    const command = this.#verb("doctor", "Shows what this machine has and what is missing.");
    this.#calls(command, async () => {
      const { doctor } = await import("./verbs/doctor.ts");
      return (_argument, _options, terminal) => doctor(terminal);
    });
  }

  #targets(): void {
    const command = this.#verb("targets", "Lists what can be compiled for.");
    this.#calls(command, async () => {
      const { targets } = await import("./verbs/targets.ts");
      return async (_argument, _options, terminal) => targets(terminal);
    });
  }

  /** `npm run demo`; not a verb of the documentation. */
  #demo(): void {
    const command = withImage(
      withCompiling(this.#verb("demo", "Compiles, checks and measures a network.", true)),
    ).argument("[model]", "ONNX file; MobileNetV2 if absent");
    this.#calls(command, async () => (await import("./verbs/demo.ts")).demo);
  }

  #cache(): void {
    const command = this.#verb("cache", "Shows or clears the cache of compiled kernels.").argument(
      "[action]",
      "stats or clear",
      "stats",
    );
    this.#calls(command, async () => {
      const { cache, cacheActions } = await import("./verbs/cache.ts");
      return async (action, _options, terminal) => cache(oneOf("cache", cacheActions)(action || "stats"), terminal);
    });
  }
}

const shapeOption = (): Option =>
  new Option("--shape <name=dims>", "shape of an input, as x=1,3,224,224; may be repeated").argParser(
    (text: string, before: Record<string, readonly number[]> | undefined) => collectShape(text, before),
  );

/** Options of verbs that compile. */
const withCompiling = (command: Command): Command =>
  command
    .addOption(shapeOption())
    .option("--target <name>", "what to compile for (tilewright targets lists them); host if absent")
    .option("--threads <n>", "threads of a run; 1 if absent", wholeNumber("--threads", 1, 1024))
    .addOption(new Option("--math <policy>", "strict, default or fast").argParser(oneOf("--math", maths)))
    .option("--check-bounds", "makes every access of the code check its bounds")
    .option("--no-cache", "compiles everything anew");

/** Options of verbs that run. */
const withFeeds = (command: Command): Command =>
  command
    .addOption(
      new Option("--input <name=file>", ".npy, .npz or .pb file with values; may be repeated").argParser(collectInput),
    )
    .addOption(
      new Option("--fill <how>", "values of other inputs: random, zeros, ones").argParser(oneOf("--fill", fills)),
    );

/** Options of images and classes. */
const withImage = (command: Command): Command =>
  command
    .option("--image <file>", "JPEG, PNG or BMP for the image input; prints the top classes")
    .option("--top <n>", "classes to print", wholeNumber("--top", 1), 5)
    .option("--labels <file>", "names of the classes, one a line")
    .addOption(
      new Option(
        "--normalize <how>",
        "what the network was trained on: imagenet, tf (-1 to 1), none (0 to 255)",
      ).argParser(oneOf("--normalize", Object.keys(normalizations) as (keyof typeof normalizations)[])),
    )
    .option("--scale <x>", "what pixels (0 to 255) are multiplied with, first", realNumber("--scale"))
    .option("--mean <list>", "subtracted, one a channel", numberList("--mean"))
    .option("--std <list>", "divided by, one a channel", numberList("--std"))
    .addOption(new Option("--layout <axes>", "axes of the image input").argParser(oneOf("--layout", imageLayouts)))
    .addOption(new Option("--fit <how>", "crop (default) or stretch").argParser(oneOf("--fit", imageFits)))
    .option("--bgr", "channels in the order blue, green, red");
