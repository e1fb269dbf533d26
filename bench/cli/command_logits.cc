#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "analysis/text/table.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/cli/terminal.h"
#include "bench/counting/kernel_choice.h"
#include "bench/machine/machine.h"
#include "bench/machine/team.h"
#include "bench/machine/threads.h"
#include "model/forward.h"
#include "model/json.h"
#include "model/runnable.h"
#include "model/weight_checks.h"

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

nlohmann::json ToJson(ConstMatrixView<float> logits) {
  nlohmann::json rows = nlohmann::json::array();
  for (int64_t r = 0; r < logits.rows; ++r) {
    rows.push_back(std::vector<float>(logits.row(r), logits.row(r) + logits.cols));
  }
  return {{"context", logits.rows}, {"vocab_size", logits.cols}, {"logits", std::move(rows)}};
}

/// For people: after each token the five that have the highest logits.
Table BestTable(ConstMatrixView<float> logits, const std::vector<int32_t>& tokens) {
  const int64_t shown = std::min<int64_t>(5, logits.cols);
  Table table{{{"position"}, {"token"}}, {}};
  for (int64_t i = 0; i < shown; ++i) {
    table.columns.push_back({i == 0 ? "best" : fmt::format("{}.", i + 1)});
    table.columns.push_back({"logit"});
  }
  std::vector<int64_t> ids(static_cast<std::size_t>(logits.cols));
  for (int64_t r = 0; r < logits.rows; ++r) {
    std::iota(ids.begin(), ids.end(), 0);
    std::ranges::partial_sort(ids, ids.begin() + shown, std::ranges::greater{},
                              [&](int64_t id) { return logits(r, id); });
    std::vector<std::string> row{fmt::to_string(r),
                                 fmt::to_string(tokens[static_cast<std::size_t>(r)])};
    for (int64_t i = 0; i < shown; ++i) {
      const int64_t id = ids[static_cast<std::size_t>(i)];
      row.push_back(fmt::to_string(id));
      row.push_back(fmt::format("{:.3f}", logits(r, id)));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

int RunLogits(const LogitsOptions& options, std::ostream& out, std::ostream& err) {
  const Format format = ParseFormat(options.format);
  Team* const team = options.team;
  const Shard shard = team != nullptr ? team->link.shard() : Shard{};
  const KernelChoice kernels{.matmul = &ParseMatmul(options.matmul),
                             .attention = ParseAttention(options.attention)};
  UseThreads(CheckedThreads(options.threads));
  const ModelConfig model = LoadModel(options.model);
  CheckComputed(model, "logits");
  CheckRanks(model, shard.ranks);
  const std::vector<int32_t> tokens = ReadTokens(options.tokens, model);
  const auto context = static_cast<int64_t>(tokens.size());
  ValidateRunShape(model, context, 1);
  const SafetensorsFile file(options.weights);
  const MatmulBackend<float>& matmul = *kernels.matmul;
  const auto weights = ReadWeights<float>(model, file, matmul.packs_weights, shard);
  CheckValues(model, file);
  const RunShape shape = kernels.Apply(
      {.context = context, .num_layers = model.num_layers, .shard = shard, .gathers_logits = true});
  const ModelConfig own = RankModel(model, shard);
  Forward<float> forward(own, weights, shape, matmul);
  if (team != nullptr) forward.Connect(team->link);
  NoObserver observer;
  forward.Run(tokens, observer);
  if (team != nullptr && !team->leads()) return kDone;
  switch (format) {
    case Format::kCsv: out << ToCsv(forward.logits()); break;
    case Format::kJson: out << ToJson(forward.logits()).dump() << '\n'; break;
    default: out << Drawn(BestTable(forward.logits(), tokens), format, out);
  }
  if (format == Format::kTable) PrintNext(err, "'--format csv' has every logit");
  return kDone;
}

void AddLogits(CLI::App& app, Session& session) {
  const auto options = std::make_shared<LogitsOptions>();
  CLI::App* command = app.add_subcommand(
      "logits",
      "One forward pass on given weights: a row of V logits for each token; as a table, the best.");
  AddModel(command, options->model);
  command->get_option("--model")->required();
  command
      ->add_option("--weights", options->weights,
                   "a safetensors file with Hugging Face's names for GPT-2 or Llama")
      ->required();
  command->add_option("--tokens", options->tokens, "a JSON file: one list of token ids")
      ->required();
  AddThreads(command, options->threads);
  AddMatmul(command, options->matmul);
  AddAttention(command, options->attention);
  AddFormat(command, options->format);
  command->footer(
      "Examples:\n"
      "  flopledger logits --model config.json --weights model.safetensors --tokens tokens.json\n"
      "  flopledger logits -m . --weights . --tokens tokens.json --out logits.csv");
  command->final_callback([options, &session] {
    options->team = session.team;
    session.run = [options, &session] { return RunLogits(*options, session.out, session.err); };
  });
}

}  // namespace flopledger
