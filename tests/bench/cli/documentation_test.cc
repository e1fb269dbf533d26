// README and docs against the program: what they show is what it prints, and every option exists.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <regex>
#include <set>
#include <sstream>

#include "bench/cli/cli.h"
#include "tests/bench/cli/command_line.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t npos = std::string::npos;
const std::string kRoot = FLOPLEDGER_FIXTURES "/../../";

/// README, and every page of docs.
std::vector<std::string> Pages() {
  std::vector<std::string> pages{kRoot + "README.md"};
  for (const auto& entry : std::filesystem::directory_iterator(kRoot + "docs")) {
    if (entry.path().extension() == ".md") pages.push_back(entry.path().string());
  }
  return pages;
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

/// A line of a page's code blocks that calls the program, and what follows it in its block.
struct Shown {
  std::string command;  // after the program's name, without a comment
  std::string output;
};

std::vector<Shown> ShownIn(const std::string& page) {
  std::vector<Shown> all;
  std::istringstream lines(ReadFile(page));
  bool in_block = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      in_block = !in_block;
      if (in_block) all.push_back({});  // so that output does not reach into the next block
      continue;
    }
    if (!in_block) continue;
    static const std::regex call(
        "^(?:\\$ )? *(?:build/flopledger|flopledger|scripts/run)(?: (.*))?$");
    std::smatch found;
    if (std::regex_match(line, found, call)) {
      const bool by_script = line.find("scripts/run") != std::string::npos;
      const std::string command = (by_script ? "run " : "") + found.str(1);
      all.push_back({command.substr(0, command.find("  #")), ""});
    } else {
      all.back().output += line + "\n";
    }
  }
  std::erase_if(all, [](const Shown& shown) { return shown.command.empty(); });
  return all;
}

/// The words of a command as a shell would give them, up to a pipe or a file that it goes to.
std::vector<std::string> WordsOf(std::string command) {
  for (const char* end : {" | ", " >>"}) command = command.substr(0, command.find(end));
  std::vector<std::string> words = Words(command);
  for (std::string& word : words) std::erase_if(word, [](char c) { return c == '\'' || c == '"'; });
  return words;
}

/// The first or last N lines, as "head -N" or "tail -N" say.
std::string Cut(const std::string& text, const std::vector<std::string>& tool) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line + "\n");
  const auto count =
      std::min<std::size_t>(std::strtoul(tool.at(1).c_str() + 1, nullptr, 10), lines.size());
  std::string cut;
  const std::size_t first = tool.front() == "head" ? 0 : lines.size() - count;
  for (std::size_t i = first; i < first + count; ++i) cut += lines[i];
  return cut;
}

class Documentation : public ::testing::Test {
 protected:
  Documentation() {
    setenv("COLUMNS", "100", 1);
    std::filesystem::current_path(kRoot);  // the pages name examples/ from there
  }
  ~Documentation() override {
    unsetenv("COLUMNS");
    std::filesystem::current_path(kRoot + "tests");
  }
};

TEST_F(Documentation, ShowsWhatTheProgramPrints) {
  std::size_t compared = 0;
  for (const std::string& page : Pages()) {
    if (page.ends_with("/cli.md")) continue;  // its examples stand without their output
    for (const Shown& shown : ShownIn(page)) {
      const std::vector<std::string> words =
          Words(shown.command.substr(0, shown.command.find('|')));
      const bool exact =
          words.front() == "account" || words.front() == "audit" || words.front() == "presets";
      if (!exact || shown.output.empty()) continue;
      std::ostringstream out, err;
      RunCli(words, out, err);
      const std::size_t bar = shown.command.find(" | ");
      const std::string expected = bar == std::string::npos
                                       ? out.str()
                                       : Cut(out.str(), Words(shown.command.substr(bar + 3)));
      EXPECT_EQ(shown.output, expected)
          << page << ": " << shown.command << "; scripts/update-docs writes it anew";
      ++compared;
    }
  }
  EXPECT_GE(compared, 14U);
}

/// A folder in which everything stands that the pages' commands read.
class Reader {
 public:
  Reader() {
    setenv("XDG_CACHE_HOME", folder_.path("cache").c_str(), 1);
    const std::string model = folder_.Write("tiny.json", kTinyModel);
    const Outcome ran = RunWords({"run", model, "-r", "2", "-t", "1", "--benchmark_min_time=0.001",
                                  "--count", "off", "--json", folder_.path("ledger")});
    EXPECT_TRUE(Ran(ran)) << ran.err;
    std::filesystem::copy(kRoot + "examples", folder_.path("examples"));
    std::filesystem::copy(kRoot + "tests/golden/gpt2-tiny", folder_.path());
  }
  ~Reader() { std::filesystem::current_path(kRoot); }

  /// Runs it there; what is dear only as far as it says what it would do.
  Outcome Run(std::vector<std::string> words) {
    std::filesystem::current_path(folder_.path());
    for (const char* ledger : {"gpt2.json", "before.json", "after.json", "results.json", "run.json",
                               "sweep.json", "results/gpt2.json"}) {
      Place(folder_.path("ledger"), ledger);
    }
    for (const char* binary :
         {"old/bench_forward", "build/bench_forward", "a/bench_forward", "b/bench_forward",
          "old/my_benchmarks", "new/my_benchmarks", "bench", "old/bench", "new/bench"}) {
      Place("/bin/true", binary);  // two of one content are not timed
    }
    if (words.front() == "run") words.insert(words.begin() + 1, "--dry-run");
    return RunWords(words);
  }

 private:
  static void Place(const std::string& from, const std::filesystem::path& to) {
    if (to.has_parent_path()) std::filesystem::create_directories(to.parent_path());
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  }

  TemporaryFolder folder_;
};

TEST_F(Documentation, EveryCommandRuns) {
  Reader reader;
  std::set<std::string> done;
  for (const std::string& page : Pages()) {
    for (const Shown& shown : ShownIn(page)) {
      const std::vector<std::string> words = WordsOf(shown.command);
      if (words.empty() || words.front().starts_with('[') || words.front() == "COMMAND") continue;
      const bool measures = words.front() == "calibrate" && shown.command.find("--show") == npos;
      const bool of_a_reader = shown.command.find('~') != npos;  // a model of their own
      if (measures || of_a_reader || !done.insert(shown.command).second) continue;
      SCOPED_TRACE(page + ": " + shown.command);
      const Outcome outcome = reader.Run(words);
      // Revisions are of a checkout, and here is none.
      if (outcome.err.find("revisions need a git checkout") != npos) continue;
      EXPECT_NE(outcome.code, kBadInput) << outcome.err;
      EXPECT_NE(outcome.code, kProgramFault) << outcome.err;
    }
  }
  EXPECT_GE(done.size(), 50U);
}

TEST_F(Documentation, NamesCommandsAndOptionsThatExist) {
  for (const std::string& page : Pages()) {
    for (const Shown& shown : ShownIn(page)) {
      const std::vector<std::string> words =
          Words(shown.command.substr(0, shown.command.find('|')));
      SCOPED_TRACE(page + ": " + shown.command);
      if (words.front().starts_with('-') || words.front() == "help") continue;
      if (words.front().starts_with('[') || words.front() == "COMMAND") continue;
      std::ostringstream help, err;
      ASSERT_EQ(RunCli({"help", words.front()}, help, err), kDone) << err.str();
      for (const std::string& word : words) {
        if (word == "--") break;
        if (!word.starts_with("--") || word.starts_with("--benchmark_")) continue;
        EXPECT_THAT(help.str(), HasSubstr(word.substr(0, word.find('='))));
      }
    }
  }
}

TEST_F(Documentation, TheReadmeIsShortAndItsLinksLeadSomewhere) {
  for (const std::string& page : Pages()) {
    const std::string text = ReadFile(page);
    if (page.ends_with("README.md") && page.find("docs") == std::string::npos) {
      EXPECT_LE(std::ranges::count(text, '\n'), 150);
    }
    for (std::size_t at = 0; (at = text.find("](", at)) != std::string::npos; ++at) {
      const std::string link = text.substr(at + 2, text.find_first_of(")#", at) - at - 2);
      if (link.empty() || link.starts_with("http")) continue;
      const auto target = std::filesystem::path(page).parent_path() / link;
      EXPECT_TRUE(std::filesystem::exists(target)) << page << ": " << link;
    }
  }
}

}  // namespace
}  // namespace flopledger
