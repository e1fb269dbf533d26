#include "analysis/regression/saved_runs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "analysis/regression/compare.h"
#include "analysis/text/table.h"
#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// Of the facts in which two ledgers must be equal, those of the machine.
constexpr std::string_view kMachine[] = {"cpu", "architecture", "processors", "virtual_machine"};

std::string Text(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void AddIfKnown(std::map<std::string, double>& to, const char* name, const auto& value) {
  if (value) to[name] = static_cast<double>(*value);
}

std::string Count(const std::optional<double>& value) {
  if (!value) return "none";
  if (*value == std::floor(*value) && std::abs(*value) < 9e15) {
    return Grouped(static_cast<int64_t>(*value));
  }
  return fmt::format("{:.6g}", *value);
}

/// What identifies a whole ledger: the shape and the kernels of its rows, by the last of them.
void IdentifyByRow(const Record& record, std::map<std::string, std::string>& identity) {
  const auto add = [&](const char* name, const auto& value) {
    identity[name] = fmt::format("{}", value);
  };
  add("context", record.context);
  add("batch", record.batch);
  add("threads", record.threads);
  add("ranks", record.ranks);
  add("attention", record.attention);
  add("convention", record.convention);
}

SavedRow RowOf(const Record& record, bool several_backends) {
  SavedRow row;
  row.measured.name = several_backends ? record.matmul + "/" + record.op : record.op;
  std::vector<double> samples = record.samples_s;
  if (samples.empty() && record.time_s) samples = {*record.time_s};
  if (!samples.empty()) row.measured.values["real_time"] = std::move(samples);
  row.flops_source = record.flops_source;
  row.flops_note = record.flops_note;
  AddIfKnown(row.exact, "predicted_flops", record.predicted_flops);
  AddIfKnown(row.other, "executed_flops", record.executed_flops);
  AddIfKnown(row.other, "measured_flops", record.measured_flops);
  AddIfKnown(row.other, "pct_peak", record.pct_peak);
  return row;
}

}  // namespace

const SavedRow* SavedRun::Find(const std::string& name) const {
  const auto row = std::ranges::find(rows, name, &SavedRow::name);
  return row == rows.end() ? nullptr : &*row;
}

bool IsExactCounter(std::string_view name) {
  return name == "predicted_flops" || name == "counted_flops" || name == "sample_counted_flops";
}

std::string ExactDifference::ToText() const {
  std::string text = fmt::format("{} {} → {}", quantity, Count(baseline), Count(candidate));
  if (baseline && candidate && *baseline != 0) {
    text += fmt::format(" ({})", SignedPercent(*candidate / *baseline - 1));
  }
  return text;
}

std::vector<ExactDifference> ExactDifferences(const std::map<std::string, double>& baseline,
                                              const std::map<std::string, double>& candidate) {
  std::vector<ExactDifference> differences;
  for (const auto& [name, value] : baseline) {
    const auto other = candidate.find(name);
    if (other == candidate.end()) {
      differences.push_back({name, value, std::nullopt});
    } else if (other->second != value) {
      differences.push_back({name, value, other->second});
    }
  }
  for (const auto& [name, value] : candidate) {
    if (!baseline.contains(name)) differences.push_back({name, std::nullopt, value});
  }
  return differences;
}

SavedRun SavedFromLedger(const Ledger& ledger) {
  SavedRun run;
  for (const auto& [name, value] : FactsUsed(ledger.environment, kCompared)) {
    const bool of_machine = std::ranges::find(kMachine, name) != std::end(kMachine);
    (of_machine ? run.machine : run.identity)[name] = value;
  }
  if (const std::string& text = ledger.environment.settings.model; !text.empty()) {
    json model = json::parse(text);
    model.erase("num_layers");  // a layer more or less is found by its FLOPs
    run.identity["model"] = model.dump();
  }
  const auto& ranks = ledger.environment.ranks;
  run.identity["hosts"] = fmt::to_string(ranks ? ranks->NumHosts() : 1);
  const auto backends = Distinct(ledger.rows, &Record::matmul);  // several of `--matmul all`
  run.identity["matmul"] = fmt::format("{}", fmt::join(backends, ", "));
  run.when_and_where = fmt::format("{}", fmt::join(Distinct(ledger.rows, &Record::run_id), ", "));
  for (const Record& record : ledger.rows) {
    if (record.kind == "extrapolated") continue;
    IdentifyByRow(record, run.identity);
    SavedRow row = RowOf(record, backends.size() > 1);
    const auto same = std::ranges::find(run.rows, row.name(), &SavedRow::name);
    if (same == run.rows.end()) {
      run.rows.push_back(std::move(row));
    } else {
      same->measured.duplicate_name = true;
    }
  }
  return run;
}

SavedRun SavedFromBenchmark(const BenchmarkFile& file) {
  SavedRun run;
  run.context = file.context;
  for (const char* key : {"library_build_type", "build"}) {
    if (file.context.contains(key)) run.identity[key] = Text(file.context[key]);
  }
  if (file.context.contains("environment")) {  // of our own binaries
    run.machine["environment"] = Text(file.context["environment"]);
  }
  if (file.context.contains("date")) {
    run.when_and_where =
        Text(file.context["date"]) + " on " + Text(file.context.value("host_name", json("")));
  }
  for (const BenchmarkRow& benchmark : file.rows) {
    SavedRow row;
    row.measured = benchmark;
    for (const auto& [name, values] : benchmark.values) {
      if (const auto median = MedianOf(benchmark, name)) {
        (IsExactCounter(name) ? row.exact : row.other)[name] = *median;
      }
    }
    if (const auto share = row.other.find("of_peak"); share != row.other.end()) {
      row.other["pct_peak"] = 100 * share->second;
    }
    run.rows.push_back(std::move(row));
  }
  return run;
}

SavedRun SavedFromText(std::string_view text, const std::string& where) {
  const json loose = ParseLooseJson(text, where);
  return IsBenchmarkJson(loose) ? SavedFromBenchmark(BenchmarkFromJson(loose, where))
                                : SavedFromLedger(LedgerFromJson(ParseJson(text, where), where));
}

}  // namespace flopledger
