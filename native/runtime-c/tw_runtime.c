/* Fork-join thread pool: workers spin for a while, then sleep (futex on Linux, condition variable
 * elsewhere).
 *
 * Note [Ranges]. Each thread has a range of a region's iterations, the same part of it in every region, so that what it
 * wrote in one region it finds in its own cache in the next. It takes chunks from its range, large ones first, and then
 * from those of others, small ones last: a thread that starts late, or never, has its range run by the others.
 *
 * Note [Slots]. A line takes several times as long to a core that shares no cache with its owner as to a neighbour, and a
 * virtual machine's cores may be either, and change within a second. So a thread has one line, its slot, in which it finds
 * all of its part of a region and in which it says what it has done. Its worker keeps the line to itself while it polls,
 * and the caller's stores to it go out while the caller is at its first chunk, which it takes without a locked instruction.
 *
 * Note [Claims]. A claim holds the region's generation (high 32 bits) and how many iterations at the end of the slot's range
 * nobody has taken (low 32 bits). A chunk is taken by a compare-and-swap that lowers the count. While it is above 0 the
 * region cannot end, so that what was read of the slot before a compare-and-swap that succeeds belongs to the claim's
 * region. A worker counts the iterations that it has run in `completed`; the region ends when they and the caller's are
 * all. So a worker that is still asleep, or was never scheduled, has taken nothing, and is never waited for.
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
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

#define CACHE_LINE 64
/* Iterations of one region; what has more is run as several. */
#define MOST_ITERATIONS INT32_MAX

/* How long a worker spins before it sleeps: outside of a run, and inside tw_runtime_begin/end. */
#define IDLE_SPIN_NS 100000
#define RUN_SPIN_NS 2000000
/* With more threads than processors a spinning thread keeps the very thread that it waits for from running, so it
 * offers its processor to others after this long. Otherwise it does not: the scheduler takes it for a sacrifice. */
#define CROWDED_SPIN_NS 10000
/* How long a caller waits for workers before it doubts that they run, and how long it then sleeps at a time. */
#define PATIENCE_NS 10000000
#define STEP_ASIDE_NS 50000

/* See Note [Slots] and Note [Claims]. */
typedef struct {
  _Alignas(CACHE_LINE) _Atomic uint64_t claim;
  _Atomic uint64_t completed;
  _Atomic tw_task_fn fn;
  void *_Atomic ctx;
  _Atomic int64_t end;
  _Atomic uint32_t min_chunk;
} slot;

struct tw_runtime {
  /* What callers write in every region stays away from what workers read while they poll. */
  _Alignas(CACHE_LINE) _Atomic int sleepers;
  uint32_t generation;
  atomic_flag in_use;
  _Alignas(CACHE_LINE) _Atomic uint32_t wake_seq;
  _Atomic int started;
  _Atomic int runs;
  _Atomic int stop;
  _Alignas(CACHE_LINE) slot *slots;
  int threads;
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

/* Before a line is read that this thread will write. */
static inline void own(const void *line) {
#if defined(__x86_64__) || defined(__i386__)
  __asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
  __builtin_prefetch(line, 1);
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

static uint64_t word_of(uint32_t generation, uint32_t count) { return (uint64_t)generation << 32 | count; }
static uint32_t generation_of(uint64_t word) { return (uint32_t)(word >> 32); }
static uint32_t count_of(uint64_t word) { return (uint32_t)word; }

/* Half of what is left of a range: about six chunks in all. */
static uint32_t chunk_of(uint32_t left, uint32_t min_chunk) {
  const uint32_t count = left / 2 > min_chunk ? left / 2 : min_chunk;
  return count < left ? count : left;
}

/* Runs chunks of a slot's range until none is left; gives the number of iterations run. */
static uint32_t run_from(slot *s, uint32_t generation) {
  uint32_t ran = 0;
  uint64_t word = atomic_load_explicit(&s->claim, memory_order_acquire);
  while (generation_of(word) == generation && count_of(word) > 0) {
    const tw_task_fn fn = atomic_load_explicit(&s->fn, memory_order_relaxed);
    void *const ctx = atomic_load_explicit(&s->ctx, memory_order_relaxed);
    const int64_t begin = atomic_load_explicit(&s->end, memory_order_relaxed) - count_of(word);
    const uint32_t count = chunk_of(count_of(word), atomic_load_explicit(&s->min_chunk, memory_order_relaxed));
    if (!atomic_compare_exchange_weak_explicit(&s->claim, &word, word - count, memory_order_acq_rel, memory_order_acquire))
      continue;
    fn(ctx, begin, begin + count);
    ran += count;
    word -= count;
  }
  return ran;
}

static uint32_t generation_for(tw_runtime *rt, int self) {
  return generation_of(atomic_load_explicit(&rt->slots[self].claim, memory_order_acquire));
}

/* What a worker does in a region; see Note [Ranges]. */
static void take_part(tw_runtime *rt, int self, uint32_t generation) {
  slot *own_slot = &rt->slots[self];
  uint32_t ran = 0;
  inside_region = 1;
  for (int i = 0; i < rt->threads; i++) {
    const uint32_t more = run_from(&rt->slots[(self + i) % rt->threads], generation);
    if (!more) continue;
    ran += more;
    atomic_store_explicit(&own_slot->completed, word_of(generation, ran), memory_order_release);
  }
  inside_region = 0;
}

/* Spins until there is something to do (1), or the time to spin has passed (0); `done` is the last generation that this
 * worker took part in. */
static int spin(tw_runtime *rt, int self, uint32_t done) {
  const int64_t start = tw_now();
  for (;;) {
    for (int i = 0; i < 32; i++) {
      own(&rt->slots[self]);
      if (generation_for(rt, self) != done) return 1;
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
    const uint32_t generation = generation_for(rt, self);
    if (generation != done) {
      take_part(rt, self, generation);
      done = generation;
    } else if (!spin(rt, self, done)) {
      const uint32_t seq = atomic_load(&rt->wake_seq);
      atomic_fetch_add(&rt->sleepers, 1);
      if (generation_for(rt, self) == done && !atomic_load(&rt->stop)) sleep_until_woken(rt, seq);
      atomic_fetch_sub(&rt->sleepers, 1);
    }
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
  void *slots = NULL;
  if (!rt->workers || posix_memalign(&slots, CACHE_LINE, (size_t)threads * sizeof(slot))) {
    free(rt->workers);
    free(rt);
    return NULL;
  }
  rt->slots = memset(slots, 0, (size_t)threads * sizeof(slot));
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
  free(rt->slots);
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

/* Iterations that workers have run. */
static uint32_t completed(tw_runtime *rt, uint32_t generation) {
  uint32_t sum = 0;
  for (int i = 1; i < rt->threads; i++) {
    const uint64_t word = atomic_load_explicit(&rt->slots[i].completed, memory_order_acquire);
    if (generation_of(word) == generation) sum += count_of(word);
  }
  return sum;
}

/* Waits until workers have run `count` iterations. */
static void wait_for_workers(tw_runtime *rt, uint32_t generation, uint32_t count) {
  int64_t start = 0;
  for (uint32_t spins = 1; completed(rt, generation) < count; spins++) {
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

/* Sets the first `parts` slots to equal ranges of `first` .. `first` + `n`, all but the first `taken` iterations. */
static void open_region(tw_runtime *rt, tw_task_fn fn, void *ctx, int64_t first, int64_t n, int64_t parts, int64_t taken) {
  const int64_t min_chunk = n / (16 * parts) > 1 ? n / (16 * parts) : 1;
  for (int64_t i = parts; i-- > 0;) {
    slot *s = &rt->slots[i];
    const int64_t begin = i > 0 ? n * i / parts : taken;
    const int64_t end = n * (i + 1) / parts;
    atomic_store_explicit(&s->fn, fn, memory_order_relaxed);
    atomic_store_explicit(&s->ctx, ctx, memory_order_relaxed);
    atomic_store_explicit(&s->end, first + end, memory_order_relaxed);
    atomic_store_explicit(&s->min_chunk, (uint32_t)min_chunk, memory_order_relaxed);
    atomic_store_explicit(&s->claim, word_of(rt->generation, (uint32_t)(end - begin)), memory_order_release);
  }
}

static void run_region(tw_runtime *rt, tw_task_fn fn, void *ctx, int64_t first, int64_t n) {
  const int64_t parts = n < rt->threads ? n : rt->threads;
  const uint32_t taken = chunk_of((uint32_t)(n / parts), 1);
  const uint32_t generation = ++rt->generation;
  clear_the_way(rt);
  open_region(rt, fn, ctx, first, n, parts, taken);
  const int woken = atomic_load_explicit(&rt->sleepers, memory_order_relaxed) > 0;
  if (woken) wake(rt, (int)parts - 1);
  inside_region = 1;
  fn(ctx, first, first + taken);
  /* A worker that missed the region and went to sleep meanwhile: of its "sleepers += 1, then look again" and this, one
   * comes first, and whoever comes second sees what the other did. */
  if (!woken && atomic_fetch_add(&rt->sleepers, 0) > 0) wake(rt, (int)parts - 1);
  uint32_t ran = taken;
  for (int i = 0; i < (int)parts; i++) ran += run_from(&rt->slots[i], generation);
  inside_region = 0;
  wait_for_workers(rt, generation, (uint32_t)n - ran);
}

void tw_parallel_for(void *runtime, tw_task_fn fn, void *ctx, int64_t n) {
  tw_runtime *rt = runtime;
  if (n <= 0) return;
  if (!rt || rt->threads == 1 || n == 1 || inside_region ||
      atomic_flag_test_and_set_explicit(&rt->in_use, memory_order_acquire)) {
    fn(ctx, 0, n);
    return;
  }
  for (int64_t first = 0; first < n; first += MOST_ITERATIONS)
    run_region(rt, fn, ctx, first, n - first < MOST_ITERATIONS ? n - first : MOST_ITERATIONS);
  atomic_flag_clear_explicit(&rt->in_use, memory_order_release);
}
