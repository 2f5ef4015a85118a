// Calls of generated code.
#include "invoke.h"

namespace tw {

static void *nonNull(void *function) {
  if (!function) throw Failure("native/argument", "argument 1 is a null address");
  return function;
}

EntryCall::EntryCall(Args &args)
    : entry(reinterpret_cast<Entry>(nonNull(args.pointer<void>(0)))), rt(args.pointer<tw_runtime>(1)),
      arena(args.pointer<void>(2)), constants(args.pointer<void>(3)), io(args.addresses(4)) {}

KernelCall::KernelCall(Args &args)
    : kernel(reinterpret_cast<Kernel>(nonNull(args.pointer<void>(0)))), rt(args.pointer<tw_runtime>(1)),
      arguments(args.addresses(2)) {}

namespace {

napi_value invoke(Args &args) {
  const EntryCall call(args);
  int32_t code;
  {
    const Running running(call.rt);
    code = call();
  }
  napi_value value;
  check(args.env, napi_create_int32(args.env, code, &value));
  return value;
}

napi_value invokeKernel(Args &args) {
  const KernelCall call(args);
  const Running running(call.rt);
  call();
  return nullptr;
}

} // namespace

void defineInvoke(napi_env env, napi_value exports) {
  define(env, exports, "invoke", invoke);
  define(env, exports, "invokeKernel", invokeKernel);
}

} // namespace tw
