// The two shapes of generated functions.
#pragma once

#include "addon.h"
#include "tw_runtime.h"

namespace tw {

// A whole network: runtime, arena, constants, addresses of inputs and outputs; gives 0 or an error code.
using Entry = int32_t (*)(void *rt, void *arena, void *constants, void **io);
// One kernel: runtime, addresses of its buffers.
using Kernel = void (*)(void *rt, void **args);

struct EntryCall {
  explicit EntryCall(Args &args);
  int32_t operator()() const { return entry(rt, arena, constants, io); }
  Entry entry;
  tw_runtime *rt;
  void *arena, *constants;
  void **io;
};

struct KernelCall {
  explicit KernelCall(Args &args);
  int32_t operator()() const {
    kernel(rt, arguments);
    return 0;
  }
  Kernel kernel;
  tw_runtime *rt;
  void **arguments;
};

// Keeps the workers awake between the parallel regions of one call.
class Running {
public:
  explicit Running(tw_runtime *rt) : rt_(rt) { tw_runtime_begin(rt_); }
  ~Running() { tw_runtime_end(rt_); }
  Running(const Running &) = delete;

private:
  tw_runtime *rt_;
};

} // namespace tw
