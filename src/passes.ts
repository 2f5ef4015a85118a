/** The door to passes: defining them, running them, the default pipeline. */
export * from "../passes/core/index.ts";
