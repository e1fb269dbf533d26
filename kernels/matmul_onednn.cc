// Products by oneDNN (github.com/oneapi-src/oneDNN). Debian builds it with OpenMP, so its threads
// are ours, and a call inside a parallel region keeps to its own.
#include "kernels/matmul_library.h"

namespace flopledger {
namespace {

struct Version {  // the head of dnnl_version_t, stable since 1.0
  int major, minor, patch;
};

struct Library {
  SharedLibrary shared = LoadOptionalLibrary({"libdnnl.so.3", "libdnnl.so.2"});
  // Row-major; returns 0 when all is well.
  int (*sgemm)(char transa, char transb, int64_t M, int64_t N, int64_t K, float alpha,
               const float* A, int64_t lda, const float* B, int64_t ldb, float beta, float* C,
               int64_t ldc) = nullptr;

  Library() {
    Bind(shared, "dnnl_sgemm", sgemm);
    const Version* (*get_version)() = nullptr;
    Bind(shared, "dnnl_version", get_version);
    if (!shared.usable()) return;
    const Version& version = *get_version();
    shared.version = "oneDNN " + std::to_string(version.major) + "." +
                     std::to_string(version.minor) + "." + std::to_string(version.patch);
  }
};

Library& Loaded() {
  static Library library;
  return library;
}

void MatmulOneDnn(const MatmulArgs<float>& args) {
  CheckMatmulShapes(args);
  FL_CHECK(args.w.layout != WeightLayout::kPanels);
  const char transpose_w = args.w.layout == WeightLayout::kOutputsByInputs ? 'T' : 'N';
  const float beta = SeedForBeta(args);
  const int status =
      Loaded().sgemm('N', transpose_w, args.x.rows, args.y.cols, args.x.cols, 1, args.x.data,
                     args.x.stride, args.w.data, args.w.stride, beta, args.y.data, args.y.stride);
  FL_CHECK(status == 0, status);
}

}  // namespace

MatmulLibrary OneDnn() {
  return {.backend = {"onednn", "oneDNN, if installed", MatmulOneDnn},
          .package = "libdnnl3 (Debian 12: libdnnl2)",
          .load = []() -> const SharedLibrary& { return Loaded().shared; }};
}

}  // namespace flopledger
