// Safetensors and weights: what is read, and what is refused in one clear line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <Eigen/Core>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/convert.h"
#include "model/config.h"
#include "model/input_error.h"
#include "model/json.h"
#include "model/safetensors.h"
#include "model/weights.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"
#include "tests/support/safetensors_bytes.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/write_weights.h"

namespace flopledger {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(Safetensors, RefusesWhatIsBroken) {
  const TemporaryFolder folder;
  const std::string whole = FileOf(
      R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", std::string(8, 'x'));
  const struct {
    std::string content;
    const char* says;
  } kCases[] = {
      {"", "0 bytes"},
      {"short", "5 bytes"},
      {whole.substr(0, 30), "truncated"},
      {whole.substr(0, whole.size() - 1), "truncated"},
      {std::string(64, '\xff'), "truncated, or not a safetensors"},
      {FileOf("{", ""), "not valid JSON"},
      {FileOf("[]", ""), "not an object"},
      {FileOf(R"({"a": 3})", ""), "malformed safetensors header: tensor 'a'"},
      {FileOf(R"({"a": {"dtype": 3, "shape": [2], "data_offsets": [0, 8]}})", "12345678"),
       "malformed safetensors header: tensor 'a'"},
      {FileOf(R"({"a": {"dtype": "F32", "shape": [2]}})", "12345678"), "malformed"},
      {FileOf(R"({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}})", "12345678"),
       "bad shape"},
      {FileOf(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}})", "12345678"),
       "ends before it begins"},
      {FileOf(R"({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}})", "12345678"), "a"},
      {FileOf(R"({"a": {"dtype": "F32", "shape": [4294967296, 4294967296, 4],
                        "data_offsets": [0, 8]}})",
              "12345678"),
       "overflow"},
      {FileOf(Header("[2]", "[0, 8, 8]"), "12345678"), "bad data_offsets"},
      {FileOf(Header("[2]", "[0.5, 8]"), "12345678"), "bad data_offsets"},
      {FileOf(Header("[2]", "[-8, 0]"), "12345678"), "bad data_offsets"},
      {FileOf(Header("[2]", "[8, 16]"), "12345678"), "truncated"},
      {FileOf(Header("[1]", "[4, 8]"), "12345678"), "leave a hole"},
      {FileOf(Header("[1]", "[0, 4]"), "12345678"), "4 bytes follow the last tensor"},
      {FileOf(Header("[9223372036854775808]", "[0, 8]"), "12345678"), "bad shape"},
      {FileOf(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                  "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})",
              "12345678"),
       "overlap"},
      {FileOf(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                  "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})",
              "12345678"),
       "stands twice"},
  };
  for (const auto& [content, says] : kCases) {
    const std::string path = folder.Write("broken.safetensors", content);
    EXPECT_THAT(Refusal([&] { SafetensorsFile file(path); }), HasSubstr(says));
  }
  EXPECT_THAT(Refusal([&] { SafetensorsFile file(folder.path("none")); }),
              HasSubstr("cannot be read"));
  EXPECT_THAT(Refusal([&] { SafetensorsFile file(folder.path()); }),
              HasSubstr("holds neither model.safetensors.index.json nor"));
  const SafetensorsFile good(folder.Write("good", whole));
  EXPECT_EQ(good.Find("a")->size(), 2);
  EXPECT_EQ(good.Find("b"), nullptr);
}

TEST(Safetensors, AnEmptyTensorLiesWhereItsNeighbourBegins) {
  const TemporaryFolder folder;
  const SafetensorsFile with_empty(
      folder.Write("empty", FileOf(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                          "b": {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]},
                          "__metadata__": {"format": "pt"}})",
                                   "12345678")));
  EXPECT_EQ(with_empty.Find("b")->size(), 0);
}

TEST(Safetensors, ARefusedFileDoesNotStayMapped) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("hole", FileOf(Header("[1]", "[4, 8]"), "12345678"));
  const auto mapped = [&] { return ReadFile("/proc/self/maps").find(path) != std::string::npos; };
  Refusal([&] { SafetensorsFile file(path); });
  EXPECT_FALSE(mapped());
  folder.Write("hole", FileOf(Header("[2]", "[0, 8]"), "12345678"));
  const SafetensorsFile whole(path);
  EXPECT_TRUE(mapped());  // else the check above would see nothing
}

TEST(Safetensors, NoDamagedFileIsMoreThanAnInputError) {
  const TemporaryFolder folder;
  const std::string golden = FLOPLEDGER_FIXTURES "/llama-tiny";
  const ModelConfig config = LoadModel(golden + "/config.json");
  const std::string whole = ReadFile(golden + "/model.safetensors");
  uint64_t header_size = 0;
  std::memcpy(&header_size, whole.data(), 8);
  std::mt19937 random(12);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = whole;
    for (uint32_t change = 1 + random() % 3; change > 0; --change) {
      damaged[random() % (8 + header_size)] = static_cast<char>(random() % 256);
    }
    if (i % 4 == 0) damaged.resize(random() % damaged.size());
    try {
      ReadWeights<float>(config, SafetensorsFile(folder.Write("damaged", damaged)), false);
    } catch (const InputError&) {
    }
  }
}

/// What a checkpoint's tensors are, to be changed and written again.
std::vector<NamedTensor> TensorsOf(const std::string& path) {
  const SafetensorsFile file(path);
  std::vector<NamedTensor> tensors;
  for (const auto& [name, stored] : file.tensors()) {
    NamedTensor tensor{name, stored.shape, {}};
    for (int64_t i = 0; i < stored.size(); ++i) tensor.values.push_back(stored.At(i));
    tensors.push_back(tensor);
  }
  return tensors;
}

void ExpectSame(const ModelConfig& config, const Weights<float>& a, const Weights<float>& b) {
  const auto same = [](const Weight<float>& x, const Weight<float>& y) {
    ASSERT_EQ(x.inputs(), y.inputs());
    ASSERT_EQ(x.outputs(), y.outputs());
    for (int64_t k = 0; k < x.inputs(); ++k) {
      for (int64_t n = 0; n < x.outputs(); ++n) ASSERT_EQ(x.view()(k, n), y.view()(k, n));
    }
  };
  same(a.token_embedding, b.token_embedding);
  same(a.position_embedding, b.position_embedding);
  same(a.final_norm_gain, b.final_norm_gain);
  same(a.final_norm_bias, b.final_norm_bias);
  same(a.lm_head, b.lm_head);
  for (std::size_t i = 0; i < static_cast<std::size_t>(config.num_layers); ++i) {
    for (const auto tensor :
         {&LayerWeights<float>::attention_norm_gain, &LayerWeights<float>::attention_norm_bias,
          &LayerWeights<float>::attention_qkv, &LayerWeights<float>::attention_qkv_bias,
          &LayerWeights<float>::attention_out, &LayerWeights<float>::attention_out_bias,
          &LayerWeights<float>::ffn_norm_gain, &LayerWeights<float>::ffn_norm_bias,
          &LayerWeights<float>::ffn_gate, &LayerWeights<float>::ffn_gate_bias,
          &LayerWeights<float>::ffn_up, &LayerWeights<float>::ffn_up_bias,
          &LayerWeights<float>::ffn_down, &LayerWeights<float>::ffn_down_bias}) {
      same(a.layers[i].*tensor, b.layers[i].*tensor);
    }
  }
}

TEST(Weights, SeededOnesDependOnNeitherThreadsNorLayout) {
  std::mt19937 random(8);
  for (int i = 0; i < 10; ++i) {
    const ModelConfig config = RandomModel(random);
    omp_set_num_threads(1);
    const auto first = SeededWeights<float>(config, config.num_layers, 5, false);
    omp_set_num_threads(3);
    ExpectSame(config, first, SeededWeights<float>(config, config.num_layers, 5, true));
    const auto other = SeededWeights<float>(config, config.num_layers, 6, false);
    EXPECT_NE(first.token_embedding.view()(0, 0), other.token_embedding.view()(0, 0));
  }
}

TEST(Weights, SeededOnesAreSpreadAsGpt2sAreAndAllDiffer) {
  ModelConfig config = ParseModel({{"vocab_size", 96},
                                   {"context_length", 32},
                                   {"num_layers", 2},
                                   {"d_model", 96},
                                   {"num_heads", 4}},
                                  "model.json");
  const auto weights = SeededWeights<float>(config, 2, 5);
  // Uniform with a standard deviation s in ±s·√3. Of n draws the mean has s/√n and the mean square
  // s²·√(0.8/n); six times that is a chance of 2e-9. s itself is rounded to float.
  const auto expect_uniform = [](const Weight<float>& weight, double s) {
    double sum = 0, squares = 0, largest = 0;
    for (int64_t k = 0; k < weight.inputs(); ++k) {
      for (int64_t i = 0; i < weight.outputs(); ++i) {
        const double value = weight.view()(k, i);
        sum += value;
        squares += value * value;
        largest = std::max(largest, std::abs(value));
      }
    }
    const auto n = static_cast<double>(weight.size());
    EXPECT_LE(std::abs(sum / n), 6 * s / std::sqrt(n));
    EXPECT_LE(std::abs(squares / n / s / s - 1), 6 * std::sqrt(0.8 / n));
    EXPECT_LE(largest, s * std::sqrt(3.0) * (1 + 0x1p-20));
  };
  std::vector<const Weight<float>*> matrices{&weights.token_embedding};
  for (const LayerWeights<float>& layer : weights.layers) {
    for (const auto* matrix :
         {&layer.attention_qkv, &layer.attention_out, &layer.ffn_up, &layer.ffn_down}) {
      matrices.push_back(matrix);
    }
    for (const auto* gain : {&layer.attention_norm_gain, &layer.ffn_norm_gain}) {
      for (int64_t c = 0; c < config.d_model; ++c) EXPECT_NEAR(gain->view()(0, c), 1, 0.1 + 1e-6);
    }
  }
  std::set<float> firsts;
  for (const auto* matrix : matrices) {
    expect_uniform(*matrix, 0.02);
    firsts.insert(matrix->view()(0, 0));
  }
  EXPECT_EQ(firsts.size(), matrices.size());
}

TEST(Weights, AreReadAsTheyWereWritten) {
  const TemporaryFolder folder;
  std::mt19937 random(9);
  for (int i = 0; i < 20; ++i) {
    const ModelConfig config = RandomModel(random);
    SCOPED_TRACE(ToJson(config).dump());
    const auto weights = SeededWeights<float>(config, config.num_layers, 5, false);
    WriteWeights(config, weights, folder.path("weights"));
    const SafetensorsFile file(folder.path("weights"));
    ExpectSame(config, weights, ReadWeights<float>(config, file, i % 2 == 0));
  }
}

TEST(Weights, CheckpointsMayCarryPrefixesBuffersAndASecondUnembedding) {
  const TemporaryFolder folder;
  const struct {
    std::string model, prefix, buffer;
  } kCases[] = {{"gpt2-tiny", "transformer.", "h.0.attn.bias"},
                {"gpt2-tiny", "transformer.", "h.2.attn.masked_bias"},
                {"llama-tiny", "model.", "layers.1.self_attn.rotary_emb.inv_freq"}};
  for (const auto& [model, prefix, buffer] : kCases) {
    const std::string golden = FLOPLEDGER_FIXTURES "/" + model;
    const ModelConfig config = LoadModel(golden + "/config.json");
    const SafetensorsFile whole(golden + "/model.safetensors");
    const auto expected = ReadWeights<float>(config, whole, false);
    for (const std::string& with : {prefix, std::string()}) {
      auto tensors = TensorsOf(golden + "/model.safetensors");
      for (NamedTensor& tensor : tensors) {
        if (tensor.name.starts_with(prefix)) tensor.name.erase(0, prefix.size());
        if (tensor.name != "lm_head.weight") tensor.name = with + tensor.name;
      }
      tensors.push_back({with + buffer, {1, 1}, {0}});
      if (config.tie_embeddings) tensors.push_back({"lm_head.weight", {1}, {0}});
      WriteSafetensors(folder.path("other"), tensors);
      ExpectSame(config, expected,
                 ReadWeights<float>(config, SafetensorsFile(folder.path("other")), true));
    }
  }
}

// What PyTorch keeps as truth values or bytes is not read, so its type does not matter.
TEST(Weights, BuffersMayBeOfAnyType) {
  const TemporaryFolder folder;
  const std::string golden = FLOPLEDGER_FIXTURES "/gpt2-tiny";
  const ModelConfig config = LoadModel(golden + "/config.json");
  const std::string whole = ReadFile(golden + "/model.safetensors");
  uint64_t header_size = 0;
  std::memcpy(&header_size, whole.data(), 8);
  json header = json::parse(whole.substr(8, header_size));
  const std::size_t end = whole.size() - 8 - header_size;
  header["h.1.attn.bias"] = {
      {"dtype", "BOOL"}, {"shape", {1, 1, 2, 2}}, {"data_offsets", {end, end + 4}}};
  const std::string more = FileOf(header.dump(), whole.substr(8 + header_size) + "1234");
  ExpectSame(config, ReadWeights<float>(config, SafetensorsFile(golden + "/model.safetensors")),
             ReadWeights<float>(config, SafetensorsFile(folder.Write("more", more))));
}

// safetensors.torch.save_model keeps the first name of a shared tensor by the alphabet.
TEST(Weights, ATiedTableMayStandUnderLmHeadAlone) {
  const TemporaryFolder folder;
  for (const std::string model : {"gpt2-tiny", "llama-tiny"}) {
    const std::string golden = FLOPLEDGER_FIXTURES "/" + model;
    ModelConfig config = LoadModel(golden + "/config.json");
    config.tie_embeddings = true;
    const auto expected =
        ReadWeights<float>(config, SafetensorsFile(golden + "/model.safetensors"));
    auto tensors = TensorsOf(golden + "/model.safetensors");
    std::erase_if(tensors, [](const NamedTensor& t) { return t.name == "lm_head.weight"; });
    const auto table = std::ranges::find_if(tensors, [](const NamedTensor& tensor) {
      return tensor.name.ends_with("wte.weight") || tensor.name.ends_with("embed_tokens.weight");
    });
    const std::string name = std::exchange(table->name, "lm_head.weight");
    WriteSafetensors(folder.path("shared"), tensors);
    const SafetensorsFile shared(folder.path("shared"));
    ExpectSame(config, expected, ReadWeights<float>(config, shared));
    config.tie_embeddings = false;
    EXPECT_THAT(Refusal([&] { ReadWeights<float>(config, shared); }),
                HasSubstr("tensor '" + name + "' is missing"));
  }
}

TEST(Weights, HalfPrecisionIsReadExactly) {
  const TemporaryFolder folder;
  const std::string golden = FLOPLEDGER_FIXTURES "/llama-tiny";
  const ModelConfig config = LoadModel(golden + "/config.json");
  const auto to_f16 = [](float value) {
    return Eigen::numext::bit_cast<uint16_t>(Eigen::half(value));
  };
  const auto to_bf16 = [](float value) {
    return static_cast<uint16_t>(Eigen::numext::bit_cast<uint32_t>(value) >> 16);
  };
  for (const bool f16 : {true, false}) {
    auto rounded = TensorsOf(golden + "/model.safetensors");
    json header;
    std::string data;
    for (NamedTensor& tensor : rounded) {
      const std::size_t begin = data.size();
      for (float& value : tensor.values) {
        const uint16_t bits = f16 ? to_f16(value) : to_bf16(value);
        data.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
        value = f16 ? static_cast<float>(Eigen::half(value))
                    : Eigen::numext::bit_cast<float>(uint32_t{bits} << 16);
      }
      header[tensor.name] = {{"dtype", f16 ? "F16" : "BF16"},
                             {"shape", tensor.shape},
                             {"data_offsets", {begin, data.size()}}};
    }
    WriteSafetensors(folder.path("rounded"), rounded);
    const SafetensorsFile half(folder.Write("half", FileOf(header.dump(), data)));
    ExpectSame(config, ReadWeights<float>(config, SafetensorsFile(folder.path("rounded")), false),
               ReadWeights<float>(config, half, false));
  }
}

TEST(Weights, RefusesWhatDoesNotFitTheConfig) {
  const TemporaryFolder folder;
  for (const std::string model : {"gpt2-tiny", "llama-tiny"}) {
    const std::string golden = FLOPLEDGER_FIXTURES "/" + model;
    const ModelConfig config = LoadModel(golden + "/config.json");
    const auto whole = TensorsOf(golden + "/model.safetensors");
    const auto refusal = [&](const std::vector<NamedTensor>& tensors) {
      WriteSafetensors(folder.path("changed"), tensors);
      return Refusal(
          [&] { ReadWeights<float>(config, SafetensorsFile(folder.path("changed")), true); });
    };
    for (std::size_t i = 0; i < whole.size(); ++i) {
      auto missing = whole;
      missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
      const std::string said = refusal(missing);
      EXPECT_THAT(said, HasSubstr(whole[i].name));
      auto reshaped = whole;
      reshaped[i].shape.push_back(1);
      EXPECT_THAT(refusal(reshaped), HasSubstr("shape"));
    }
    auto extra = whole;
    extra.push_back({"something.else", {1}, {0}});
    EXPECT_THAT(refusal(extra), HasSubstr("something.else"));

    // More than there is memory for: refused before any is taken.
    const SafetensorsFile file(golden + "/model.safetensors");
    ModelConfig large = config;
    large.num_layers = 1'000'000'000'000;
    EXPECT_THAT(Refusal([&] { ReadWeights<float>(large, file); }), HasSubstr("layers"));
    large = config;
    large.d_ff = 1'000'000'000'000;
    EXPECT_THAT(Refusal([&] { ReadWeights<float>(large, file); }), HasSubstr("shape"));
  }
}

TEST(Weights, RefusesATypeThatItCannotRead) {
  const TemporaryFolder folder;
  const std::string golden = FLOPLEDGER_FIXTURES "/gpt2-tiny";
  std::string file = ReadFile(golden + "/model.safetensors");
  file.replace(file.find("F32"), 3, "I32");
  const SafetensorsFile integers(folder.Write("integers", file));
  EXPECT_THAT(Refusal([&] { ReadWeights<float>(LoadModel(golden + "/config.json"), integers); }),
              HasSubstr("has type I32; F32, F16 and BF16 can be read"));
}

}  // namespace
}  // namespace flopledger
