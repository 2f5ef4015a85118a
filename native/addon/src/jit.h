// Object files linked into this process.
#pragma once

#include "napi_util.h"

#include <llvm-c/Orc.h>

#include <memory>
#include <string>
#include <vector>

namespace tw {

// One set of linked objects. Symbols are resolved among them and against the runtime table.
struct Jit {
  explicit Jit(LLVMOrcJITDylibRef dylib) : dylib(dylib) {}
  ~Jit();
  Jit(const Jit &) = delete;
  LLVMOrcJITDylibRef dylib;
};

std::unique_ptr<Jit> createJit(const std::vector<Span> &objects);
// Links what `name` reaches and gives its address; throws when something is undefined.
void *lookup(const Jit &jit, const std::string &name);

// Functions that generated code may call, by linker name.
struct RuntimeSymbol {
  const char *name;
  void *address;
};
const std::vector<RuntimeSymbol> &runtimeSymbols();

} // namespace tw
