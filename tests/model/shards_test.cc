// Checkpoints in several files, under wrappers' names, and files that are something else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/safetensors.h"
#include "model/weight_checks.h"
#include "tests/support/refusal.h"
#include "tests/support/safetensors_bytes.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// A file of one F32 tensor [1].
std::string OneTensor(const std::string& name, float value) {
  const json header = {
      {name, {{"dtype", "F32"}, {"shape", {1}}, {"data_offsets", {0, sizeof(float)}}}}};
  std::string data(sizeof(float), '\0');
  std::memcpy(data.data(), &value, sizeof(float));
  return FileOf(header.dump(), data);
}

TEST(Shards, AnIndexOrAFolderIsReadAsOneFile) {
  TemporaryFolder folder;
  folder.Write("model-1.safetensors", OneTensor("a", 1));
  folder.Write("model-2.safetensors", OneTensor("b", 2));
  const json index = {{"weight_map", {{"a", "model-1.safetensors"}, {"b", "model-2.safetensors"}}}};
  const std::string path = folder.Write("model.safetensors.index.json", index.dump());
  for (const std::string& from : {path, folder.path()}) {
    const SafetensorsFile file(from);
    ASSERT_EQ(file.tensors().size(), 2);
    EXPECT_EQ(file.Find("a")->At(0), 1);
    EXPECT_EQ(file.Find("b")->At(0), 2);
  }
  TemporaryFolder single;
  single.Write("model.safetensors", OneTensor("c", 3));
  EXPECT_EQ(SafetensorsFile(single.path()).Find("c")->At(0), 3);
}

TEST(Shards, RefusesAnIndexThatDoesNotFitItsShards) {
  TemporaryFolder folder;
  folder.Write("one.safetensors", OneTensor("a", 1));
  folder.Write("again.safetensors", OneTensor("module.a", 1));
  const auto refused = [&](const json& index, const char* says) {
    const std::string path = folder.Write("x.index.json", index.dump());
    EXPECT_THAT(Refusal([&] { SafetensorsFile file(path); }), HasSubstr(says));
  };
  refused(json::object(), "it has no 'weight_map'");
  refused({{"weight_map", {{"a", 3}}}}, "the shard of tensor 'a' must be a string");
  refused({{"weight_map", {{"a", "two.safetensors"}}}}, "shard 'two.safetensors' is missing");
  refused({{"weight_map", {{"a", "/etc/passwd"}}}}, "a shard is a file beside the index");
  refused({{"weight_map", {{"a", "../one.safetensors"}}}}, "a shard is a file beside the index");
  refused({{"weight_map", {{"b", "one.safetensors"}}}}, "tensor 'b' is not in its shard");
  refused({{"weight_map", {{"a", "one.safetensors"}, {"b", "again.safetensors"}}}},
          "tensor 'a' stands twice");
}

TEST(Shards, WrappersPrefixesAreLeftOut) {
  TemporaryFolder folder;
  for (const std::string name : {"a.weight", "_orig_mod.a.weight", "module.a.weight",
                                 "module._orig_mod.a.weight", "language_model.a.weight"}) {
    const SafetensorsFile file(folder.Write("one", OneTensor(name, 1)));
    EXPECT_NE(file.Find("a.weight"), nullptr) << name;
  }
}

TEST(ForeignFormat, OtherFilesAreNamedByTheirFirstBytes) {
  using namespace std::string_literals;
  const std::pair<std::string, const char*> kCases[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "Git LFS pointer"},
      {"PK\x03\x04"s + std::string(60, 'x'), "a zip archive, as PyTorch's"},
      {"\x80\x02}q\x00"s + std::string(60, 'x'), "a Python pickle"},
      {"GGUF\x03\0\0\0"s + std::string(60, 'x'), "a GGUF file"},
      {"<!DOCTYPE html><html>" + std::string(60, 'x'), "an HTML page"},
      {"\n <html lang=en>" + std::string(60, 'x'), "an HTML page"},
      {R"({"metadata": {}, "weight_map": {"a": "b"}})", "an index of shards"},
      {R"({"model_type": "gpt2", "n_layer": 2})", "a JSON text"},
      {"\x93NUMPY\x01"s + std::string(60, 'x'), "a NumPy array"},
      {"\x89HDF\r\n"s + std::string(60, 'x'), "an HDF5 file"},
      {"PK\x03\x04", "a zip archive"},
  };
  TemporaryFolder folder;
  for (const auto& [bytes, says] : kCases) {
    const std::string path = folder.Write("weights.safetensors", bytes);
    EXPECT_THAT(Refusal([&] { SafetensorsFile file(path); }), HasSubstr(says));
  }
}

TEST(ForeignFormat, AHeaderWhoseLengthLooksLikeAnotherFormatIsRead) {
  // A header of 0x027b bytes begins as JSON does, one of 0x0280 as a pickle.
  TemporaryFolder folder;
  for (const std::size_t length : {std::size_t{0x027b}, std::size_t{0x0280}}) {
    std::string header = Header("[1]", "[0, 4]");
    header.resize(length, ' ');
    const SafetensorsFile file(folder.Write("one", FileOf(header, "1234")));
    EXPECT_EQ(file.tensors().size(), 1);
  }
}

TEST(StoredTensor, NamesItsFirstElementThatIsNotFinite) {
  TemporaryFolder folder;
  for (const float value : {1.0f, NAN, INFINITY, -INFINITY}) {
    const SafetensorsFile file(folder.Write("one", OneTensor("a", value)));
    EXPECT_EQ(file.Find("a")->FirstNotFinite(), std::isfinite(value) ? -1 : 0);
  }
}

TEST(CheckValues, NamesWeightsThatAreNotFinite) {
  TemporaryFolder folder;
  ModelConfig config;
  const auto check = [&](const char* name, float value) {
    CheckValues(config, SafetensorsFile(folder.Write("one", OneTensor(name, value))));
  };
  check("h.0.ln_1.weight", 1);
  EXPECT_THAT(Refusal([&] { check("h.0.ln_1.weight", NAN); }),
              HasSubstr("tensor 'h.0.ln_1.weight' has a NaN at element [0]"));
  EXPECT_THAT(Refusal([&] { check("h.0.ln_1.weight", -INFINITY); }), HasSubstr("an infinity"));
  check("h.0.attn.masked_bias", -INFINITY);
  check("layers.0.self_attn.rotary_emb.inv_freq", INFINITY);
}

TEST(CheckValues, ATiedHeadThatDiffersIsRefused) {
  TemporaryFolder folder;
  ModelConfig config;
  const auto check = [&](float head) {
    folder.Write("table.safetensors", OneTensor("model.embed_tokens.weight", 1));
    folder.Write("head.safetensors", OneTensor("lm_head.weight", head));
    const json index = {{"weight_map",
                         {{"model.embed_tokens.weight", "table.safetensors"},
                          {"lm_head.weight", "head.safetensors"}}}};
    CheckValues(config, SafetensorsFile(folder.Write("x.index.json", index.dump())));
  };
  check(1);
  EXPECT_THAT(Refusal([&] { check(2); }), HasSubstr("first at element [0] (2 and 1)"));
  config.tie_embeddings = false;
  check(2);
}

}  // namespace
}  // namespace flopledger
