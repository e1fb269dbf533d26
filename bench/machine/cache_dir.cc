#include "bench/machine/cache_dir.h"

#include <cstdlib>

namespace flopledger {

std::string CacheDir() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) {
    return cache + "/flopledger";
  }
  if (const std::string home = variable("HOME"); !home.empty()) return home + "/.cache/flopledger";
  return "";
}

}  // namespace flopledger
