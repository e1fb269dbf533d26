// Tokens for passes whose text does not matter.
#pragma once

#include <cstdint>
#include <vector>

namespace flopledger {

/// `count` tokens in [0, vocab_size), spread over the vocabulary: time does not depend on them.
inline std::vector<int32_t> SpreadTokens(int64_t count, int64_t vocab_size) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>((i * 7919 + 13) % vocab_size));
  }
  return tokens;
}

}  // namespace flopledger
