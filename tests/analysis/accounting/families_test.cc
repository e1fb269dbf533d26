// Every family's config, with what its configuration class says of keys that are absent; and what
// is refused, noted, or passed over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "analysis/accounting/accounting.h"
#include "model/families/families.h"
#include "model/json.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

ModelConfig Parse(json object, const json& more = json::object()) {
  object.update(more);
  return ParseModel(object, "config.json");
}

const json kLlama = {{"model_type", "llama"},  {"vocab_size", 100},
                     {"hidden_size", 24},      {"intermediate_size", 40},
                     {"num_hidden_layers", 2}, {"num_attention_heads", 4}};
const json kGpt2 = {{"model_type", "gpt2"}, {"vocab_size", 100}, {"n_positions", 32},
                    {"n_layer", 2},         {"n_embd", 24},      {"n_head", 4}};

struct Published {
  int64_t parameters;
  const char* config;
};
// Parameters of released models, as their repositories state them. Keys equal to their family's
// default are left out on purpose.
// clang-format off
const Published kPublished[] = {
    {6'738'415'616,
     R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096})"},
    {68'976'648'192,
     R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 4096})"},
    {134'515'008,
     R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192, "tie_word_embeddings": true, "rope_interleaved": false, "is_llama_config": true})"},
    {34'388'917'248,
     R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 7168, "intermediate_size": 20480, "num_hidden_layers": 60, "num_attention_heads": 56, "num_key_value_heads": 8, "vocab_size": 64000})"},
    {8'537'680'896,
     R"({"model_type": "gemma", "architectures": ["GemmaForCausalLM"]})"},
    {9'241'705'984,
     R"({"model_type": "gemma2", "hidden_size": 3584, "intermediate_size": 14336, "num_hidden_layers": 42, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256})"},
    {27'227'128'320,
     R"({"model_type": "gemma2", "hidden_size": 4608, "intermediate_size": 36864, "num_hidden_layers": 46, "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128})"},
    {999'885'952,
     R"({"model_type": "gemma3_text", "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 262144, "sliding_window": 512, "rope_local_base_freq": 10000})"},
    {3'880'263'168,
     R"({"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}, "vision_config": {"hidden_size": 1152}})"},
    {1'418'270'720,
     R"({"model_type": "phi", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "num_attention_heads": 32, "vocab_size": 51200})"},
    {14'659'507'200,
     R"({"model_type": "phi3", "hidden_size": 5120, "intermediate_size": 17920, "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 10, "vocab_size": 100352, "max_position_embeddings": 16384})"},
    {3'836'021'760,
     R"({"model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 24, "num_key_value_heads": 8, "vocab_size": 200064, "tie_word_embeddings": true, "partial_rotary_factor": 0.75, "full_attn_mod": 1, "interpolate_factor": 1, "lm_head_bias": false, "mlp_bias": false})"},
    {41'873'153'344,
     R"({"model_type": "phimoe", "attention_bias": true, "lm_head_bias": true, "architectures": ["PhiMoEForCausalLM"]})"},
    {41'303'293'952,
     R"({"model_type": "falcon", "hidden_size": 8192, "num_attention_heads": 128, "num_hidden_layers": 60, "num_kv_heads": 8, "new_decoder_architecture": true, "vocab_size": 65024, "bias": false, "parallel_attn": true})"},
    {41'303'293'952,
     R"({"model_type": "RefinedWeb", "architectures": ["RWForCausalLM"], "hidden_size": 8192, "n_head": 128, "n_layer": 60, "n_head_kv": 8, "vocab_size": 65024, "bias": false, "parallel_attn": true, "alibi": false})"},
    {1'311'625'216,
     R"({"model_type": "falcon", "hidden_size": 2048, "num_attention_heads": 32, "num_hidden_layers": 24, "multi_query": false, "alibi": true, "bias": true, "parallel_attn": false, "vocab_size": 50304})"},
    {7'069'016'064,
     R"({"model_type": "bloom", "n_embed": 4096, "n_layer": 30, "num_attention_heads": 32, "vocab_size": 250880, "n_inner": null, "attention_softmax_in_fp32": true, "masked_softmax_fusion": true})"},
    {331'196'416,
     R"({"model_type": "opt", "hidden_size": 1024, "ffn_dim": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "word_embed_proj_dim": 512, "do_layer_norm_before": false, "vocab_size": 50272})"},
    {6'658'473'984,
     R"({"model_type": "opt", "hidden_size": 4096, "ffn_dim": 16384, "num_hidden_layers": 32, "num_attention_heads": 32, "word_embed_proj_dim": 4096})"},
    {1'315'575'808,
     R"({"model_type": "gpt_neo", "attention_types": [[["global", "local"], 12]]})"},
    {125'198'592,
     R"({"model_type": "gpt_neo", "hidden_size": 768, "num_layers": 12, "num_heads": 12, "attention_types": [[["global", "local"], 6]]})"},
    {20'554'567'680,
     R"({"model_type": "gpt_neox", "vocab_size": 50432})"},
    {70'426'624,
     R"({"model_type": "gpt_neox", "hidden_size": 512, "num_hidden_layers": 6, "num_attention_heads": 8, "intermediate_size": 2048, "vocab_size": 50304})"},
    {1'011'781'632,
     R"({"model_type": "gpt_neox", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 8, "intermediate_size": 8192, "vocab_size": 50304})"},
    {356'712'448,
     R"({"model_type": "codegen", "n_embd": 1024, "n_layer": 20, "n_head": 16, "rotary_dim": 32, "vocab_size": 51200, "n_ctx": 2048, "n_positions": 2048})"},
    {2'795'443'200,
     R"({"model_type": "stablelm"})"},
    {3'030'371'328,
     R"({"model_type": "starcoder2", "max_position_embeddings": 16384, "sliding_window": 4096})"},
    {6'888'095'744,
     R"({"model_type": "olmo"})"},
    {6'919'161'856,
     R"({"model_type": "olmoe", "intermediate_size": 1024})"},
    {13'716'198'400,
     R"({"model_type": "olmo2", "hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40, "vocab_size": 100352})"},
    {8'190'735'360,
     R"({"model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8})"},
    {4'022'468'096,
     R"({"model_type": "qwen3", "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": true})"},
    {235'093'634'560,
     R"({"model_type": "qwen3_moe", "hidden_size": 4096, "intermediate_size": 12288, "moe_intermediate_size": 1536, "num_hidden_layers": 94, "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8})"},
    {14'315'784'192,
     R"({"model_type": "qwen2_moe", "num_experts": 60, "num_experts_per_tok": 4, "hidden_size": 2048, "intermediate_size": 5632, "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632, "num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 16})"},
    {7'721'324'544,
     R"({"model_type": "qwen", "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32, "num_attention_heads": 32, "kv_channels": 128, "no_bias": true, "seq_length": 8192, "max_position_embeddings": 8192, "architectures": ["QWenLMHeadModel"], "rotary_pct": 1.0, "rotary_emb_base": 10000, "use_dynamic_ntk": true, "use_logn_attn": true, "scale_attn_weights": true, "layer_norm_epsilon": 1e-06})"},
    {116'829'156'672,
     R"({"model_type": "gpt_oss", "num_local_experts": 128, "num_hidden_layers": 36})"},
    {140'620'634'112,
     R"({"model_type": "mixtral", "hidden_size": 6144, "intermediate_size": 16384, "num_hidden_layers": 56, "num_attention_heads": 48, "num_key_value_heads": 8, "vocab_size": 32000})"},
    {131'596'523'520,
     R"({"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40, "max_seq_len": 32768, "vocab_size": 100352, "attn_config": {"clip_qkv": 8, "kv_n_heads": 8, "rope_theta": 500000.0}, "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4, "ffn_act_fn": {"name": "silu"}}})"},
    {671'026'419'200,
     R"({"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "q_lora_rank": 1536, "kv_lora_rank": 512, "num_nextn_predict_layers": 1, "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "intermediate_size": 18432, "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 129280, "first_k_dense_replace": 3, "moe_layer_freq": 1, "scoring_func": "sigmoid", "topk_method": "noaux_tc", "routed_scaling_factor": 2.5, "n_group": 8, "topk_group": 4, "norm_topk_prob": true, "ep_size": 1})"},
    {235'741'434'880,
     R"({"model_type": "deepseek_v2", "q_lora_rank": 1536, "kv_lora_rank": 512, "n_routed_experts": 160, "n_shared_experts": 2, "num_experts_per_tok": 6, "moe_intermediate_size": 1536, "intermediate_size": 12288, "hidden_size": 5120, "num_hidden_layers": 60, "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 102400, "first_k_dense_replace": 1})"},
    {16'375'728'128,
     R"({"model_type": "deepseek", "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6, "moe_intermediate_size": 1408, "intermediate_size": 10944, "hidden_size": 2048, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 102400, "first_k_dense_replace": 1})"},
    {103'810'674'688,
     R"({"model_type": "cohere", "hidden_size": 12288, "intermediate_size": 33792, "num_hidden_layers": 64, "num_attention_heads": 96, "num_key_value_heads": 8, "use_qk_norm": true})"},
    {9'399'951'360,
     R"({"model_type": "glm"})"},
    {9'400'279'040,
     R"({"model_type": "glm4", "attention_bias": true})"},
    {6'243'584'000,
     R"({"model_type": "chatglm", "architectures": ["ChatGLMModel"], "add_bias_linear": false, "add_qkv_bias": true, "ffn_hidden_size": 13696, "hidden_size": 4096, "kv_channels": 128, "multi_query_attention": true, "multi_query_group_num": 2, "num_attention_heads": 32, "num_layers": 28, "padded_vocab_size": 65024, "seq_length": 8192, "rmsnorm": true, "post_layer_norm": true, "original_rope": true})"},
    {7'737'708'544,
     R"({"model_type": "internlm2", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 92544, "bias": false})"},
    {7'505'973'248,
     R"({"model_type": "baichuan", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 125696, "max_position_embeddings": 4096, "model_max_length": 4096, "z_loss_weight": 0})"},
    {2'724'880'896,
     R"({"model_type": "minicpm", "hidden_size": 2304, "intermediate_size": 5760, "num_hidden_layers": 40, "num_attention_heads": 36, "num_key_value_heads": 36, "vocab_size": 122753, "scale_emb": 12, "dim_model_base": 256, "scale_depth": 1.4, "architectures": ["MiniCPMForCausalLM"]})"},
    {2'405'327'360,
     R"({"model_type": "exaone", "hidden_size": 2560, "intermediate_size": 7168, "num_layers": 30, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 80, "vocab_size": 102400, "tie_word_embeddings": true, "activation_function": "silu"})"},
    {1'334'628'352,
     R"({"model_type": "granitemoe", "hidden_size": 1024, "intermediate_size": 512, "num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 8, "num_local_experts": 32, "num_experts_per_tok": 8, "vocab_size": 49155, "tie_word_embeddings": true})"},
    {1'124'886'528,
     R"({"model_type": "gpt2", "architectures": ["GPT2LMHeadCustomModel"], "attention_head_type": "multiquery", "n_embd": 2048, "n_head": 16, "n_inner": 8192, "n_layer": 24, "n_positions": 2048, "vocab_size": 49280})"},
    {1'026'408'232'448,
     R"({"model_type": "kimi_k2", "q_lora_rank": 1536, "kv_lora_rank": 512, "n_routed_experts": 384, "n_shared_experts": 1, "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "intermediate_size": 18432, "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 64, "num_key_value_heads": 64, "vocab_size": 163840, "first_k_dense_replace": 1, "scoring_func": "sigmoid", "topk_method": "noaux_tc"})"},
};
// clang-format on

TEST(Families, ParametersAreThoseOfReleasedModels) {
  for (const auto& [parameters, config] : kPublished) {
    SCOPED_TRACE(config);
    EXPECT_EQ(CountParameters(Parse(json::parse(config))).total, parameters);
  }
}

TEST(Families, EveryOneReadsItsDefaultsAndIsReadBack) {
  for (const Family& family : Families()) {
    for (const std::string_view name : family.model_types) {
      SCOPED_TRACE(name);
      json object = {{"model_type", name}};
      const ModelConfig config = Parse(object);
      EXPECT_GT(CountParameters(config).total, 1'000'000);
      EXPECT_EQ(ToJson(ParseModel(ToJson(config), "own keys")), ToJson(config));
      EXPECT_EQ(CountParameters(ParseModel(ToJson(config), "own keys")).total,
                CountParameters(config).total);
      // What is not known of the head is refused in every family.
      object["architectures"] = {std::string(family.classes.front()) + "ForQuestionAnswering"};
      EXPECT_THAT(Refusal([&] { Parse(object); }), HasSubstr("'architectures'"));
    }
  }
}

TEST(Families, KeysThatOthersKnowAreRefused) {
  const std::pair<json, const char*> kCases[] = {
      {{{"num_local_experts", 8}}, "'num_local_experts' is no key of this family (llama)"},
      {{{"n_routed_experts", 64}}, "'n_routed_experts'"},
      {{{"moe_intermediate_size", 64}}, "'moe_intermediate_size'"},
      {{{"kv_lora_rank", 512}}, "'kv_lora_rank'"},
      {{{"qk_rope_head_dim", 64}}, "'qk_rope_head_dim'"},
      {{{"multi_query", true}}, "'multi_query'"},
      {{{"draft_vocab_size", 32000}}, "'draft_vocab_size'"},
      {{{"qkv_bias", true}}, "'qkv_bias'"},
      {{{"n_embd", 25}}, "'n_embd' contradicts 'hidden_size'"},
      {{{"hidden_act", "tanh"}}, "'hidden_act' is not known"},
      {{{"rope_scaling", 3}}, "'rope_scaling' must be a JSON object"},
      {{{"num_key_value_heads", 3}}, "num_kv_heads 3 does not divide num_heads 4"},
      {{{"hidden_size", 25}}, "does not divide"},
      {{{"partial_rotary_factor", 2.0}}, "'partial_rotary_factor' must be above 0"},
      {{{"architectures", {"LlamaForCausalLMEagle3"}}}, "known: LlamaForCausalLM"},
      {{{"architectures", {"MistralForCausalLM"}}}, "known: LlamaForCausalLM"},
  };
  for (const auto& [more, says] : kCases) {
    EXPECT_THAT(Refusal([&, m = more] { Parse(kLlama, m); }), HasSubstr(says));
  }
  // Neutral values say nothing, and keys that no count depends on are passed over.
  const ModelConfig config = Parse(kLlama, {{"num_local_experts", nullptr},
                                            {"multi_query", false},
                                            {"qkv_bias", false},
                                            {"output_router_logits", true},
                                            {"head_dim", 6},
                                            {"bos_token_id", 7},
                                            {"pretraining_tp", 1}});
  EXPECT_EQ(CountParameters(config).total, CountParameters(Parse(kLlama)).total);
}

TEST(Families, WhatNoCountDependsOnIsNoted) {
  const ModelConfig gpt2 = Parse(
      kGpt2, {{"scale_attn_by_inverse_layer_idx", true}, {"activation_function", "gelu_fast"}});
  EXPECT_THAT(gpt2.notes, Contains(HasSubstr("scale_attn_by_inverse_layer_idx")));
  for (const char* type : {"linear", "dynamic", "llama3", "yarn", "longrope", "new-one"}) {
    const ModelConfig scaled = Parse(kLlama, {{"rope_scaling", {{"type", type}, {"factor", 2.0}}}});
    EXPECT_THAT(scaled.notes, Contains(HasSubstr("no count depends on it"))) << type;
    EXPECT_EQ(CountParameters(scaled).total, CountParameters(Parse(kLlama)).total);
  }
  const ModelConfig of_five =
      Parse(kLlama,
            {{"rope_parameters", {{"rope_type", "llama3"}, {"rope_theta", 7.0}, {"factor", 8.0}}}});
  EXPECT_EQ(of_five.rope_theta, 7);
  EXPECT_EQ(of_five.rope_scaling.kind, RopeScaling::Kind::kLlama3);
  EXPECT_EQ(
      Parse(kLlama, {{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}, {"rope_theta", 9.0}}}})
          .rope_theta,
      9);
  EXPECT_THAT(Parse(kLlama, {{"quantization_config", {{"quant_method", "gptq"}}}}).notes,
              Contains(HasSubstr("gptq")));
}

TEST(Families, HeadsComeFromArchitectures) {
  const auto head = [](const char* architecture, const json& more = json::object()) {
    json object = kLlama;
    object["architectures"] = {architecture};
    return Parse(object, more);
  };
  EXPECT_EQ(head("LlamaForCausalLM").head, Head::kLm);
  EXPECT_EQ(head("LlamaModel").head, Head::kNone);
  EXPECT_EQ(head("LlamaForSequenceClassification").num_labels, 2);
  EXPECT_EQ(head("LlamaForSequenceClassification", {{"num_labels", 5}}).num_labels, 5);
  EXPECT_EQ(head("LlamaForSequenceClassification", {{"id2label", {{"0", "bad"}}}}).num_labels, 1);
  // Untied: two tables of 100·24, of which a score head leaves one.
  const int64_t whole = CountParameters(Parse(kLlama)).total;
  EXPECT_EQ(CountParameters(head("LlamaModel")).total, whole - 2400);
  EXPECT_EQ(CountParameters(head("LlamaForSequenceClassification")).total, whole - 2400 + 48);
}

TEST(Families, CompositesAreReadByTheirText) {
  const json composite = {{"model_type", "llava"},
                          {"text_config", kLlama},
                          {"vision_config", {{"hidden_size", 8}}},
                          {"torch_dtype", "bfloat16"},
                          {"architectures", {"LlavaForConditionalGeneration"}}};
  const ModelConfig config = Parse(composite);
  EXPECT_EQ(CountParameters(config).total, CountParameters(Parse(kLlama)).total);
  EXPECT_EQ(config.dtype, "bfloat16");
  EXPECT_THAT(config.notes, Contains(AllOf(HasSubstr("llava"), HasSubstr("not counted"))));
  EXPECT_THAT(Refusal([&] {
                Parse(composite, {{"text_config", {{"vocab_size", 3}}}});
              }),
              HasSubstr("has no 'model_type'"));
}

TEST(Families, OtherFilesAreTold) {
  const std::pair<json, const char*> kCases[] = {
      {{{"dim", 4096}, {"n_layers", 32}, {"n_heads", 32}, {"vocab_size", -1}}, "Meta's own"},
      {{{"peft_type", "LORA"}, {"base_model_name_or_path", "x"}}, "an adapter"},
      {{{"weight_map", {{"a", "b"}}}}, "the index of a checkpoint's shards"},
      {{{"_class_name", "UNet"}}, "a diffusion model"},
      {{{"architectures", {"LlamaForCausalLM"}}, {"hidden_size", 8}}, "without 'model_type'"},
      {{{"model_type", "mamba2"}}, "it has no attention: a state-space model; families: gpt2,"},
      {{{"model_type", "unheard-of"}}, "can be written with own keys (vocab_size,"},
      {{{"model_type", "bert"}}, "it is an encoder"},
  };
  for (const auto& [object, says] : kCases) {
    EXPECT_THAT(Refusal([&, o = object] { Parse(o); }), HasSubstr(says));
  }
  TemporaryFolder folder;
  folder.Write("config.json", kLlama.dump());
  EXPECT_EQ(LoadModel(folder.path()).d_model, 24);
  const TemporaryFolder empty;
  EXPECT_THAT(Refusal([&] { LoadModel(empty.path()); }), HasSubstr("without a config.json"));
}

TEST(Families, LayersOfSeveralKinds) {
  const auto windows = [](const ModelConfig& config) {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < config.num_layers; ++i) {
      all.push_back(config.layer_kinds[static_cast<std::size_t>(config.kind_of_layer(i))].window);
    }
    return all;
  };
  using Windows = std::vector<int64_t>;
  const json small = {{"num_hidden_layers", 4}, {"sliding_window", 8}};
  const auto of = [&](const char* type, const json& more) {
    json object = small;
    object["model_type"] = type;
    return windows(Parse(object, more));
  };
  EXPECT_EQ(of("mistral", json::object()), Windows({8, 8, 8, 8}));
  EXPECT_EQ(of("mistral", {{"sliding_window", nullptr}}), Windows({0, 0, 0, 0}));
  EXPECT_EQ(windows(Parse({{"model_type", "mistral"}, {"num_hidden_layers", 1}})), Windows({4096}));
  EXPECT_EQ(of("qwen2", json::object()), Windows({0, 0, 0, 0}));
  EXPECT_EQ(of("qwen2", {{"use_sliding_window", true}, {"max_window_layers", 3}}),
            Windows({0, 0, 0, 8}));
  EXPECT_EQ(of("gemma2", json::object()), Windows({8, 0, 8, 0}));
  EXPECT_EQ(of("gemma3_text", {{"sliding_window_pattern", 3}}), Windows({8, 8, 0, 8}));
  EXPECT_EQ(of("gpt_oss", json::object()), Windows({8, 0, 8, 0}));
  EXPECT_EQ(of("cohere2", json::object()), Windows({8, 8, 8, 0}));
  const json listed = {
      {"layer_types", {"full_attention", "sliding_attention", "full_attention", "full_attention"}}};
  EXPECT_EQ(of("gpt_oss", listed), Windows({0, 8, 0, 0}));
  EXPECT_THAT(Refusal([&] {
                of("gpt_oss", {{"layer_types", {"full_attention"}}});
              }),
              HasSubstr("must name each of the 4 layers, names 1"));
  EXPECT_THAT(Refusal([&] {
                of("gpt_oss",
                   {{"layer_types",
                     {"full_attention", "linear_attention", "full_attention", "full_attention"}}});
              }),
              HasSubstr("names 'linear_attention'"));
  EXPECT_EQ(windows(Parse({{"model_type", "gpt_neo"},
                           {"num_layers", 4},
                           {"window_size", 8},
                           {"attention_types", {{{"global", "local"}, 2}}}})),
            Windows({0, 8, 0, 8}));
  const ModelConfig smol = Parse({{"model_type", "smollm3"}, {"num_hidden_layers", 8}});
  EXPECT_EQ(smol.LayersOfKind(0, 8), 6);
  EXPECT_TRUE(smol.layer_kinds[0].rope);
  EXPECT_FALSE(smol.layer_kinds[1].rope);
}

}  // namespace
}  // namespace flopledger
