#include "model/families/families.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "model/families/readers.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// The names of all families, for messages.
std::string FamilyNames() {
  std::vector<std::string> names;
  for (const Family& family : Families()) {
    for (const std::string_view name : family.model_types) names.emplace_back(name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

const Family* FindFamily(const std::string& model_type) {
  for (const Family& family : Families()) {
    if (std::ranges::find(family.model_types, model_type) != family.model_types.end()) {
      return &family;
    }
  }
  return nullptr;
}

/// Kinds of models that are no decoder of attention, by a part of their model_type.
struct OtherKind {
  std::string_view part;
  std::string_view what;
};
constexpr OtherKind kOtherKinds[] = {
    {"rwkv", "it has no attention: a recurrent model"},
    {"mamba", "it has no attention: a state-space model"},
    {"xlstm", "it has no attention: a recurrent model"},
    {"recurrent_gemma", "some of its layers are recurrent instead of attention"},
    {"jamba", "some of its layers are state-space ones instead of attention"},
    {"zamba", "some of its layers are state-space ones instead of attention"},
    {"bamba", "some of its layers are state-space ones instead of attention"},
    {"falcon_h1", "its layers have state-space halves beside attention"},
    {"nemotron_h", "some of its layers are state-space ones instead of attention"},
    {"granitemoehybrid", "some of its layers are state-space ones instead of attention"},
    {"qwen3_next", "some of its layers have linear attention"},
    {"minimax", "some of its layers have linear attention"},
    {"lfm2", "some of its layers are convolutions instead of attention"},
    {"arctic", "its layers have a dense FFN beside the experts"},
    {"mllama", "some of its layers attend to a picture"},
    {"gemma3n", "its layers have embeddings of their own"},
    {"phi3small", "its attention is block-sparse"},
    {"openelm", "its layers differ in their sizes"},
    {"nemotron-nas", "its layers differ in their sizes"},
    {"deci", "its layers differ in their sizes"},
    {"t5", "it is an encoder with a decoder"},
    {"bart", "it is an encoder with a decoder"},
    {"whisper", "it is an encoder with a decoder"},
    {"bert", "it is an encoder, not a decoder"},
    {"electra", "it is an encoder, not a decoder"},
    {"clip", "it is no language model"},
    {"vit", "it is no language model"},
};

[[noreturn]] void RefuseFamily(const ObjectReader& in, const std::string& model_type) {
  std::string why = "is not supported";
  for (const OtherKind& kind : kOtherKinds) {
    if (model_type.find(kind.part) == std::string::npos) continue;
    why = fmt::format("is not supported: {}", kind.what);
    break;
  }
  in.Fail("model_type",
          fmt::format("{}; families: {}. Another decoder can be written with own keys "
                      "(vocab_size, context_length, num_layers, d_model, num_heads, num_kv_heads, "
                      "d_ff, ffn, norm, position, …: docs/models.md)",
                      why, FamilyNames()));
}

/// What follows the family's name in an architecture, and the head that it has.
struct HeadClass {
  std::string_view suffix;
  Head head;
};
constexpr HeadClass kHeadClasses[] = {{"ForCausalLM", Head::kLm},
                                      {"LMHeadModel", Head::kLm},
                                      {"LMHeadCustomModel", Head::kLm},
                                      {"ForConditionalGeneration", Head::kLm},
                                      {"ForSequenceClassification", Head::kScore},
                                      {"Model", Head::kNone}};

/// Whether `name` is one of the family's classes with `suffix`.
bool IsClass(const Family& family, std::string_view name, std::string_view suffix) {
  return std::ranges::any_of(family.classes, [&](std::string_view prefix) {
    return name.size() == prefix.size() + suffix.size() && name.starts_with(prefix) &&
           name.ends_with(suffix);
  });
}

/// The labels of a score head: num_labels, or as many as id2label has; two by default.
int64_t NumLabels(const ObjectReader& in) {
  if (in.Has("num_labels")) return in.Size("num_labels");
  if (!in.Has("id2label")) return 2;
  const json& labels = in.raw()["id2label"];
  if (!labels.is_object() || labels.empty()) in.Fail("id2label", "must be an object of labels");
  return static_cast<int64_t>(labels.size());
}

/// `architectures` decides what follows the last norm.
void ReadHead(const ObjectReader& in, const Family& family, ModelConfig& config) {
  const std::vector<std::string> names = in.Texts("architectures");
  if (names.empty()) return;
  const std::string& name = names.front();
  const auto found = std::ranges::find_if(
      kHeadClasses, [&](const HeadClass& known) { return IsClass(family, name, known.suffix); });
  if (found == std::end(kHeadClasses) || names.size() > 1) {
    std::vector<std::string> allowed;
    for (const std::string_view suffix : {"ForCausalLM", "ForSequenceClassification", "Model"}) {
      allowed.push_back(fmt::format("{}{}", family.classes.front(), suffix));
    }
    in.Fail("architectures",
            fmt::format("names a model whose head and parameters are not known for this family; "
                        "known: {}",
                        fmt::join(allowed, ", ")));
  }
  config.head = found->head;
  // ChatGLMModel is the name of the whole model with its head.
  if (name == "ChatGLMModel") config.head = Head::kLm;
  if (config.head == Head::kScore) {
    config.num_labels = NumLabels(in);
    config.notes.push_back(
        fmt::format("a score head of {} labels in place of the LM head", config.num_labels));
  } else if (config.head == Head::kNone) {
    config.notes.push_back(fmt::format("{} has no head: no logits are counted", name));
  }
  if (config.head != Head::kLm) config.biases.lm_head = false;
}

/// Parts of keys that change the parameters in every family that knows them. A key that has one and
/// that the family did not ask for would be ignored silently.
constexpr std::string_view kStructural[] = {"expert",
                                            "moe",
                                            "lora_rank",
                                            "qk_nope",
                                            "qk_rope",
                                            "v_head_dim",
                                            "draft",
                                            "medusa",
                                            "eagle",
                                            "kv_heads",
                                            "multi_query",
                                            "head_dim",
                                            "layer_types",
                                            "n_inner",
                                            "attention_head_type",
                                            "cross_attention",
                                            "num_key_value",
                                            "mlp_bias",
                                            "qkv_bias",
                                            "attention_bias",
                                            "lm_head_bias",
                                            "use_bias",
                                            "word_embed_proj",
                                            "new_decoder",
                                            "parallel_attn",
                                            "qk_layernorm",
                                            "qk_norm",
                                            "is_encoder_decoder",
                                            "ssm_",
                                            "mamba",
                                            "conv_",
                                            "tie_word_embeddings"};

/// Keys with such a part of which no count depends.
constexpr std::string_view kHarmless[] = {"router_aux_loss_coef",
                                          "router_z_loss_coef",
                                          "output_router_logits",
                                          "norm_topk_prob",
                                          "moe_layer_freq",
                                          "ep_size",
                                          "aux_loss_alpha",
                                          "seq_aux",
                                          "router_jitter_noise",
                                          "moe_loss_weight",
                                          "num_experts_per_token_group",
                                          "moe_jitter_eps",
                                          "moe_normalize_expert_weights",
                                          "routed_scaling_factor",
                                          "experts_per_token",
                                          "sub_layernorm"};

/// Whether layer_types names full attention alone, which says nothing.
bool AllFull(const ObjectReader& in) {
  return std::ranges::all_of(in.Texts("layer_types"),
                             [](const std::string& type) { return type == "full_attention"; });
}

void JudgeRest(const ObjectReader& in) {
  for (const std::string& key : in.Unread()) {
    if (std::ranges::find(kHarmless, key) != std::end(kHarmless)) continue;
    if (key == "layer_types" && AllFull(in)) continue;
    for (const std::string_view part : kStructural) {
      if (key.find(part) == std::string::npos) continue;
      in.Fail(key, fmt::format("is no key of this family ({}), and its meaning would change the "
                               "figures; remove it if it has none",
                               in.Text("model_type", "")));
    }
  }
}

void ReadDtype(const ObjectReader& in, ModelConfig& config) {
  const std::string key = in.FirstOf({"dtype", "torch_dtype"});
  config.dtype = in.Text(key, "");
  if (!in.Has("quantization_config")) return;
  const json& quantization = in.raw()["quantization_config"];
  const std::string method = quantization.is_object() && quantization.contains("quant_method") &&
                                     quantization["quant_method"].is_string()
                                 ? quantization["quant_method"].get<std::string>()
                                 : "not named";
  config.notes.push_back(
      fmt::format("quantization_config ({}): the figures are of the model before "
                  "quantization; --dtype gives bytes in another type",
                  method));
}

/// Keys that no count depends on but that a reader may look for.
void NoteScaling(ModelConfig& config) {
  const std::pair<bool, const char*> notes[] = {
      {config.rope_scaling.kind != RopeScaling::Kind::kNone,
       "rotary scaling: no count depends on it"},
      {config.scale_by_layer, "scale_attn_by_inverse_layer_idx: no count depends on it"},
      {config.attention_softcap != 0 || config.logit_softcap != 0,
       "soft caps: only the convention all counts them"},
      {config.clip_qkv != 0, "clip_qkv: no count depends on it"}};
  for (const auto& [there, text] : notes) {
    if (there) config.notes.emplace_back(text);
  }
}

/// A file of another kind that lies beside models, or "".
std::string ForeignKind(const ObjectReader& in) {
  const auto has = [&](const char* key) { return in.raw().contains(key); };
  if (has("dim") && has("n_layers") && has("n_heads")) {
    return "Meta's own params.json; use the config.json of the same model in Hugging Face's form";
  }
  if (has("peft_type") || has("base_model_name_or_path")) {
    return "the config of an adapter (LoRA or the like), not of a model; use the base model's "
           "config.json";
  }
  if (has("_from_model_config")) return "the settings of generation, not a config of a model";
  if (has("weight_map")) return "the index of a checkpoint's shards, not a config";
  if (has("_class_name") || has("_diffusers_version")) return "the config of a diffusion model";
  if (has("tokenizer_class") && !has("vocab_size")) return "the config of a tokenizer";
  if (has("architectures") || has("hidden_size") || has("n_embd")) {
    return "like Hugging Face's config.json, but without 'model_type', which names the family";
  }
  return "";
}

/// The key of a composite config's text part, or "".
std::string TextKey(const ObjectReader& in) {
  for (const char* key : {"text_config", "llm_config", "language_config"}) {
    if (in.raw().contains(key)) return key;
  }
  return "";
}

/// A vision-language config: the text part, with what it inherits from the whole.
ModelConfig FromComposite(const ObjectReader& in) {
  const std::string text_key = TextKey(in);
  json text = in.raw()[text_key];
  const std::string where = fmt::format("{}: '{}'", in.where(), text_key);
  if (!text.is_object()) in.Fail(text_key, "must be a JSON object");
  if (!ObjectReader(text, where).Has("model_type")) {
    in.Fail(text_key, "has no 'model_type', which names its family");
  }
  for (const char* key : {"torch_dtype", "dtype", "tie_word_embeddings", "quantization_config"}) {
    if (!text.contains(key) && in.Has(key)) text[key] = in.raw()[key];
  }
  text.erase("architectures");
  ModelConfig config = FromHuggingFace(ObjectReader(text, where));
  config.notes.insert(config.notes.begin(),
                      fmt::format("the text part of '{}' alone: its other parts (vision, audio, "
                                  "projection) are not counted",
                                  in.Text("model_type", "a composite model")));
  return config;
}

}  // namespace

const std::vector<Family>& Families() {
  static const std::vector<Family> families = {
      {{"gpt2"}, {"GPT2", "GPT2LMHeadCustom"}, ReadGpt2},
      {{"gpt_bigcode"}, {"GPTBigCode"}, ReadGptBigCode},
      {{"gpt_neo"}, {"GPTNeo"}, ReadGptNeo},
      {{"gptj", "codegen"}, {"GPTJ", "CodeGen"}, ReadGptJ},
      {{"gpt_neox"}, {"GPTNeoX"}, ReadGptNeoX},
      {{"opt"}, {"OPT"}, ReadOpt},
      {{"bloom"}, {"Bloom", "BLOOM"}, ReadBloom},
      {{"mpt"}, {"MPT", "Mpt"}, ReadMpt},
      {{"falcon", "RefinedWeb", "RefinedWebModel"}, {"Falcon", "RW"}, ReadFalcon},
      {{"llama", "Yi", "xverse", "aquila"},
       {"Llama", "LLaMA", "Yi", "Xverse", "Aquila", "InternLM3"},
       ReadLlama},
      {{"arcee"}, {"Arcee"}, ReadArcee},
      {{"internlm", "internlm2"}, {"InternLM", "InternLM2"}, ReadInternLm},
      {{"baichuan"}, {"Baichuan", "BaiChuan"}, ReadBaichuan},
      {{"orion"}, {"Orion"}, ReadOrion},
      {{"mistral", "ministral"}, {"Mistral", "Ministral"}, ReadMistral},
      {{"mixtral"}, {"Mixtral"}, ReadMixtral},
      {{"llama4_text"}, {"Llama4"}, ReadLlama4},
      {{"smollm3"}, {"SmolLM3"}, ReadSmolLm3},
      {{"granite"}, {"Granite"}, ReadGranite},
      {{"granitemoe", "granitemoeshared"}, {"GraniteMoe", "GraniteMoeShared"}, ReadGraniteMoe},
      {{"minicpm", "minicpm3"}, {"MiniCPM", "MiniCPM3"}, ReadMiniCpm},
      {{"ernie4_5"}, {"Ernie4_5"}, ReadErnie},
      {{"seed_oss"}, {"SeedOss"}, ReadSeedOss},
      {{"exaone"}, {"Exaone"}, ReadExaone},
      {{"exaone4"}, {"Exaone4"}, ReadExaone4},
      {{"chatglm"}, {"ChatGLM"}, ReadChatGlm},
      {{"glm", "glm4"}, {"Glm", "Glm4"}, ReadGlm},
      {{"glm4_moe"}, {"Glm4Moe"}, ReadGlmMoe},
      {{"qwen"}, {"QWen"}, ReadQwen1},
      {{"qwen2", "qwen2_vl_text", "qwen2_5_vl_text"}, {"Qwen2"}, ReadQwen2},
      {{"qwen2_vl", "qwen2_5_vl"}, {"Qwen2VL", "Qwen2_5_VL"}, ReadQwen2Vl},
      {{"qwen2_moe"}, {"Qwen2Moe"}, ReadQwen2Moe},
      {{"qwen3", "qwen3_vl_text"}, {"Qwen3"}, ReadQwen3},
      {{"qwen3_moe", "qwen3_vl_moe_text"}, {"Qwen3Moe"}, ReadQwen3Moe},
      {{"gemma"}, {"Gemma"}, ReadGemma},
      {{"gemma2"}, {"Gemma2"}, ReadGemma2},
      {{"gemma3_text"}, {"Gemma3"}, ReadGemma3},
      {{"phi", "phi-msft"}, {"Phi"}, ReadPhi},
      {{"phi3"}, {"Phi3"}, ReadPhi3},
      {{"phimoe"}, {"PhiMoE", "Phimoe"}, ReadPhiMoe},
      {{"stablelm", "stablelm_epoch"}, {"StableLm", "StableLMEpoch"}, ReadStableLm},
      {{"starcoder2"}, {"Starcoder2"}, ReadStarCoder2},
      {{"olmo"}, {"Olmo"}, ReadOlmo},
      {{"olmo2", "olmo3"}, {"Olmo2", "Olmo3"}, ReadOlmo2},
      {{"olmoe"}, {"Olmoe"}, ReadOlmoe},
      {{"cohere", "cohere2"}, {"Cohere", "Cohere2"}, ReadCohere},
      {{"nemotron"}, {"Nemotron"}, ReadNemotron},
      {{"persimmon"}, {"Persimmon"}, ReadPersimmon},
      {{"dbrx"}, {"Dbrx"}, ReadDbrx},
      {{"gpt_oss"}, {"GptOss"}, ReadGptOss},
      {{"deepseek", "deepseek_v2", "deepseek_v3", "kimi_k2"},
       {"Deepseek", "DeepseekV2", "DeepseekV3", "DeepSeek", "KimiK2"},
       ReadDeepSeek},
  };
  return families;
}

bool IsForeign(const ObjectReader& in) { return !TextKey(in).empty() || !ForeignKind(in).empty(); }

ModelConfig FromHuggingFace(const ObjectReader& in) {
  const std::string model_type = in.Text("model_type", "");
  const Family* family = FindFamily(model_type);
  if (!TextKey(in).empty() && (family == nullptr || !in.Has("hidden_size"))) {
    return FromComposite(in);
  }
  if (!in.Has("model_type")) {
    throw InputError(fmt::format("{}: is {}", in.where(), ForeignKind(in)));
  }
  if (family == nullptr) RefuseFamily(in, model_type);
  ModelConfig config;
  family->read(in, config);
  ReadHead(in, *family, config);
  ReadDtype(in, config);
  NoteScaling(config);
  JudgeRest(in);
  return config;
}

}  // namespace flopledger
