// Writing result files so that what stands under their name is always whole.
#pragma once

#include <string>
#include <string_view>

namespace flopledger {

/// Throws InputError unless a file can be written at `path`. Leaves nothing behind, and what is
/// there as it is.
void CheckWritable(const std::string& path);

/// Replaces the file in one step: its old content or all of the new one stands there, never a part.
/// Throws InputError when it cannot be written.
void WriteWhole(const std::string& path, std::string_view content);

/// Removes what WriteWhole has begun and not finished, for a signal handler that ends the program.
void RemoveUnfinishedFile();

}  // namespace flopledger
