// Native timing of generated code.
#include "invoke.h"

#include <algorithm>

namespace tw {

namespace {

struct TimingPlan {
  int64_t warmup, repeats, batch;
  double minTimeNs, maxTimeNs;
  size_t flushBytes;
};

TimingPlan planOf(const Args &args, size_t i) {
  const Options options(args, i);
  TimingPlan plan;
  plan.warmup = static_cast<int64_t>(options.number("warmup", 1));
  plan.repeats = std::max<int64_t>(1, static_cast<int64_t>(options.number("repeats", 10)));
  plan.batch = std::max<int64_t>(1, static_cast<int64_t>(options.number("batch", 1)));
  plan.minTimeNs = options.number("minTimeMs", 0) * 1e6;
  plan.maxTimeNs = options.number("maxTimeMs", 1e12) * 1e6;
  plan.flushBytes = static_cast<size_t>(std::max(0.0, options.number("flushBytes", 0)));
  return plan;
}

// Writes every line of a buffer larger than the caches, so that the next run finds nothing of its own.
void flushCaches(std::vector<uint64_t> &buffer) {
  for (size_t i = 0; i < buffer.size(); i += 8) buffer[i]++;
  asm volatile("" : : "r"(buffer.data()) : "memory");
}

// Nanoseconds per call, one entry a sample of `batch` calls.
template <typename Call> std::vector<double> measure(const Call &call, const TimingPlan &plan) {
  std::vector<double> samples;
  std::vector<uint64_t> flush(plan.flushBytes / sizeof(uint64_t));
  const Running running(call.rt);
  const auto run = [&] {
    const int32_t code = call();
    if (code != 0) throw Failure("native/entry", "the entry point returned " + std::to_string(code));
  };
  const int64_t begin = tw_now();
  for (int64_t i = 0; i < plan.warmup && static_cast<double>(tw_now() - begin) < plan.maxTimeNs; i++) run();
  double total = 0;
  while ((static_cast<int64_t>(samples.size()) < plan.repeats || total < plan.minTimeNs) &&
         (samples.empty() || static_cast<double>(tw_now() - begin) < plan.maxTimeNs)) {
    if (!flush.empty()) flushCaches(flush);
    const int64_t start = tw_now();
    for (int64_t i = 0; i < plan.batch; i++) run();
    const double elapsed = static_cast<double>(tw_now() - start);
    total += elapsed;
    samples.push_back(elapsed / static_cast<double>(plan.batch));
  }
  return samples;
}

napi_value timeEntry(Args &args) {
  return makeDoubles(args.env, measure(EntryCall(args), planOf(args, 5)));
}

napi_value timeKernel(Args &args) {
  return makeDoubles(args.env, measure(KernelCall(args), planOf(args, 3)));
}

} // namespace

void defineTiming(napi_env env, napi_value exports) {
  define(env, exports, "timeEntry", timeEntry);
  define(env, exports, "timeKernel", timeKernel);
}

} // namespace tw
