// Files that lie beside checkpoints or stand in for them, told by their first bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace flopledger {

/// What a file is that is no safetensors file, with what to do about it: "a Git LFS pointer: …".
/// Empty where the bytes are not known.
std::string ForeignFormat(std::span<const std::byte> file);

}  // namespace flopledger
