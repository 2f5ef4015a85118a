// Stand-ins for functions of the runtime that profilers link generated code with.
#pragma once

#include "tw_runtime.h"

namespace tw {

// tw_parallel_for that logs which thread ran each chunk, and when.
void tracedParallelFor(void *rt, tw_task_fn fn, void *ctx, int64_t n);
// tw_now that also notes what the open hardware counters say.
int64_t readCounters();

} // namespace tw
