// Registration, and the state of one environment.
#include "addon.h"

#include "jit.h"
#include "tw_runtime.h"

namespace tw {

EnvironmentState::EnvironmentState() = default;

EnvironmentState::~EnvironmentState() {
  for (tw_runtime *pool : pools) tw_runtime_destroy(pool);
}

EnvironmentState &environment(napi_env env) {
  void *state = nullptr;
  check(env, napi_get_instance_data(env, &state));
  return *static_cast<EnvironmentState *>(state);
}

// Node runs finalizers of instance data last when an environment ends, but not on every way out of the
// process; a cleanup hook runs on all of them that run JavaScript's exit handlers.
static void cleanUp(void *argument) {
  EnvironmentState *state = static_cast<EnvironmentState *>(argument);
  for (tw_runtime *pool : state->pools) tw_runtime_destroy(pool);
  state->pools.clear();
  state->jits.clear();
}

static void init(napi_env env, napi_value exports) {
  releaseCodePages();
  EnvironmentState *state = new EnvironmentState;
  check(env, napi_set_instance_data(
                 env, state, [](napi_env, void *data, void *) { delete static_cast<EnvironmentState *>(data); },
                 nullptr));
  check(env, napi_add_env_cleanup_hook(env, cleanUp, state));
  defineCompile(env, exports);
  defineJit(env, exports);
  defineMemory(env, exports);
  definePool(env, exports);
  defineInvoke(env, exports);
  defineTiming(env, exports);
  defineInstruments(env, exports);
}

} // namespace tw

NAPI_MODULE_INIT() {
  try {
    tw::init(env, exports);
  } catch (const std::exception &error) {
    napi_throw_error(env, "native/internal", error.what());
  } catch (const tw::PendingException &) {
  }
  return exports;
}
