// The instruction-level count: the decoder on bytes, the stepping on code of known content, and the
// compiled kernels against the formulas.
#include "bench/counting/instruction_count.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/cli/cli.h"
#include "kernels/fma_chains.h"

namespace flopledger {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

#define SKIP_WHERE_UNAVAILABLE() \
  if (const std::string why = InstructionCountUnavailable(); !why.empty()) GTEST_SKIP() << why

std::optional<FlopInstruction> Decode(std::vector<uint8_t> bytes) {
  bytes.resize(15, 0x90);
  return DecodeFlops(bytes);
}

TEST(DecodeFlops, KnowsLanesAndFmasAndMasks) {
  SKIP_WHERE_UNAVAILABLE();
  // Bytes as an assembler gives them for the instruction beside them.
  const auto fma = Decode({0x62, 0xf2, 0x6d, 0x48, 0xb8, 0xcb});  // vfmadd231ps zmm1, zmm2, zmm3
  ASSERT_TRUE(fma);
  EXPECT_EQ(fma->mnemonic, "vfmadd231ps");
  EXPECT_EQ(fma->flops_a_lane, 2);
  EXPECT_EQ(fma->lanes, 16);
  EXPECT_EQ(fma->mask_register, 0);
  const auto masked = Decode({0x62, 0xf1, 0x6c, 0x49, 0x58, 0xcb});  // vaddps zmm1{k1}, zmm2, zmm3
  ASSERT_TRUE(masked);
  EXPECT_EQ(masked->mask_register, 1);
  EXPECT_EQ(masked->flops_a_lane, 1);
  const auto ymm = Decode({0xc5, 0xec, 0x59, 0xcb});  // vmulps ymm1, ymm2, ymm3
  ASSERT_TRUE(ymm);
  EXPECT_EQ(ymm->lanes, 8);
  const auto scalar = Decode({0xc5, 0xea, 0x5e, 0xcb});  // vdivss xmm1, xmm2, xmm3
  ASSERT_TRUE(scalar);
  EXPECT_EQ(scalar->lanes, 1);
  const auto sse = Decode({0x0f, 0x5f, 0xca});  // maxps xmm1, xmm2
  ASSERT_TRUE(sse);
  EXPECT_EQ(sse->lanes, 4);
  const auto twice = Decode({0xc5, 0xed, 0x5c, 0xcb});  // vsubpd ymm1, ymm2, ymm3
  ASSERT_TRUE(twice);
  EXPECT_TRUE(twice->is_double);
  EXPECT_EQ(twice->lanes, 4);
  EXPECT_TRUE(Decode({0xc5, 0xfc, 0x51, 0xca}));                // vsqrtps ymm1, ymm2
  const auto negated = Decode({0xc4, 0xe2, 0x6d, 0xbc, 0xcb});  // vfnmadd231ps ymm1, ymm2, ymm3
  ASSERT_TRUE(negated);
  EXPECT_EQ(negated->flops_a_lane, 2);
}

TEST(DecodeFlops, LeavesOutWhatIsNoFlop) {
  SKIP_WHERE_UNAVAILABLE();
  EXPECT_FALSE(Decode({0xc5, 0xfc, 0x28, 0xca}));        // vmovaps ymm1, ymm2
  EXPECT_FALSE(Decode({0xc5, 0xec, 0xc2, 0xcb, 0x01}));  // vcmpltps ymm1, ymm2, ymm3
  EXPECT_FALSE(Decode({0xc5, 0xfc, 0x5b, 0xca}));        // vcvtdq2ps ymm1, ymm2
  EXPECT_FALSE(Decode({0xc5, 0xec, 0x57, 0xcb}));        // vxorps ymm1, ymm2, ymm3
  EXPECT_FALSE(Decode({0xc5, 0xec, 0xc6, 0xcb, 0x01}));  // vshufps ymm1, ymm2, ymm3, 1
  EXPECT_FALSE(Decode({0xc5, 0xed, 0xfe, 0xcb}));        // vpaddd ymm1, ymm2, ymm3
  EXPECT_FALSE(Decode({0x48, 0x01, 0xd8}));              // add rax, rbx
  EXPECT_FALSE(Decode({0x06}));                          // no instruction at all
}

#ifdef __x86_64__
TEST(CountInstructions, OfKnownCodeIsExact) {
  SKIP_WHERE_UNAVAILABLE();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) GTEST_SKIP() << "no AVX2";
  const auto count = CountInstructions([] {
    asm volatile(
        "vxorps %%ymm0, %%ymm0, %%ymm0\n"
        "mov $10, %%ecx\n"
        "1: vaddps %%ymm0, %%ymm0, %%ymm1\n"    // 8
        "vfmadd231ps %%xmm0, %%xmm0, %%xmm1\n"  // 2 · 4
        "vmulss %%xmm0, %%xmm0, %%xmm1\n"       // 1
        "vaddpd %%ymm0, %%ymm0, %%ymm1\n"       // 4 double
        "dec %%ecx\n"
        "jnz 1b\n"
        "vzeroupper" ::
            : "ecx", "xmm0", "xmm1", "cc");
  });
  EXPECT_EQ(count.flops, 10 * (8 + 8 + 1));
  EXPECT_EQ(count.double_flops, 40);
  EXPECT_EQ(count.by_mnemonic.at("vaddps").executions, 10);
  EXPECT_GT(count.instructions, 2 + 10 * 6);
  EXPECT_LT(count.instructions, 2 + 10 * 6 + 400);  // and what calls and returns
  EXPECT_TRUE(count.finished);
}

TEST(CountInstructions, HonoursTheMasksOfAvx512) {
  SKIP_WHERE_UNAVAILABLE();
  if (!__builtin_cpu_supports("avx512f")) GTEST_SKIP() << "no AVX-512";
  const auto count = CountInstructions([] {
    asm volatile(
        "vpxord %%zmm0, %%zmm0, %%zmm0\n"
        "mov $0x00f1, %%ecx\n"
        "kmovw %%ecx, %%k1\n"
        "vaddps %%zmm0, %%zmm0, %%zmm1%{%%k1%}\n"  // 5 lanes
        "mov $0xffff, %%ecx\n"
        "kmovw %%ecx, %%k1\n"
        "vfmadd231ps %%zmm0, %%zmm0, %%zmm1%{%%k1%}%{z%}\n"  // 2 · 16
        "kxorw %%k1, %%k1, %%k1\n"
        "vmulps %%zmm0, %%zmm0, %%zmm1%{%%k1%}\n"  // none
        "vzeroupper" ::
            : "ecx", "xmm0", "xmm1", "cc");
  });
  EXPECT_EQ(count.flops, 5 + 32);
}
#endif

/// The only row of `count-instructions` with these words.
nlohmann::json Count(std::vector<std::string> words) {
  words.insert(words.begin(), "count-instructions");
  words.insert(words.end(), {"--format", "json"});
  std::ostringstream out, err;
  EXPECT_EQ(RunCli(words, out, err), kDone) << err.str();
  EXPECT_THAT(err.str(), ::testing::HasSubstr("about"));
  return nlohmann::json::parse(out.str())["rows"][0];
}

class CompiledKernels : public ::testing::Test {
 protected:
  void SetUp() override {
    SKIP_WHERE_UNAVAILABLE();
    if (kSanitized) GTEST_SKIP() << "sanitizers change what is compiled";
  }
};

TEST_F(CompiledKernels, RetireExactlyWhatTheFormulasSay) {
  for (const char* shape : {"1x1x1", "13x33x64", "37x53x71", "5x70x300"}) {
    EXPECT_EQ(Count({"--kernel", "matmul", "--shape", shape})["difference"], 0) << shape;
  }
  EXPECT_EQ(
      Count({"--kernel", "matmul", "--shape", "3x4x5", "--matmul", "reference"})["difference"], 0);
  for (const char* kernel : {"rope", "residual", "embedding", "relu"}) {
    EXPECT_EQ(Count({"--kernel", kernel, "--shape", "3x64"})["difference"], 0) << kernel;
  }
}

// Every peak, and so every share of it, stands on this count. Before and after the chains the same
// instructions run, whatever the number of rounds.
TEST_F(CompiledKernels, FmaChainsRetireTheFlopsThatThePeakIsMadeOf) {
  const auto count = [](int64_t rounds, int lanes) {
    return CountInstructions([=] {
      volatile float result = RunFmaChains(rounds, lanes);
      static_cast<void>(result);
    });
  };
  for (const int lanes : FmaWidths()) {
    SCOPED_TRACE(lanes);
    const InstructionCount few = count(10, lanes), many = count(110, lanes);
    EXPECT_EQ(many.flops - few.flops, FmaChainsFlops(100, lanes));
  }
  EXPECT_EQ(FmaChainsFlops(7), FmaChainsFlops(7, FmaWidths().front()));
}

TEST_F(CompiledKernels, EigensProductDiffersByItsFoldingAdditionsAlone) {
  const struct {
    const char* shape;
    int64_t m, n, k, blocks;
  } kShapes[] = {{"64x64x64", 64, 64, 64, 1},
                 {"96x80x112", 96, 80, 112, 1},
                 {"37x53x71", 37, 53, 71, 1},
                 {"30x20x500", 30, 20, 500, 2}};
  for (const auto& [shape, m, n, k, blocks] : kShapes) {
    const auto row = Count({"--kernel", "matmul", "--shape", shape, "--matmul", "eigen"});
    int64_t additions = 0;
    for (const auto& [name, count] : row["by_instruction"].items()) {
      if (name == "vaddps" || name == "vaddss") additions += count["flops"].get<int64_t>();
    }
    EXPECT_EQ(row["flops_retired"], 2 * m * n * k + 2 * m * n * blocks + additions) << shape;
    EXPECT_EQ(row["matmul_flops"], 2 * m * n * k);
  }
}

TEST_F(CompiledKernels, FusedAttentionSpendsFourteenFlopsOnEachPowerOfTwo) {
  // max, two to split off the integer, one for the rest, five multiply-adds: 14 where the formula
  // counts one; the formula's own count of powers is that of tiles of lanes.
  const auto row = Count({"--kernel", "attention", "--shape", "40x64"});
  EXPECT_THAT(row["explained_by"].get<std::string>(), ::testing::HasSubstr(", 14 FLOPs here"));
}

TEST(CountInstructionsVerb, RefusesWhatItCannotCount) {
  const auto refused = [](std::vector<std::string> words) {
    words.insert(words.begin(), "count-instructions");
    std::ostringstream out, err;
    EXPECT_EQ(RunCli(words, out, err), kBadInput);
    EXPECT_EQ(out.str(), "");
    return err.str();
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(refused({"--kernel", "matmull"}), HasSubstr("did you mean 'matmul'"));
  for (const char* shape : {"8", "8x8", "8x8x8x8", "0x8x8", "8x8x", "axbxc", "-1x8x8"}) {
    EXPECT_THAT(refused({"--shape", shape}), HasSubstr("must be 3 numbers")) << shape;
  }
  EXPECT_THAT(refused({"--kernel", "rope", "--shape", "3x7"}), HasSubstr("even head size"));
}

}  // namespace
}  // namespace flopledger
