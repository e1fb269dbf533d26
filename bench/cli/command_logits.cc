#include <fmt/format.h>

#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/counting/kernel_choice.h"
#include "bench/machine/files.h"
#include "bench/machine/machine.h"
#include "bench/machine/threads.h"
#include "model/forward.h"
#include "model/json.h"

namespace flopledger {
namespace {

/// A JSON list of token ids. Throws InputError for anything else, and for an id outside [0, V).
std::vector<int32_t> ReadTokens(const std::string& path, const ModelConfig& model) {
  const nlohmann::json list = ParseJson(ReadTextFile(path), path);
  if (!list.is_array() || list.empty()) {
    throw InputError(fmt::format("{}: must be a list of at least one token id", path));
  }
  std::vector<int32_t> tokens;
  for (const auto& item : list) {
    const bool is_token = item.is_number_integer() && item >= 0 && item < model.vocab_size;
    if (!is_token) {
      throw InputError(fmt::format("{}: token {} at index {} is not an integer from 0 to {}", path,
                                   item.dump(), tokens.size(), model.vocab_size - 1));
    }
    tokens.push_back(item.get<int32_t>());
  }
  return tokens;
}

std::string ToCsv(ConstMatrixView<float> logits) {
  fmt::memory_buffer text;
  for (int64_t r = 0; r < logits.rows; ++r) {
    for (int64_t c = 0; c < logits.cols; ++c) {
      fmt::format_to(std::back_inserter(text), "{}{:.9g}", c == 0 ? "" : ",", logits(r, c));
    }
    text.push_back('\n');
  }
  return fmt::to_string(text);
}

}  // namespace

int RunLogits(const LogitsOptions& options, std::ostream& out) {
  if (!options.out.empty()) CheckWritable(options.out);
  const KernelChoice kernels{.matmul = &ParseMatmul(options.matmul),
                             .attention = ParseAttention(options.attention)};
  UseThreads(CheckedThreads(options.threads));
  const ModelConfig model = LoadModel(options.model);
  const std::vector<int32_t> tokens = ReadTokens(options.tokens, model);
  const auto context = static_cast<int64_t>(tokens.size());
  ValidateRunShape(model, context, 1);
  const SafetensorsFile file(options.weights);
  const MatmulBackend<float>& matmul = *kernels.matmul;
  const auto weights = ReadWeights<float>(model, file, matmul.packs_weights);
  const RunShape shape = kernels.Apply({.context = context, .num_layers = model.num_layers});
  Forward<float> forward(model, weights, shape, matmul);
  NoObserver observer;
  forward.Run(tokens, observer);
  const std::string text = ToCsv(forward.logits());
  if (options.out.empty()) {
    out << text;
  } else {
    WriteWhole(options.out, text);
  }
  return kDone;
}

}  // namespace flopledger
