#include "kernels/matmul_library.h"

#include <omp.h>

#include <limits>

namespace flopledger {
namespace {

int Narrow(int64_t size) {
  FL_CHECK(size <= std::numeric_limits<int>::max(), size);
  return static_cast<int>(size);
}

}  // namespace

std::span<const MatmulLibrary> MatmulLibraries() {
  static const MatmulLibrary kLibraries[] = {OpenBlas(), Blis(), OneDnn()};
  return kLibraries;
}

const MatmulBackend<float>* FindLoadedMatmul(std::string_view name) {
  for (const MatmulLibrary& library : MatmulLibraries()) {
    if (library.backend.name == name) return library.load().usable() ? &library.backend : nullptr;
  }
  return nullptr;
}

int ThreadsOfOneProduct() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

float SeedForBeta(const MatmulArgs<float>& args) {
  if (args.bias == nullptr) return 0;
#pragma omp parallel for if (!omp_in_parallel())
  for (int64_t m = 0; m < args.y.rows; ++m) InitWithBias(args, m, m + 1, 0, args.y.cols);
  return 1;
}

void BindCblas(SharedLibrary& library, Cblas& cblas) {
  Bind(library, "cblas_sgemm", cblas.sgemm);
  Bind(library, "cblas_sgemv", cblas.sgemv);
}

void MatmulByCblas(const Cblas& cblas, const MatmulArgs<float>& args) {
  CheckMatmulShapes(args);
  FL_CHECK(args.w.layout != WeightLayout::kPanels);
  const int M = Narrow(args.x.rows), N = Narrow(args.y.cols), K = Narrow(args.x.cols);
  const int w_stride = Narrow(args.w.stride);
  const bool transposed = args.w.layout == WeightLayout::kOutputsByInputs;
  if (M == 1) {  // y is seeded in any case: beta·y for beta 0 is not 0 everywhere where y is NaN
    InitWithBias(args, 0, 1, 0, N);
    return cblas.sgemv(Cblas::kRowMajor, transposed ? Cblas::kNo : Cblas::kYes, transposed ? N : K,
                       transposed ? K : N, 1, args.w.data, w_stride, args.x.data, 1, 1, args.y.data,
                       1);
  }
  const float beta = SeedForBeta(args);
  cblas.sgemm(Cblas::kRowMajor, Cblas::kNo, transposed ? Cblas::kYes : Cblas::kNo, M, N, K, 1,
              args.x.data, Narrow(args.x.stride), args.w.data, w_stride, beta, args.y.data,
              Narrow(args.y.stride));
}

}  // namespace flopledger
