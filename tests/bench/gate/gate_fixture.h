// Made benchmark binaries for tests of the gate: small shell scripts that leave Google Benchmark's
// JSON. Times in it are written, not taken, and the sentinel stands still, so nothing depends on a
// clock.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/cli/cli.h"
#include "bench/gate/gate.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait.h"

namespace flopledger {

/// What a made binary does: for each row its nanoseconds, and JSON of its counters.
struct Fake {
  std::vector<std::pair<std::string, std::string>> rows{{"row", "100"}};
  std::string counters = R"("predicted_flops": 1000)";
  std::string context = R"("num_cpus": 2)";
  std::string before{};  // shell commands at the start; $runs is how many runs there were before
  std::string more{};    // shell commands that print more entries, each by `entry '{...}'`
};

class Gate : public ::testing::Test {
 protected:
  Gate() {
    std::filesystem::create_directory(folder_.path("tmp"));
    const char* before = std::getenv("TMPDIR");
    if (before != nullptr) tmpdir_ = before;
    setenv("TMPDIR", folder_.path("tmp").c_str(), 1);
    unsetenv("GITHUB_ACTIONS");
    interrupted = false;
  }
  ~Gate() override {
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path("tmp"))) << "files are left";
    if (tmpdir_.empty()) unsetenv("TMPDIR");
    if (!tmpdir_.empty()) setenv("TMPDIR", tmpdir_.c_str(), 1);
    interrupted = false;
  }

  /// Writes the script and returns its path.
  std::string Make(const std::string& name, const Fake& fake) {
    const std::string count = folder_.path(name + ".runs");
    std::string script = fmt::format(
        "#!/bin/sh\n"
        "runs=$(cat '{0}' 2>/dev/null || echo 0); echo $((runs + 1)) >'{0}'\n"
        "echo \"$@\" >>'{0}.arguments'\n"
        "for word in \"$@\"; do case $word in\n"
        "--benchmark_out=*) out=${{word#*=}} ;; --benchmark_repetitions=*) n=${{word#*=}} ;;\n"
        "--benchmark_filter=*) filter=${{word#*=}} ;; esac; done\n{1}\n"
        "row() {{ echo \"$1\" | grep -Eq \"$filter\" || return 0\n i=0; while [ $i -lt $n ]; do\n"
        "echo \"$comma{{\\\"name\\\": \\\"$1\\\", \\\"run_type\\\": \\\"iteration\\\", "
        "\\\"repetition_index\\\": $i, \\\"iterations\\\": 1500000, \\\"real_time\\\": $2, "
        "\\\"time_unit\\\": \\\"ns\\\", {2}}}\"\n"
        "comma=,; i=$((i + 1)); done; }}\n"
        "entry() {{ echo \"$comma$1\"; comma=,; }}\n"
        "{{ echo '{{\"context\": {{{3}}}, \"benchmarks\": ['\n",
        count, fake.before, Escaped(fake.counters), fake.context);
    for (const auto& [row, ns] : fake.rows) script += fmt::format("row '{}' \"{}\"\n", row, ns);
    script += fake.more + "\necho ']}'; } >\"$out\"\n";
    const std::string path = folder_.Write(name, script);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }

  /// A script of one's own.
  std::string MakeRaw(const std::string& name, const std::string& commands) {
    const std::string path = folder_.Write(name, "#!/bin/sh\n" + commands + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }

  GateSettings Settings(const Fake& a, const Fake& b) {
    GateSettings settings;
    settings.baseline = Make("a", a);
    settings.candidate = Make("b", b);
    settings.rule.first_blocks = 3;
    settings.rule.most_blocks = 4;
    settings.seed = 1;
    settings.time_limit_s = 60;
    settings.sentinel = [] { return 1e9; };
    return settings;
  }

  GateReport Run(const GateSettings& settings) {
    std::ostream nowhere(nullptr);
    Progress silent(nowhere, false);
    CheckGateSettings(settings);
    return RunGate(settings, silent);
  }

  int RunCommand(std::vector<std::string> words) {
    std::ostringstream out, err;
    const int code = RunCli(words, out, err);
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  /// That the process ends, of which a script left the number, as a line.
  static void ExpectEnded(const std::string& line) {
    ASSERT_THAT(line, ::testing::EndsWith("\n"));
    const std::string stat = "/proc/" + line.substr(0, line.size() - 1) + "/stat";
    EXPECT_TRUE(ComesTrue([&] {
      const std::string state = ReadFile(stat);
      return state.empty() || state.find(") Z") != std::string::npos;  // or waits to be reaped
    })) << ReadFile(stat);
  }

  nlohmann::json Verdict() { return nlohmann::json::parse(ReadFile(folder_.path("verdict.json"))); }

  static std::string Escaped(const std::string& text) {
    std::string escaped;
    for (const char c : text) escaped += c == '"' ? "\\\"" : std::string(1, c);
    return escaped;
  }

  TemporaryFolder folder_;
  std::string tmpdir_, out_, err_;
};

}  // namespace flopledger
