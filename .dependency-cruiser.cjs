/** Floors: a folder imports only from the floors below it. @type {import('dependency-cruiser').IConfiguration} */
const floor = (name, from, allowed) => ({
  name: `floor-${name}`,
  severity: "error",
  from: { path: `^${from}/` },
  to: { path: "^(ir|passes|codegen|native|src|bench|test|examples)/", pathNot: `^(${allowed.join("|")})/` },
});
const confined = (pkg, folder) => ({
  name: `confined-${pkg.replace(/[^a-z0-9]/g, "-")}`,
  severity: "error",
  from: { path: "^(ir|passes|codegen|native|src)/", pathNot: `^${folder}/` },
  to: { path: `node_modules/${pkg}` },
});
module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    floor("ir", "ir", ["ir"]),
    floor("passes", "passes", ["ir", "passes"]),
    floor("codegen", "codegen", ["ir", "passes", "codegen"]),
    floor("native", "native", ["native", "ir/support", "ir/target"]),
    floor("src", "src", ["ir", "passes", "codegen", "native", "src"]),
    {
      name: "codegen-and-native-meet-in-runtime",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(runtime|cli|tune)/" },
      to: { path: "^native/" },
    },
    {
      name: "no-io-in-ir-passes-codegen",
      severity: "error",
      from: { path: "^(ir|passes|codegen)/" },
      to: { dependencyTypes: ["core"] },
    },
    confined("commander", "src/cli"),
    confined("picocolors", "src/cli"),
    confined("@bufbuild", "src/onnx"),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { extensions: [".ts", ".js", ".mjs", ".cjs"] },
  },
};
