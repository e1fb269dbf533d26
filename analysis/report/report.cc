// What a page says of a run: its checks, its facts, the commands that repeat it.
#include "analysis/report/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "analysis/text/markup.h"
#include "analysis/text/numbers.h"
#include "model/config.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

std::string Names(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

ReportCheck CheckPass(const ReportView& view) {
  const Record& row = view.first();
  if (row.layers_run == row.layers_total) {
    return {CheckState::kHolds, "Whole model",
            fmt::format("all {} layer{} ran", Grouped(row.layers_run), Plural(row.layers_run))};
  }
  std::string text =
      fmt::format("{} of {} layers ran", Grouped(row.layers_run), Grouped(row.layers_total));
  if (view.extrapolated != nullptr && view.extrapolated->time_s) {
    text += fmt::format(
        "; the whole model would take {} if the others ran like these: extrapolated, not measured",
        HumanSeconds(*view.extrapolated->time_s));
    if (const auto& interval = view.named.ledger.environment.extrapolation) {
      text += fmt::format(" (between {} and {}{})", HumanSeconds(interval->pass.lower),
                          HumanSeconds(interval->pass.upper),
                          interval->drift ? ""
                                          : ", the drift between runs left out: none was "
                                            "calibrated");
    }
  }
  return {CheckState::kNote, "Part of the model", text};
}

ReportCheck CheckFlops(const ReportView& view) {
  const std::string name = "FLOPs";
  std::vector<std::string> missed, unexplained;
  for (const Record* op : view.ops) {
    if (op->flops_note.starts_with(kFormulaMissed)) missed.push_back(op->op);
    if (op->flops_source == "counted" && op->executed_flops &&
        op->measured_flops != op->executed_flops) {
      unexplained.push_back(op->op);
    }
  }
  if (!missed.empty()) {
    return {CheckState::kError, name,
            fmt::format("{}: counted samples did not meet the formula of what the kernel executes",
                        Names(missed))};
  }
  if (view.total == nullptr) {
    return {CheckState::kUnavailable, name, "the ledger has no row for the whole pass"};
  }
  const Record& total = *view.total;
  if (!total.measured_flops) {
    return {CheckState::kUnavailable, name, "not measured: " + WhyNotMeasured(total)};
  }
  if (total.flops_source == "untrusted") {
    return {CheckState::kUnavailable, name, "not to be relied on: " + total.flops_note};
  }
  if (!total.executed_flops) {
    return {CheckState::kUnavailable, name,
            fmt::format("{} measured; the kernels have no formula to compare them with",
                        HumanScaled(static_cast<double>(*total.measured_flops), "FLOP"))};
  }
  const int64_t residual = *total.measured_flops - *total.executed_flops;
  if (residual == 0 && !unexplained.empty()) {
    return {CheckState::kError, name,
            fmt::format("the sum is right, but {} did not execute what the formula says",
                        Names(unexplained))};
  }
  if (residual == 0) {
    return {CheckState::kHolds, name,
            fmt::format("the {} FLOPs that were {} are those that the kernels execute by "
                        "construction, to the last one",
                        Grouped(*total.measured_flops),
                        total.flops_source == "pmu" ? "read from the counters" : "counted")};
  }
  // A processor retires more than one FLOP for an exponential; an exact count has no such excuse.
  return {total.flops_source == "pmu" ? CheckState::kUnavailable : CheckState::kError, name,
          fmt::format(
              "{} FLOPs ({:+.4f} %) of the measured ones are not explained by what the "
              "kernels execute by construction",
              Grouped(residual),
              100 * static_cast<double>(residual) / static_cast<double>(*total.executed_flops))};
}

ReportCheck CheckRoof(const ReportView& view) {
  const Roofline& roofline = view.roofline;
  const std::string name = "Roof";
  std::vector<std::string> above;
  for (const RooflineDot& dot : roofline.dots) {
    if (!dot.above_roof) continue;
    above.push_back(fmt::format("{} ({:.1f} GFLOP/s under a roof of {:.1f}, {})",
                                view.named.ledger.rows[dot.row].op, dot.flops_per_s / 1e9,
                                *dot.roof_flops_per_s / 1e9, dot.roof));
  }
  if (!above.empty()) {
    return {CheckState::kError, name,
            fmt::format("{} above {} roof, which cannot be: a time, a count or a ceiling is wrong",
                        Names(above) + (above.size() == 1 ? " is" : " are"),
                        above.size() == 1 ? "its" : "their")};
  }
  if (!roofline.peak_flops_per_s) {
    return {CheckState::kUnavailable, name, "the FMA peak was not measured"};
  }
  if (roofline.dots.empty()) {
    return {CheckState::kUnavailable, name, "no operation has a time, bytes and FLOPs"};
  }
  return {CheckState::kHolds, name,
          fmt::format("no operation is faster than the ceilings allow{}",
                      roofline.bandwidth.empty()
                          ? "; memory roof unavailable: " + roofline.bandwidth_unavailable
                          : "")};
}

ReportCheck CheckSeconds(const ReportView& view) {
  const std::string name = "Predicted seconds";
  const bool any = std::ranges::any_of(
      view.ops, [](const Record* row) { return row->predicted_time_s.has_value(); });
  if (!any)
    return {CheckState::kUnavailable, name, "the run had no calibration of this machine and build"};
  if (view.total == nullptr || !view.total->predicted_time_s || !view.total->time_s) {
    return {CheckState::kNote, name, "predicted for single operations only"};
  }
  return {
      CheckState::kNote, name,
      fmt::format("{} predicted from the calibration, {} measured{}",
                  HumanSeconds(*view.total->predicted_time_s), HumanSeconds(*view.total->time_s),
                  view.total->time_ratio
                      ? fmt::format(": {:+.1f} %", 100 * (*view.total->time_ratio - 1))
                      : "")};
}

ReportCheck CheckSpread(const ReportView& view) {
  const std::string name = "Spread";
  const Record* total = view.total;
  if (total == nullptr || !total->time_s || !total->time_mad_s || *total->time_s <= 0) {
    return {CheckState::kUnavailable, name, "the pass has no time with a spread"};
  }
  if (total->repetitions < 2) {
    return {CheckState::kUnavailable, name, "one repetition has none"};
  }
  return {CheckState::kNote, name,
          fmt::format("half of {} repetitions lie within ±{:.1f} % of the median",
                      total->repetitions, 100 * *total->time_mad_s / *total->time_s)};
}

/// Whether repetitions were disturbed; nothing where the ledger says nothing of any.
std::optional<ReportCheck> CheckDisturbances(const ReportView& view) {
  const auto doubtful = std::ranges::find_if(view.named.ledger.rows, [](const Record& row) {
    return !row.disturbed.empty() && row.pct_peak.value_or(0) <= 100;
  });
  if (doubtful != view.named.ledger.rows.end()) {
    return ReportCheck{CheckState::kDisturbed, "Quiet machine",
                       doubtful->disturbed + "; stop what else runs there, and run again"};
  }
  const auto& disturbances = view.named.ledger.environment.disturbances;
  const auto first = std::ranges::find(disturbances, true, &Disturbance::replaced);
  if (first == disturbances.end()) return std::nullopt;
  const auto replaced = std::ranges::count(disturbances, true, &Disturbance::replaced);
  return ReportCheck{CheckState::kNote, "Quiet machine",
                     fmt::format("{} repetition{} disturbed, and timed again: {}", replaced,
                                 replaced == 1 ? " was" : "s were", first->reason)};
}

std::vector<ReportCheck> MakeChecks(const ReportView& view) {
  std::vector<ReportCheck> checks = {CheckFlops(view), CheckRoof(view), CheckSeconds(view),
                                     CheckPass(view), CheckSpread(view)};
  if (auto disturbances = CheckDisturbances(view)) checks.push_back(*std::move(disturbances));
  const double steal_s = view.named.ledger.environment.steal_s.value_or(0);
  if (steal_s > 0) {
    checks.push_back({CheckState::kNote, "Steal",
                      fmt::format("the hypervisor withheld {} of processor time during the run",
                                  HumanSeconds(steal_s))});
  }
  return checks;
}

std::string Headline(const ReportView& view) {
  if (view.Has(CheckState::kError)) return "A check failed";
  if (view.Has(CheckState::kDisturbed)) return "Disturbed: do not rely on these times";
  if (!view.Has(CheckState::kUnavailable)) return "All checks passed";
  return "No check failed";
}

std::string Summary(const ReportView& view) {
  const Record& row = view.first();
  std::string text =
      row.layers_run == row.layers_total
          ? "One forward pass"
          : fmt::format("A pass through {} of {} layers", row.layers_run, row.layers_total);
  if (!view.pass_s) return text + ": no time was measured.";
  text += fmt::format(" took {}", HumanSeconds(*view.pass_s));
  if (view.total != nullptr && view.total->gflops) {
    text += fmt::format(" at {}", HumanScaled(*view.total->gflops * 1e9, "FLOP/s"));
    if (view.total->pct_peak) {
      text += fmt::format(", {:.1f} % of the FMA peak measured around it", *view.total->pct_peak);
    }
  }
  std::vector<const Record*> by_time;
  for (const Record* op : view.ops) {
    if (view.ShareOfTime(*op)) by_time.push_back(op);
  }
  std::ranges::sort(by_time, std::greater(), [](const Record* op) { return *op->time_s; });
  if (by_time.size() < 5) return text + ".";
  double share = 0;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < 3; ++i) {
    share += *view.ShareOfTime(*by_time[i]);
    names.push_back(by_time[i]->op);
  }
  return text + fmt::format(". {} take {:.0f} % of the time.", Names(names), 100 * share);
}

/// The ranks that shared each pass, and what they waited for one another.
void AddRanks(const ReportView& view, std::vector<ReportFact>& facts) {
  const auto& ranks = view.named.ledger.environment.ranks;
  if (!ranks) return;
  facts.push_back({"ranks", Grouped(ranks->ranks)});
  facts.push_back({"hosts of the ranks", fmt::format("{}", fmt::join(ranks->hosts, ", "))});
  for (const CollectiveSplit& split : ranks->collectives) {
    facts.push_back({split.op, fmt::format("{:.3f} ms of waiting, {:.3f} ms of transfer",
                                           split.waiting_s * 1e3, split.transfer_s * 1e3)});
  }
}

std::vector<ReportFact> RunFacts(const ReportView& view) {
  const Record& row = view.first();
  std::vector<ReportFact> facts = {
      {"model", row.model},
      {"context", Grouped(row.context)},
      {"batch", Grouped(row.batch)},
      {"layers run", fmt::format("{} of {}", Grouped(row.layers_run), Grouped(row.layers_total))},
      {"threads", Grouped(row.threads)},
      {"matmul", row.matmul},
      {"attention", row.attention},
      {"FLOPs counted under", row.convention},
      {"repetitions", Grouped(row.repetitions)},
      {"run", row.run_id},
  };
  AddRanks(view, facts);
  for (ReportFact& fact : facts) {
    if (fact.value->empty()) fact.value.reset();
  }
  return facts;
}

std::optional<std::string> Caches(const Environment& environment) {
  std::string text;
  for (const CacheFacts& cache : environment.machine.caches) {
    if (cache.type == "Instruction") continue;
    text += fmt::format("{}L{} {}", text.empty() ? "" : ", ", cache.level, cache.size);
  }
  if (text.empty()) return std::nullopt;
  return text;
}

std::vector<ReportFact> MachineFacts(const ReportView& view) {
  const Environment& environment = view.named.ledger.environment;
  const Environment::Machine& machine = environment.machine;
  const Environment::Build& build = environment.build;
  std::optional<std::string> processors, memory, peak, compiler = build.compiler;
  if (machine.processors) processors = Grouped(*machine.processors);
  if (processors && machine.virtual_machine.value_or(false)) *processors += ", virtual machine";
  if (machine.memory_bytes) memory = HumanBytes(*machine.memory_bytes);
  if (view.roofline.peak_flops_per_s) {
    peak = HumanScaled(*view.roofline.peak_flops_per_s, "FLOP/s");
  }
  if (compiler && build.flags) *compiler += " " + *build.flags;
  return {
      {"CPU", machine.cpu},
      {"processors", processors},
      {"SIMD of the build", build.simd},
      {"caches", Caches(environment)},
      {"memory", memory},
      {"FMA peak around the run", peak},
      {"frequency governor", machine.governor},
      {"kernel", machine.kernel},
      {"compiler", compiler},
      {"commit", build.commit},
      {"version", build.version},
  };
}

/// A word as a POSIX shell takes it literally.
std::string Quoted(const std::string& word) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("-_./=:,").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!word.empty() && std::ranges::all_of(word, plain)) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

bool IsPreset(const Record& row, const std::string& model) {
  const auto preset = std::ranges::find(Presets(), row.model, &ModelConfig::name);
  if (preset == Presets().end()) return false;
  return model.empty() || ToJson(*preset).dump() == model;
}

/// The distinct values of a field over the ledger's points, as a list on the command line.
template <class Value>
std::string ListOf(const Ledger& ledger, Value Record::*field) {
  std::vector<Value> values;
  std::string list;
  for (const Record& row : ledger.rows) {
    if (std::ranges::find(values, row.*field) != values.end()) continue;
    values.push_back(row.*field);
    list += fmt::format("{}{}", list.empty() ? "" : ",", row.*field);
  }
  return list;
}

/// --count as it was, as far as the rows show it.
std::string CountOption(const Record& row) {
  if (row.flops_source == "counted") return " --count full";
  if (row.flops_source == "confirmed") return " --count sample";
  return row.flops_note.find("--count off") == std::string::npos ? "" : " --count off";
}

/// A point of a sweep by what changes from its first point to its last.
std::string PointName(const Record& point, const Record& first, const Record& last) {
  std::vector<std::string> parts;
  if (first.context != last.context) parts.push_back(fmt::format("context {}", point.context));
  if (first.batch != last.batch) parts.push_back(fmt::format("batch {}", point.batch));
  if (first.threads != last.threads) parts.push_back(fmt::format("threads {}", point.threads));
  if (first.matmul != last.matmul) parts.push_back(point.matmul);
  std::string name;
  for (const std::string& part : parts) name += (name.empty() ? "" : ", ") + part;
  return name;
}

}  // namespace

std::vector<std::string> CommandsOf(const Ledger& ledger) {
  const Record& row = ledger.rows.front();
  const Environment& environment = ledger.environment;
  std::vector<std::string> lines;
  if (const auto& commit = environment.build.commit; commit && *commit != "unknown") {
    constexpr std::string_view kDirty = "-dirty";
    const bool dirty = commit->ends_with(kDirty);
    const std::string clean = dirty ? commit->substr(0, commit->size() - kDirty.size()) : *commit;
    lines.push_back("git checkout " + Quoted(clean) +
                    (dirty ? "  # the build had changes that are not in this commit" : ""));
  }
  std::string model = row.model;
  const std::string& config = environment.settings.model;
  if (!IsPreset(row, config)) {
    model = "model.json";
    lines.push_back(config.empty()
                        ? "# model.json: the model's configuration, which the ledger lacks"
                        : fmt::format("printf '%s' {} > {}", Quoted(config), model));
  }
  const std::string program = row.ranks > 1
                                  ? fmt::format("mpirun -n {} build/flopledger-mpi run", row.ranks)
                                  : "scripts/run";
  std::string run = fmt::format("{} --model {} --context {} --batch {}", program, Quoted(model),
                                ListOf(ledger, &Record::context), ListOf(ledger, &Record::batch));
  if (row.layers_run != row.layers_total) run += fmt::format(" --layers {}", row.layers_run);
  run += fmt::format(" --threads {} --matmul {} --attention {} --convention {}",
                     ListOf(ledger, &Record::threads), Quoted(ListOf(ledger, &Record::matmul)),
                     Quoted(row.attention), Quoted(row.convention));
  if (const auto& seed = environment.settings.seed) run += fmt::format(" --seed {}", *seed);
  run += CountOption(row);
  if (const auto& decode = environment.decode) run += fmt::format(" --decode {}", decode->tokens);
  if (row.repetitions > 0) run += fmt::format(" --benchmark_repetitions={}", row.repetitions);
  lines.push_back(run);
  for (std::string& line : lines) line = Printable(line);
  return lines;
}

void CheckReportable(const NamedLedger& named) {
  const auto& rows = named.ledger.rows;
  const auto is_op = [](const Record& row) {
    return row.kind != "total" && row.kind != "extrapolated";
  };
  if (std::ranges::none_of(rows, is_op)) {
    throw InputError(fmt::format("{}: the ledger has no operation to report", named.name));
  }
  for (const Record& row : rows) {
    if (row.run_id == rows.front().run_id) continue;
    throw InputError(fmt::format("{}: rows of more than one run ('{}' and '{}'); give each a file",
                                 named.name, rows.front().run_id, row.run_id));
  }
}

std::vector<NamedLedger> ByPoint(std::span<const NamedLedger> files) {
  const auto point_of = [](const Record& row) {
    return std::tuple(row.context, row.batch, row.threads, row.matmul);
  };
  std::vector<NamedLedger> ledgers;
  for (const NamedLedger& file : files) {
    const auto& rows = file.ledger.rows;
    std::vector<const Record*> points;  // the first row of each
    for (const Record& row : rows) {
      const bool is_new = std::ranges::none_of(
          points, [&](const Record* point) { return point_of(*point) == point_of(row); });
      if (is_new) points.push_back(&row);
    }
    if (points.size() < 2) {
      ledgers.push_back(file);
      continue;
    }
    for (const Record* point : points) {
      ledgers.push_back(
          {fmt::format("{}, {}", file.name, PointName(*point, *points.front(), *points.back())),
           file.ledger});
      NamedLedger& one = ledgers.back();
      std::erase_if(one.ledger.rows,
                    [&](const Record& row) { return point_of(row) != point_of(*point); });
      if (point != points.front()) one.ledger.environment.extrapolation.reset();
      // The ledger names a disturbance's backend only: of several points of it, whose is not known.
      const auto alike = std::ranges::count(points, point->matmul, &Record::matmul);
      std::erase_if(one.ledger.environment.disturbances, [&](const Disturbance& disturbance) {
        return alike > 1 || disturbance.matmul != point->matmul;
      });
    }
  }
  return ledgers;
}

ReportView::ReportView(const NamedLedger& source) : named(source) {
  CheckReportable(named);
  for (const Record& row : named.ledger.rows) {
    if (row.kind == "total") {
      total = &row;
    } else if (row.kind == "extrapolated") {
      extrapolated = &row;
    } else {
      ops.push_back(&row);
    }
  }
  if (total != nullptr && total->time_s && *total->time_s > 0) {
    pass_s = total->time_s;
  } else {
    double sum = 0;
    for (const Record* op : ops) sum += std::max(op->time_s.value_or(0), 0.0);
    if (sum > 0) pass_s = sum;
  }
  roofline = MakeRoofline(named.ledger);
  checks = MakeChecks(*this);
  run = RunFacts(*this);
  machine = MachineFacts(*this);
  commands = CommandsOf(named.ledger);
  headline = Headline(*this);
  summary = Summary(*this);
}

bool ReportView::Has(CheckState state) const {
  return std::ranges::count(checks, state, &ReportCheck::state) > 0;
}

std::optional<double> ReportView::ShareOfTime(const Record& row) const {
  if (!pass_s || !row.time_s || *row.time_s < 0) return std::nullopt;
  return *row.time_s / *pass_s;
}

std::string WhyNotMeasured(const Record& row) {
  return row.flops_note.empty() ? "the ledger does not say why" : row.flops_note;
}

}  // namespace flopledger
