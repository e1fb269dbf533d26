#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/data_types.h"
#include "analysis/prediction/predict.h"
#include "analysis/text/table.h"
#include "bench/calibration/calibration_file.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/cli/predict_ranks.h"
#include "bench/cli/terminal.h"
#include "bench/machine/machine.h"
#include "bench/run/settings.h"
#include "model/checked.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// The accounting of a pass and its seconds.
struct Forecast {
  PredictedRun run;
  Convention convention = Convention::kMatmul;
  std::string attention;
  Calibration calibration;
  std::vector<Op> ops;
  std::vector<int64_t> flops;  // by op
  int64_t total_flops = 0;
  int64_t params = 0;
  MemoryFigures memory;
  PassPrediction pass;
};

/// Seconds are predicted from samples of our kernels, which are fp32.
void RequireF32(const std::optional<std::string>& dtype, std::string_view flag) {
  if (!dtype || ParseDataType(*dtype, flag).name == F32().name) return;
  throw CannotMeasure(fmt::format(
      "{} {}: there is no calibration for it, because the kernels compute in f32; 'flopledger "
      "account {} {}' counts its bytes",
      flag, *dtype, flag, *dtype));
}

RunSettings ParseSettings(const PredictOptions& options) {
  RequireF32(options.dtype, "--dtype");
  RequireF32(options.kv_dtype, "--kv-dtype");
  WorkloadOptions workload;
  workload.model = options.model;
  workload.context = options.context;
  workload.batch = options.batch;
  workload.threads = options.threads;
  workload.matmul = options.matmul;
  workload.attention = options.attention;
  return ParseWorkload(workload);
}

Forecast MakeForecast(const PredictOptions& options, const RunSettings& settings) {
  Forecast forecast;
  forecast.convention = ParseConvention(options.convention);
  if (forecast.convention == Convention::kRuleOfThumb) {
    throw InputError("the rule of thumb has no figure for single operations; 'account' prints it");
  }
  forecast.calibration = RequireCalibration(options.calibration);
  forecast.attention = NameOf(settings.kernels.attention);
  const ModelConfig& model = settings.model;
  forecast.run = {.model = model,
                  .shape = settings.Shape(model.num_layers),
                  .matmul = std::string(settings.kernels.matmul->name),
                  .threads = settings.threads,
                  .speed = CalibratedSpeed(forecast.calibration, settings.threads)};
  forecast.ops = ForwardOps(model, forecast.run.shape);
  for (const Op& op : forecast.ops) {
    forecast.flops.push_back(OpFlops(model, forecast.run.shape, op, forecast.convention));
    forecast.total_flops = CheckedAdd(forecast.total_flops, forecast.flops.back());
  }
  forecast.params = CountParameters(model).total;
  forecast.memory = CountMemory(model, forecast.run.shape);
  forecast.pass = PredictPass(forecast.calibration, forecast.run);
  return forecast;
}

/// FLOP/s, where there are both.
std::optional<double> Rate(int64_t flops, const OpPrediction& prediction) {
  if (flops == 0 || !prediction.seconds) return std::nullopt;
  return static_cast<double>(flops) / *prediction.seconds;
}

std::string Number(const std::optional<double>& value, double unit, int digits) {
  return value ? fmt::format("{:.{}f}", *value / unit, digits) : "";
}

Table OpTable(const Forecast& forecast) {
  Table table{{{"operation", false},
               {"m"},
               {"n"},
               {"k"},
               {"count", true, 3},
               {fmt::format("FLOPs ({})", InfoOf(forecast.convention).name)},
               {"predicted ms"},
               {"% of pass"},
               {"GFLOP/s", true, 2},
               {"% of peak"},
               {"bound", false, 1}},
              {}};
  const double peak = forecast.run.speed.peak_flops_per_s;
  const auto add = [&](std::vector<std::string> row, int64_t flops, const OpPrediction& part) {
    const auto rate = Rate(flops, part);
    const auto& whole = forecast.pass.total.seconds;
    const auto share = part.seconds && whole ? std::optional(*part.seconds / *whole) : std::nullopt;
    for (std::string cell : {Grouped(flops), Number(part.seconds, 1e-3, 3), Number(share, 0.01, 2),
                             Number(rate, 1e9, 1), Number(rate, peak / 100, 1),
                             part.seconds ? std::string(NameOf(part.bound)) : "unavailable"}) {
      row.push_back(std::move(cell));
    }
    if (part.seconds && part.beyond_samples) row.back() += " *";
    table.rows.push_back(std::move(row));
  };
  for (std::size_t i = 0; i < forecast.ops.size(); ++i) {
    const Op& op = forecast.ops[i];
    add({std::string(op.name()), Grouped(op.m), Grouped(op.n), op.k > 0 ? Grouped(op.k) : "",
         Grouped(TotalCount(op, forecast.run.shape))},
        forecast.flops[i], forecast.pass.ops[i]);
  }
  add({"total", "", "", "", ""}, forecast.total_flops, forecast.pass.total);
  return table;
}

/// The sentence that is asked for.
std::string Answer(const Forecast& forecast) {
  const OpPrediction& total = forecast.pass.total;
  if (!total.seconds) return "seconds: unavailable: " + total.unavailable_because;
  return fmt::format("this machine would need {} for one pass with {} thread{}",
                     HumanSeconds(*total.seconds), forecast.run.threads,
                     forecast.run.threads == 1 ? "" : "s");
}

template <class Draw>
void PrintSections(const Forecast& forecast, std::ostream& out, Draw&& draw) {
  const ModelConfig& model = forecast.run.model;
  PrintNote(out,
            fmt::format("{}: context {}, batch {}, {} layers, matmul {}, attention {}", model.name,
                        Grouped(forecast.run.shape.context), forecast.run.shape.batch,
                        model.num_layers, forecast.run.matmul, forecast.attention));
  PrintNote(out, fmt::format("{} parameters, weights {}, activations {}", Grouped(forecast.params),
                             HumanBytes(forecast.memory.weights_bytes),
                             HumanBytes(forecast.memory.activation_bytes)));
  out << '\n';
  out << draw(OpTable(forecast)) << '\n';
  PrintNote(
      out,
      fmt::format(
          "{} (calibration of {}, at its FMA peak of {:.1f} GFLOP/s and {:.1f} GB/s from memory)",
          Answer(forecast), forecast.calibration.taken, forecast.run.speed.peak_flops_per_s / 1e9,
          forecast.run.speed.read_bytes_per_s / 1e9));
  if (forecast.pass.total.beyond_samples) {
    PrintNote(out,
              "* more than twice as large, or less than half as large, as any shape that was "
              "calibrated, or an operation that was not: taken to run as the nearest do");
  }
  const int64_t needed = forecast.memory.weights_bytes + forecast.memory.activation_bytes;
  const auto available = AvailableMemoryBytes();
  if (available && needed > *available) {
    PrintNote(out, fmt::format("it needs {}, and {} are available: the seconds are as if it fitted",
                               HumanBytes(needed), HumanBytes(*available)));
  }
}

json OrNull(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

json ToJson(const OpPrediction& prediction) {
  return {{"predicted_time_s", OrNull(prediction.seconds)},
          {"bound", prediction.seconds ? json(NameOf(prediction.bound)) : json(nullptr)},
          {"beyond_samples", prediction.beyond_samples},
          {"unavailable_because", prediction.unavailable_because}};
}

json ToJson(const Forecast& forecast) {
  const PredictedRun& run = forecast.run;
  json document = {{"model", run.model.name},
                   {"context", run.shape.context},
                   {"batch", run.shape.batch},
                   {"threads", run.threads},
                   {"matmul", run.matmul},
                   {"attention", forecast.attention},
                   {"convention", InfoOf(forecast.convention).name},
                   {"params", forecast.params},
                   {"weights_bytes", forecast.memory.weights_bytes},
                   {"activation_bytes", forecast.memory.activation_bytes},
                   {"calibration",
                    {{"taken", forecast.calibration.taken},
                     {"peak_flops_per_s", run.speed.peak_flops_per_s},
                     {"read_bytes_per_s", run.speed.read_bytes_per_s}}},
                   {"total", ToJson(forecast.pass.total)},
                   {"ops", json::array()}};
  document["total"]["flops"] = forecast.total_flops;
  for (std::size_t i = 0; i < forecast.ops.size(); ++i) {
    const Op& op = forecast.ops[i];
    json row = ToJson(forecast.pass.ops[i]);
    row["op"] = op.name();
    row["kind"] = KindName(op.kind);
    row["m"] = op.m;
    row["n"] = op.n;
    row["k"] = op.k > 0 ? json(op.k) : json(nullptr);
    row["count"] = TotalCount(op, run.shape);
    row["flops"] = forecast.flops[i];
    document["ops"].push_back(std::move(row));
  }
  return document;
}

/// One row an op, exact, for a spreadsheet.
Table PlainTable(const Forecast& forecast) {
  Table table{{{"model"},
               {"context"},
               {"batch"},
               {"threads"},
               {"op"},
               {"kind"},
               {"m"},
               {"n"},
               {"k"},
               {"count"},
               {"convention"},
               {"predicted_flops"},
               {"predicted_time_s"},
               {"bound"}},
              {}};
  const PredictedRun& run = forecast.run;
  const auto add = [&](std::vector<std::string> op, int64_t flops, const OpPrediction& part) {
    std::vector<std::string> row{run.model.name, fmt::to_string(run.shape.context),
                                 fmt::to_string(run.shape.batch), fmt::to_string(run.threads)};
    row.insert(row.end(), op.begin(), op.end());
    row.emplace_back(InfoOf(forecast.convention).name);
    row.push_back(fmt::to_string(flops));
    row.push_back(part.seconds ? fmt::to_string(*part.seconds) : "");
    row.emplace_back(part.seconds ? NameOf(part.bound) : "");
    table.rows.push_back(std::move(row));
  };
  for (std::size_t i = 0; i < forecast.ops.size(); ++i) {
    const Op& op = forecast.ops[i];
    add({std::string(op.name()), std::string(KindName(op.kind)), fmt::to_string(op.m),
         fmt::to_string(op.n), op.k > 0 ? fmt::to_string(op.k) : "",
         fmt::to_string(TotalCount(op, run.shape))},
        forecast.flops[i], forecast.pass.ops[i]);
  }
  add({"total", "total", "", "", "", ""}, forecast.total_flops, forecast.pass.total);
  return table;
}

}  // namespace

int RunPredict(const PredictOptions& options, std::ostream& out, std::ostream& err) {
  const RunSettings settings = ParseSettings(options);
  if (!options.ranks.empty()) return RunPredictRanks(options, settings, out);
  if (!options.network.empty()) throw InputError("--network goes with --ranks");
  const Format format = ParseFormat(options.format);
  const Forecast forecast = MakeForecast(options, settings);
  switch (format) {
    case Format::kTable:
      PrintSections(forecast, out,
                    [&](const Table& table) { return Drawn(table, Format::kTable, out); });
      PrintNext(err, fmt::format("'flopledger run {} --sample' measures a few layers of it",
                                 options.model));
      break;
    case Format::kMarkdown:
      PrintSections(forecast, out, [](const Table& table) { return table.ToMarkdown(); });
      break;
    case Format::kCsv: out << PlainTable(forecast).ToCsv(); break;
    case Format::kJson: out << ToJson(forecast).dump(2) << '\n'; break;
  }
  return forecast.pass.total.seconds ? kDone : kNoAnswer;
}

void AddPredict(CLI::App& app, Session& session) {
  const auto options = std::make_shared<PredictOptions>();
  CLI::App* command = app.add_subcommand(
      "predict",
      "The seconds that a forward pass would need on this machine, operation by operation, from "
      "the calibration alone: the model need not fit in memory.");
  AddModel(command, options->model);
  AddShape(command, options->context, options->batch);
  AddThreads(command, options->threads);
  AddMatmul(command, options->matmul);
  AddAttention(command, options->attention);
  command->add_option("--convention", options->convention, ConventionHelp())->capture_default_str();
  AddDataTypes(command, options->dtype, options->kv_dtype);
  AddCalibration(command, options->calibration);
  command->add_option("--ranks", options->ranks,
                      "numbers of processes that share the pass (tensor parallelism), as 1,2,4: "
                      "seconds, communication, efficiency and memory of each");
  command->add_option("--network", options->network,
                      "with --ranks: each on a machine like this one, and between them this "
                      "bandwidth and latency, as 12.5GB/s,2us; default: all on this machine, as "
                      "calibrated");
  AddFormat(command, options->format);
  command->footer(
      "Examples:\n"
      "  flopledger predict gpt2-xl\n"
      "  flopledger predict gpt2 --context 256 --threads 1 --format json");
  command->final_callback([options, &session] {
    session.run = [options, &session] { return RunPredict(*options, session.out, session.err); };
  });
}

}  // namespace flopledger
