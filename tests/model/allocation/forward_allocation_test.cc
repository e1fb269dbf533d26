// Forward::Run allocates nothing, on no thread, and its buffers and the weights are as large as the
// accounting says: every way to memory is counted. The C functions are
// wrapped by the linker (tests/CMakeLists.txt); operator new is replaced by one on top of them.
#include <gtest/gtest.h>
#include <omp.h>

#include <Eigen/Core>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "analysis/accounting/accounting.h"
#include "model/forward.h"
#include "tests/support/random_model.h"

namespace {

std::atomic<int64_t> allocations{0};
std::atomic<int64_t> buffers{0}, buffer_bytes{0};  // by posix_memalign, which all buffers come from

void* Seen(void* memory) {
  ++allocations;
  return memory;
}

}  // namespace

extern "C" {
void* __real_malloc(std::size_t);
void* __real_calloc(std::size_t, std::size_t);
void* __real_realloc(void*, std::size_t);
void* __real_aligned_alloc(std::size_t, std::size_t);
int __real_posix_memalign(void**, std::size_t, std::size_t);

void* __wrap_malloc(std::size_t size) { return Seen(__real_malloc(size)); }
void* __wrap_calloc(std::size_t n, std::size_t size) { return Seen(__real_calloc(n, size)); }
void* __wrap_realloc(void* old, std::size_t size) { return Seen(__real_realloc(old, size)); }
void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size) {
  return Seen(__real_aligned_alloc(alignment, size));
}
int __wrap_posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  ++allocations;
  ++buffers;
  buffer_bytes += static_cast<int64_t>(size);
  return __real_posix_memalign(memory, alignment, size);
}
}

void* operator new(std::size_t size) {
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(align, (size + align) / align * align)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace flopledger {
namespace {

/// Allocations of all threads while `act` runs.
template <class Act>
int64_t AllocationsOf(Act&& act) {
  const int64_t before = allocations;
  act();
  return allocations - before;
}

// Else a hook that sees nothing would pass for a pass that allocates nothing.
TEST(Allocations, AreSeenOnEveryThreadAndByEveryWay) {
  omp_set_num_threads(3);
  std::atomic<int64_t> threads{0};
  const auto on_each_thread = [&](auto&& allocate) {
    threads = 0;
    return AllocationsOf([&] {
    // Not the first region of this size, so that OpenMP's own team exists already.
#pragma omp parallel num_threads(3)
      {
        ++threads;
        allocate();
      }
    });
  };
  on_each_thread([] {});
  EXPECT_EQ(on_each_thread([] {}), 0);
  EXPECT_EQ(on_each_thread([] { FreeAligned(AllocateAligned(100)); }), threads);
  EXPECT_EQ(on_each_thread([] { Matrix<float>(3, 4); }), threads);
  EXPECT_EQ(on_each_thread([] {
              const std::vector<int> values(5);
              __asm__ volatile("" : : "r"(values.data()) : "memory");  // else it may be left out
            }),
            threads);
  EXPECT_EQ(on_each_thread([] { Eigen::MatrixXf(5, 5).setZero(); }), threads);
  EXPECT_EQ(threads, 3);
}

/// Whether Eigen packs every block of this model's products on its stack, which takes 128 KiB.
bool EigenPacksOnItsStack(const ModelConfig& config) {
  const int64_t outputs = std::max({config.qkv_size(), config.d_ff, config.vocab_size});
  return config.d_model * outputs * static_cast<int64_t>(sizeof(float)) <= 128 * 1024;
}

TEST(Allocations, AreNoneInAForwardPass) {
  std::mt19937 random(14);
  for (int i = 0; i < 40; ++i) {
    const ModelConfig config = RandomComputedModel(random);
    const RunShape shape{.context = 1 + i,
                         .batch = 1 + i % 2,
                         .num_layers = config.num_layers,
                         .fused_attention = i % 4 < 2};
    const std::vector<int32_t> tokens(static_cast<std::size_t>(shape.batch * shape.context), 0);
    for (const auto& matmul : MatmulBackends<float>()) {
      SCOPED_TRACE(std::string(matmul.name));
      if (matmul.name == "eigen" && !EigenPacksOnItsStack(config)) continue;
      omp_set_num_threads(1 + i % 3);
      const auto weights = SeededWeights<float>(config, config.num_layers, 3, matmul.packs_weights);
      Forward<float> forward(config, weights, shape, matmul);
      NoObserver observer;
      forward.Run(tokens, observer);  // OpenMP makes its threads once, at the first pass
      EXPECT_EQ(AllocationsOf([&] { forward.Run(tokens, observer); }), 0);
    }
  }
}

/// Fails unless `make` allocates buffers of `bytes` in all, each of at least a cache line.
template <class Make>
void ExpectBuffers(int64_t bytes, Make&& make) {
  const int64_t buffers_before = buffers, bytes_before = buffer_bytes;
  const auto made = make();
  const int64_t rounded_up = 64 * (buffers - buffers_before);
  EXPECT_GT(rounded_up, 0);
  EXPECT_GE(buffer_bytes - bytes_before, bytes);
  EXPECT_LE(buffer_bytes - bytes_before, bytes + rounded_up);
}

TEST(Allocations, AreWhatTheAccountingSays) {
  std::mt19937 random(16);
  omp_set_num_threads(2);
  for (int i = 0; i < 40; ++i) {
    const ModelConfig config = RandomModel(random);
    const RunShape shape{.context = 1 + static_cast<int64_t>(random() % 70),
                         .batch = 1 + static_cast<int64_t>(random() % 2),
                         .num_layers = config.num_layers,
                         .fused_attention = random() % 2 == 0};
    SCOPED_TRACE("model " + std::to_string(i));
    const MemoryFigures accounting = CountMemory(config, shape);
    ExpectBuffers(accounting.weights_bytes,
                  [&] { return AllocateWeights<float>(config, config.num_layers, false); });
    const auto weights = AllocateWeights<float>(config, config.num_layers, true);
    ExpectBuffers(WeightBytes(config, weights),
                  [&] { return AllocateWeights<float>(config, config.num_layers, true); });
    for (const auto& matmul : MatmulBackends<float>()) {
      const auto make = [&] {
        return std::make_unique<Forward<float>>(config, weights, shape, matmul);
      };
      ExpectBuffers(accounting.activation_bytes + make()->ScratchBytes(), make);
    }
  }
}

// Eigen takes packing buffers from the heap at such sizes (see Forward): the pass that `run` times
// by default does not.
TEST(Allocations, AreNoneAtLargeSizesUnlessEigenComputes) {
  ModelConfig config = LoadModel("gpt2");
  config.num_layers = 1;
  config.vocab_size = 1000;
  const RunShape shape{.context = 600, .batch = 1, .num_layers = 1, .fused_attention = true};
  const std::vector<int32_t> tokens(600, 0);
  omp_set_num_threads(2);
  const auto weights = SeededWeights<float>(config, 1, 3, true);
  Forward<float> forward(config, weights, shape, *FindMatmul<float>("packed"));
  NoObserver observer;
  forward.Run(tokens, observer);
  EXPECT_EQ(AllocationsOf([&] { forward.Run(tokens, observer); }), 0);
}

}  // namespace
}  // namespace flopledger
