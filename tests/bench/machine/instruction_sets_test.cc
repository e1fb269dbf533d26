#include "bench/machine/instruction_sets.h"

#include <gtest/gtest.h>

#include <string>

namespace flopledger {
namespace {

std::string Lacking(const char* wanted, int count, std::size_t size = 200) {
  std::string text(size, 'x');
  EXPECT_EQ(LackingInstructionSets(wanted, text.data(), size), count);
  return text.c_str();
}

TEST(InstructionSets, OfTheBuildAreAllHereOrThisTestWouldNotRun) {
  EXPECT_EQ(Lacking(kInstructionSetsOfTheBuild, 0), "");
}

TEST(InstructionSets, ThatNoProcessorHasAreNamed) {
  EXPECT_EQ(Lacking(" nosuch", 1), " nosuch");
  EXPECT_EQ(Lacking(" avx5 av nosuch avx512ff", 4), " avx5 av nosuch avx512ff");
  EXPECT_EQ(Lacking("", 0), "");
  EXPECT_EQ(Lacking("  ", 0), "");
}

TEST(InstructionSets, ThatDoNotFitAreCountedAndLeftOut) {
  EXPECT_EQ(Lacking(" nosuch other", 2, 8), " nosuch");
  EXPECT_EQ(Lacking(" nosuch other", 2, 7), " other");
  EXPECT_EQ(Lacking(" nosuch", 1, 1), "");
}

#ifdef __x86_64__
TEST(InstructionSets, OfTheBuildAreThoseOfThisFileToo) {  // which has the flags of the kernels
  const std::string build = std::string(kInstructionSetsOfTheBuild) + ' ';
#ifdef __AVX2__
  EXPECT_NE(build.find(" avx2 "), std::string::npos);
#else
  EXPECT_EQ(build.find(" avx2 "), std::string::npos);
#endif
#ifdef __AVX512F__
  EXPECT_NE(build.find(" avx512f "), std::string::npos);
#else
  EXPECT_EQ(build.find(" avx512f "), std::string::npos);
#endif
}
#endif

}  // namespace
}  // namespace flopledger
