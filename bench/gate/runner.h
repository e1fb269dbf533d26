// One run of one of the two binaries, and what it left.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "analysis/regression/benchmark_json.h"
#include "bench/gate/settings.h"
#include "bench/machine/process.h"

namespace flopledger {

/// Whether the file is an ELF executable, and no script.
bool IsElf(const std::string& path);

/// Runs either binary. An ELF file goes through a link to its folder, so that both sides' paths are
/// equally long and what lies beside the binary is still beside it; a script runs at its own place,
/// from where it may look for its neighbours.
class Runner {
 public:
  explicit Runner(const GateSettings& settings);

  /// One run with these flags after the user's. Throws CannotMeasure where it leaves no results or
  /// no row in them, Interrupted where it was interrupted.
  BenchmarkFile Run(bool candidate, const std::vector<std::string>& flags) const;

  /// `repetitions`, of at least `sample_s` seconds each, of `rows` (empty: all): of one run; or,
  /// where the baseline too ends in an error as often as it is asked for that, of as many runs of
  /// the whole binary. Throws as Run does.
  BenchmarkFile RunRepeated(bool candidate, int repetitions, double sample_s,
                            const std::vector<std::string>& rows);
  /// Whether the latter was found.
  bool repeats_by_runs() const { return repeats_by_runs_; }

 private:
  /// What tells a file from another build at the same path.
  using Stamp = std::pair<std::uintmax_t, std::filesystem::file_time_type>;
  static Stamp StampOf(const std::string& path);
  std::string Program(bool candidate, std::size_t longest) const;
  /// The results of one run, as they are.
  nlohmann::json Execute(bool candidate, const std::vector<std::string>& flags) const;
  bool Fails(bool candidate, const std::vector<std::string>& flags) const;

  const GateSettings& settings_;
  PrivateFolder folder_;
  std::string programs_[2];
  Stamp stamps_[2];
  bool repeats_by_runs_ = false;
};

/// The flag that selects exactly these rows.
std::string FilterOf(const std::vector<std::string>& rows);

}  // namespace flopledger
