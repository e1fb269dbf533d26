// The man page and the completions hold every command and every option that the help shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "bench/cli/cli.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string Output(const std::vector<std::string>& words) {
  std::ostringstream out, err;
  EXPECT_EQ(RunCli(words, out, err), kDone) << err.str();
  return out.str();
}

/// The first group of each match.
std::set<std::string> Matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match) {
    found.insert(match->str(1));
  }
  return found;
}

/// The options of each command, without their dashes, as its help names them.
std::map<std::string, std::set<std::string>> OptionsByHelp() {
  std::map<std::string, std::set<std::string>> options;
  const std::string help = Output({"--help"});
  for (const std::string& command :
       Matches(help.substr(help.find("ubcommands:")), R"(\n  ([a-z-]+) )")) {
    if (command == "flopledger") continue;  // of the examples
    options[command] = Matches(Output({command, "--help"}), R"(\n  (?:-\w,)?--([a-z_-]+))");
  }
  return options;
}

TEST(Manual, HoldsEveryOptionOfEveryCommandInEveryForm) {
  const auto options = OptionsByHelp();
  EXPECT_GE(options.size(), 12u);
  const std::string man = Output({"manual", "man"}), bash = Output({"manual", "bash"}),
                    zsh = Output({"manual", "zsh"}), fish = Output({"manual", "fish"});
  for (const auto& [command, names] : options) {
    SCOPED_TRACE(command);
    EXPECT_THAT(names, ::testing::Contains("help"));
    const std::string roff = std::regex_replace(command, std::regex("-"), "\\-");
    const std::size_t section = man.find("\n.SS flopledger " + roff + "\n");
    ASSERT_NE(section, std::string::npos);
    const std::string of_man = man.substr(section, man.find("\n.S", section + 1) - section);
    const auto of_bash = Matches(bash, "\n    " + command + R"(\) words='([^']*)')");
    ASSERT_EQ(of_bash.size(), 1u);
    const std::size_t clause = zsh.find("\n    " + command + ") _arguments");
    ASSERT_NE(clause, std::string::npos);
    const std::string of_zsh = zsh.substr(clause, zsh.find(" ;;", clause) - clause);
    for (const std::string& name : names) {
      SCOPED_TRACE(name);
      EXPECT_THAT(of_man, HasSubstr("\\-\\-" + std::regex_replace(name, std::regex("-"), "\\-")));
      EXPECT_THAT(" " + *of_bash.begin() + " ", HasSubstr(" --" + name + " "));
      EXPECT_THAT(of_zsh, ::testing::ContainsRegex("'--" + name + "=?\\["));
      EXPECT_THAT(fish,
                  HasSubstr("'__fish_seen_subcommand_from " + command + "' -l " + name + " "));
    }
  }
}

TEST(Manual, FlagsTakeNoValue) {
  EXPECT_THAT(Output({"manual", "man"}),
              ::testing::AllOf(HasSubstr(".B \\-\\-explain\n"), HasSubstr("\\-\\-help\n")));
  EXPECT_THAT(Output({"manual", "bash"}), Not(HasSubstr("'account --explain'")));
  EXPECT_THAT(Output({"manual", "zsh"}), HasSubstr("'--explain["));
  EXPECT_THAT(Output({"manual", "fish"}), HasSubstr(" -l explain -d "));
}

TEST(Manual, PageHasNoRequestButItsOwn) {
  std::istringstream page(Output({"manual", "man"}));
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with('.') && !line.starts_with('\'')) continue;
    EXPECT_TRUE(std::regex_search(line, std::regex(R"(^\.(TH|SH|SS|TP|BR?|I|RI|PP|nf|fi|br)\b)")))
        << line;
  }
}

/// What bash offers once it has read the completion and the words are typed.
std::set<std::string> BashOffers(const std::string& words) {
  const TemporaryFolder folder;
  folder.Write("completion", Output({"manual", "bash"}));
  folder.Write("script", "source \"$1/completion\"\nCOMP_WORDS=(" + words +
                             ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_flopledger\n"
                             "printf '%s\\n' \"${COMPREPLY[@]}\" >\"$1/offers\"\n");
  EXPECT_EQ(std::system(("bash '" + folder.path("script") + "' '" + folder.path() + "'").c_str()),
            0);
  return Matches("\n" + ReadFile(folder.path("offers")), "\n([^\n]+)");
}

TEST(Manual, BashCompletesCommandsOptionsAndValues) {
  if (std::system("bash --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no bash here";
  EXPECT_THAT(BashOffers("flopledger acc"), ElementsAre("account"));
  EXPECT_THAT(BashOffers("flopledger account --form"), ElementsAre("--format"));
  EXPECT_THAT(BashOffers("flopledger account --format ''"),
              ElementsAre("csv", "json", "md", "table"));
  EXPECT_THAT(BashOffers("flopledger account --format = j"), ElementsAre("json"));
  EXPECT_THAT(BashOffers("flopledger account --model gpt2-x"), ElementsAre("gpt2-xl"));
  EXPECT_THAT(BashOffers("flopledger run --matmul pa"), ElementsAre("packed", "packed-fused"));
  EXPECT_THAT(BashOffers("flopledger run --csv x"), IsEmpty());  // bash offers files
  EXPECT_THAT(BashOffers("flopledger account --explain --form"), ElementsAre("--format"));
  EXPECT_THAT(BashOffers("flopledger presets --mod"), IsEmpty());
}

TEST(Manual, OfAnotherFormIsBadInput) {
  std::ostringstream out, err;
  EXPECT_EQ(RunCli({"manual", "fih"}, out, err), kBadInput);
  EXPECT_THAT(err.str(), HasSubstr("did you mean 'fish'"));
  EXPECT_THAT(Output({"--help"}), Not(HasSubstr("manual")));
}

}  // namespace
}  // namespace flopledger
