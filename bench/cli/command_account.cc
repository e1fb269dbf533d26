#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/cli/account/account.h"
#include "bench/cli/cli.h"
#include "bench/counting/kernel_choice.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

Table BreakdownTable(const Breakdown& breakdown, const char* heading, const char* unit) {
  Table table{{{heading, false}, {unit}, {"% of total"}}, {}};
  for (const NamedCount& component : breakdown.components) {
    table.rows.push_back({std::string(component.name), Grouped(component.value),
                          Percent(component.value, breakdown.total)});
  }
  table.rows.push_back(
      {"total", Grouped(breakdown.total), Percent(breakdown.total, breakdown.total)});
  return table;
}

Table MemoryTable(const MemoryFigures& memory, bool fused) {
  Table table{{{"memory (fp32)", false}, {"bytes"}, {"", true}}, {}};
  const auto add = [&](const char* name, int64_t bytes) {
    table.rows.push_back({name, Grouped(bytes), HumanBytes(bytes)});
  };
  add("weights", memory.weights_bytes);
  add(fused ? "activations (fused attention)" : "activations (reference attention)",
      memory.activation_bytes);
  add("KV cache", memory.kv_cache_bytes);
  return table;
}

Table OpTable(const Accounting& accounting) {
  Table table{{{"operation", false},
               {"kind", false},
               {"m"},
               {"n"},
               {"k"},
               {"count"},
               {"FLOPs"},
               {"bytes"},
               {"FLOPs/byte"}},
              {}};
  for (const Op& op : ForwardOps(accounting.model, accounting.shape)) {
    const int64_t flops = OpFlops(accounting.model, accounting.shape, op, accounting.convention);
    const int64_t bytes = OpBytes(accounting.model, accounting.shape, op);
    table.rows.push_back(
        {std::string(op.name()), std::string(KindName(op.kind)), Grouped(op.m), Grouped(op.n),
         op.k > 0 ? Grouped(op.k) : "", Grouped(TotalCount(op, accounting.shape)), Grouped(flops),
         Grouped(bytes),
         fmt::format("{:.2f}", static_cast<double>(flops) / static_cast<double>(bytes))});
  }
  return table;
}

/// One figure a line, exact, for a spreadsheet.
Table LongTable(const Accounting& accounting) {
  Table table{{{"model"},
               {"context"},
               {"batch"},
               {"convention"},
               {"quantity"},
               {"component"},
               {"value"},
               {"unit"}},
              {}};
  const auto add = [&](const char* quantity, std::string_view component, int64_t value,
                       const char* unit) {
    table.rows.push_back({accounting.model.name, fmt::to_string(accounting.shape.context),
                          fmt::to_string(accounting.shape.batch),
                          std::string(InfoOf(accounting.convention).name), quantity,
                          std::string(component), fmt::to_string(value), unit});
  };
  const auto add_all = [&](const char* quantity, const Breakdown& breakdown, const char* unit) {
    for (const NamedCount& component : breakdown.components) {
      add(quantity, component.name, component.value, unit);
    }
    add(quantity, "total", breakdown.total, unit);
  };
  add_all("params", accounting.params, "parameters");
  add("memory", "weights", accounting.memory.weights_bytes, "bytes");
  add("memory", "activations", accounting.memory.activation_bytes, "bytes");
  add("memory", "kv_cache", accounting.memory.kv_cache_bytes, "bytes");
  add_all("flops", accounting.flops, "FLOPs");
  add("rule_of_thumb", "total", accounting.rule_of_thumb_flops, "FLOPs");
  return table;
}

/// The human forms: the same sections, their tables drawn by `draw`.
template <class Draw>
void PrintSections(const Accounting& accounting, std::ostream& out, Draw&& draw) {
  fmt::print(out, "{}\n{}\n\n", ModelLine(accounting.model),
             ShapeLine(accounting.shape, accounting.convention));
  out << draw(BreakdownTable(accounting.params, "parameters", "count")) << '\n';
  out << draw(MemoryTable(accounting.memory, accounting.memory_shape.fused_attention)) << '\n';
  out << draw(BreakdownTable(accounting.flops, "forward pass", "FLOPs")) << '\n';
  if (accounting.convention != Convention::kRuleOfThumb) out << draw(OpTable(accounting)) << '\n';
  fmt::print(out,
             "rule of thumb 2·parameters·tokens: {} FLOPs, {:+.2f} % off the exact matrix "
             "products ({})\n",
             Grouped(accounting.rule_of_thumb_flops), 100 * accounting.rule_of_thumb_error(),
             Grouped(accounting.exact_flops));
}

/// Throws InputError where flags do not go together.
void CheckTogether(const AccountOptions& options) {
  const std::pair<const char*, bool> forms[] = {{"--explain", options.explain},
                                                {"--sweep", !options.sweep.empty()},
                                                {"--training", options.training},
                                                {"--inference", options.inference},
                                                {"--conventions", options.conventions}};
  const char* chosen = nullptr;
  for (const auto& [flag, set] : forms) {
    if (set && chosen != nullptr) {
      throw InputError(fmt::format("{} and {} do not go together", chosen, flag));
    }
    if (set) chosen = flag;
  }
  const std::pair<const char*, bool> of_training[] = {{"--memory", options.memory.has_value()},
                                                      {"--peak", options.peak.has_value()},
                                                      {"--mfu", options.mfu.has_value()},
                                                      {"--steps", options.steps.has_value()}};
  for (const auto& [flag, set] : of_training) {
    if (set && !options.training) throw InputError(fmt::format("{} needs --training", flag));
  }
  if (chosen == nullptr && FindOtherTool(options.convention) != nullptr) return;
  std::vector<std::string> names;
  for (const ConventionInfo& info : Conventions()) names.emplace_back(info.name);
  if (std::ranges::find(names, options.convention) != names.end()) return;
  if (FindOtherTool(options.convention) != nullptr) {
    throw InputError(fmt::format("{} takes none of the other tools' conventions, such as {}",
                                 chosen, options.convention));
  }
  for (const OtherTool& tool : OtherTools()) names.emplace_back(tool.name);
  throw InputError(fmt::format("unknown convention '{}'{}", options.convention,
                               Suggest(options.convention, names)));
}

}  // namespace

Accounting MakeAccounting(const ModelConfig& model, int64_t context, int64_t batch,
                          const AccountOptions& options) {
  Accounting accounting;
  accounting.model = model;
  accounting.convention = ParseConvention(options.convention);
  ValidateRunShape(accounting.model, context, batch);
  const AttentionKernel attention = ParseAttention(options.attention);
  accounting.shape = WholePass(accounting.model, context, batch);
  accounting.memory_shape = accounting.shape;
  accounting.memory_shape.fused_attention = attention == AttentionKernel::kFused;
  accounting.params = CountParameters(accounting.model);
  accounting.memory = CountMemory(accounting.model, accounting.memory_shape);
  accounting.flops = CountFlops(accounting.model, accounting.shape, accounting.convention);
  accounting.exact_flops =
      CountFlops(accounting.model, accounting.shape, Convention::kMatmul).total;
  accounting.rule_of_thumb_flops =
      CountFlops(accounting.model, accounting.shape, Convention::kRuleOfThumb).total;
  return accounting;
}

Accounting MakeAccounting(const AccountOptions& options) {
  const ModelConfig model = LoadModel(options.model);
  return MakeAccounting(model, options.context.value_or(model.context_length), options.batch,
                        options);
}

std::string Percent(int64_t part, int64_t whole) {
  if (whole == 0) return "";
  return fmt::format("{:.2f}", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

json ToJson(const Breakdown& breakdown) {
  json components = json::object(), shares = json::object();
  for (const NamedCount& component : breakdown.components) {
    components[std::string(component.name)] = component.value;
    shares[std::string(component.name)] =
        static_cast<double>(component.value) / static_cast<double>(breakdown.total);
  }
  return {{"total", breakdown.total},
          {"components", std::move(components)},
          {"shares", std::move(shares)}};
}

json ToJson(const Accounting& accounting) {
  json account = {{"model", accounting.model.name},
                  {"context", accounting.shape.context},
                  {"batch", accounting.shape.batch},
                  {"convention", InfoOf(accounting.convention).name},
                  {"params", ToJson(accounting.params)},
                  {"memory",
                   {{"weights_bytes", accounting.memory.weights_bytes},
                    {"activation_bytes", accounting.memory.activation_bytes},
                    {"kv_cache_bytes", accounting.memory.kv_cache_bytes}}},
                  {"flops", ToJson(accounting.flops)},
                  {"rule_of_thumb",
                   {{"flops", accounting.rule_of_thumb_flops},
                    {"error_percent", 100 * accounting.rule_of_thumb_error()}}}};
  if (accounting.convention == Convention::kRuleOfThumb) return account;  // it knows no single ops
  for (const Op& op : ForwardOps(accounting.model, accounting.shape)) {
    account["ops"].push_back(
        {{"op", op.name()},
         {"kind", KindName(op.kind)},
         {"m", op.m},
         {"n", op.n},
         {"k", op.k > 0 ? json(op.k) : json(nullptr)},
         {"count", TotalCount(op, accounting.shape)},
         {"flops", OpFlops(accounting.model, accounting.shape, op, accounting.convention)},
         {"bytes", OpBytes(accounting.model, accounting.shape, op)}});
  }
  return account;
}

std::string ModelLine(const ModelConfig& model) {
  const json keys = ToJson(model);
  return fmt::format(
      "{}: {} layers, d_model {}, {} heads{} of size {}, d_ff {}, vocabulary {}; {}, {}, positions "
      "{}, {}biases, {}tied",
      model.name, model.num_layers, Grouped(model.d_model), model.num_heads,
      model.num_kv_heads == model.num_heads ? ""
                                            : fmt::format(" ({} key/value)", model.num_kv_heads),
      model.head_size(), Grouped(model.d_ff), Grouped(model.vocab_size),
      keys["norm"].get<std::string>(), keys["ffn"].get<std::string>(),
      keys["position"].get<std::string>(), model.bias ? "" : "no ",
      model.tie_embeddings ? "" : "un");
}

std::string ShapeLine(const RunShape& shape, Convention convention) {
  const ConventionInfo& info = InfoOf(convention);
  return fmt::format("context {}, batch {}; convention {}: {} ({})", Grouped(shape.context),
                     shape.batch, info.name, info.meaning, info.source);
}

std::string Drawn(const Table& table, Format format) {
  return format == Format::kCsv        ? table.ToCsv()
         : format == Format::kMarkdown ? table.ToMarkdown()
                                       : table.ToText();
}

int RunAccount(const AccountOptions& options, std::ostream& out) {
  CheckTogether(options);
  if (options.explain) return AccountExplain(options, out);
  if (!options.sweep.empty()) return AccountSweep(options, out);
  if (options.training) return AccountTraining(options, out);
  if (options.inference) return AccountInference(options, out);
  if (options.conventions) return AccountConventions(options, out);
  if (const OtherTool* tool = FindOtherTool(options.convention)) {
    return AccountOtherTool(options, *tool, out);
  }
  const Format format = ParseFormat(options.format);
  const Accounting accounting = MakeAccounting(options);
  switch (format) {
    case Format::kTable:
      PrintSections(accounting, out, [](const Table& table) { return table.ToText(); });
      break;
    case Format::kMarkdown:
      PrintSections(accounting, out, [](const Table& table) { return table.ToMarkdown(); });
      break;
    case Format::kCsv: out << LongTable(accounting).ToCsv(); break;
    case Format::kJson: out << ToJson(accounting).dump(2) << '\n'; break;
  }
  return kDone;
}

int RunPresets(const PresetsOptions& options, std::ostream& out) {
  const Format format = ParseFormat(options.format);
  const bool for_people = format == Format::kTable || format == Format::kMarkdown;
  const auto number = [&](int64_t value) {
    return for_people ? Grouped(value) : fmt::to_string(value);
  };
  Table table{{{"model", false},
               {"context"},
               {"layers"},
               {"d_model"},
               {"heads"},
               {"d_ff"},
               {"parameters"},
               {"weights_bytes"},
               {"matmul_flops"}},
              {}};
  json list = json::array();
  for (const ModelConfig& model : Presets()) {
    const RunShape shape = WholePass(model, model.context_length, 1);
    const int64_t params = CountParameters(model).total;
    const int64_t weights = CountMemory(model, shape).weights_bytes;
    const int64_t flops = CountFlops(model, shape, Convention::kMatmul).total;
    table.rows.push_back({model.name, number(model.context_length), number(model.num_layers),
                          number(model.d_model), number(model.num_heads), number(model.d_ff),
                          number(params), number(weights), number(flops)});
    list.push_back({{"config", ToJson(model)},
                    {"params", params},
                    {"weights_bytes", weights},
                    {"context", model.context_length},
                    {"matmul_flops", flops}});
  }
  switch (format) {
    case Format::kTable: out << table.ToText(); break;
    case Format::kMarkdown: out << table.ToMarkdown(); break;
    case Format::kCsv: out << table.ToCsv(); break;
    case Format::kJson: out << list.dump(2) << '\n'; break;
  }
  return kDone;
}

}  // namespace flopledger
