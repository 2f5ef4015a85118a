// What profilers link with generated code in place of tw_parallel_for and tw_now: a log of the chunks that threads run,
// and readings of hardware counters. Code that is not profiled never gets here.
#include "addon.h"
#include "instruments.h"
#include "tw_runtime.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#ifdef __linux__
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tw {

namespace {

// One chunk of a parallel region: which thread ran it, and from when to when (tw_now).
struct Chunk {
  int64_t thread, start, end;
};
std::vector<Chunk> chunks;
std::atomic<size_t> chunkCount{0};
std::atomic<int64_t> threadCount{0};

int64_t threadNumber() {
  static thread_local const int64_t number = threadCount.fetch_add(1);
  return number;
}

struct TracedRegion {
  tw_task_fn fn;
  void *ctx;
};

void runTraced(void *argument, int64_t begin, int64_t end) {
  const TracedRegion *region = static_cast<const TracedRegion *>(argument);
  const int64_t start = tw_now();
  region->fn(region->ctx, begin, end);
  const int64_t stop = tw_now();
  const size_t at = chunkCount.fetch_add(1, std::memory_order_relaxed);
  if (at < chunks.size()) chunks[at] = {threadNumber(), start, stop};
}

napi_value chunkLogStart(Args &args) {
  chunks.assign(static_cast<size_t>(args.number(0)), Chunk{});
  chunkCount = 0;
  return makeNumber(args.env, static_cast<double>(threadNumber()));
}

// Thread, start and end of each chunk in turn; ends the log.
napi_value chunkLogTake(Args &args) {
  const size_t count = std::min(chunkCount.load(), chunks.size());
  std::vector<double> numbers;
  for (size_t i = 0; i < count; i++)
    for (const int64_t n : {chunks[i].thread, chunks[i].start, chunks[i].end}) numbers.push_back(static_cast<double>(n));
  chunks = {};
  return makeDoubles(args.env, numbers);
}

// Counters of the calling thread, opened as one group so that all of them count the same time.
std::vector<int> counterFiles;
std::vector<double> readings;

void closeCounters() {
#ifdef __linux__
  for (const int file : counterFiles) close(file);
#endif
  counterFiles.clear();
}

#ifdef __linux__
int openCounter(uint32_t type, uint64_t config) {
  perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.size = sizeof attributes;
  attributes.type = type;
  attributes.config = config;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  attributes.read_format = PERF_FORMAT_GROUP;
  const int leader = counterFiles.empty() ? -1 : counterFiles[0];
  return static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, leader, PERF_FLAG_FD_CLOEXEC));
}
#endif

// Opens what [type, config, type, config …] names, in one group. Gives for each 0, or the errno why not.
napi_value countersOpen(Args &args) {
  closeCounters();
  readings.clear();
  const Span wanted = args.bytes(0);
  const double *numbers = reinterpret_cast<const double *>(wanted.bytes);
  std::vector<double> outcome;
  for (size_t i = 0; i + 1 < wanted.length / sizeof(double); i += 2) {
#ifdef __linux__
    const int file = openCounter(static_cast<uint32_t>(numbers[i]), static_cast<uint64_t>(numbers[i + 1]));
    outcome.push_back(file < 0 ? errno : 0);
    if (file >= 0) counterFiles.push_back(file);
#else
    (void)numbers;
    outcome.push_back(ENOSYS);
#endif
  }
  return makeDoubles(args.env, outcome);
}

// All readings since the counters were opened, one number a counter each; closes them.
napi_value countersTake(Args &args) {
  closeCounters();
  const napi_value result = makeDoubles(args.env, readings);
  readings.clear();
  return result;
}

} // namespace

void tracedParallelFor(void *rt, tw_task_fn fn, void *ctx, int64_t n) {
  TracedRegion region = {fn, ctx};
  tw_parallel_for(rt, runTraced, &region, n);
}

int64_t readCounters() {
#ifdef __linux__
  uint64_t words[1 + 16] = {0};
  if (!counterFiles.empty() && read(counterFiles[0], words, sizeof words) > 0)
    for (uint64_t i = 0; i < words[0]; i++) readings.push_back(static_cast<double>(words[1 + i]));
#endif
  return tw_now();
}

void defineInstruments(napi_env env, napi_value exports) {
  define(env, exports, "chunkLogStart", chunkLogStart);
  define(env, exports, "chunkLogTake", chunkLogTake);
  define(env, exports, "countersOpen", countersOpen);
  define(env, exports, "countersTake", countersTake);
}

} // namespace tw
