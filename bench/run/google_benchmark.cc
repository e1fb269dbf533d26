#include "bench/run/google_benchmark.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <iostream>
#include <sstream>

#include "model/input_error.h"

namespace flopledger {
namespace {

/// Keeps Google Benchmark's own table and remarks off the terminal.
class SilentReporter : public benchmark::BenchmarkReporter {
 public:
  SilentReporter() {
    SetOutputStream(&nowhere_);
    SetErrorStream(&nowhere_);
  }
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}

 private:
  std::ostream nowhere_{nullptr};
};

}  // namespace

void InitializeGoogleBenchmark(const std::vector<std::string>& flags) {
  // Its flags are global: those of an earlier run must not hold for this one.
  std::vector<std::string> words = {"flopledger", "--benchmark_filter=all",
                                    "--benchmark_list_tests=false", "--benchmark_repetitions=3",
                                    "--benchmark_enable_random_interleaving=true"};
  words.insert(words.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  int argc = static_cast<int>(argv.size());
  std::ostringstream complaint;  // two lines of its own
  std::streambuf* const before = std::cerr.rdbuf(complaint.rdbuf());
  benchmark::Initialize(&argc, argv.data());
  std::cerr.rdbuf(before);
  if (argc > 1) {
    throw InputError(fmt::format("'{}' is no {} that Google Benchmark takes", argv[1],
                                 complaint.view().empty() ? "flag" : "value of a flag"));
  }
}

void RunSilently() {
  SilentReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::ClearRegisteredBenchmarks();
}

}  // namespace flopledger
