// Aligned, zeroed buffers outside of V8's heap, and the addresses of views.
#include "addon.h"

#include <sys/mman.h>
#include <unistd.h>

namespace tw {

namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t roundUp(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

void release(Allocation &allocation) {
  if (allocation.freed) return;
  allocation.freed = true;
  munmap(allocation.start, allocation.mapped);
}

void finalize(napi_env env, void *, void *hint) {
  Allocation *allocation = static_cast<Allocation *>(hint);
  int64_t total;
  if (!allocation->freed) {
    napi_adjust_external_memory(env, -static_cast<int64_t>(allocation->mapped), &total);
    void *state = nullptr;
    if (napi_get_instance_data(env, &state) == napi_ok && state)
      static_cast<EnvironmentState *>(state)->allocations.erase(allocation->bytes);
    release(*allocation);
  }
  delete allocation;
}

// Pages straight from the kernel: zeroed without touching them, and given back when freed.
Allocation *map(size_t length, size_t alignment, bool hugePages, bool populate) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t unit = hugePages ? kHugePage : page;
  if (alignment < unit) alignment = unit;
  if (length > SIZE_MAX / 2) throw std::bad_alloc();
  const size_t usable = roundUp(length ? length : 1, page);
  const size_t slack = alignment > page ? alignment : 0;
  void *start = mmap(nullptr, usable + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) throw std::bad_alloc();
  // Give the slack on both sides back, so that only what is used stays mapped.
  const uintptr_t first = reinterpret_cast<uintptr_t>(start);
  const uintptr_t aligned = slack ? roundUp(first, alignment) : first;
  if (aligned > first) munmap(start, aligned - first);
  if (aligned + usable < first + usable + slack)
    munmap(reinterpret_cast<void *>(aligned + usable), first + slack - aligned);
  void *bytes = reinterpret_cast<void *>(aligned);
  if (hugePages) madvise(bytes, usable, MADV_HUGEPAGE);
  if (populate) {
    volatile char *cursor = static_cast<char *>(bytes);
    for (size_t i = 0; i < usable; i += page) cursor[i] = 0;
  }
  return new Allocation{bytes, usable, bytes, length, false};
}

napi_value allocAligned(Args &args) {
  const double requested = args.number(0);
  if (!(requested >= 0) || requested > 9e15) throw Failure("native/argument", "argument 1 must be a number of bytes");
  const size_t length = static_cast<size_t>(requested);
  const Options options(args, 1);
  const size_t alignment = static_cast<size_t>(options.number("alignment", 64));
  if (alignment == 0 || (alignment & (alignment - 1)) || alignment > (size_t{1} << 30))
    throw Failure("native/argument", "alignment must be a power of two, at most 1 GiB");
  const bool hugePages = options.flag("hugePages", length >= 2 * kHugePage);
  Allocation *allocation = map(length, alignment, hugePages, options.flag("populate", false));
  napi_value buffer;
  const napi_status status =
      napi_create_external_arraybuffer(args.env, allocation->bytes, length, finalize, allocation, &buffer);
  if (status != napi_ok) {
    release(*allocation);
    delete allocation;
    check(args.env, status);
  }
  environment(args.env).allocations[allocation->bytes] = allocation;
  int64_t total;
  napi_adjust_external_memory(args.env, static_cast<int64_t>(allocation->mapped), &total);
  return buffer;
}

// Detaches the buffer and gives its pages back at once.
napi_value freeAligned(Args &args) {
  bool detached = false;
  check(args.env, napi_is_detached_arraybuffer(args.env, args.value[0], &detached));
  if (detached) return nullptr;
  const Span span = args.bytes(0);
  auto &allocations = environment(args.env).allocations;
  const auto found = allocations.find(span.bytes);
  if (found == allocations.end()) throw Failure("native/argument", "the buffer was not made by allocAligned");
  Allocation *allocation = found->second;
  allocations.erase(found);
  int64_t total;
  napi_adjust_external_memory(args.env, -static_cast<int64_t>(allocation->mapped), &total);
  release(*allocation);
  check(args.env, napi_detach_arraybuffer(args.env, args.value[0]));
  return nullptr;
}

napi_value addressOf(Args &args) { return makeAddress(args.env, args.bytes(0).bytes); }

// Bytes of mapped allocations alive in this environment.
napi_value allocatedBytes(Args &args) {
  size_t total = 0;
  for (const auto &entry : environment(args.env).allocations) total += entry.second->mapped;
  return makeNumber(args.env, static_cast<double>(total));
}

} // namespace

void defineMemory(napi_env env, napi_value exports) {
  define(env, exports, "allocAligned", allocAligned);
  define(env, exports, "freeAligned", freeAligned);
  define(env, exports, "addressOf", addressOf);
  define(env, exports, "allocatedBytes", allocatedBytes);
}

} // namespace tw
