// How this program was built. The values are written when it is built (cmake/build_info.cmake).
#pragma once

#include <string_view>

namespace flopledger {

struct BuildInfo {
  std::string_view version;     // "0.1.0"
  std::string_view commit;      // "3f2a91c" or "3f2a91c-dirty"; "unknown" outside a git checkout
  std::string_view kernels;     // a digest of the sources of kernels/ and of the forward pass
  std::string_view compiler;    // "GNU 12.2.0"
  std::string_view flags;       // of the kernels
  std::string_view build_type;  // "Release"
};

const BuildInfo& GetBuildInfo();

}  // namespace flopledger
