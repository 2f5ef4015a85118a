/* The functions that compiled networks call: a fork-join thread pool and a clock.
 *
 * The add-on links this file into Node; a program that links an object or shared library made by
 * `tilewright compile --emit object|shared` compiles it beside its own sources (C11, pthreads). */
#ifndef TW_RUNTIME_H
#define TW_RUNTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tw_runtime tw_runtime;

/* Runs the iterations [begin, end) of a parallel region. */
typedef void (*tw_task_fn)(void *ctx, int64_t begin, int64_t end);

/* Makes a pool in which `threads` threads take part, the calling one among them (so `threads` - 1 are
 * started). Gives NULL when memory runs out; fewer threads when the system refuses to start more. */
tw_runtime *tw_runtime_create(int threads);

/* The same; worker i is pinned to cpus[i % cpu_count] where the system can do so. */
tw_runtime *tw_runtime_create_pinned(int threads, const int *cpus, int cpu_count);

/* Stops and joins the workers. No parallel region of this pool may be running. NULL is allowed. */
void tw_runtime_destroy(tw_runtime *rt);

/* Threads that take part, the caller included. NULL counts as 1. */
int tw_runtime_threads(const tw_runtime *rt);

/* Brackets a run of many parallel regions: workers wake at once and stay awake between regions.
 * Optional; calls nest. NULL is allowed. */
void tw_runtime_begin(tw_runtime *rt);
void tw_runtime_end(tw_runtime *rt);

/* Calls fn on disjoint chunks that cover [0, n) and returns when all are done. `rt` is a tw_runtime*,
 * or NULL for serial execution. A nested call, and a call while another thread uses the pool, runs
 * serially. The caller never waits for a worker that has not started. */
void tw_parallel_for(void *rt, tw_task_fn fn, void *ctx, int64_t n);

/* Nanoseconds of a monotonic clock. */
int64_t tw_now(void);

#ifdef __cplusplus
}
#endif

#endif
