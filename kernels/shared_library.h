// Libraries loaded at run time, each with its symbols to itself: nothing is linked against them, so
// the program runs where they are absent, and several that define the same names do not clash.
#pragma once

#include <initializer_list>
#include <string>

namespace flopledger {

/// A library that was looked for. It stays loaded to the end: its threads may still live.
struct SharedLibrary {
  void* handle = nullptr;
  std::string path;     // the file; empty where there is none
  std::string version;  // as the library itself says; empty until whoever loaded it asked
  std::string error;    // why it cannot be used, on one line; empty if it can

  bool usable() const { return error.empty(); }
};

/// Looks for `soname` as the dynamic linker does, e.g. "libopenblas.so.0".
SharedLibrary LoadSharedLibrary(const char* soname);

/// The first of `sonames` (one for each version that we know, the newest first) that can be loaded.
/// None is looked for where the environment sets FLOPLEDGER_NO_LIBRARIES to anything but 0: so
/// tests see a machine on which no optional library is installed.
SharedLibrary LoadOptionalLibrary(std::initializer_list<const char*> sonames);

/// The address of `symbol`, or null; what is missing makes the library unusable and is its error.
void* FindSymbol(SharedLibrary& library, const char* symbol);

/// Sets `function` to the library's `symbol`, which must be of that type.
template <class Function>
void Bind(SharedLibrary& library, const char* symbol, Function*& function) {
  function = reinterpret_cast<Function*>(FindSymbol(library, symbol));
}

}  // namespace flopledger
