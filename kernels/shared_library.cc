#include "kernels/shared_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace flopledger {
namespace {

// RTLD_LOCAL hides a library's symbols from the others; RTLD_DEEPBIND (glibc) makes it prefer its
// own over the program's, should a parent project link some BLAS. The address sanitizer refuses it.
#if defined(RTLD_DEEPBIND) && !defined(__SANITIZE_ADDRESS__)
constexpr int kMode = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#else
constexpr int kMode = RTLD_NOW | RTLD_LOCAL;
#endif

/// What the dynamic linker says of the last failure.
std::string LastError() {
  const char* error = dlerror();
  return error != nullptr ? error : "the dynamic linker does not say why";
}

}  // namespace

SharedLibrary LoadSharedLibrary(const char* soname) {
  SharedLibrary library;
  library.handle = dlopen(soname, kMode);
  if (library.handle == nullptr) library.error = LastError();
  return library;
}

SharedLibrary LoadOptionalLibrary(std::initializer_list<const char*> sonames) {
  SharedLibrary library;
  const char* hidden = std::getenv("FLOPLEDGER_NO_LIBRARIES");
  if (hidden != nullptr && hidden != std::string_view("0")) {
    library.error = "FLOPLEDGER_NO_LIBRARIES is set";
    return library;
  }
  for (const char* soname : sonames) {
    library = LoadSharedLibrary(soname);
    if (library.usable()) break;
  }
  return library;
}

void* FindSymbol(SharedLibrary& library, const char* symbol) {
  if (library.handle == nullptr) return nullptr;
  void* address = dlsym(library.handle, symbol);
  if (address == nullptr) {
    if (library.usable()) library.error = LastError();
    return nullptr;
  }
  if (Dl_info info; library.path.empty() && dladdr(address, &info) != 0) {
    std::error_code unresolved;  // behind Debian's alternatives: which build it is
    const auto file = std::filesystem::canonical(info.dli_fname, unresolved);
    library.path = unresolved ? info.dli_fname : file.string();
  }
  return address;
}

}  // namespace flopledger
