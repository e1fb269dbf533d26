// Products by libraries that are loaded at run time if they are installed: for comparison. What
// they execute cannot be counted, and has no formula here. One file for each: matmul_<name>.cc.
#pragma once

#include <mutex>
#include <span>
#include <string_view>

#include "kernels/matmul.h"
#include "kernels/shared_library.h"

namespace flopledger {

/// One entry of the table of libraries.
struct MatmulLibrary {
  MatmulBackend<float> backend;  // may run only once load() has found the library usable
  std::string_view package;      // of Debian, that provides it
  const SharedLibrary& (*load)() = nullptr;  // loads it at the first call
};

/// Every library that this build knows, installed or not.
std::span<const MatmulLibrary> MatmulLibraries();

/// The rows of the table, each in the file of its library.
MatmulLibrary OpenBlas();
MatmulLibrary Blis();
MatmulLibrary OneDnn();

/// Keeps a library's own number of threads, which is one for the whole process, in step with ours:
/// all OpenMP threads, or one inside a parallel region. There, whoever comes first sets it before
/// any product starts.
class LibraryThreads {
 public:
  template <class SetNumThreads>
  void Follow(SetNumThreads* set_num_threads);

 private:
  std::mutex mutex_;
  int current_ = 0;  // 0: never set
};

/// Threads that one product may use now.
int ThreadsOfOneProduct();

template <class SetNumThreads>
void LibraryThreads::Follow(SetNumThreads* set_num_threads) {
  const int threads = ThreadsOfOneProduct();
  const std::lock_guard lock(mutex_);
  if (threads == current_) return;
  set_num_threads(threads);
  current_ = threads;
}

/// Fills y with the bias, in parallel, and returns the beta of y = x·w + beta·y: 1, or 0 (and y is
/// left as it is) where there is no bias.
float SeedForBeta(const MatmulArgs<float>& args);

/// The functions of the C interface to BLAS that two of the libraries share (32-bit sizes).
struct Cblas {
  enum Order { kRowMajor = 101 };
  enum Transpose { kNo = 111, kYes = 112 };
  void (*sgemm)(Order, Transpose a, Transpose b, int m, int n, int k, float alpha, const float* A,
                int lda, const float* B, int ldb, float beta, float* C, int ldc) = nullptr;
  void (*sgemv)(Order, Transpose a, int m, int n, float alpha, const float* A, int lda,
                const float* x, int incx, float beta, float* y, int incy) = nullptr;
};
void BindCblas(SharedLibrary& library, Cblas& cblas);

/// The product by CBLAS: sgemv for one row, as a user of BLAS would call it, else sgemm.
void MatmulByCblas(const Cblas& cblas, const MatmulArgs<float>& args);

}  // namespace flopledger
