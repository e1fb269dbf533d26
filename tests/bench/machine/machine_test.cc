// What is read of the machine, and files that are whole.
#include "bench/machine/machine.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "bench/machine/cache_dir.h"
#include "bench/machine/files.h"
#include "bench/machine/kernel_files.h"
#include "model/input_error.h"
#include "model/json.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

TEST(Files, StandWholeOrNotAtAll) {
  const TemporaryFolder folder;
  const std::string path = folder.path("out.csv");
  CheckWritable(path);
  EXPECT_TRUE(folder.Files().empty());
  WriteWhole(path, "first");
  WriteWhole(path, "second");
  EXPECT_EQ(ReadFile(path), "second");
  CheckWritable(path);
  EXPECT_EQ(ReadFile(path), "second");
  EXPECT_EQ(folder.Files().size(), 1);
  EXPECT_THROW(WriteWhole(folder.path("no/such/out.csv"), "x"), InputError);
  EXPECT_THROW(CheckWritable(folder.path()), InputError);
}

TEST(Machine, SaysWhatItIs) {
  EXPECT_GE(DefaultThreads(), 1);
  EXPECT_LE(DefaultThreads(), AvailableProcessors());
  EXPECT_GE(AvailableProcessors(), 1);
  const auto memory = AvailableMemoryBytes();
  ASSERT_TRUE(memory.has_value());
  EXPECT_GT(*memory, 1 << 20);
  const Environment environment = DescribeMachine();
  EXPECT_TRUE(environment.build.compiler.has_value());
  EXPECT_GE(environment.machine.processors, 1);
}

TEST(KernelFiles, ReadWhatIsThereAndNothingElse) {
  const TemporaryFolder folder;
  folder.Write("limit", "4096\n");
  folder.Write("word", "max\n");
  folder.Write("info", "model\t\t: 17\nmodel name\t: A CPU\nempty:\n");
  const KernelFiles files(folder.path());
  EXPECT_EQ(files.Integer("/limit"), 4096);
  EXPECT_EQ(files.Integer("/word"), std::nullopt);
  EXPECT_EQ(files.Integer("/absent"), std::nullopt);
  EXPECT_EQ(files.Value("/info", "model"), "17");
  EXPECT_EQ(files.Value("/info", "model name"), "A CPU");
  EXPECT_EQ(files.Value("/info", "empty"), "");
  EXPECT_EQ(files.Value("/info", "name"), std::nullopt);
  EXPECT_EQ(files.FirstLine("/info"), "model\t\t: 17");
  EXPECT_EQ(files.Text("/absent"), std::nullopt);
}

TEST(CacheDir, TakesAVariableThatIsEmptyAsNotSet) {
  const char* before = std::getenv("XDG_CACHE_HOME");
  const std::string kept = before == nullptr ? "" : before;
  setenv("XDG_CACHE_HOME", "", 1);
  const char* home = std::getenv("HOME");
  EXPECT_EQ(CacheDir(), home == nullptr ? "" : std::string(home) + "/.cache/flopledger");
  setenv("XDG_CACHE_HOME", "/some/cache", 1);
  EXPECT_EQ(CacheDir(), "/some/cache/flopledger");
  if (before == nullptr) {
    unsetenv("XDG_CACHE_HOME");
  } else {
    setenv("XDG_CACHE_HOME", kept.c_str(), 1);
  }
}

}  // namespace
}  // namespace flopledger
