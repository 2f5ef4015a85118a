#!/usr/bin/env node
/** The entry of the command line. */
import { runCommandLine } from "./command-line.ts";
import { endCleanlyWhenInterrupted } from "./interrupt.ts";

endCleanlyWhenInterrupted();
// A reader that has seen enough, as `head`, is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
// A script of CommonJS, as the bundle is, cannot wait.
runCommandLine(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
