#include "bench/cli/predict_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "analysis/accounting/sweep.h"
#include "analysis/prediction/scaling.h"
#include "analysis/text/numbers.h"
#include "analysis/text/table.h"
#include "bench/calibration/calibration_file.h"
#include "bench/cli/common.h"
#include "bench/cli/terminal.h"
#include "bench/machine/machine.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// The points, and what they are of.
struct Scaling {
  RunSettings settings;
  Calibration calibration;
  std::optional<Network> network;
  std::vector<ScalingPoint> points;
};

Scaling MakeScaling(const PredictOptions& options, const RunSettings& settings) {
  Scaling scaling;
  scaling.settings = settings;
  const std::vector<int64_t> ranks = WholeNumbers("--ranks", options.ranks);
  for (const int64_t number : ranks) CheckRanks(scaling.settings.model, number);
  if (!options.network.empty()) scaling.network = ParseNetwork(options.network);
  scaling.calibration = RequireCalibration(options.calibration);
  scaling.points =
      PredictScaling(scaling.calibration,
                     {.model = scaling.settings.model,
                      .shape = scaling.settings.Shape(scaling.settings.model.num_layers),
                      .matmul = std::string(scaling.settings.kernels.matmul->name),
                      .processors = options.threads ? AvailableProcessors() : DefaultThreads(),
                      .threads = options.threads,
                      .network = scaling.network},
                     ranks);
  return scaling;
}

int64_t Bytes(const ScalingPoint& point) {
  return point.memory.weights_bytes + point.memory.activation_bytes;
}

std::string Cell(const std::optional<double>& value, double unit, int digits) {
  return value ? fmt::format("{:.{}f}", *value / unit, digits) : "unavailable";
}

std::optional<double> Share(const ScalingPoint& point) {
  if (!point.seconds) return std::nullopt;
  return *point.communication_s / *point.seconds;
}

Table PointsTable(const Scaling& scaling) {
  Table table{{{"ranks"},
               {"threads", true, 3},
               {"predicted ms"},
               {"tokens/s", true, 2},
               {"of it communication ms", true, 1},
               {"% communication"},
               {"efficiency %"},
               {"memory a rank"}},
              {}};
  const RunShape shape = scaling.settings.Shape(1);
  for (const ScalingPoint& point : scaling.points) {
    const auto tokens = static_cast<double>(shape.context * shape.batch);
    const auto rate = point.seconds ? std::optional(tokens / *point.seconds) : std::nullopt;
    table.rows.push_back({Grouped(point.ranks), Grouped(point.threads),
                          Cell(point.seconds, 1e-3, 3) + (point.beyond_samples ? " *" : ""),
                          Cell(rate, 1, 1), Cell(point.communication_s, 1e-3, 3),
                          Cell(Share(point), 0.01, 1), Cell(point.efficiency, 0.01, 1),
                          HumanBytes(Bytes(point))});
  }
  return table;
}

/// A line for each number of ranks: a bar of the seconds, and one of the efficiency.
Table Chart(const Scaling& scaling, std::size_t width) {
  Table chart{{{"ranks"}, {"seconds", false}, {"efficiency", false}}, {}};
  double longest = 0;
  for (const ScalingPoint& point : scaling.points) {
    longest = std::max(longest, point.seconds.value_or(0));
  }
  for (const ScalingPoint& point : scaling.points) {
    if (!point.seconds) continue;
    const double efficiency = point.efficiency.value_or(0);
    chart.rows.push_back(
        {Grouped(point.ranks),
         fmt::format("|{}| {}", Bar(*point.seconds / longest, width), HumanSeconds(*point.seconds)),
         fmt::format("|{}| {:.1f} %", Bar(efficiency, width), 100 * efficiency)});
  }
  return chart;
}

std::string Premise(const Scaling& scaling) {
  if (scaling.network) {
    return fmt::format(
        "a prediction: each rank on a machine like this one, between them {:.4g} GB/s and {:.4g} "
        "us by the alpha-beta model (nothing of it was measured)",
        scaling.network->bytes_per_s / 1e9, scaling.network->latency_s * 1e6);
  }
  return "all ranks on this machine; collectives as 'mpirun -n P flopledger-mpi calibrate' "
         "measured "
         "them";
}

void PrintScaling(const Scaling& scaling, Format format, std::ostream& out) {
  const RunSettings& settings = scaling.settings;
  PrintNote(out, fmt::format("{}: context {}, batch {}, {} layers, matmul {}, attention {}",
                             settings.model.name, Grouped(settings.context), settings.batch,
                             settings.model.num_layers, settings.kernels.matmul->name,
                             NameOf(settings.kernels.attention)));
  PrintNote(out, Premise(scaling));
  out << '\n' << Drawn(PointsTable(scaling), format, out) << '\n';
  const Table chart = Chart(scaling, WidthOf(out) < 100 ? 12 : 22);
  if (!chart.rows.empty()) out << Drawn(chart, format, out);
  for (const ScalingPoint& point : scaling.points) {
    if (point.seconds) continue;
    PrintNote(out, fmt::format("{} ranks: {}", point.ranks, point.unavailable_because));
  }
  if (std::ranges::any_of(scaling.points, &ScalingPoint::beyond_samples)) {
    PrintNote(out, "* some shapes lie beyond those that were calibrated");
  }
}

json NullOr(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

json ToJson(const Scaling& scaling) {
  const RunSettings& settings = scaling.settings;
  json document = {{"model", settings.model.name},
                   {"context", settings.context},
                   {"batch", settings.batch},
                   {"matmul", settings.kernels.matmul->name},
                   {"attention", NameOf(settings.kernels.attention)},
                   {"calibration", {{"taken", scaling.calibration.taken}}},
                   {"network", nullptr},
                   {"points", json::array()}};
  if (scaling.network) {
    document["network"] = {{"bytes_per_s", scaling.network->bytes_per_s},
                           {"latency_s", scaling.network->latency_s}};
  }
  for (const ScalingPoint& point : scaling.points) {
    document["points"].push_back(
        {{"ranks", point.ranks},
         {"threads", point.threads},
         {"predicted_time_s", NullOr(point.seconds)},
         {"communication_s", NullOr(point.communication_s)},
         {"efficiency", NullOr(point.efficiency)},
         {"weights_bytes", point.memory.weights_bytes},
         {"activation_bytes", point.memory.activation_bytes},
         {"collectives", point.collectives.empty() ? json(nullptr) : json(point.collectives)},
         {"beyond_samples", point.beyond_samples},
         {"unavailable_because", point.unavailable_because}});
  }
  return document;
}

/// One row a number of ranks, exact, for a spreadsheet.
Table PlainTable(const Scaling& scaling) {
  Table table{{{"model"},
               {"context"},
               {"batch"},
               {"ranks"},
               {"threads"},
               {"predicted_time_s"},
               {"communication_s"},
               {"efficiency"},
               {"weights_bytes"},
               {"activation_bytes"},
               {"collectives"}},
              {}};
  const auto plain = [](const std::optional<double>& value) {
    return value ? fmt::to_string(*value) : "";
  };
  for (const ScalingPoint& point : scaling.points) {
    table.rows.push_back({scaling.settings.model.name, fmt::to_string(scaling.settings.context),
                          fmt::to_string(scaling.settings.batch), fmt::to_string(point.ranks),
                          fmt::to_string(point.threads), plain(point.seconds),
                          plain(point.communication_s), plain(point.efficiency),
                          fmt::to_string(point.memory.weights_bytes),
                          fmt::to_string(point.memory.activation_bytes), point.collectives});
  }
  return table;
}

}  // namespace

int RunPredictRanks(const PredictOptions& options, const RunSettings& settings, std::ostream& out) {
  const Format format = ParseFormat(options.format);
  const Scaling scaling = MakeScaling(options, settings);
  switch (format) {
    case Format::kTable:
    case Format::kMarkdown: PrintScaling(scaling, format, out); break;
    case Format::kCsv: out << PlainTable(scaling).ToCsv(); break;
    case Format::kJson: out << ToJson(scaling).dump(2) << '\n'; break;
  }
  const bool any = std::ranges::any_of(
      scaling.points, [](const ScalingPoint& point) { return point.seconds.has_value(); });
  return any ? kDone : kNoAnswer;
}

}  // namespace flopledger
