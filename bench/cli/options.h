// What several commands share: the session that they run in, the options that they have in common,
// and the checks of those options.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "bench/cli/commands.h"
#include "bench/cli/common.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace flopledger {

struct Team;  // bench/machine/team.h

/// The streams of one call of the program, and what was chosen on its command line.
struct Session {
  std::ostream& out;  // results
  std::ostream& err;  // log
  std::function<int()> run;
  std::vector<std::string> benchmark_flags;  // --benchmark_*, of the commands that take them
  std::vector<std::string> after_dashes;     // what follows "--"
  Team* team = nullptr;                      // the ranks that share the command; null of one
};

// Each describes the options of one command, in that command's file, and sets Session::run when the
// command is chosen.
void AddPresets(CLI::App& app, Session& session);
void AddAccount(CLI::App& app, Session& session);
void AddAudit(CLI::App& app, Session& session);
void AddRun(CLI::App& app, Session& session);
void AddReport(CLI::App& app, Session& session);
void AddManual(CLI::App& app, Session& session);
void AddLogits(CLI::App& app, Session& session);
void AddCountInstructions(CLI::App& app, Session& session);
void AddCompare(CLI::App& app, Session& session);
void AddGate(CLI::App& app, Session& session);
void AddBisect(CLI::App& app, Session& session);
void AddDoctor(CLI::App& app, Session& session);
void AddCalibrate(CLI::App& app, Session& session);
void AddPredict(CLI::App& app, Session& session);

// Options that mean the same wherever they appear.
void AddModel(CLI::App* command, std::string& model);
void AddShape(CLI::App* command, std::optional<int64_t>& context, int64_t& batch);
void AddThreads(CLI::App* command, std::optional<int64_t>& threads);
void AddPin(CLI::App* command, std::string& pin);
void AddMatmul(CLI::App* command, std::string& matmul);
void AddAttention(CLI::App* command, std::string& attention);
void AddDataTypes(CLI::App* command, std::optional<std::string>& weights,
                  std::optional<std::string>& kv_cache);
void AddCalibration(CLI::App* command, std::string& calibration);
void AddBudget(CLI::App* command, double& percent);
void AddFormat(CLI::App* command, std::string& format);

/// Refuses a value below `least`, in this program's words.
CLI::Option* AtLeast(int64_t least, CLI::Option* option);

/// What --convention takes, as help.
std::string ConventionHelp();
/// The other tools whose formulas --convention takes as well.
std::string OtherToolNames();
/// What --matmul takes, as help.
std::string MatmulHelp();

}  // namespace flopledger
