#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/cli/account/account.h"
#include "bench/cli/cli.h"
#include "bench/cli/options.h"
#include "bench/cli/terminal.h"
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

Table MemoryTable(const Accounting& accounting) {
  const MemoryFigures& memory = accounting.memory;
  const auto types = [](const MemoryTypes& of) {
    return of.weights.name == of.kv.name
               ? std::string(of.weights.name)
               : fmt::format("weights {}, KV cache {}", of.weights.name, of.kv.name);
  };
  const bool fp32 = types(accounting.types) == "f32";
  Table table{{{fp32 ? "memory (fp32)" : "memory (" + types(accounting.types) + ")", false},
               {"bytes"},
               {"", true}},
              {}};
  const auto add = [&](const std::string& name, int64_t bytes) {
    table.rows.push_back({name, Grouped(bytes), HumanBytes(bytes)});
  };
  const auto add_cache = [&](const std::string& suffix, const MemoryFigures& of) {
    add("KV cache" + suffix, of.kv_cache_bytes);
    if (of.kv_cache_window_bytes != of.kv_cache_bytes) {
      add("KV cache" + suffix + ", windows alone kept", of.kv_cache_window_bytes);
    }
  };
  add("weights", memory.weights_bytes);
  const std::string fp32_note = fp32 ? "" : ", fp32";
  add(accounting.memory_shape.fused_attention
          ? "activations (fused attention" + fp32_note + ")"
          : "activations (reference attention" + fp32_note + ")",
      memory.activation_bytes);
  add_cache("", memory);
  if (accounting.own_types) {
    const std::string suffix =
        fmt::format(" in {}, the config's type", types(*accounting.own_types));
    add("weights" + suffix, accounting.own_memory.weights_bytes);
    add_cache(suffix, accounting.own_memory);
  }
  return table;
}

Table OpTable(const Accounting& accounting) {
  Table table{{{"operation", false},
               {"kind", false, 1},
               {"m"},
               {"n"},
               {"k"},
               {"count"},
               {"FLOPs"},
               {"bytes"},
               {"FLOPs/byte", true, 2}},
              {}};
  for (const Op& op : ForwardOps(accounting.model, accounting.shape)) {
    const int64_t flops = OpFlops(accounting.model, accounting.shape, op, accounting.convention);
    const int64_t bytes = OpBytes(accounting.model, accounting.shape, op);
    table.rows.push_back(
        {op.window > 0 ? fmt::format("{}, window {}", op.name(), Grouped(op.window))
                       : std::string(op.name()),
         std::string(KindName(op.kind)), Grouped(op.m), Grouped(op.n),
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
  add("params", "active", accounting.active_params, "parameters");
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
  PrintNote(out, fmt::format("{}\n{}", ModelLine(accounting.model),
                             ShapeLine(accounting.shape, accounting.convention)));
  for (const std::string& note : accounting.model.notes) PrintNote(out, "note: " + note);
  out << '\n';
  out << draw(BreakdownTable(accounting.params, "parameters", "count"));
  if (accounting.active_params != accounting.params.total) {
    fmt::print(out, "active, of one token: {} parameters\n", Grouped(accounting.active_params));
  }
  out << '\n';
  out << draw(MemoryTable(accounting)) << '\n';
  out << draw(BreakdownTable(accounting.flops, "forward pass", "FLOPs")) << '\n';
  if (accounting.convention != Convention::kRuleOfThumb) out << draw(OpTable(accounting)) << '\n';
  PrintNote(out, fmt::format(
                     "rule of thumb 2·parameters·tokens: {} FLOPs, {:+.2f} % off the exact matrix "
                     "products ({})",
                     Grouped(accounting.rule_of_thumb_flops),
                     100 * accounting.rule_of_thumb_error(), Grouped(accounting.exact_flops)));
}

/// What a model has beside the block that all have: "; 13 of 26 layers with a window of 4,096".
std::string LayersText(const ModelConfig& model) {
  std::string text;
  const auto kinds = static_cast<int32_t>(model.layer_kinds.size());
  int64_t of_experts = 0;
  for (int32_t kind = 0; kind < kinds; ++kind) {
    const LayerKind& layer = model.layer_kinds[static_cast<std::size_t>(kind)];
    const int64_t layers = model.LayersOfKind(kind, model.num_layers);
    if (layer.experts) of_experts += layers;
    if (layer.window == 0 || layers == 0) continue;
    text += fmt::format("; {} layers with a window of {}", layers, Grouped(layer.window));
  }
  if (of_experts > 0) {
    text += fmt::format("; {} layers of {} experts with d_ff {}, {} of them a token", of_experts,
                        model.experts.count, Grouped(model.experts.d_ff), model.experts.per_token);
  }
  if (model.latent.kv_rank > 0) {
    text += fmt::format("; latent attention of rank {}", model.latent.kv_rank);
  }
  return text;
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
  const std::pair<const char*, bool> of_training[] = {
      {"--memory", options.memory.has_value()},
      {"--peak", options.peak.has_value()},
      {"--mfu", options.mfu.has_value()},
      {"--steps", options.steps.has_value()},
      {"--step-time", options.step_time.has_value()},
      {"--tokens-per-second", options.tokens_per_second.has_value()}};
  for (const auto& [flag, set] : of_training) {
    if (set && !options.training) throw InputError(fmt::format("{} needs --training", flag));
  }
  if (chosen != nullptr && (options.dtype || options.kv_dtype)) {
    throw InputError(
        fmt::format("--dtype and --kv-dtype go with the plain account; {} is fp32", chosen));
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
  accounting.active_params = CountActiveParameters(accounting.model);
  if (options.dtype) accounting.types.weights = ParseDataType(*options.dtype, "--dtype");
  if (options.kv_dtype) accounting.types.kv = ParseDataType(*options.kv_dtype, "--kv-dtype");
  accounting.memory = CountMemory(accounting.model, accounting.memory_shape, accounting.types);
  const DataType* own = DataTypeOfConfig(accounting.model.dtype);
  if (own != nullptr && own->name != F32().name && !options.dtype && !options.kv_dtype) {
    accounting.own_types = MemoryTypes{*own, *own};
    accounting.own_memory =
        CountMemory(accounting.model, accounting.memory_shape, *accounting.own_types);
  }
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
        breakdown.total == 0
            ? 0
            : static_cast<double>(component.value) / static_cast<double>(breakdown.total);
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
                    {"kv_cache_bytes", accounting.memory.kv_cache_bytes},
                    {"kv_cache_window_bytes", accounting.memory.kv_cache_window_bytes},
                    {"dtype", accounting.types.weights.name},
                    {"kv_dtype", accounting.types.kv.name}}},
                  {"flops", ToJson(accounting.flops)},
                  {"rule_of_thumb",
                   {{"flops", accounting.rule_of_thumb_flops},
                    {"error_percent", 100 * accounting.rule_of_thumb_error()}}}};
  account["params"]["active"] = accounting.active_params;
  if (!accounting.model.notes.empty()) account["notes"] = accounting.model.notes;
  if (accounting.own_types) {
    account["memory"]["in_own_dtype"] = {
        {"dtype", accounting.own_types->weights.name},
        {"weights_bytes", accounting.own_memory.weights_bytes},
        {"kv_cache_bytes", accounting.own_memory.kv_cache_bytes},
        {"kv_cache_window_bytes", accounting.own_memory.kv_cache_window_bytes}};
  }
  if (accounting.convention == Convention::kRuleOfThumb) return account;  // it knows no single ops
  for (const Op& op : ForwardOps(accounting.model, accounting.shape)) {
    account["ops"].push_back(
        {{"op", op.name()},
         {"kind", KindName(op.kind)},
         {"m", op.m},
         {"n", op.n},
         {"k", op.k > 0 ? json(op.k) : json(nullptr)},
         {"count", TotalCount(op, accounting.shape)},
         {"window", op.window > 0 ? json(op.window) : json(nullptr)},
         {"flops", OpFlops(accounting.model, accounting.shape, op, accounting.convention)},
         {"bytes", OpBytes(accounting.model, accounting.shape, op)}});
  }
  return account;
}

std::string ModelLine(const ModelConfig& model) {
  const json keys = ToJson(model);
  const bool all_biases = model.biases == Biases::OfBlock(true, model.norm, model.norm_gain);
  const bool no_biases = model.biases == Biases{};
  return fmt::format(
      "{}: {} layers, d_model {}, {} heads{} of size {}, d_ff {}, vocabulary {}; {}, {}, positions "
      "{}, {}biases, {}tied{}",
      model.name, model.num_layers, Grouped(model.d_model), model.num_heads,
      model.num_kv_heads == model.num_heads ? ""
                                            : fmt::format(" ({} key/value)", model.num_kv_heads),
      model.head_size(), Grouped(model.d_ff), Grouped(model.vocab_size),
      keys["norm"].get<std::string>(), keys["ffn"].get<std::string>(),
      keys["position"].get<std::string>(),
      no_biases    ? "no "
      : all_biases ? ""
                   : "some ",
      model.tie_embeddings ? "" : "un", LayersText(model));
}

std::string ShapeLine(const RunShape& shape, Convention convention) {
  const ConventionInfo& info = InfoOf(convention);
  return fmt::format("context {}, batch {}; convention {}: {} ({})", Grouped(shape.context),
                     shape.batch, info.name, info.meaning, info.source);
}

namespace {

/// The account in the form that was asked for.
int PrintAccount(const AccountOptions& options, std::ostream& out) {
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
      PrintSections(accounting, out,
                    [&](const Table& table) { return Drawn(table, Format::kTable, out); });
      break;
    case Format::kMarkdown:
      PrintSections(accounting, out, [](const Table& table) { return table.ToMarkdown(); });
      break;
    case Format::kCsv: out << LongTable(accounting).ToCsv(); break;
    case Format::kJson: out << ToJson(accounting).dump(2) << '\n'; break;
  }
  return kDone;
}

/// What to call after this form of the account.
std::string NextAfter(const AccountOptions& options) {
  if (options.conventions || FindOtherTool(options.convention) != nullptr) {
    return fmt::format("'flopledger account {} --explain' writes our formulas out", options.model);
  }
  if (options.explain) return "'flopledger audit FILE' checks your own figures against these";
  if (!options.sweep.empty()) return "'--format csv' for a spreadsheet";
  if (options.training && !options.peak) return "'--peak 19.5T --steps 100000' give the time";
  if (options.training) return "'flopledger calibrate' measures this machine's own peak";
  return fmt::format("'flopledger run {} --dry-run' says what measuring it would take{}",
                     options.model, options.inference ? "; '-n 32' decodes" : "");
}

}  // namespace

int RunAccount(const AccountOptions& options, std::ostream& out, std::ostream& err) {
  CheckTogether(options);
  const Format format = ParseFormat(options.format);
  const int code = PrintAccount(options, out);
  if (format == Format::kTable) PrintNext(err, NextAfter(options));
  return code;
}

int RunPresets(const PresetsOptions& options, std::ostream& out, std::ostream& err) {
  const Format format = ParseFormat(options.format);
  const bool for_people = format == Format::kTable || format == Format::kMarkdown;
  const auto number = [&](int64_t value) {
    return for_people ? Grouped(value) : fmt::to_string(value);
  };
  Table table{{{"model", false},
               {"context"},
               {"layers"},
               {"d_model"},
               {"heads", true, 3},
               {"d_ff", true, 2},
               {"parameters"},
               {"weights_bytes", true, 1},
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
    case Format::kTable:
      out << Drawn(table, Format::kTable, out);
      PrintNext(err, "'flopledger account MODEL' for one of them");
      break;
    case Format::kMarkdown: out << table.ToMarkdown(); break;
    case Format::kCsv: out << table.ToCsv(); break;
    case Format::kJson: out << list.dump(2) << '\n'; break;
  }
  return kDone;
}

void AddAccount(CLI::App& app, Session& session) {
  const auto options = std::make_shared<AccountOptions>();
  CLI::App* command = app.add_subcommand(
      "account",
      "The analytic accounting: parameters, memory and FLOPs, exact, from closed formulas.");
  AddModel(command, options->model);
  AddShape(command, options->context, options->batch);
  AddAttention(command, options->attention);
  command
      ->add_option("--convention", options->convention,
                   ConventionHelp() + ". Other tools' formulas as well:" + OtherToolNames())
      ->capture_default_str();
  AddDataTypes(command, options->dtype, options->kv_dtype);
  AddFormat(command, options->format);
  command->add_flag("--explain", options->explain,
                    "write each formula out with its letters and numbers, and sort the parts");
  command->add_option(
      "--sweep", options->sweep,
      "several accounts side by side: context=1024:16384:x2, "
      "model=gpt2,gpt2-xl, or any key of a model's JSON; a range is FIRST:LAST:xN or "
      "FIRST:LAST:+N");
  command->add_flag("--training", options->training,
                    "AdamW: memory by batch, FLOPs of a step, and with --peak its time");
  command->add_flag("--inference", options->inference,
                    "the KV cache, prefill against decode, GQA against MHA");
  command->add_flag("--conventions", options->conventions,
                    "this model under every convention, ours and other tools'");
  command->add_option("--memory", options->memory,
                      "with --training: what the batch must fit in, with its unit; default: 80GB");
  command->add_option("--peak", options->peak,
                      "with --training: the machine's FLOPs a second, e.g. 19.5T");
  command->add_option("--mfu", options->mfu,
                      "with --training: the share of the peak that is reached, 50% or 0.5; "
                      "default: 50%");
  command->add_option("--steps", options->steps, "with --training: steps of the whole run");
  command->add_option("--step-time", options->step_time,
                      "with --training: a step's measured time, e.g. 1.4s; gives the MFU");
  command->add_option("--tokens-per-second", options->tokens_per_second,
                      "with --training: the measured throughput, e.g. 12.5k; gives the MFU");
  command->footer(
      "Examples:\n"
      "  flopledger account --model cs336-xl --explain\n"
      "  flopledger account --model cs336-xl --sweep context=1024:16384:x2\n"
      "  flopledger account --sweep model=gpt2,gpt2-medium,gpt2-large,gpt2-xl\n"
      "  flopledger account --model cs336-xl --training --batch 1024 --peak 19.5T --steps 400000\n"
      "  flopledger account --model gpt2-xl --convention nanogpt");
  command->final_callback([options, &session] {
    session.run = [options, &session] { return RunAccount(*options, session.out, session.err); };
  });
}

void AddPresets(CLI::App& app, Session& session) {
  const auto options = std::make_shared<PresetsOptions>();
  CLI::App* command = app.add_subcommand("presets", "Lists the models with parameters and FLOPs.");
  AddFormat(command, options->format);
  command->footer(
      "Examples:\n"
      "  flopledger presets\n"
      "  flopledger presets --format csv --out models.csv");
  command->final_callback([options, &session] {
    session.run = [options, &session] { return RunPresets(*options, session.out, session.err); };
  });
}

}  // namespace flopledger
