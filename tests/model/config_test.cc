// Configs and JSON: what is read, and what is refused in one clear line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "model/checked.h"
#include "model/config.h"
#include "model/input_error.h"
#include "model/json.h"
#include "model/safetensors.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"
#include "tests/support/safetensors_bytes.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const json kOwn = {{"vocab_size", 100},
                   {"context_length", 32},
                   {"num_layers", 2},
                   {"d_model", 24},
                   {"num_heads", 4}};
const json kGpt2 = {{"model_type", "gpt2"}, {"vocab_size", 100}, {"n_positions", 32},
                    {"n_layer", 2},         {"n_embd", 24},      {"n_head", 4}};
const json kLlama = {{"model_type", "llama"},  {"vocab_size", 100},
                     {"hidden_size", 24},      {"intermediate_size", 40},
                     {"num_hidden_layers", 2}, {"num_attention_heads", 4}};

ModelConfig Parse(json object, const json& more = json::object()) {
  object.update(more);
  return ParseModel(object, "model.json");
}

TEST(Config, OwnKeysHaveGpt2sDefaults) {
  const ModelConfig config = Parse(kOwn);
  EXPECT_EQ(config.d_ff, 96);
  EXPECT_EQ(config.num_kv_heads, 4);
  EXPECT_EQ(config.head_size(), 6);
  EXPECT_EQ(config.ffn, Ffn::kGeluTanh);
  EXPECT_TRUE(config.biases == Biases::OfBlock(true, Norm::kLayerNorm) && config.tie_embeddings &&
              config.final_norm);
}

TEST(Config, IsReadBackAsItWasWritten) {
  std::mt19937 random(1);
  for (int i = 0; i < 50; ++i) {
    const json written = ToJson(RandomModel(random));
    EXPECT_EQ(ToJson(ParseModel(written, "written")), written);
  }
  for (const ModelConfig& preset : Presets()) {
    EXPECT_EQ(ToJson(ParseModel(ToJson(preset), preset.name)), ToJson(preset));
    EXPECT_EQ(ToJson(LoadModel(preset.name)), ToJson(preset));
  }
}

TEST(Config, RefusesWhatItDoesNotUnderstand) {
  const struct {
    json base, more;
    const char* says;
  } kCases[] = {
      {kOwn, {{"d_modle", 3}}, "unknown key 'd_modle'; did you mean 'd_model'"},
      {kOwn, {{"d_model", "24"}}, "'d_model' must be an integer"},
      {kOwn, {{"d_model", 24.5}}, "'d_model' must be an integer"},
      {kOwn, {{"d_model", 0}}, "'d_model' must be from 1"},
      {kOwn, {{"d_model", -24}}, "'d_model' must be from 1"},
      {kOwn, {{"d_model", uint64_t{1} << 63}}, "'d_model' must be from 1"},
      {kOwn, {{"d_model", nullptr}}, "'d_model' must have a value"},
      {kOwn, {{"num_heads", 5}}, "num_heads 5 does not divide d_model 24"},
      {kOwn, {{"num_kv_heads", 3}}, "num_kv_heads 3 does not divide num_heads 4"},
      {kOwn, {{"num_heads", 8}, {"position", "rope"}}, "even head size"},
      {kOwn, {{"ffn", "gleu"}}, "'ffn' is not known"},
      {kOwn, {{"norm", true}}, "'norm' must be a string"},
      {kOwn, {{"bias", 1}}, "'bias' must be true or false"},
      {kOwn, {{"norm_eps", 0}}, "'norm_eps' must be above 0"},
      {kOwn, {{"rope_theta", "x"}}, "'rope_theta' must be a number"},
      {kOwn, {{"model_type", "mamba"}}, "'model_type' is not supported"},
      {kGpt2, {{"activation_function", "tanh"}}, "activation_function"},
      {kGpt2, {{"n_head", 5}}, "does not divide"},
      {kLlama, {{"rope_scaling", "linear"}}, "must be a JSON object"},
      {kLlama, {{"num_key_value_heads", 3}}, "does not divide"},
      {kLlama, {{"attention_bias", "yes"}}, "'attention_bias' must be true or false"},
      {kLlama, {{"rms_norm_eps", -1e-5}}, "rms_norm_eps"},
      {kGpt2, {{"add_cross_attention", true}}, "add_cross_attention"},
      {kGpt2, {{"model_type", 2}}, "'model_type' must be a string"},
  };
  for (const auto& [base, more, says] : kCases) {
    EXPECT_THAT(Refusal([&, b = base, m = more] { Parse(b, m); }), HasSubstr(says));
  }
  for (const char* key : {"vocab_size", "context_length", "num_layers", "d_model", "num_heads"}) {
    json object = kOwn;
    object.erase(key);
    EXPECT_THAT(Refusal([&] { Parse(object); }), HasSubstr("is missing"));
  }
  EXPECT_THAT(Refusal([] { ParseModel(json::array(), "list.json"); }), HasSubstr("JSON object"));
}

TEST(Config, ReadsHuggingFacesAsTheyArePublished) {
  const ModelConfig gpt2 = Parse(kGpt2, {{"n_ctx", 32},
                                         {"n_inner", nullptr},
                                         {"activation_function", "gelu_new"},
                                         {"layer_norm_epsilon", 1e-5},
                                         {"attn_pdrop", 0.1},
                                         {"bos_token_id", 7},
                                         {"architectures", {"GPT2LMHeadModel"}},
                                         {"task_specific_params", json::object()}});
  EXPECT_EQ(gpt2.d_ff, 96);
  EXPECT_TRUE(gpt2.tie_embeddings);
  EXPECT_FALSE(Parse(kGpt2, {{"tie_word_embeddings", false}}).tie_embeddings);
  EXPECT_EQ(Parse(kGpt2).norm_eps, 1e-5);
  EXPECT_EQ(Parse(kGpt2, {{"layer_norm_epsilon", 1e-3}}).norm_eps, 1e-3);
  EXPECT_EQ(gpt2.norm, Norm::kLayerNorm);
  EXPECT_EQ(gpt2.position, Position::kLearned);
  EXPECT_EQ(gpt2.context_length, 32);
  EXPECT_EQ(Parse(kGpt2, {{"n_inner", 50}}).d_ff, 50);
  EXPECT_EQ(Parse(kGpt2, {{"activation_function", "gelu"}}).ffn, Ffn::kGeluErf);

  const ModelConfig llama = Parse(kLlama, {{"num_key_value_heads", 2},
                                           {"rope_theta", 5e5},
                                           {"rms_norm_eps", 1e-6},
                                           {"max_position_embeddings", 64},
                                           {"tie_word_embeddings", true},
                                           {"attention_bias", false},
                                           {"mlp_bias", false},
                                           {"rope_scaling", nullptr},
                                           {"head_dim", 6},
                                           {"torch_dtype", "bfloat16"},
                                           {"use_cache", true}});
  EXPECT_EQ(llama.num_kv_heads, 2);
  EXPECT_EQ(llama.qkv_size(), 48);
  EXPECT_EQ(llama.rope_theta, 5e5);
  EXPECT_EQ(llama.norm_eps, 1e-6);
  EXPECT_TRUE(llama.tie_embeddings);
  EXPECT_EQ(llama.norm, Norm::kRmsNorm);
  EXPECT_EQ(llama.position, Position::kRope);
  EXPECT_EQ(llama.ffn, Ffn::kSwiglu);
  EXPECT_EQ(llama.context_length, 64);
  // What LlamaConfig says of keys that are not there.
  const ModelConfig plain = Parse(kLlama);
  EXPECT_EQ(plain.num_kv_heads, 4);
  EXPECT_EQ(plain.context_length, 2048);
  EXPECT_EQ(plain.norm_eps, 1e-6);
  EXPECT_EQ(plain.rope_theta, 1e4);
  EXPECT_FALSE(plain.tie_embeddings);
  EXPECT_EQ(plain.biases, Biases{});
  EXPECT_TRUE(Parse(kLlama, {{"attention_bias", true}, {"mlp_bias", true}}).biases.qkv);
  EXPECT_EQ(Parse(kLlama, {{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 7.0}}}})
                .rope_theta,
            7);
}

TEST(ValidateRunShape, LearnedPositionsEndAndRotaryOnesDoNot) {
  ModelConfig config = Parse(kOwn);
  ValidateRunShape(config, 32, 1);
  EXPECT_THAT(Refusal([&] { ValidateRunShape(config, 33, 1); }), HasSubstr("32 learned positions"));
  EXPECT_THAT(Refusal([&] { ValidateRunShape(config, 0, 1); }), HasSubstr("context"));
  EXPECT_THAT(Refusal([&] { ValidateRunShape(config, 1, 0); }), HasSubstr("batch"));
  config.position = Position::kRope;
  ValidateRunShape(config, 33, 7);
}

TEST(Checked, RefusesWhatLeaves64Bits) {
  constexpr int64_t kMost = INT64_MAX, kLeast = INT64_MIN;
  EXPECT_EQ(CheckedAdd(kMost - 1, int64_t{1}), kMost);
  EXPECT_EQ(CheckedMul(kMost / 7, int64_t{7}), kMost);
  EXPECT_EQ(CheckedMul(int64_t{0}, kMost), 0);
  // Also where a later term would bring the wrapped number back.
  EXPECT_THAT(Refusal([&] { CheckedAdd(kMost, int64_t{1}, int64_t{-1}); }), HasSubstr("overflow"));
  EXPECT_THAT(Refusal([&] { CheckedMul(kMost, int64_t{2}, int64_t{0}); }), HasSubstr("overflow"));
  EXPECT_THAT(Refusal([&] { CheckedAdd(kLeast, int64_t{-1}); }), HasSubstr("overflow"));
  EXPECT_THAT(Refusal([&] { CheckedMul(kLeast, int64_t{-1}); }), HasSubstr("overflow"));
}

TEST(Json, RefusesDoubleKeysAndBottomlessNesting) {
  EXPECT_THAT(Refusal([] { ParseJson(R"({"a": 1, "a": 2})", "x"); }), HasSubstr("stands twice"));
  EXPECT_THAT(Refusal([] { ParseJson("{\n \"a\": }", "x"); }), HasSubstr("line 2"));
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_THAT(Refusal([&] { ParseJson(deep, "x"); }), HasSubstr("deep"));
  EXPECT_EQ(ParseJson("[[1], 2]", "x").dump(), "[[1],2]");

  const TemporaryFolder folder;
  std::string model = "{";
  for (int i = 0; i < 100'000; ++i) model += R"("a": {)";
  EXPECT_THAT(Refusal([&] { LoadModel(folder.Write("deep.json", model)); }), HasSubstr("deep"));
  const std::string weights = folder.Write("deep.safetensors", FileOf(model, ""));
  EXPECT_THAT(Refusal([&] { SafetensorsFile file(weights); }), HasSubstr("deep"));
}

TEST(Config, NoDamagedFileIsMoreThanAnInputError) {
  std::mt19937 random(11);
  const std::string whole = kLlama.dump();
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = whole;
    for (uint32_t change = 1 + random() % 3; change > 0; --change) {
      damaged[random() % damaged.size()] = static_cast<char>(random() % 256);
    }
    try {
      ParseModel(ParseJson(damaged, "x"), "x");
    } catch (const InputError&) {
    }
  }
}

TEST(Suggest, NamesTheNearestOrAll) {
  EXPECT_THAT(Suggest("modle", {"model", "layers"}), HasSubstr("did you mean 'model'"));
  EXPECT_THAT(Suggest("zzz", {"model", "layers"}), HasSubstr("allowed: model, layers"));
}

TEST(InputError, QuotesAnythingOnOnePrintableLine) {
  EXPECT_STREQ(InputError(std::string("key 'a\nb\0c\x1b[31m' \xc3\xa9", 17)).what(),
               "key 'a b?c?[31m' ");
  const TemporaryFolder folder;
  const std::string tensor =
      FileOf(R"({"x\u0000\u001b\ny": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}})",
             "12345678");
  EXPECT_THAT(Refusal([&] { SafetensorsFile file(folder.Write("odd", tensor)); }),
              HasSubstr("tensor 'x?? y' of shape [3]"));
  EXPECT_THAT(Refusal([] { Parse(kOwn, {{"d\nmodel", 1}}); }), HasSubstr("did you mean 'd_model'"));
}

TEST(LoadModel, AnyPathIsAnAnswerOrARefusal) {
  const TemporaryFolder folder;
  EXPECT_THAT(Refusal([] { LoadModel(std::string(5000, 'a')); }), HasSubstr("neither a preset"));
  EXPECT_THAT(Refusal([] { LoadModel(std::string(5000, 'a') + ".json"); }),
              HasSubstr("cannot be read"));
  std::filesystem::create_symlink("loop.json", folder.path("loop.json"));
  EXPECT_THAT(Refusal([&] { LoadModel(folder.path("loop.json")); }), HasSubstr("cannot be read"));
  EXPECT_THAT(Refusal([&] { LoadModel(folder.path()); }),
              HasSubstr("a folder without a config.json"));
  EXPECT_THAT(Refusal([&] { LoadModel(folder.path("none.json")); }), HasSubstr("cannot be read"));
  EXPECT_THAT(Refusal([] { LoadModel("gpt2-xxl"); }), HasSubstr("did you mean 'gpt2-xl'"));
  folder.Write("config.json", kGpt2.dump());
  EXPECT_EQ(LoadModel(folder.path("config.json")).name,
            std::filesystem::path(folder.path("x")).parent_path().filename().string());
  EXPECT_EQ(LoadModel(folder.Write("mine.json", kOwn.dump())).name, "mine");
}

}  // namespace
}  // namespace flopledger
