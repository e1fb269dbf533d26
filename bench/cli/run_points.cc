// What `run` prints of a sweep: a table of its points, and a chart.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "analysis/text/table.h"
#include "bench/cli/run_output.h"
#include "bench/cli/terminal.h"

namespace flopledger {
namespace {

const Record* TotalOf(const RunResult& result) {
  const auto& rows = result.ledger.rows;
  const auto total = std::ranges::find(rows, "total", &Record::op);
  return total == rows.end() ? nullptr : &*total;
}

/// What a point is called by: the settings that a sweep may change.
struct PointKey {
  const char* title;
  std::string (*of)(const Record&);
};
constexpr PointKey kKeys[] = {{"context", [](const Record& row) { return Grouped(row.context); }},
                              {"batch", [](const Record& row) { return Grouped(row.batch); }},
                              {"threads", [](const Record& row) { return Grouped(row.threads); }},
                              {"matmul", [](const Record& row) { return row.matmul; }}};

/// The keys in which the points differ.
std::vector<PointKey> KeysThatDiffer(const std::vector<const Record*>& points) {
  std::vector<PointKey> keys;
  for (const PointKey& key : kKeys) {
    std::set<std::string> values;
    for (const Record* point : points) values.insert(key.of(*point));
    if (values.size() > 1) keys.push_back(key);
  }
  return keys;
}

Table PointsTable(const std::vector<const Record*>& points, const std::vector<PointKey>& keys) {
  Table table;
  for (const PointKey& key : keys) table.columns.push_back({key.title});
  for (const char* title : {"ms", "± MAD", "tokens/s", "GFLOP/s", "% of peak"}) {
    table.columns.push_back({title});
  }
  table.columns.push_back({"FLOPs meas./ pred.", true, 2});
  table.columns.push_back({"seconds meas./ pred.", true, 1});
  for (const Record* point : points) {
    std::vector<std::string> row;
    for (const PointKey& key : keys) row.push_back(key.of(*point));
    const auto tokens = static_cast<double>(point->context * point->batch);
    const auto rate = point->time_s ? std::optional(tokens / *point->time_s) : std::nullopt;
    for (std::string cell :
         {Milliseconds(point->time_s), Milliseconds(point->time_mad_s), OrBlank(rate, 1),
          OrBlank(point->gflops, 1), OrBlank(point->pct_peak, 1), OrBlank(point->flops_ratio, 4),
          OrBlank(point->time_ratio, 3)}) {
      row.push_back(std::move(cell));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// A line a point: a bar of its seconds, and one of its share of the peak.
Table Chart(const std::vector<const Record*>& points, const std::vector<PointKey>& keys,
            std::size_t width) {
  Table chart{{{"point", false}, {"seconds", false}, {"share of the peak", false}}, {}};
  double longest = 0;
  for (const Record* point : points) longest = std::max(longest, point->time_s.value_or(0));
  for (const Record* point : points) {
    std::string name;
    for (const PointKey& key : keys) {
      name += fmt::format("{}{} {}", name.empty() ? "" : ", ", key.title, key.of(*point));
    }
    const double seconds = point->time_s.value_or(0);
    chart.rows.push_back(
        {name,
         fmt::format("|{}| {}", Bar(longest > 0 ? seconds / longest : 0, width),
                     HumanSeconds(seconds)),
         point->pct_peak
             ? fmt::format("|{}| {:.1f} %", Bar(*point->pct_peak / 100, width), *point->pct_peak)
             : "unavailable"});
  }
  return chart;
}

}  // namespace

void PrintPoints(const RunSettings& settings, std::span<const RunResult> results,
                 std::ostream& out) {
  std::vector<const Record*> points;
  for (const RunResult& result : results) {
    if (const Record* total = TotalOf(result)) points.push_back(total);
  }
  const std::vector<PointKey> keys = KeysThatDiffer(points);
  PrintDisturbed(results, out);
  PrintNote(out, fmt::format("{}: {} points, {} of {} layers; repetitions interleaved at random, "
                             "each verified before it was timed",
                             settings.model.name, points.size(), results.front().plan.layers,
                             settings.model.num_layers));
  PrintNote(out, OneLine(results.front().ledger.environment));
  PrintRanks(results.front().ledger.environment, out);
  out << '\n' << Drawn(PointsTable(points, keys), Format::kTable, out) << '\n';
  const std::size_t width = WidthOf(out) < 100 ? 12 : 22;
  out << Drawn(Chart(points, keys, width), Format::kTable, out);
}

}  // namespace flopledger
