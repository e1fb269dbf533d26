// Bad input: one line, its exit code, and no file left behind.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/bench/cli/command_line.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct BadCase {
  std::vector<std::string> words;
  const char* says;  // part of the one line
  int code = kBadInput;
};

std::vector<std::string> Logits(const std::string& weights_file, const std::string& tokens) {
  return std::vector<std::string>{"logits",    "--model",    "%GOLDEN%/gpt2-tiny/config.json",
                                  "--weights", weights_file, "--tokens",
                                  tokens,      "--out",      "%DIR%/logits.csv"};
}

std::vector<std::string> RunTiny(std::vector<std::string> more) {
  std::vector<std::string> words{"run", "--model", "%DIR%/tiny.json", "--csv", "%DIR%/out.csv"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const std::string kGoodWeights = "%GOLDEN%/gpt2-tiny/model.safetensors";
const std::string kGoodTokens = "%GOLDEN%/gpt2-tiny/tokens.json";
const std::string kTooLong(5000, 'a');  // for a file's name

class BadInput : public CommandLine {
 protected:
  BadInput() {
    WriteModels();
    WriteClaims();
    std::filesystem::create_directory(folder_.path("cache"));
    std::filesystem::create_directory(folder_.path("folder"));
  }

  /// Models, weights, tokens and ledgers that are not right.
  void WriteModels() {
    folder_.Write("unknown_key.json", R"({"vocab_size": 9, "context_length": 9, "num_layers": 1,
        "d_model": 8, "num_heads": 2, "num_layres": 3})");
    folder_.Write("heads.json", R"({"vocab_size": 9, "context_length": 9, "num_layers": 1,
        "d_model": 8, "num_heads": 3})");
    folder_.Write("type.json", R"({"vocab_size": "9", "context_length": 9, "num_layers": 1,
        "d_model": 8, "num_heads": 2})");
    folder_.Write("broken.json", "{");
    folder_.Write("deep.json", std::string(200'000, '['));
    const std::string weights = ReadFile(FLOPLEDGER_FIXTURES "/gpt2-tiny/model.safetensors");
    folder_.Write("truncated.safetensors", weights.substr(0, weights.size() / 2));
    folder_.Write("text.safetensors", "these are no weights at all, but some text");
    folder_.Write("empty.safetensors", "");
    folder_.Write("tokens_range.json", "[1, 2, 100000]");
    folder_.Write("tokens_negative.json", "[-1]");
    folder_.Write("tokens_float.json", "[1.5]");
    folder_.Write("tokens_none.json", "[]");
    folder_.Write("tokens_text.json", "[1, 2");
    folder_.Write("tokens_long.json", nlohmann::json(std::vector<int>(5000, 1)).dump());
    folder_.Write("rows_none.json", R"({"schema": 1, "environment": {}, "rows": []})");
    folder_.Write("schema.json", R"({"schema": 99, "environment": {}, "rows": []})");
    folder_.Write("row.json", R"({"schema": 1, "environment": {}, "rows": [{"op": "x"}]})");
  }

  void WriteClaims() {
    const auto claim = [](const char* id, const char* quantity, const char* value) {
      return std::string(R"({"id": ")") + id + R"(", "quantity": ")" + quantity +
             R"(", "value": ")" + value + "\"}";
    };
    const auto claims = [&](const char* name, const std::string& list) {
      folder_.Write(name, R"({"model": "gpt2", "claims": [)" + list + "]}");
    };
    claims("claims_none.json", "");
    claims("claims_unknown.json", claim("1", "params.totl.model", "5"));
    claims("claims_twice.json",
           claim("1", "params.total.model", "5") + "," + claim("1", "params.total.model", "6"));
  }

  void Refuses(const std::vector<BadCase>& cases) {
    const std::vector<std::string> before = folder_.Files();
    for (const BadCase& bad : cases) {
      SCOPED_TRACE(::testing::PrintToString(bad.words));
      const Outcome outcome = Run(bad.words);
      EXPECT_EQ(outcome.code, bad.code);
      EXPECT_THAT(outcome.out, IsEmpty());
      EXPECT_THAT(outcome.err, HasSubstr(bad.says));
      EXPECT_TRUE(outcome.err.starts_with("flopledger: ")) << outcome.err;
      EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
      EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1);
      EXPECT_THAT(folder_.Files(), ::testing::UnorderedElementsAreArray(before));
    }
  }
};

TEST_F(BadInput, AtTheProgramAndAccount) {
  Refuses({
      {{"account", "--model", kTooLong}, "neither a preset nor a JSON file"},
      {{"account", "--model", kTooLong + ".json"}, "cannot be read"},
      {{"acount"}, "did you mean 'account'"},
      {{"--frobnicate"}, "frobnicate"},
      {{"account", "extra"}, "'extra' is neither a preset"},
      {{"account", "--modle", "gpt2"}, "did you mean '--model'"},
      {{"account", "--model"}, "--model"},
      {{"account", "--model", "gpt3"}, "gpt3"},
      {{"account", "--model", "%DIR%/none.json"}, "none.json"},
      {{"account", "--model", "%DIR%/folder"}, "folder"},
      {{"account", "--model", "%DIR%/unknown_key.json"}, "did you mean 'num_layers'"},
      {{"account", "--model", "%DIR%/heads.json"}, "num_heads"},
      {{"account", "--model", "%DIR%/type.json"}, "vocab_size"},
      {{"account", "--model", "%DIR%/broken.json"}, "broken.json"},
      {{"account", "--model", "%DIR%/deep.json"}, "deep.json"},
      {{"account", "--context", "0"}, "context"},
      {{"account", "--context", "-5"}, "context"},
      {{"account", "--context", "many"}, "many"},
      {{"account", "--context", "99999999999999999999"}, "context"},
      {{"account", "--model", "cs336-xl", "--context", "9000000000000"}, "overflow"},
      {{"account", "--model", "gpt2", "--context", "1025"}, "1024"},
      {{"account", "--batch", "0"}, "batch"},
      {{"account", "--convention", "matmull"}, "did you mean 'matmul'"},
      {{"account", "--attention", "flash"}, "fused, reference"},
      {{"account", "--format", "xml"}, "table, csv, json, md"},
      {{"presets", "--format", "yaml"}, "table, csv, json, md"},
  });
}

TEST_F(BadInput, AtRun) {
  Refuses({
      {RunTiny({"--json", kTooLong}), "cannot be written"},
      {RunTiny({"--results", kTooLong}), "cannot be made"},
      {RunTiny({"--context", "0"}), "context"},
      {RunTiny({"--threads", "0"}), "threads"},
      {RunTiny({"--threads", "100000"}), "threads"},
      {RunTiny({"--batch", "0"}), "batch"},
      {RunTiny({"--layers", "0"}), "layers"},
      {RunTiny({"--layers", "4"}), "layers must be from 1 to 3"},
      {RunTiny({"--matmul", "eigenn"}), "did you mean 'eigen'"},
      {RunTiny({"--matmul", "openblass"}), "did you mean 'openblas'"},
      {RunTiny({"--attention", "flash"}), "fused, reference"},
      {RunTiny({"--count", "half"}), "off, sample, full"},
      {RunTiny({"--counters", "on"}), "auto, off"},
      {RunTiny({"--seed", "-1"}), "seed"},
      {RunTiny({"--count", "instructions"}), "leaves no ledger"},
      {RunTiny({"--convention", "rule-of-thumb"}), "rule of thumb"},
      {RunTiny({"--benchmark_frobnicate=1"}), "benchmark_frobnicate"},
      {RunTiny({"--max-memory", "1KiB"}), "needs", kNotPossibleHere},
      {RunTiny({"--json", "%DIR%/no/such/folder/out.json"}), "cannot be written"},
      {{"run", "--model", "%DIR%/tiny.json", "--csv", "%DIR%/folder"}, "cannot be written"},
      {{"run", "--model", "%DIR%/tiny.json", "--csv", "/proc/none/out.csv"}, "cannot be written"},
      {{"run", "--model", "%DIR%/tiny.json", "--results", "%DIR%/tiny.json/in"}, "cannot be made"},
      {RunTiny({"--trace", "%DIR%/no/such/trace.json"}), "cannot be written"},
      {RunTiny({"--decode", "0"}), "--decode"},
      {RunTiny({"--decode", "few"}), "--decode"},
      {{"run", "--model", "gpt2", "--decode", "20", "--context", "1020"}, "context 1040 is beyond"},
      {RunTiny({"--decode", "2", "--matmul", "all"}), "go with one --matmul"},
  });
}

TEST_F(BadInput, AtFlagsOfGoogleBenchmark) {
  Refuses({
      {RunTiny({"--benchmark_repetitions=x"}), "--benchmark_repetitions must be a whole"},
      {RunTiny({"--benchmark_repetitions=0"}), "at least 1, found '0'"},
      {RunTiny({"--benchmark_min_time=abc"}), "--benchmark_min_time must be seconds"},
      {RunTiny({"--benchmark_min_warmup_time=x"}), "is no value of a flag"},
      {RunTiny({"--benchmark_foo=1"}), "'--benchmark_foo=1' is no flag that Google"},
      {RunTiny({"--benchmark_filter"}), "write --benchmark_filter=VALUE"},
      {RunTiny({"--benchmark_out=/proc/none/x"}), "cannot be written"},
      {{"doctor", "--benchmark_filter=x"}, "takes no flags of Google Benchmark"},
  });
}

TEST_F(BadInput, OfTheSameKindsAtEveryCommand) {
  Refuses({
      {RunTiny({"--dry-run=3"}), "--dry-run takes no value"},
      {RunTiny({"--sample=yes"}), "--sample takes no value"},
      {{"calibrate", "--quick=2x"}, "--quick takes no value"},
      {RunTiny({"--warmup", "0"}), "--warmup: must be a whole number of at least 1"},
      {RunTiny({"--matmul", "PACKED"}), "did you mean 'packed'"},
      {RunTiny({"--count", "FULL"}), "did you mean 'full'"},
      {RunTiny({"-r"}), "--repetitions needs a value"},
      {RunTiny({"-t", "x"}), "'x' is no whole number; write a number, a,b,c"},
      {RunTiny({"yes"}), "'yes' belongs to no option of 'run'"},
      {RunTiny({"--trace", "-"}), "the trace goes to a file"},
      {{"account", "gpt2", "--dtype", "BF16"}, "did you mean 'bf16'"},
      {{"account", "gpt2", "--dtype", "fp16"}, "did you mean 'f16'"},
      {{"account", "gpt2", "--FORMAT", "csv"}, "did you mean '--format'"},
      {{"account", "gpt2", "--training", "--peak", "1T", "--steps", "-4"}, "steps"},
      {{"ACCOUNT"}, "did you mean 'account'"},
      {{"presets", "--model", "gpt2"}, "unknown option '--model'; 'flopledger help presets'"},
      {{"presets", "gpt2"}, "'flopledger account MODEL' shows one"},
      {{"compare"}, "baseline is required: a ledger of 'run --json'"},
      {{"compare", "--baseline", "%DIR%/tiny.json"}, "unknown option '--baseline'"},
      {{"compare", "%DIR%/none.json", "%DIR%/tiny.json"}, "none.json: cannot be read"},
      {{"compare", "%DIR%/tiny.json", "%DIR%/tiny.json"}, "not a ledger"},
      {{"compare", "%DIR%/tiny.json", "%DIR%/tiny.json", "--drift", "x"}, "must be a number"},
      {{"gate", "/bin/true", "/bin/true"}, "write --baseline OLD --candidate NEW"},
      {{"gate", "--baseline", "x", "--candidate", "y", "-o", "JSON"}, "did you mean 'json'"},
      {{"gate", "--baseline"}, "--baseline needs a value"},
      {{"bisect", "v1"}, "--good is required: a revision before the slowdown"},
      {{"logits", "--model", "gpt2"}, "--weights is required: a safetensors"},
      {{"count-instructions", "matmul"}, "write --kernel NAME"},
      {{"count-instructions", "--kernel", "Matmul"}, "did you mean 'matmul'"},
      {{"count-instructions", "--shape", "axb"}, "shape 'axb' must be"},
      {{"predict", "%DIR%/tiny.json", "--calibration", "%DIR%/tiny.json"}, "calibrate"},
      {{"predict", "gpt2", "--threads", "two"}, "--threads must be a whole number, found 'two'"},
      {{"calibrate", "--out", "%DIR%/x.csv"}, "a calibration is kept as JSON"},
      {{"calibrate", "now"}, "'now' belongs to no option of 'calibrate'"},
      {{"calibrate", "--show", "--quick"}, "--show measures nothing"},
      {{"report", "%DIR%/rows_none.json", "--format", "HTML"}, "did you mean 'html'"},
      {{"audit", "%DIR%/claims_twice.json", "--batch", "x"}, "--batch must be a whole number"},
      {{"doctor", "now"}, "'now' belongs to no option of 'doctor'"},
      {{"help", "nothing"}, "unknown command 'nothing'"},
      {{"manual"}, "form is required: man, bash, zsh or fish"},
      {{"--config", "%DIR%/none.toml", "account"}, "none.toml cannot be read"},
      {{"--config", "%DIR%/tiny.json", "account"}, "write e.g. model=\"gpt2\" under '[run]'"},
  });
}

TEST_F(BadInput, AtAudit) {
  Refuses({
      {{"audit"}, "claims"},
      {{"audit", "%DIR%/none.json"}, "none.json"},
      {{"audit", "%DIR%/claims_none.json"}, "claims_none.json"},
      {{"audit", "%DIR%/claims_unknown.json"}, "params.totl.model"},
      {{"audit", "%DIR%/claims_twice.json"}, "'1'"},
  });
}

TEST_F(BadInput, AtReport) {
  Refuses({
      {{"report"}, "needs the .json of a run"},
      {{"report", "%DIR%/none.json"}, "none.json"},
      {{"report", "%DIR%/broken.json"}, "broken.json"},
      {{"report", "%DIR%/deep.json"}, "deep.json"},
      {{"report", "%DIR%/heads.json"}, "not a ledger"},
      {{"report", "%DIR%/rows_none.json"}, "rows_none.json: the ledger has no operation"},
      {{"report", "%DIR%/schema.json"}, "schema 99"},
      {{"report", "%DIR%/row.json"}, "row 0: field"},
      {{"report", "%DIR%/rows_none.json", "--format", "pdf"}, "html, md"},
      {{"report", "%DIR%/rows_none.json", "--fromat", "md"}, "did you mean '--format'"},
  });
}

TEST_F(BadInput, AtLogits) {
  Refuses({
      {Logits(kTooLong, kGoodTokens), "cannot be read"},
      {Logits(kGoodWeights, kTooLong), "cannot be read"},
      {{"logits", "--model", "gpt2"}, "required"},
      {Logits("%DIR%/none.safetensors", kGoodTokens), "none.safetensors"},
      {Logits("%DIR%/truncated.safetensors", kGoodTokens), "truncated"},
      {Logits("%DIR%/text.safetensors", kGoodTokens), "text.safetensors"},
      {Logits("%DIR%/empty.safetensors", kGoodTokens), "empty.safetensors"},
      {Logits("%GOLDEN%/llama-tiny/model.safetensors", kGoodTokens), "no tensor of a first layer"},
      {Logits(kGoodWeights, "%DIR%/tokens_range.json"), "token 100000 at index 2"},
      {Logits(kGoodWeights, "%DIR%/tokens_negative.json"), "token -1 at index 0"},
      {Logits(kGoodWeights, "%DIR%/tokens_float.json"), "token 1.5 at index 0"},
      {Logits(kGoodWeights, "%DIR%/tokens_none.json"), "at least one"},
      {Logits(kGoodWeights, "%DIR%/tokens_text.json"), "tokens_text.json"},
      {Logits(kGoodWeights, "%DIR%/tokens_long.json"), "context"},
      {Logits(kGoodWeights, "%DIR%/none.json"), "none.json"},
  });
}

}  // namespace
}  // namespace flopledger
