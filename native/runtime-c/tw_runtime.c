/* Fork-join thread pool: workers spin for a while, then sleep (futex on Linux, condition variable
 * elsewhere).
 *
 * Note [Ranges]. Each thread has a range of a region's iterations, the same part of it in every region, so that what it
 * wrote in one region it finds in its own cache in the next. It takes chunks from its range, large ones first, and then
 * from those of others, small ones last: a thread that starts late, or never, has its range run by the others.
 *
 * Note [Joining a region]. `state` holds a generation (high 32 bits), the number of workers inside the
 * region (bits 1..31) and an open bit. A worker enters by a compare-and-swap that finds the bit set, and
 * only then reads the fields of the job. The caller clears the bit once no chunk is left and waits for those
 * that entered. So a worker that is still asleep, or was never scheduled, is never waited for, and the
 * job's fields are written only while nobody can read them.
 *
 * Note [Out of the caller's way]. Linux wakes a thread on its waker's processor when it thinks that both will be short,
 * and there the worker preempts, or waits for, the very thread that it is to help. So the workers may run everywhere
 * but on the processor that the caller is on; when the caller is found on another one, they move out of its way. A
 * processor can be taken from us (other programs, a hypervisor that parks it), and with it the worker that may run nowhere
 * else. So a caller that has waited long lets the workers run everywhere, its own processor included, and steps aside. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "tw_runtime.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

#define CACHE_LINE 64
#define OPEN ((uint64_t)1)
#define ONE_ACTIVE ((uint64_t)2)
#define ACTIVE_MASK ((uint64_t)0xfffffffe)
#define GENERATION_SHIFT 32

/* How long a worker spins before it sleeps: outside of a run, and inside tw_runtime_begin/end. */
#define IDLE_SPIN_NS 100000
#define RUN_SPIN_NS 2000000
/* With more threads than processors a spinning thread keeps the very thread that it waits for from running, so it
 * offers its processor to others after this long. Otherwise it does not: the scheduler takes it for a sacrifice. */
#define CROWDED_SPIN_NS 10000
/* How long a caller waits for workers before it doubts that they run, and how long it then sleeps at a time. */
#define PATIENCE_NS 10000000
#define STEP_ASIDE_NS 50000

/* Iterations next .. end; `next` is moved by whoever takes a chunk. */
typedef struct {
  _Alignas(CACHE_LINE) _Atomic int64_t next;
  int64_t end;
} range;

struct tw_runtime {
  _Alignas(CACHE_LINE) _Atomic uint64_t state;
  tw_task_fn fn;
  void *ctx;
  int64_t min_chunk;
  range *ranges;
  _Alignas(CACHE_LINE) _Atomic uint32_t wake_seq;
  _Atomic int started;
  _Atomic int sleepers;
  _Atomic int runs;
  _Atomic int stop;
  atomic_flag in_use;
  _Alignas(CACHE_LINE) int threads;
  pid_t pid;
  int crowded;
  pthread_t *workers;
#ifdef __linux__
  int avoids_caller;
  _Atomic int caller_cpu;
  cpu_set_t allowed;
#else
  pthread_mutex_t lock;
  pthread_cond_t wake;
#endif
};

static _Thread_local int inside_region;

int64_t tw_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

#ifdef __linux__
static void sleep_until_woken(tw_runtime *rt, uint32_t seq) {
  syscall(SYS_futex, (uint32_t *)&rt->wake_seq, FUTEX_WAIT_PRIVATE, seq, NULL, NULL, 0);
}
static void wake(tw_runtime *rt, int count) {
  atomic_fetch_add(&rt->wake_seq, 1);
  syscall(SYS_futex, (uint32_t *)&rt->wake_seq, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}
#else
static void sleep_until_woken(tw_runtime *rt, uint32_t seq) {
  pthread_mutex_lock(&rt->lock);
  while (atomic_load(&rt->wake_seq) == seq) pthread_cond_wait(&rt->wake, &rt->lock);
  pthread_mutex_unlock(&rt->lock);
}
static void wake(tw_runtime *rt, int count) {
  (void)count;
  pthread_mutex_lock(&rt->lock);
  atomic_fetch_add(&rt->wake_seq, 1);
  pthread_cond_broadcast(&rt->wake);
  pthread_mutex_unlock(&rt->lock);
}
#endif

/* Half of what is left of a range: about six chunks in all. */
static int take_chunk(range *r, int64_t min_chunk, int64_t *begin, int64_t *end) {
  int64_t from = atomic_load_explicit(&r->next, memory_order_relaxed);
  for (;;) {
    if (from >= r->end) return 0;
    int64_t count = (r->end - from) / 2;
    if (count < min_chunk) count = min_chunk;
    int64_t to = count < r->end - from ? from + count : r->end;
    if (atomic_compare_exchange_weak_explicit(&r->next, &from, to, memory_order_relaxed, memory_order_relaxed)) {
      *begin = from;
      *end = to;
      return 1;
    }
  }
}

/* See Note [Ranges]; `self` is 0 for the caller, and the number of a worker from 1 on. */
static void run_chunks(tw_runtime *rt, int self) {
  const tw_task_fn fn = rt->fn;
  void *const ctx = rt->ctx;
  const int64_t min_chunk = rt->min_chunk;
  int64_t begin, end;
  inside_region = 1;
  for (int i = 0; i < rt->threads; i++) {
    range *r = &rt->ranges[(self + i) % rt->threads];
    while (take_chunk(r, min_chunk, &begin, &end)) fn(ctx, begin, end);
  }
  inside_region = 0;
}

/* Enters the region of `state` if it is open; `done` is the last generation this worker took part in. */
static int try_join(tw_runtime *rt, int self, uint32_t *done) {
  uint64_t state = atomic_load_explicit(&rt->state, memory_order_relaxed);
  while ((state & OPEN) && (uint32_t)(state >> GENERATION_SHIFT) != *done) {
    if (atomic_compare_exchange_weak(&rt->state, &state, state + ONE_ACTIVE)) {
      *done = (uint32_t)(state >> GENERATION_SHIFT);
      run_chunks(rt, self);
      atomic_fetch_sub_explicit(&rt->state, ONE_ACTIVE, memory_order_release);
      return 1;
    }
  }
  return 0;
}

static int region_waits(tw_runtime *rt, uint32_t done) {
  uint64_t state = atomic_load(&rt->state);
  return (state & OPEN) && (uint32_t)(state >> GENERATION_SHIFT) != done;
}

/* Spins until there is something to do (1), or the time to spin has passed (0). */
static int spin(tw_runtime *rt, uint32_t done) {
  const int64_t start = tw_now();
  for (;;) {
    for (int i = 0; i < 32; i++) {
      if (region_waits(rt, done)) return 1;
      relax();
    }
    if (atomic_load_explicit(&rt->stop, memory_order_relaxed)) return 1;
    const int64_t limit = atomic_load_explicit(&rt->runs, memory_order_relaxed) > 0 ? RUN_SPIN_NS : IDLE_SPIN_NS;
    const int64_t elapsed = tw_now() - start;
    if (elapsed > limit) return 0;
    if (rt->crowded && elapsed > CROWDED_SPIN_NS) sched_yield();
  }
}

static void *worker_main(void *argument) {
  tw_runtime *rt = argument;
  const int self = atomic_fetch_add(&rt->started, 1) + 1;
  uint32_t done = 0;
  while (!atomic_load_explicit(&rt->stop, memory_order_acquire)) {
    if (try_join(rt, self, &done) || spin(rt, done)) continue;
    uint32_t seq = atomic_load(&rt->wake_seq);
    atomic_fetch_add(&rt->sleepers, 1);
    if (!region_waits(rt, done) && !atomic_load(&rt->stop)) sleep_until_woken(rt, seq);
    atomic_fetch_sub(&rt->sleepers, 1);
  }
  return NULL;
}

#ifdef __linux__
static void pin(pthread_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(thread, sizeof set, &set);
}

/* Decides whether there are processors enough to keep the workers off the caller's. */
static void plan_placement(tw_runtime *rt, int threads, int pinned) {
  rt->caller_cpu = -1;
  if (sched_getaffinity(0, sizeof rt->allowed, &rt->allowed)) return;
  rt->crowded = CPU_COUNT(&rt->allowed) < threads;
  rt->avoids_caller = !pinned && !rt->crowded;
}

static void allow(tw_runtime *rt, const cpu_set_t *set) {
  for (int i = 1; i < rt->threads; i++) pthread_setaffinity_np(rt->workers[i - 1], sizeof *set, set);
}

static void clear_the_way(tw_runtime *rt) {
  if (!rt->avoids_caller) return;
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu == atomic_load_explicit(&rt->caller_cpu, memory_order_relaxed)) return;
  atomic_store_explicit(&rt->caller_cpu, cpu, memory_order_relaxed);
  cpu_set_t rest = rt->allowed;
  CPU_CLR(cpu, &rest);
  allow(rt, &rest);
}

static void open_the_way(tw_runtime *rt) {
  if (rt->avoids_caller && atomic_exchange(&rt->caller_cpu, -1) >= 0) allow(rt, &rt->allowed);
}
#else
static void pin(pthread_t thread, int cpu) {
  (void)thread;
  (void)cpu;
}
static void plan_placement(tw_runtime *rt, int threads, int pinned) {
  rt->crowded = sysconf(_SC_NPROCESSORS_ONLN) < threads;
  (void)pinned;
}
static void clear_the_way(tw_runtime *rt) { (void)rt; }
static void open_the_way(tw_runtime *rt) { (void)rt; }
#endif

tw_runtime *tw_runtime_create_pinned(int threads, const int *cpus, int cpu_count) {
  void *memory = NULL;
  if (posix_memalign(&memory, CACHE_LINE, sizeof(tw_runtime))) return NULL;
  tw_runtime *rt = memory;
  *rt = (tw_runtime){.threads = 1, .pid = getpid(), .in_use = ATOMIC_FLAG_INIT};
  if (threads < 1) threads = 1;
  rt->workers = calloc((size_t)threads, sizeof(pthread_t));
  void *ranges = NULL;
  if (!rt->workers || posix_memalign(&ranges, CACHE_LINE, (size_t)threads * sizeof(range))) {
    free(rt->workers);
    free(rt);
    return NULL;
  }
  rt->ranges = ranges;
#ifndef __linux__
  pthread_mutex_init(&rt->lock, NULL);
  pthread_cond_init(&rt->wake, NULL);
#endif
  plan_placement(rt, threads, cpu_count > 0);
  for (int i = 1; i < threads; i++) {
    if (pthread_create(&rt->workers[i - 1], NULL, worker_main, rt)) break;
    if (cpu_count > 0) pin(rt->workers[i - 1], cpus[(i - 1) % cpu_count]);
    rt->threads = i + 1;
  }
  return rt;
}

tw_runtime *tw_runtime_create(int threads) { return tw_runtime_create_pinned(threads, NULL, 0); }

void tw_runtime_destroy(tw_runtime *rt) {
  if (!rt) return;
  /* After a fork the child has the memory but not the threads. */
  if (rt->pid == getpid()) {
    atomic_store(&rt->stop, 1);
    wake(rt, rt->threads);
    for (int i = 1; i < rt->threads; i++) pthread_join(rt->workers[i - 1], NULL);
  }
#ifndef __linux__
  pthread_cond_destroy(&rt->wake);
  pthread_mutex_destroy(&rt->lock);
#endif
  free(rt->ranges);
  free(rt->workers);
  free(rt);
}

int tw_runtime_threads(const tw_runtime *rt) { return rt ? rt->threads : 1; }

void tw_runtime_begin(tw_runtime *rt) {
  if (!rt || rt->threads == 1) return;
  atomic_fetch_add(&rt->runs, 1);
  clear_the_way(rt);
  if (atomic_load(&rt->sleepers) > 0) wake(rt, rt->threads);
}

void tw_runtime_end(tw_runtime *rt) {
  if (rt && rt->threads > 1) atomic_fetch_sub(&rt->runs, 1);
}

/* Waits for the workers that entered the region. */
static void wait_for_active(tw_runtime *rt) {
  int64_t start = 0;
  for (uint32_t spins = 1; atomic_load_explicit(&rt->state, memory_order_acquire) & ACTIVE_MASK; spins++) {
    relax();
    if (spins % 64) continue;
    if (!start) start = tw_now();
    const int64_t waited = tw_now() - start;
    if (waited > PATIENCE_NS) {
      open_the_way(rt);
      const struct timespec pause = {0, STEP_ASIDE_NS};
      nanosleep(&pause, NULL);
    } else if (rt->crowded && waited > CROWDED_SPIN_NS) {
      sched_yield();
    }
  }
}

static void run_region(tw_runtime *rt, tw_task_fn fn, void *ctx, int64_t n) {
  rt->fn = fn;
  rt->ctx = ctx;
  rt->min_chunk = n / (16 * (int64_t)rt->threads);
  if (rt->min_chunk < 1) rt->min_chunk = 1;
  for (int64_t i = 0, threads = rt->threads; i < threads; i++) {
    rt->ranges[i].end = n / threads * (i + 1) + n % threads * (i + 1) / threads;
    atomic_store_explicit(&rt->ranges[i].next, i > 0 ? rt->ranges[i - 1].end : 0, memory_order_relaxed);
  }
  clear_the_way(rt);
  uint64_t generation = (atomic_load_explicit(&rt->state, memory_order_relaxed) >> GENERATION_SHIFT) + 1;
  /* Sequentially consistent against the worker's "sleepers += 1, then look again". */
  atomic_store(&rt->state, (generation << GENERATION_SHIFT) | OPEN);
  if (atomic_load(&rt->sleepers) > 0) wake(rt, n - 1 < rt->threads ? (int)(n - 1) : rt->threads);
  run_chunks(rt, 0);
  atomic_fetch_and(&rt->state, ~OPEN);
  wait_for_active(rt);
}

void tw_parallel_for(void *runtime, tw_task_fn fn, void *ctx, int64_t n) {
  tw_runtime *rt = runtime;
  if (n <= 0) return;
  if (!rt || rt->threads == 1 || n == 1 || inside_region ||
      atomic_flag_test_and_set_explicit(&rt->in_use, memory_order_acquire)) {
    fn(ctx, 0, n);
    return;
  }
  run_region(rt, fn, ctx, n);
  atomic_flag_clear_explicit(&rt->in_use, memory_order_release);
}
