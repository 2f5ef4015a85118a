// Thread pools, by the address of their tw_runtime.
#include "addon.h"
#include "tw_runtime.h"

namespace tw {

namespace {

constexpr int kMaxThreads = 1024;

napi_value poolCreate(Args &args) {
  const double threads = args.number(0);
  if (!(threads >= 1) || threads > kMaxThreads)
    throw Failure("native/argument", "a pool has between 1 and 1024 threads");
  const std::vector<int> cpus = Options(args, 1).integers("affinity");
  tw_runtime *pool =
      tw_runtime_create_pinned(static_cast<int>(threads), cpus.data(), static_cast<int>(cpus.size()));
  if (!pool) throw std::bad_alloc();
  environment(args.env).pools.insert(pool);
  return makeAddress(args.env, pool);
}

tw_runtime *poolOf(Args &args) {
  tw_runtime *pool = args.pointer<tw_runtime>(0);
  if (!environment(args.env).pools.count(pool))
    throw Failure("native/disposed", "the thread pool is disposed of or unknown");
  return pool;
}

napi_value poolThreads(Args &args) { return makeNumber(args.env, tw_runtime_threads(poolOf(args))); }

napi_value poolDispose(Args &args) {
  auto &pools = environment(args.env).pools;
  tw_runtime *pool = args.pointer<tw_runtime>(0);
  if (pools.erase(pool)) tw_runtime_destroy(pool);
  return nullptr;
}

} // namespace

void definePool(napi_env env, napi_value exports) {
  define(env, exports, "poolCreate", poolCreate);
  define(env, exports, "poolThreads", poolThreads);
  define(env, exports, "poolDispose", poolDispose);
}

} // namespace tw
