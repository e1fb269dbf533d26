#include "bench/gate/runner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>

#include "bench/machine/interrupt.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

std::string Letter(bool candidate) { return candidate ? "b" : "a"; }

CannotMeasure Failure(bool candidate, const std::string& what, const std::string& log) {
  const std::string said = LastWords(log);
  return CannotMeasure(
      fmt::format("{} {}{}{}", SideName(candidate), what, said.empty() ? "" : "; it said: ", said));
}

BenchmarkFile Rows(bool candidate, const nlohmann::json& results, bool one_run) {
  BenchmarkFile file = BenchmarkFromJson(results, "its results", one_run);
  if (file.rows.empty()) {
    throw CannotMeasure(
        fmt::format("{} has no row: does --benchmark_filter match any?", SideName(candidate)));
  }
  return file;
}

}  // namespace

bool IsElf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  return file.read(magic, sizeof magic) && std::string_view(magic, sizeof magic) ==
                                               "\x7f"
                                               "ELF";
}

Runner::Runner(const GateSettings& settings) : settings_(settings) {
  const auto length = [](const std::string& path) {
    return std::filesystem::path(path).filename().string().size();
  };
  const std::size_t longest = std::max(length(settings.baseline), length(settings.candidate));
  for (const bool candidate : {false, true}) {
    programs_[candidate] = Program(candidate, longest);
    stamps_[candidate] = StampOf(programs_[candidate]);
  }
}

std::string Runner::Program(bool candidate, std::size_t longest) const {
  const auto path = std::filesystem::absolute(candidate ? settings_.candidate : settings_.baseline);
  if (!IsElf(path.string())) return path.string();
  const std::string name = path.filename().string();
  // The link's name makes up for what one binary's name is shorter than the other's.
  const std::string link =
      folder_.path(Letter(candidate) + std::string(longest - name.size() + 1, '_'));
  std::filesystem::create_directory_symlink(path.parent_path(), link);
  return link + "/" + name;
}

Runner::Stamp Runner::StampOf(const std::string& path) {
  std::error_code gone;  // then both are what no file has
  return {std::filesystem::file_size(path, gone), std::filesystem::last_write_time(path, gone)};
}

nlohmann::json Runner::Execute(bool candidate, const std::vector<std::string>& flags) const {
  const std::string results = folder_.path(Letter(candidate) + ".json"),
                    log = folder_.path(Letter(candidate) + ".txt");
  std::vector<std::string> words{programs_[candidate]};
  words.insert(words.end(), settings_.arguments.begin(), settings_.arguments.end());
  words.insert(words.end(), flags.begin(), flags.end());
  words.insert(words.end(), {"--benchmark_report_aggregates_only=false",
                             "--benchmark_out_format=json", "--benchmark_out=" + results});
  std::error_code ignored;
  std::filesystem::remove(results, ignored);
  if (StampOf(programs_[candidate]) != stamps_[candidate]) {
    throw CannotMeasure(fmt::format("{} was built anew while it was gated", SideName(candidate)));
  }
  const ChildResult child = RunChild(
      words, {.folder = "", .log = log, .errors = "", .time_limit_s = settings_.time_limit_s});
  if (child.end == ChildResult::End::kInterrupted) throw Interrupted{};
  if (child.end == ChildResult::End::kTimedOut) {
    throw Failure(candidate, child.ToText() + " (--time-limit)", log);
  }
  if (!child.ok()) throw Failure(candidate, child.ToText(), log);
  if (!std::filesystem::exists(results, ignored)) {
    throw Failure(candidate, "left no results: it does not know --benchmark_out, or ran nothing",
                  log);
  }
  try {
    nlohmann::json json = ParseLooseJson(ReadTextFile(results), "its results");
    CheckBenchmarkJson(json, "its results");
    return json;
  } catch (const InputError& error) {
    throw Failure(candidate, fmt::format("left no results that can be read: {}", error.what()),
                  log);
  }
}

BenchmarkFile Runner::Run(bool candidate, const std::vector<std::string>& flags) const {
  return Rows(candidate, Execute(candidate, flags), /*one_run=*/true);
}

bool Runner::Fails(bool candidate, const std::vector<std::string>& flags) const {
  try {
    Execute(candidate, flags);
    return false;
  } catch (const CannotMeasure&) {
    return true;
  }
}

BenchmarkFile Runner::RunRepeated(bool candidate, int repetitions, double sample_s,
                                  const std::vector<std::string>& rows) {
  const std::vector<std::string> whole{"--benchmark_repetitions=1",
                                       fmt::format("--benchmark_min_time={}", sample_s)};
  std::vector<std::string> asked{fmt::format("--benchmark_repetitions={}", repetitions),
                                 whole.back()};
  if (!rows.empty()) asked.push_back(FilterOf(rows));
  if (!repeats_by_runs_) {
    try {
      return Run(candidate, asked);
    } catch (const CannotMeasure&) {
      // Twice, for a crash by chance is a crash.
      repeats_by_runs_ = Fails(false, asked) && Fails(false, asked) && !Fails(false, whole);
      if (!repeats_by_runs_) throw;
    }
  }
  nlohmann::json all = Execute(candidate, whole);
  for (int i = 1; i < repetitions; ++i) {
    nlohmann::json next = Execute(candidate, whole);
    for (auto& entry : next["benchmarks"]) {
      all["benchmarks"].push_back(std::move(entry));
    }
  }
  return Rows(candidate, all, /*one_run=*/false);
}

std::string FilterOf(const std::vector<std::string>& rows) {
  std::vector<std::string> escaped;  // for POSIX's grammar and for ECMAScript's
  for (const std::string& row : rows) {
    std::string& text = escaped.emplace_back();
    for (const char c : row) {
      if (std::string_view(".[]{}()\\*+?^$|").find(c) != std::string_view::npos) text += '\\';
      text += c;
    }
  }
  return fmt::format("--benchmark_filter=^({})$", fmt::join(escaped, "|"));
}

}  // namespace flopledger
