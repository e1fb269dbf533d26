// `predict`, `calibrate` and the predicted columns of `run`, as the command line gives them. The
// calibrations are made by hand: nothing here is timed against anything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "analysis/ledger/record.h"
#include "bench/calibration/calibration_file.h"
#include "bench/cli/cli.h"
#include "tests/bench/cli/command_line.h"
#include "tests/support/flat_calibration.h"
#include "tests/support/ledger_csv.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kFourLayers[] = R"({"vocab_size": 50, "context_length": 24, "num_layers": 4,
  "d_model": 24, "num_heads": 3, "num_kv_heads": 1, "d_ff": 40, "ffn": "swiglu",
  "norm": "rmsnorm", "position": "rope", "bias": false, "tie_embeddings": false})";

class Predicting : public ::testing::Test {
 protected:
  Predicting() {
    setenv("XDG_CACHE_HOME", folder_.path("cache").c_str(), 1);
    model_ = folder_.Write("tiny.json", kFourLayers);
  }

  Outcome Run(const std::vector<std::string>& words) { return RunWords(words); }

  Calibration Flat() { return FlatCalibration(LoadModel(model_)); }

  std::string Save(const Calibration& calibration, const std::string& name = "cal.json") {
    return folder_.Write(name, ToJson(calibration).dump());
  }

  TemporaryFolder folder_;
  std::string model_;
};

TEST_F(Predicting, WithoutACalibrationThatHoldsGivesOneLine) {
  Calibration elsewhere = Flat();
  elsewhere.identity["cpu"] = "Another";
  const std::string other = Save(elsewhere, "other.json");
  const std::string cut = folder_.Write("cut.json", ToJson(Flat()).dump().substr(0, 500));
  const std::string text = folder_.Write("text.json", "{\"calibration\": \"old\"}");
  const std::string flat = Save(Flat(), "flat.json");
  struct Case {
    std::vector<std::string> words;
    int code;
    const char* says;
  };
  const Case cases[] = {
      {{"predict", "--model", model_}, kNotPossibleHere, "run 'flopledger calibrate'"},
      {{"predict", "--model", model_, "--calibration", folder_.path("none.json")},
       kBadInput,
       "none.json: cannot be read"},
      {{"predict", "--model", model_, "--calibration", cut}, kBadInput, "cut.json: not valid JSON"},
      {{"predict", "--model", model_, "--calibration", text},
       kBadInput,
       "calibration: must be a 64-bit integer"},
      {{"predict", "--model", model_, "--calibration", other},
       kNotPossibleHere,
       "another machine or build: it was taken where cpu is Another"},
      {{"run", "--model", model_, "--calibration", cut}, kBadInput, "cut.json: not valid JSON"},
      {{"run", "--model", model_, "--calibration", other}, kNotPossibleHere, "another machine"},
      {{"predict", "--model", model_, "--threads", "0"}, kBadInput, "threads"},
      {{"predict", "--model", "gpt2", "--context", "1025"}, kBadInput, "1024"},
      {{"predict", "--model", "gpt2-xl", "--batch", "3000000", "--calibration", flat},
       kBadInput,
       "overflow"},
      {{"predict", "--convention", "rule-of-thumb"}, kBadInput, "rule of thumb"},
      {{"calibrate", "--out", "/proc/none/cal.json"}, kBadInput, "cannot be written"},
      {{"calibrate", "--pin", "core"}, kBadInput, "did you mean 'cores'"},
      {{"run", "--model", model_, "--pin", "core"}, kBadInput, "did you mean 'cores'"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(::testing::PrintToString(one.words));
    const Outcome outcome = Run(one.words);
    EXPECT_EQ(outcome.code, one.code);
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(outcome.err, HasSubstr(one.says));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  }
}

TEST_F(Predicting, SaysTheSecondsOfAModelInEveryFormat) {
  const std::string calibration = Save(Flat());
  const auto predict = [&](const std::string& format) {
    return Run({"predict", "--model", model_, "--calibration", calibration, "--format", format});
  };
  const Outcome table = predict("table");
  EXPECT_EQ(table.code, kDone) << table.err;
  EXPECT_THAT(table.out, HasSubstr("this machine would need "));
  EXPECT_THAT(predict("md").out, HasSubstr("| ffn_up "));
  EXPECT_THAT(predict("csv").out, HasSubstr("predicted_time_s"));
  const auto json = nlohmann::json::parse(predict("json").out);
  double sum = 0;
  for (const auto& op : json["ops"]) sum += op["predicted_time_s"].get<double>();
  EXPECT_NEAR(json["total"]["predicted_time_s"].get<double>(), sum, 1e-9 * sum);
}

TEST_F(Predicting, AModelThatDoesNotFitInMemoryHasSecondsAllTheSame) {
  const std::string calibration = Save(Flat());
  const Outcome outcome =
      Run({"predict", "--model", FLOPLEDGER_FIXTURES "/../../examples/llama-3-70b.json",
           "--context", "1024", "--calibration", calibration});
  ASSERT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("70,553,706,496 parameters"));
  EXPECT_THAT(outcome.out, HasSubstr("fitted"));
}

TEST_F(Predicting, OpsWithoutSamplesAreUnavailableNotZero) {
  Calibration calibration = Flat();
  std::erase_if(calibration.samples, [](const OpSample& sample) { return sample.op == "rope"; });
  const Outcome outcome =
      Run({"predict", "--model", model_, "--calibration", Save(calibration), "--format", "json"});
  EXPECT_EQ(outcome.code, kNoAnswer);
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_TRUE(json["total"]["predicted_time_s"].is_null());
  EXPECT_THAT(json["total"]["unavailable_because"].get<std::string>(), HasSubstr("rope"));
}

TEST_F(Predicting, RunSetsPredictedBesideMeasuredInEveryRow) {
  const std::string calibration = Save(Flat()), path = folder_.path("out.json");
  const Outcome outcome = Run({"run", "--model", model_, "--calibration", calibration, "--json",
                               path, "--sample", "--benchmark_min_time=0.001"});
  ASSERT_TRUE(Ran(outcome)) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("extrapolated to 4 layers"));
  const Ledger ledger = LedgerFromJson(nlohmann::json::parse(ReadFile(path)), path);
  double sum = 0;
  for (const Record& row : ledger.rows) {
    SCOPED_TRACE(row.op);
    ASSERT_TRUE(row.predicted_time_s.has_value());
    EXPECT_THAT(row.bound, Not(IsEmpty()));
    EXPECT_EQ(row.layers_run, 3);
    EXPECT_EQ(row.repetitions, row.kind == "extrapolated" ? 0 : 15);
    if (row.kind == "extrapolated") {
      EXPECT_FALSE(row.time_ratio.has_value());
      EXPECT_GT(*row.predicted_time_s, sum);
    } else {
      EXPECT_DOUBLE_EQ(*row.time_ratio, *row.time_s / *row.predicted_time_s);
      if (row.kind != "total") sum += *row.predicted_time_s;
      if (row.kind == "total") {
        EXPECT_NEAR(*row.predicted_time_s, sum, 1e-9 * sum);
      }
    }
  }
  const Environment& environment = ledger.environment;
  ASSERT_TRUE(environment.calibration && environment.extrapolation);
  EXPECT_EQ(environment.calibration->ceilings[0].bandwidth[0].level, "memory");
  const Extrapolation& pass = environment.extrapolation->pass;
  EXPECT_LE(pass.lower, pass.seconds);
  EXPECT_GE(pass.upper, pass.seconds);
  EXPECT_NEAR(pass.seconds, *ledger.rows.back().time_s, 1e-12);
}

TEST_F(Predicting, AnotherDataTypeHasNoCalibration) {
  for (const char* flag : {"--dtype", "--kv-dtype"}) {
    const Outcome outcome = Run({"predict", "--model", model_, flag, "bf16"});
    EXPECT_EQ(outcome.code, kNotPossibleHere);
    EXPECT_THAT(outcome.err,
                HasSubstr(std::string(flag) + " bf16: there is no calibration for it"));
    EXPECT_THAT(outcome.out, IsEmpty());
  }
  EXPECT_EQ(Run({"predict", "--model", model_, "--dtype", "b16"}).code, kBadInput);
  SaveCalibration(CalibrationPath(), Flat());
  EXPECT_EQ(Run({"predict", "--model", model_, "--dtype", "f32"}).code, kDone);
}

TEST_F(Predicting, RunWithoutACalibrationSaysSoOnOneLineAndLeavesTheColumnsEmpty) {
  const std::string path = folder_.path("out.csv");
  const Outcome outcome = Run({"run", "--model", model_, "--csv", path,
                               "--benchmark_min_time=0.001", "--benchmark_repetitions=1"});
  ASSERT_TRUE(Ran(outcome)) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("seconds are not predicted: this machine is not calibrated: "
                                     "run 'flopledger calibrate'\n"));
  for (const Record& row : RecordsFromCsv(ReadFile(path), path)) {
    EXPECT_FALSE(row.predicted_time_s.has_value());
    EXPECT_THAT(row.bound, IsEmpty());
  }
}

TEST_F(Predicting, AnExtrapolationHoldsTheCalibratedDriftOrSaysThatItIsLeftOut) {
  const std::string path = folder_.path("part.json");
  const auto part = [&](const Calibration& calibration) {
    return Run({"run", "--model", model_, "--layers", "2", "--json", path, "--calibration",
                Save(calibration), "--benchmark_min_time=0.001", "--benchmark_repetitions=2"});
  };
  const auto drift = [&] {
    return nlohmann::json::parse(ReadFile(path))["environment"]["extrapolation"]["drift"];
  };
  Calibration calibration = Flat();
  EXPECT_THAT(part(calibration).out, HasSubstr("without the drift between runs"));
  EXPECT_TRUE(drift().is_null());
  for (Ceilings& ceilings : calibration.ceilings) ceilings.product_drift = 0.042;
  EXPECT_THAT(part(calibration).out, HasSubstr("with a drift between runs of 4.2 %"));
  EXPECT_EQ(drift(), 0.042);
}

TEST_F(Predicting, TheEnvironmentSaysWhetherThreadsAreBound) {
  const std::string path = folder_.path("pinned.json");
  for (const char* pin : {"cores", "none"}) {
    const Outcome outcome = Run({"run", "--model", model_, "--pin", pin, "--json", path,
                                 "--benchmark_min_time=0.001", "--benchmark_repetitions=1"});
    ASSERT_TRUE(Ran(outcome)) << outcome.err;
    EXPECT_EQ(nlohmann::json::parse(ReadFile(path))["environment"]["pin"], pin);
  }
}

TEST_F(Predicting, TheUsersOwnCalibrationIsFound) {
  SaveCalibration(CalibrationPath(), Flat());
  EXPECT_EQ(Run({"predict", "--model", model_}).code, kDone);
}

TEST_F(Predicting, RanksOverANetworkAreLabelledAsSuch) {
  const std::string calibration = Save(Flat());
  const std::vector<std::string> words{"predict", model_,      "--calibration", calibration, "-t",
                                       "1",       "--network", "1GB/s,1us",     "--ranks"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> all = words;
    all.insert(all.end(), more.begin(), more.end());
    return Run(all);
  };
  const Outcome table = with({"1,2,3"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("(nothing of it was measured)"));
  const auto json = nlohmann::json::parse(with({"1,2,3", "--format", "json"}).out);
  ASSERT_EQ(json["points"].size(), 3);
  EXPECT_EQ(json["points"][0]["collectives"], nullptr);
  EXPECT_EQ(json["points"][2]["collectives"], "alpha-beta model");
  EXPECT_EQ(json["points"][2]["ranks"], 3);
  EXPECT_GT(json["points"][2]["communication_s"], 0);
  EXPECT_LT(json["points"][2]["weights_bytes"], json["points"][0]["weights_bytes"]);
  // Two sums a layer of 4 layers, recursive doubling: (24 positions · 24 numbers · 4 bytes) / 1e9 +
  // 1e-6, and an addition of 12 bytes at 1e10.
  EXPECT_NEAR(json["points"][1]["communication_s"].get<double>(),
              8 * (1e-6 + 576 * 4 / 1e9 + 12 * 576 / 1e10), 1e-12);
  EXPECT_THAT(with({"2", "--format", "csv"}).out, HasSubstr("alpha-beta model"));
  const Outcome many = with({"4"});
  EXPECT_EQ(many.code, 2);
  EXPECT_THAT(many.err, HasSubstr("ranks must be from 1 to its 3 query heads, found 4"));
}

TEST_F(Predicting, RanksWithoutMeasuredCollectivesSayHowToMeasureThem) {
  Calibration calibration = Flat();
  const std::string path = Save(calibration);
  const std::vector<std::string> words{"predict", model_, "--calibration", path,
                                       "-t",      "1",    "--ranks",       "2"};
  const Outcome none = Run(words);
  EXPECT_EQ(none.code, 3);
  if (AvailableProcessors() > 1) {
    EXPECT_THAT(none.out,
                HasSubstr("the calibration has no collectives of 2 ranks on 1 host: 'mpirun -n 2"));
  }
  const Outcome alone = Run({"predict", model_, "--calibration", path, "--network", "1GB/s,1us"});
  EXPECT_EQ(alone.code, 2);
  EXPECT_THAT(alone.err, HasSubstr("--network goes with --ranks"));
  const Outcome half =
      Run({"predict", model_, "--calibration", path, "--ranks", "2", "--dtype", "bf16"});
  EXPECT_EQ(half.code, 5);
}

}  // namespace
}  // namespace flopledger
