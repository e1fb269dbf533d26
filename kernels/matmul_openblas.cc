// Products by OpenBLAS (www.openblas.net), whichever of Debian's builds the alternatives choose.
#include "kernels/matmul_library.h"

namespace flopledger {
namespace {

struct Library {
  SharedLibrary shared = LoadOptionalLibrary({"libopenblas.so.0"});
  Cblas cblas;
  void (*set_num_threads)(int) = nullptr;
  LibraryThreads threads;

  Library() {
    BindCblas(shared, cblas);
    Bind(shared, "openblas_set_num_threads", set_num_threads);
    const char* (*get_config)() = nullptr;
    Bind(shared, "openblas_get_config", get_config);
    if (shared.usable()) shared.version = get_config();
  }
};

Library& Loaded() {
  static Library library;
  return library;
}

void MatmulOpenBlas(const MatmulArgs<float>& args) {
  Library& library = Loaded();
  library.threads.Follow(library.set_num_threads);
  MatmulByCblas(library.cblas, args);
}

}  // namespace

MatmulLibrary OpenBlas() {
  return {.backend = {"openblas", "OpenBLAS, if installed", MatmulOpenBlas},
          .package = "libopenblas0-openmp",
          .load = []() -> const SharedLibrary& { return Loaded().shared; }};
}

}  // namespace flopledger
