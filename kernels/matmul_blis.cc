// Products by BLIS (github.com/flame/blis).
#include "kernels/matmul_library.h"

namespace flopledger {
namespace {

struct Library {
  SharedLibrary shared = LoadOptionalLibrary({"libblis.so.4"});
  Cblas cblas;
  void (*set_num_threads)(int64_t) = nullptr;
  LibraryThreads threads;

  Library() {
    BindCblas(shared, cblas);
    Bind(shared, "bli_thread_set_num_threads", set_num_threads);
    const char* (*get_version)() = nullptr;
    Bind(shared, "bli_info_get_version_str", get_version);
    if (shared.usable()) shared.version = std::string("BLIS ") + get_version();
  }
};

Library& Loaded() {
  static Library library;
  return library;
}

void MatmulBlis(const MatmulArgs<float>& args) {
  Library& library = Loaded();
  library.threads.Follow(library.set_num_threads);
  MatmulByCblas(library.cblas, args);
}

}  // namespace

MatmulLibrary Blis() {
  return {.backend = {"blis", "BLIS, if installed", MatmulBlis},
          .package = "libblis4-openmp",
          .load = []() -> const SharedLibrary& { return Loaded().shared; }};
}

}  // namespace flopledger
