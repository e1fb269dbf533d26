// The program as a function: words in; exit code, streams and files out.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "bench/cli/cli.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {

inline constexpr char kTinyModel[] = R"({"vocab_size": 50, "context_length": 24, "num_layers": 3,
  "d_model": 24, "num_heads": 3, "num_kv_heads": 1, "d_ff": 40, "ffn": "swiglu",
  "norm": "rmsnorm", "position": "rope", "bias": false, "tie_embeddings": false})";

struct Outcome {
  int code = 0;
  std::string out, err;
};

/// What the program does with these words.
inline Outcome RunWords(const std::vector<std::string>& words) {
  std::ostringstream out, err;
  const int code = RunCli(words, out, err);
  return {code, out.str(), err.str()};
}

/// Whether a run has its ledger. A share above the peak ends it with exit code 1 all the same: a
/// machine that does other work shows one, and the sanitizers, which slow the peak's chains but no
/// library.
inline bool Ran(const Outcome& run) {
  const bool above = run.err.find("of the FMA peak, which cannot be") != std::string::npos;
  return run.code == kDone || (run.code == kCheckFailed && above);
}

/// What the program does with words in which %NAME% stands for fixtures and the temporary folder.
class CommandLine : public ::testing::Test {
 protected:
  CommandLine() {
    setenv("XDG_CACHE_HOME", folder_.path("cache").c_str(), 1);
    tiny_ = folder_.Write("tiny.json", kTinyModel);
  }

  Outcome Run(const std::vector<std::string>& words) {
    std::vector<std::string> args;
    for (std::string word : words) {
      Replace(word, "%DIR%", folder_.path());
      Replace(word, "%GOLDEN%", FLOPLEDGER_FIXTURES);
      args.push_back(word);
    }
    return RunWords(args);
  }

  static void Replace(std::string& text, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
      text.replace(at, from.size(), to);
    }
  }

  TemporaryFolder folder_;
  std::string tiny_;
};

}  // namespace flopledger
