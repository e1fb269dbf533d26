#include "bench/gate/settings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "model/input_error.h"

namespace flopledger {

void CheckGateSettings(const GateSettings& settings) {
  for (const bool candidate : {false, true}) {
    const std::string& path = candidate ? settings.candidate : settings.baseline;
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) {
      throw InputError(fmt::format("{} '{}': no such file", SideName(candidate), path));
    }
    if (access(path.c_str(), X_OK) != 0) {
      throw InputError(fmt::format("{} '{}': is not executable", SideName(candidate), path));
    }
  }
  CheckGateArguments(settings);
}

void CheckGateArguments(const GateSettings& settings) {
  for (const std::string& word : settings.arguments) {
    for (const char* flag :
         {"--benchmark_out", "--benchmark_out_format", "--benchmark_repetitions",
          "--benchmark_min_time", "--benchmark_list_tests", "--benchmark_report_aggregates_only"}) {
      if (word.substr(0, word.find('=')) != flag) continue;
      throw InputError(fmt::format("{} is set by the gate itself", flag));
    }
  }
}

}  // namespace flopledger
