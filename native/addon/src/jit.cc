// Linking with ORC. One LLJIT serves the process; each set of objects is a JITDylib of its own, which
// is cleared when the set is disposed of and then used again (the C API cannot remove one).
#include "jit.h"
#include "addon.h"

#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>

#include <cstring>
#include <mutex>

namespace tw {

namespace {

std::string takeError(LLVMErrorRef error) {
  char *message = LLVMGetErrorMessage(error);
  std::string text = message;
  LLVMDisposeErrorMessage(message);
  return text;
}

class Session {
public:
  static Session &get() {
    // Never destroyed: other static objects of LLVM may be gone by then.
    static Session *session = new Session;
    return *session;
  }

  std::mutex mutex; // guards everything below
  LLVMOrcLLJITRef lljit = nullptr;
  LLVMOrcExecutionSessionRef execution = nullptr;
  std::vector<LLVMOrcJITDylibRef> idle;
  std::string reported; // errors that ORC reports beside the one it returns
  unsigned created = 0;

  LLVMOrcSymbolStringPoolEntryRef intern(const char *name) {
    return LLVMOrcExecutionSessionIntern(execution, name);
  }

  std::string explain(LLVMErrorRef error) {
    std::string text = takeError(error);
    if (!reported.empty()) text = reported + text;
    reported.clear();
    return text;
  }

private:
  Session() {
    initializeLlvm();
    if (LLVMErrorRef error = LLVMOrcCreateLLJIT(&lljit, nullptr)) throw Failure("llvm/jit", takeError(error));
    execution = LLVMOrcLLJITGetExecutionSession(lljit);
    LLVMOrcExecutionSessionSetErrorReporter(
        execution,
        [](void *session, LLVMErrorRef error) { static_cast<Session *>(session)->reported += takeError(error) + "\n"; },
        this);
  }
};

void defineRuntimeSymbols(Session &session, LLVMOrcJITDylibRef dylib) {
  std::vector<LLVMOrcCSymbolMapPair> pairs;
  for (const RuntimeSymbol &symbol : runtimeSymbols()) {
    const LLVMJITSymbolFlags flags = {LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsWeak, 0};
    pairs.push_back({session.intern(symbol.name), {reinterpret_cast<uint64_t>(symbol.address), flags}});
  }
  if (LLVMErrorRef error = LLVMOrcJITDylibDefine(dylib, LLVMOrcAbsoluteSymbols(pairs.data(), pairs.size())))
    throw Failure("llvm/jit", session.explain(error));
}

LLVMOrcJITDylibRef takeDylib(Session &session) {
  if (!session.idle.empty()) {
    LLVMOrcJITDylibRef dylib = session.idle.back();
    session.idle.pop_back();
    return dylib;
  }
  const std::string name = "tilewright-" + std::to_string(session.created++);
  return LLVMOrcExecutionSessionCreateBareJITDylib(session.execution, name.c_str());
}

struct Found {
  LLVMErrorRef error = nullptr;
  uint64_t address = 0;
};

void receive(LLVMErrorRef error, LLVMOrcCSymbolMapPairs pairs, size_t count, void *context) {
  Found *found = static_cast<Found *>(context);
  found->error = error;
  if (!error && count) found->address = pairs[0].Sym.Address;
}

} // namespace

std::unique_ptr<Jit> createJit(const std::vector<Span> &objects) {
  Session &session = Session::get();
  std::unique_lock<std::mutex> lock(session.mutex);
  LLVMOrcJITDylibRef dylib = takeDylib(session);
  lock.unlock(); // ~Jit locks
  std::unique_ptr<Jit> jit(new Jit(dylib));
  lock.lock();
  session.reported.clear();
  try {
    defineRuntimeSymbols(session, dylib);
    for (const Span &object : objects) {
      LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(
          reinterpret_cast<const char *>(object.bytes), object.length, "object");
      if (LLVMErrorRef error = LLVMOrcLLJITAddObjectFile(session.lljit, dylib, buffer))
        throw Failure("llvm/jit", session.explain(error));
    }
  } catch (...) {
    lock.unlock();
    throw;
  }
  return jit;
}

Jit::~Jit() {
  Session &session = Session::get();
  std::lock_guard<std::mutex> guard(session.mutex);
  if (LLVMErrorRef error = LLVMOrcJITDylibClear(dylib)) {
    LLVMConsumeError(error);
    return; // the dylib is not used again
  }
  LLVMOrcSymbolStringPoolClearDeadEntries(LLVMOrcExecutionSessionGetSymbolStringPool(session.execution));
  session.idle.push_back(dylib);
}

void *lookup(const Jit &jit, const std::string &name) {
  Session &session = Session::get();
  std::lock_guard<std::mutex> guard(session.mutex);
  session.reported.clear();
  LLVMOrcCJITDylibSearchOrderElement order = {jit.dylib, LLVMOrcJITDylibLookupFlagsMatchAllSymbols};
  LLVMOrcCLookupSetElement wanted = {session.intern(name.c_str()), LLVMOrcSymbolLookupFlagsRequiredSymbol};
  Found found;
  LLVMOrcExecutionSessionLookup(session.execution, LLVMOrcLookupKindStatic, &order, 1, &wanted, 1, receive, &found);
  if (found.error) throw Failure("llvm/jit", session.explain(found.error));
  if (!found.address) throw Failure("llvm/jit", "symbol " + name + " has no address");
  return reinterpret_cast<void *>(found.address);
}

namespace {

napi_value jitCreate(Args &args) {
  uint32_t count = 0;
  if (napi_get_array_length(args.env, args.value[0], &count) != napi_ok)
    throw Failure("native/argument", "argument 1 must be an array of object files");
  std::vector<Span> objects(count);
  for (uint32_t i = 0; i < count; i++) {
    napi_value element;
    check(args.env, napi_get_element(args.env, args.value[0], i, &element));
    if (!viewBytes(args.env, element, &objects[i]))
      throw Failure("native/argument", "object " + std::to_string(i) + " must be a Uint8Array");
    if (objects[i].length < 4 || memcmp(objects[i].bytes, "\177ELF", 4) != 0)
      throw Failure("native/argument", "object " + std::to_string(i) + " is not an ELF file");
  }
  EnvironmentState &state = environment(args.env);
  std::unique_ptr<Jit> jit = createJit(objects);
  const uint32_t id = state.nextJit++;
  state.jits.emplace(id, std::move(jit));
  return makeNumber(args.env, id);
}

uint32_t idOf(Args &args) { return static_cast<uint32_t>(args.number(0)); }

napi_value jitLookup(Args &args) {
  EnvironmentState &state = environment(args.env);
  const auto found = state.jits.find(idOf(args));
  if (found == state.jits.end()) throw Failure("native/disposed", "the JIT handle is disposed of or unknown");
  return makeAddress(args.env, lookup(*found->second, args.string(1)));
}

napi_value jitDispose(Args &args) {
  environment(args.env).jits.erase(idOf(args));
  return nullptr;
}

} // namespace

void defineJit(napi_env env, napi_value exports) {
  define(env, exports, "jitCreate", jitCreate);
  define(env, exports, "jitLookup", jitLookup);
  define(env, exports, "jitDispose", jitDispose);
}

} // namespace tw
