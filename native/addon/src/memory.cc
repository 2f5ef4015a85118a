// Aligned, zeroed buffers outside of V8's heap, and the addresses of views.
#include "addon.h"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <sys/mman.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace tw {

namespace {

constexpr size_t kHugePage = size_t{2} << 20;
// Since Linux 6.1; the headers may be older.
constexpr int kCollapse = 25;
// A huge page that is at hand takes 0.1 to 0.6 ms, most of it for zeroing; one that the kernel compacts memory for, or
// that the host of a virtual machine has yet to back, takes 4 ms.
constexpr std::chrono::microseconds kAtHand{1000};
// Beyond this, memory that may never be used whole is left to its first use.
constexpr size_t kMostTouched = size_t{1} << 30;
// From loading a network until its first results are out, for which nothing is to be in the way.
constexpr std::chrono::milliseconds kUntilCollapse{250};

size_t roundUp(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// Makes huge pages of small ones, later and beside everything else.
class Collapser {
public:
  Collapser(char *bytes, size_t length) : thread_([=, this] { run(bytes, length); }) {}

  ~Collapser() {
    {
      std::lock_guard<std::mutex> guard(mutex_);
      stopped_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

private:
  void run(char *bytes, size_t length) {
    auto until = std::chrono::steady_clock::now() + kUntilCollapse;
    for (size_t done = 0; done + kHugePage <= length; done += kHugePage) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        if (wake_.wait_until(lock, until, [this] { return stopped_; })) return;
      }
      until = {};
      if (madvise(bytes + done, kHugePage, kCollapse) != 0 && errno == EINVAL) return; // the kernel knows no such advice
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;
  std::thread thread_; // last: it uses the others
};

// An aligned allocation that an ArrayBuffer shows. It is unmapped by freeAligned or by the finalizer,
// whichever comes first; the record itself always goes with the finalizer.
struct Allocation {
  void *bytes;
  size_t mapped;
  bool freed = false;
  std::unique_ptr<Collapser> collapser = nullptr;

  void unmap() {
    collapser.reset();
    munmap(bytes, mapped);
  }
};

// Allocations alive, of the whole process: finalizers may run after an environment's own state is gone.
class Registry {
public:
  static Registry &get() {
    static Registry *registry = new Registry; // never destroyed
    return *registry;
  }

  void add(Allocation *allocation) {
    std::lock_guard<std::mutex> guard(mutex_);
    alive_[allocation->bytes] = allocation;
    total_ += allocation->mapped;
  }

  Allocation *find(void *bytes) {
    std::lock_guard<std::mutex> guard(mutex_);
    const auto found = alive_.find(bytes);
    return found == alive_.end() ? nullptr : found->second;
  }

  void release(napi_env env, Allocation *allocation) {
    if (allocation->freed) return;
    {
      std::lock_guard<std::mutex> guard(mutex_);
      alive_.erase(allocation->bytes);
      total_ -= allocation->mapped;
    }
    allocation->freed = true;
    allocation->unmap();
    int64_t ignored;
    napi_adjust_external_memory(env, -static_cast<int64_t>(allocation->mapped), &ignored);
  }

  size_t total() {
    std::lock_guard<std::mutex> guard(mutex_);
    return total_;
  }

private:
  std::mutex mutex_;
  std::unordered_map<void *, Allocation *> alive_;
  size_t total_ = 0;
};

void finalize(napi_env env, void *, void *hint) {
  Allocation *allocation = static_cast<Allocation *>(hint);
  Registry::get().release(env, allocation);
  delete allocation;
}

enum class Pages { small, ready, huge };

void touch(char *bytes, size_t length, size_t step) {
  volatile char *cursor = bytes;
  for (size_t i = 0; i < length; i += step) cursor[i] = 0;
}

// Touches huge pages as long as they are at hand, then small ones; gives the bytes before the small ones.
size_t touchReady(char *bytes, size_t length, size_t page) {
  using Clock = std::chrono::steady_clock;
  const size_t whole = length / kHugePage * kHugePage;
  size_t huge = 0;
  for (auto took = Clock::duration{}; huge < whole && took < kAtHand; huge += kHugePage) {
    const auto start = Clock::now();
    touch(bytes + huge, kHugePage, page);
    took = Clock::now() - start;
  }
  madvise(bytes + huge, length - huge, MADV_NOHUGEPAGE);
  touch(bytes + huge, length - huge, page);
  madvise(bytes + huge, length - huge, MADV_HUGEPAGE);
  return huge;
}

// Pages straight from the kernel: zeroed, and given back when freed.
Allocation *map(size_t length, size_t alignment, Pages pages, bool populate) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t unit = pages == Pages::small ? page : kHugePage;
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
  char *bytes = reinterpret_cast<char *>(aligned);
  auto allocation = std::make_unique<Allocation>(Allocation{bytes, usable});
  if (pages != Pages::small) madvise(bytes, usable, MADV_HUGEPAGE);
  if (pages == Pages::ready && usable <= kMostTouched) {
    const size_t huge = touchReady(bytes, usable, page);
    try {
      if (usable - huge >= kHugePage) allocation->collapser = std::make_unique<Collapser>(bytes + huge, usable - huge);
    } catch (const std::system_error &) {
      // No more threads: small pages do as well.
    }
  } else if (populate)
    touch(bytes, usable, page);
  return allocation.release();
}

napi_value allocAligned(Args &args) {
  const double requested = args.number(0);
  if (!(requested >= 0) || requested > 9e15) throw Failure("native/argument", "argument 1 must be a number of bytes");
  const size_t length = static_cast<size_t>(requested);
  const Options options(args, 1);
  const size_t alignment = static_cast<size_t>(options.number("alignment", 64));
  if (alignment == 0 || (alignment & (alignment - 1)) || alignment > (size_t{1} << 30))
    throw Failure("native/argument", "alignment must be a power of two, at most 1 GiB");
  const Pages asked = options.flag("hugePages", false) ? Pages::huge : Pages::small;
  const Pages pages = options.has("hugePages") ? asked : length >= 2 * kHugePage ? Pages::ready : Pages::small;
  Allocation *allocation = map(length, alignment, pages, options.flag("populate", false));
  napi_value buffer;
  const napi_status status =
      napi_create_external_arraybuffer(args.env, allocation->bytes, length, finalize, allocation, &buffer);
  if (status != napi_ok) {
    allocation->unmap();
    delete allocation;
    check(args.env, status);
  }
  Registry::get().add(allocation);
  int64_t ignored;
  napi_adjust_external_memory(args.env, static_cast<int64_t>(allocation->mapped), &ignored);
  return buffer;
}

// Detaches the buffer and gives its pages back at once.
napi_value freeAligned(Args &args) {
  bool detached = false;
  check(args.env, napi_is_detached_arraybuffer(args.env, args.value[0], &detached));
  if (detached) return nullptr;
  Allocation *allocation = Registry::get().find(args.bytes(0).bytes);
  if (!allocation) throw Failure("native/argument", "the buffer was not made by allocAligned");
  Registry::get().release(args.env, allocation);
  check(args.env, napi_detach_arraybuffer(args.env, args.value[0]));
  return nullptr;
}

napi_value addressOf(Args &args) { return makeAddress(args.env, args.bytes(0).bytes); }

napi_value allocatedBytes(Args &args) {
  return makeNumber(args.env, static_cast<double>(Registry::get().total()));
}

} // namespace

void defineMemory(napi_env env, napi_value exports) {
  define(env, exports, "allocAligned", allocAligned);
  define(env, exports, "freeAligned", freeAligned);
  define(env, exports, "addressOf", addressOf);
  define(env, exports, "allocatedBytes", allocatedBytes);
}

} // namespace tw
