#include "bench/machine/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

extern "C" {  // glibc 2.36's header lacks this itself
#include <sys/pidfd.h>
}

#include "bench/machine/interrupt.h"
#include "bench/machine/stopwatch.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// What posix_spawn is told, freed in the end.
struct SpawnAttributes {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;

  SpawnAttributes() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnAttributes() {
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
};

pid_t Spawn(const std::vector<std::string>& words, const ChildSettings& settings) {
  SpawnAttributes spawn;
  posix_spawn_file_actions_addopen(&spawn.files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&spawn.files, STDOUT_FILENO, settings.log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (settings.errors.empty()) {
    posix_spawn_file_actions_adddup2(&spawn.files, STDOUT_FILENO, STDERR_FILENO);
  } else {
    posix_spawn_file_actions_addopen(&spawn.files, STDERR_FILENO, settings.errors.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
  }
  if (!settings.folder.empty()) {
    posix_spawn_file_actions_addchdir_np(&spawn.files, settings.folder.c_str());
  }
  posix_spawnattr_setflags(&spawn.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&spawn.attributes, 0);
  sigset_t defaults;
  sigemptyset(&defaults);
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE}) sigaddset(&defaults, signal);
  posix_spawnattr_setsigdefault(&spawn.attributes, &defaults);

  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, argv[0], &spawn.files, &spawn.attributes, argv.data(), environ);
  if (error != 0) {
    throw CannotMeasure(fmt::format("{}: cannot be started: {}", words[0], std::strerror(error)));
  }
  return child;
}

/// Waits until the child has ended (true), or `until`, or an interruption.
bool WaitForEnd(int descriptor, Clock::time_point until, bool until_interrupted) {
  constexpr auto kSlice = std::chrono::milliseconds(100);  // how soon Ctrl-C is seen
  while (!until_interrupted || !interrupted) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    const auto slice = std::clamp(left, std::chrono::milliseconds(0), kSlice);
    pollfd wanted{descriptor, POLLIN, 0};
    if (poll(&wanted, 1, static_cast<int>(slice.count())) > 0) return true;
    if (Clock::now() >= until) return false;
  }
  return false;
}

/// Whether a process of that group still runs: one that only waits to be reaped does not.
bool GroupRuns(pid_t group) {
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", unreadable)) {
    std::ifstream file(entry.path() / "stat");  // "PID (NAME) STATE PARENT GROUP …"
    std::string line;
    if (!std::getline(file, line)) continue;  // no process, or one that has ended meanwhile
    std::istringstream fields(line.substr(line.rfind(')') + 1));
    char state = 0;
    pid_t parent = 0, of = 0;
    if (fields >> state >> parent >> of && of == group && state != 'Z') return true;
  }
  return false;
}

/// Asks the whole group to end, and gives it the time to do so: a build tool stops the compilers
/// that it started in groups of their own only if it is let live until it has.
void EndGroup(pid_t group) {
  constexpr auto kGrace = std::chrono::seconds(5);
  const auto until = Clock::now() + kGrace;
  kill(-group, SIGTERM);
  while (GroupRuns(group) && Clock::now() < until && !interrupted_again) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

std::string ChildResult::ToText() const {
  switch (end) {
    case End::kExited: return fmt::format("exited with {}", status);
    case End::kSignalled:
      return fmt::format("was ended by signal {} ({})", status, strsignal(status));
    case End::kTimedOut:
      return fmt::format("had not ended after {:.4g} s, and was stopped", seconds);
    case End::kInterrupted: return "was interrupted";
  }
  return "";
}

ChildResult RunChild(const std::vector<std::string>& words, const ChildSettings& settings) {
  const auto start = Clock::now();
  const pid_t child = Spawn(words, settings);
  const int descriptor = pidfd_open(child, 0);
  if (descriptor < 0) {
    const std::string why = std::strerror(errno);
    kill(-child, SIGKILL);
    waitpid(child, nullptr, 0);
    throw CannotMeasure(fmt::format("{}: cannot be waited for: {}", words[0], why));
  }
  const auto limit = settings.time_limit_s > 0
                         ? start + std::chrono::duration_cast<Clock::duration>(
                                       std::chrono::duration<double>(settings.time_limit_s))
                         : Clock::time_point::max() - std::chrono::hours(1);
  ChildResult result;
  if (!WaitForEnd(descriptor, limit, settings.until_interrupted)) {
    result.end = settings.until_interrupted && interrupted ? ChildResult::End::kInterrupted
                                                           : ChildResult::End::kTimedOut;
    EndGroup(child);
  }
  // The group's number stays ours until its leader is reaped: whatever it left behind ends here.
  kill(-child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  close(descriptor);
  result.seconds = SecondsSince(start);
  if (result.end != ChildResult::End::kExited) return result;
  if (WIFSIGNALED(status)) {
    result.end = ChildResult::End::kSignalled;
    result.status = WTERMSIG(status);
  } else {
    result.status = WEXITSTATUS(status);
  }
  return result;
}

std::string LastWords(const std::string& path, std::size_t most) {
  std::ifstream file(path);
  std::deque<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    lines.push_back(line);
    if (lines.size() > 3) lines.pop_front();
  }
  std::string words;
  for (const std::string& line : lines) words += (words.empty() ? "" : " | ") + line;
  if (words.size() > most) words = "…" + words.substr(words.size() - most);
  using nlohmann::json;  // whose writer replaces what is no UTF-8
  const json valid = json::parse(json(words).dump(-1, ' ', false, json::error_handler_t::replace));
  return OneLine(valid.get<std::string>());
}

PrivateFolder::PrivateFolder() {
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  if (error) throw CannotMeasure(fmt::format("no temporary folder (TMPDIR): {}", error.message()));
  std::string pattern = (temporary / "flopledger-gate-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    throw CannotMeasure(fmt::format("{}: cannot be made: {}", pattern, std::strerror(errno)));
  }
  path_ = pattern;
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace flopledger
