/** Everything that users import says in its doc comment what it is. */
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { root } from "./repository.ts";

const doors = ["src/index.ts", "src/onnxruntime.ts", "src/passes.ts"];

describe("exports of the doors", () => {
  const config = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config as object;
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: doors }, ts.sys, root);
  const program = ts.createProgram(
    doors.map((door) => join(root, door)),
    { ...options, incremental: false, tsBuildInfoFile: undefined },
  );
  const checker = program.getTypeChecker();

  test.each(doors)("%s has a doc comment for each", (door) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(join(root, door))!)!;
    const bare = checker.getExportsOfModule(module).filter((symbol) => {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      if (target.flags & ts.SymbolFlags.Module) return !target.declarations![0]!.getFullText().startsWith("/**");
      return target.getDocumentationComment(checker).length === 0;
    });
    expect(bare.map((symbol) => symbol.name)).toEqual([]);
  });
});
