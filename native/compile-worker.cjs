// A child process that compiles LLVM IR text and is expected to die of LLVM's fatal errors. Plain CommonJS, so that
// it starts fast and runs without a TypeScript loader from the sources and from dist/ alike.
// Arguments: the parent's process id, the add-on's path, then LLVM's command-line options.
"use strict";

const [, , parentPid, addonPath, ...llvmOptions] = process.argv;
const addon = require(addonPath);
addon.becomeWorker(Number(parentPid));
addon.setLlvmOptions(llvmOptions);

process.on("message", ({ id, irText, options }) => {
  let reply;
  try {
    reply = { id, bytes: addon.compileIr(irText, options), timings: addon.compileTimings() };
  } catch (error) {
    reply = { id, code: error.code ?? "native/internal", message: error.message };
  }
  process.send(reply);
});
// The parent is gone.
process.on("disconnect", () => process.exit(0));
// Ctrl-C reaches the whole group; the parent decides.
process.on("SIGINT", () => {});
process.send({ ready: true });
