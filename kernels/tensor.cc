#include "kernels/tensor.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace flopledger {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

void* AllocateAligned(std::size_t bytes) {
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kCacheLine;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, std::max(bytes, kCacheLine)) != 0) throw std::bad_alloc();
#ifdef __linux__
  // Advice only: where the kernel refuses huge pages, small ones serve. What fills no huge page at
  // the end stays on small ones: hundreds of tensors would waste a megabyte each.
  if (alignment == kHugePage) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return memory;
}

void FreeAligned(void* memory) noexcept { std::free(memory); }

}  // namespace flopledger
