// LLVM IR text to object code, assembly or optimised IR, through the LLVM-C API.
#include "addon.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/Support/CommandLine.h>
#include <llvm/Support/raw_ostream.h>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <unistd.h>

#ifdef __linux__
#include <csignal>
#include <sys/prctl.h>
#endif

namespace tw {

std::string takeMessage(char *message) {
  std::string text = message ? message : "unknown error";
  LLVMDisposeMessage(message);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void initializeLlvm() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
}

namespace {

struct CompileOptions {
  std::string triple, cpu, features, passes, emit, codeModel;
  int optLevel;
  bool relocPic, vectorize, unroll;
};

// Owns one LLVM value; `Dispose` is the C API's function for it.
template <typename Ref, void (*Dispose)(Ref)> struct Owned {
  Ref ref = nullptr;
  Owned() = default;
  explicit Owned(Ref r) : ref(r) {}
  Owned(const Owned &) = delete;
  ~Owned() {
    if (ref) Dispose(ref);
  }
};
using Context = Owned<LLVMContextRef, LLVMContextDispose>;
using Module = Owned<LLVMModuleRef, LLVMDisposeModule>;
using Machine = Owned<LLVMTargetMachineRef, LLVMDisposeTargetMachine>;
using Buffer = Owned<LLVMMemoryBufferRef, LLVMDisposeMemoryBuffer>;
using PassOptions = Owned<LLVMPassBuilderOptionsRef, LLVMDisposePassBuilderOptions>;

thread_local std::vector<double> lastTimings; // milliseconds: parse, verify, passes, emit

class Clock {
public:
  void lap() {
    const auto now = std::chrono::steady_clock::now();
    lastTimings.push_back(std::chrono::duration<double, std::milli>(now - last_).count());
    last_ = now;
  }

private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Without a handler LLVM prints an error diagnostic and exits the process.
void collectDiagnostic(LLVMDiagnosticInfoRef diagnostic, void *errors) {
  if (LLVMGetDiagInfoSeverity(diagnostic) != LLVMDSError) return;
  std::string &text = *static_cast<std::string *>(errors);
  if (!text.empty()) text += '\n';
  text += takeMessage(LLVMGetDiagInfoDescription(diagnostic));
}

LLVMCodeModel codeModelOf(const std::string &name) {
  if (name == "default" || name.empty()) return LLVMCodeModelDefault;
  if (name == "small") return LLVMCodeModelSmall;
  if (name == "medium") return LLVMCodeModelMedium;
  if (name == "large") return LLVMCodeModelLarge;
  throw Failure("native/argument", "unknown code model \"" + name + "\"");
}

LLVMTargetMachineRef createMachine(const CompileOptions &options) {
  initializeLlvm();
  LLVMTargetRef target = nullptr;
  char *message = nullptr;
  if (LLVMGetTargetFromTriple(options.triple.c_str(), &target, &message))
    throw Failure("llvm/target", takeMessage(message));
  LLVMTargetMachineRef machine = LLVMCreateTargetMachine(
      target, options.triple.c_str(), options.cpu.c_str(), options.features.c_str(),
      static_cast<LLVMCodeGenOptLevel>(options.optLevel), options.relocPic ? LLVMRelocPIC : LLVMRelocStatic,
      codeModelOf(options.codeModel));
  if (!machine) throw Failure("llvm/target", "no target machine for " + options.triple);
  return machine;
}

LLVMModuleRef parse(LLVMContextRef context, const std::string &text) {
  // The parser takes ownership of the buffer.
  LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(text.data(), text.size(), "ir");
  LLVMModuleRef module = nullptr;
  char *message = nullptr;
  if (LLVMParseIRInContext(context, buffer, &module, &message)) throw Failure("llvm/parse", takeMessage(message));
  return module;
}

void verify(LLVMModuleRef module, const std::string &diagnostics) {
  char *message = nullptr;
  const bool broken = LLVMVerifyModule(module, LLVMReturnStatusAction, &message);
  const std::string text = takeMessage(message);
  if (broken) throw Failure("llvm/verify", text);
  if (!diagnostics.empty()) throw Failure("llvm/verify", diagnostics);
}

void runPasses(LLVMModuleRef module, LLVMTargetMachineRef machine, const CompileOptions &options) {
  if (options.passes.empty()) return;
  PassOptions pass(LLVMCreatePassBuilderOptions());
  LLVMPassBuilderOptionsSetLoopVectorization(pass.ref, options.vectorize);
  LLVMPassBuilderOptionsSetSLPVectorization(pass.ref, options.vectorize);
  LLVMPassBuilderOptionsSetLoopInterleaving(pass.ref, options.vectorize);
  LLVMPassBuilderOptionsSetLoopUnrolling(pass.ref, options.unroll);
  if (LLVMErrorRef error = LLVMRunPasses(module, options.passes.c_str(), machine, pass.ref)) {
    char *message = LLVMGetErrorMessage(error);
    const std::string text = message;
    LLVMDisposeErrorMessage(message);
    throw Failure("llvm/passes", text);
  }
}

std::string emit(LLVMModuleRef module, LLVMTargetMachineRef machine, const CompileOptions &options) {
  if (options.emit == "ir") return takeMessage(LLVMPrintModuleToString(module)) + "\n";
  const bool assembly = options.emit == "assembly";
  if (!assembly && options.emit != "object")
    throw Failure("native/argument", "cannot emit \"" + options.emit + "\": object, assembly or ir");
  Buffer buffer;
  char *message = nullptr;
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, assembly ? LLVMAssemblyFile : LLVMObjectFile, &message,
                                          &buffer.ref))
    throw Failure("llvm/codegen", takeMessage(message));
  return std::string(LLVMGetBufferStart(buffer.ref), LLVMGetBufferSize(buffer.ref));
}

std::string compile(const std::string &text, const CompileOptions &options) {
  lastTimings.clear();
  Clock clock;
  Machine machine(createMachine(options));
  Context context(LLVMContextCreate());
  std::string diagnostics;
  LLVMContextSetDiagnosticHandler(context.ref, collectDiagnostic, &diagnostics);
  Module module(parse(context.ref, text));
  LLVMSetTarget(module.ref, options.triple.c_str());
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine.ref);
  LLVMSetModuleDataLayout(module.ref, layout);
  LLVMDisposeTargetData(layout);
  clock.lap();
  verify(module.ref, diagnostics);
  clock.lap();
  runPasses(module.ref, machine.ref, options);
  clock.lap();
  std::string result = emit(module.ref, machine.ref, options);
  clock.lap();
  if (!diagnostics.empty()) throw Failure("llvm/codegen", diagnostics);
  return result;
}

napi_value compileIr(Args &args) {
  const Options given(args, 1);
  CompileOptions options;
  options.triple = given.string("triple", "");
  if (options.triple.empty()) options.triple = takeMessage(LLVMGetDefaultTargetTriple());
  options.cpu = given.string("cpu", "generic");
  options.features = given.string("features", "");
  options.passes = given.string("passes", "");
  options.emit = given.string("emit", "object");
  options.codeModel = given.string("codeModel", "default");
  options.optLevel = static_cast<int>(given.number("optLevel", 2));
  if (options.optLevel < 0 || options.optLevel > 3) throw Failure("native/argument", "optLevel must be 0, 1, 2 or 3");
  options.relocPic = given.flag("relocPic", true);
  options.vectorize = given.flag("vectorize", false);
  options.unroll = given.flag("unroll", false);
  const std::string result = compile(args.text(0), options);
  return makeBytes(args.env, result.data(), result.size());
}

napi_value compileTimings(Args &args) { return makeDoubles(args.env, lastTimings); }

napi_value llvmVersion(Args &args) { return makeString(args.env, LLVM_VERSION_STRING); }

napi_value hostCpu(Args &args) {
  napi_value result;
  check(args.env, napi_create_object(args.env, &result));
  const std::string name = takeMessage(LLVMGetHostCPUName());
  const std::string features = takeMessage(LLVMGetHostCPUFeatures());
  const std::string triple = takeMessage(LLVMGetDefaultTargetTriple());
  check(args.env, napi_set_named_property(args.env, result, "name", makeString(args.env, name)));
  check(args.env, napi_set_named_property(args.env, result, "features", makeString(args.env, features)));
  check(args.env, napi_set_named_property(args.env, result, "triple", makeString(args.env, triple)));
  return result;
}

// LLVM's command-line options are process-wide and may be given only once each.
napi_value setLlvmOptions(Args &args) {
  uint32_t length = 0;
  if (napi_get_array_length(args.env, args.value[0], &length) != napi_ok)
    throw Failure("native/argument", "argument 1 must be an array of strings");
  static std::mutex mutex;
  static std::string applied;
  std::vector<std::string> texts{"tilewright"};
  std::string key;
  for (uint32_t i = 0; i < length; i++) {
    Args element = args;
    check(args.env, napi_get_element(args.env, args.value[0], i, &element.value[0]));
    texts.push_back(element.string(0));
    key += texts.back() + '\n';
  }
  std::lock_guard<std::mutex> guard(mutex);
  if (length == 0 || key == applied) return nullptr;
  if (!applied.empty())
    throw Failure("llvm/options", "LLVM options are set once per process; they are already:\n" + applied);
  initializeLlvm();
  std::vector<const char *> argv;
  for (const std::string &text : texts) argv.push_back(text.c_str());
  // Not the C API's function: it ignores options that LLVM does not know.
  std::string errors;
  llvm::raw_string_ostream stream(errors);
  if (!llvm::cl::ParseCommandLineOptions(static_cast<int>(argv.size()), argv.data(), "", &stream))
    throw Failure("llvm/options", stream.str());
  applied = key;
  return nullptr;
}

void dieQuietly(const char *reason) {
  std::fprintf(stderr, "LLVM ERROR: %s\n", reason);
  std::fflush(stderr);
  _exit(70);
}

// Makes this process a compile worker of the process `parent`: a fatal LLVM error ends it with status 70 and
// without a core file, and it dies with its parent even in the middle of a compilation.
napi_value becomeWorker(Args &args) {
  LLVMInstallFatalErrorHandler(dieQuietly);
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (getppid() != static_cast<pid_t>(args.number(0))) _exit(0);
  return nullptr;
}

} // namespace

void defineCompile(napi_env env, napi_value exports) {
  define(env, exports, "llvmVersion", llvmVersion);
  define(env, exports, "hostCpu", hostCpu);
  define(env, exports, "compileIr", compileIr);
  define(env, exports, "compileTimings", compileTimings);
  define(env, exports, "setLlvmOptions", setLlvmOptions);
  define(env, exports, "becomeWorker", becomeWorker);
}

} // namespace tw
