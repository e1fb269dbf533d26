// The environment: written, read back, and read from ledgers of older builds.
#include "analysis/ledger/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "analysis/ledger/json_reader.h"
#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

Environment Read(const nlohmann::json& json) {
  return EnvironmentFromJson({json, "x.json: environment"});
}

Ceilings FullCeilings() {
  return {.threads = 2,
          .fma_flops_per_s = {{"256-bit", {1e11, 1e9}}},
          .bandwidth = {{"L1", 65536, {1e12, 1}, {1e11, 1}},
                        {"memory", std::nullopt, {2e10, 1}, {1e10, 1}}},
          .product_flops_per_s = {9e10, 1},
          .fork_join_s = {1e-6, 1e-8},
          .exp_s = {1e-10, 0},
          .clock_hz = {},
          .theoretical_flops_per_s = {},
          .thread_spread = 0.01,
          .performance_core_flops_per_s = Measured{6e10, 1e8},
          .efficiency_core_flops_per_s = Measured{4e10, 1e8},
          .memory_buffer_bytes = 1 << 27,
          .memory_buffer_bounded = true,
          .product_drift = 0.02};
}

/// One in which everything is there.
Environment FullEnvironment() {
  Environment full;
  full.machine = {.cpu = "a \"CPU\"",
                  .cpu_family = "25",
                  .cpu_model = "17",
                  .architecture = "x86_64",
                  .kernel = "6.1",
                  .processors = 2,
                  .processors_limited_by = "OMP_NUM_THREADS",
                  .openmp_threads = 2,
                  .openmp_threads_limited_by = "the physical cores",
                  .physical_cores = 2,
                  .efficiency_cores = 0,
                  .numa_nodes = 1,
                  .virtual_machine = true,
                  .governor = "performance",
                  .smt = "on",
                  .cpu_simd = "AVX-512",
                  .memory_bytes = 1 << 30,
                  .memory_available_bytes = 1 << 29,
                  .caches = {{1, "Data", "32K", "0", 2}, {3, "Unified", "32M", "0-1", {}}},
                  .eigen_caches = EigenCaches{1, 2, 3}};
  full.build = {"0.1.0", "abc", "123", "GNU 12", "-O3", "Release", "AVX2+FMA", "3.4.0"};
  full.settings = {.run_id = "one",
                   .model = R"({"d_model":8})",
                   .seed = UINT64_MAX,
                   .start_up_s = 0.5,
                   .observer_ns_per_op = 40,
                   .pin = "cores",
                   .warm_up_passes = 2};
  full.libraries = {{"openblas", "0.3", "/lib/x.so", ""}, {"blis", "", "", "not installed"}};
  full.counters = CounterFacts{.microarchitecture = "AMD Zen 4",
                               .flops_source = "PPR",
                               .flops_note = "",
                               .perf_event_paranoid = 2,
                               .encoder = "libpfm4",
                               .events = {{"instructions", {}}, {"cycles", "no PMU"}},
                               .flops_available = true,
                               .flops_reason = "",
                               .flops_check = TrustCheck{100, 99.5}};
  full.calibration =
      CalibrationFacts{"2026-01-01T00:00:00Z", {FullCeilings()}, MachineSpeed{1, 2, 3}, 7};
  full.extrapolation = ExtrapolationFacts{2, 12, {3, 2, 4}, 0.95, 0.02};
  DecodeFigures decode;
  decode.prompt = 8;
  decode.tokens = 2;
  decode.layers_run = 1;
  decode.layers_total = 2;
  decode.ops = {{"ffn_up", 10, 20, {1, 2}}};
  decode.total = {"total", 10, 20, {1, 2}};
  decode.read_bytes_per_s = {5, 6};
  full.decode = decode;
  full.ranks = {.ranks = 2, .hosts = {"a", "b"}, .collectives = {{"ffn_all_reduce", 0.5, 0.25}}};
  full.steal_s = 0.25;
  full.disturbances = {{"packed", 2, "stolen time", true}};
  return full;
}

TEST(Environment, ReadsBackWhatItWrites) {
  for (const Environment& environment : {FullEnvironment(), Environment{}}) {
    EXPECT_EQ(Read(nlohmann::json::parse(ToJson(environment).dump())), environment);
  }
}

TEST(Environment, ReadsWhatOlderBuildsWrote) {
  const Environment old = Read({{"cpu", "a CPU"},
                                {"governor", nullptr},
                                {"counters", "hardware counters: unavailable: no PMU"},
                                {"matmul_libraries", {{"openblas", "0.3, /lib/x.so"}}},
                                {"of_another_build", 7}});
  EXPECT_EQ(old.machine.cpu, "a CPU");
  EXPECT_FALSE(old.machine.governor.has_value());
  EXPECT_FALSE(old.counters.has_value());
  ASSERT_EQ(old.libraries.size(), 1U);
  EXPECT_EQ(old.libraries[0].version, "0.3, /lib/x.so");
}

TEST(Environment, RefusesAnotherTypeAndNamesIt) {
  const auto refusal = [](const nlohmann::json& json) { return Refusal([&] { Read(json); }); };
  EXPECT_THAT(refusal("none"), HasSubstr("x.json: environment: must be an object"));
  EXPECT_THAT(refusal({{"cpu", 7.5}}), HasSubstr("environment: cpu: must be text, found 7.5"));
  EXPECT_THAT(refusal({{"processors", "2"}}), HasSubstr("processors: must be a 64-bit integer"));
  EXPECT_THAT(refusal({{"caches", 3}}), HasSubstr("caches: must be a list"));
  EXPECT_THAT(refusal({{"model", "gpt2"}}), HasSubstr("model: must be an object"));
  EXPECT_THAT(refusal({{"extrapolation", {{"low_s", 1}}}}), HasSubstr("lacks 'layers_run'"));
  EXPECT_THAT(refusal({{"calibration", {{"ceilings", {1}}}}}),
              HasSubstr("ceilings: element 0: must be an object"));
}

TEST(Environment, NamesTheFactsThatDecide) {
  Environment environment;
  environment.machine.cpu = "a CPU";
  environment.machine.processors = 2;
  environment.machine.virtual_machine = true;
  environment.build.kernels = "123";
  environment.build.commit = "abc";
  EXPECT_THAT(FactsUsed(environment, kCompared),
              UnorderedElementsAre(Pair("cpu", "a CPU"), Pair("processors", "2"),
                                   Pair("virtual_machine", "true")));
  EXPECT_THAT(
      FactsUsed(environment, kCalibrated),
      UnorderedElementsAre(Pair("cpu", "a CPU"), Pair("processors", "2"), Pair("kernels", "123")));
}

TEST(CounterFacts, SummaryNamesWhatThereIsOrWhyNot) {
  CounterFacts counters = *FullEnvironment().counters;
  EXPECT_EQ(Summary(counters), "hardware counters: instructions");
  counters.flops_available = false;
  counters.flops_reason = "another";
  EXPECT_EQ(Summary(counters), "hardware counters: instructions; no FLOPs: another");
  counters.events[0].reason = "refused";
  EXPECT_EQ(Summary(counters), "hardware counters: unavailable: refused");
}

}  // namespace
}  // namespace flopledger
