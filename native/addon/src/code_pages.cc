// Pages of this library's code that only its loading needed.
#include "addon.h"

#include <mutex>

#ifdef __linux__
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace tw {

#ifdef __linux__
namespace {

// Gives the pages of every segment that is never written to back to the page cache, if `library` is this one.
int releaseIfOwn(dl_phdr_info *library, size_t, void *) {
  const uintptr_t here = reinterpret_cast<uintptr_t>(&releaseIfOwn);
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  bool own = false;
  for (int i = 0; i < library->dlpi_phnum; i++) {
    const ElfW(Phdr) &segment = library->dlpi_phdr[i];
    const uintptr_t start = library->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && here >= start && here < start + segment.p_memsz) own = true;
  }
  if (!own) return 0;
  for (int i = 0; i < library->dlpi_phnum; i++) {
    const ElfW(Phdr) &segment = library->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W)) continue;
    const uintptr_t start = (library->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    madvise(reinterpret_cast<void *>(start), library->dlpi_addr + segment.p_vaddr + segment.p_memsz - start,
            MADV_DONTNEED);
  }
  return 1;
}

} // namespace
#endif

void releaseCodePages() {
#ifdef __linux__
  static std::once_flag once;
  std::call_once(once, [] { dl_iterate_phdr(releaseIfOwn, nullptr); });
#endif
}

} // namespace tw
