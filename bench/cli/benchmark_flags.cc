#include "bench/cli/benchmark_flags.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>
#include <utility>

#include "bench/machine/files.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// What the last flag of Google Benchmark of that name says; `otherwise` where none does.
std::string ValueOf(const std::vector<std::string>& flags, std::string_view name,
                    std::string otherwise) {
  std::string value = std::move(otherwise);
  for (const std::string& flag : flags) {
    if (flag.starts_with(name) && flag.substr(name.size()).starts_with('=')) {
      value = flag.substr(name.size() + 1);
    }
  }
  return value;
}

}  // namespace

void CheckBenchmarkFlags(const std::vector<std::string>& flags) {
  constexpr std::string_view kFlag = "--benchmark_min_time";
  const std::string text = ValueOf(flags, kFlag, "0.5");
  double seconds = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, seconds);
  const std::string_view unit(end, last);
  if (error != std::errc() || !(seconds > 0) || (!unit.empty() && unit != "s" && unit != "x")) {
    throw InputError(fmt::format("{} must be seconds, such as 0.5, found '{}'", kFlag, text));
  }
  const std::string out = ValueOf(flags, "--benchmark_out", "");
  if (!out.empty()) CheckWritable(out);
}

int64_t RepetitionsOf(const std::vector<std::string>& flags) {
  constexpr std::string_view kFlag = "--benchmark_repetitions";
  const std::string text = ValueOf(flags, kFlag, "3");
  int32_t repetitions = 0;  // Google Benchmark's own type
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, repetitions);
  if (error != std::errc() || end != last || repetitions < 1) {
    throw InputError(
        fmt::format("{} must be a whole number of at least 1, found '{}'", kFlag, text));
  }
  return repetitions;
}

}  // namespace flopledger
