// `account --explain`: every formula with its letters and numbers, and which parts need the most.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "analysis/audit/explain.h"
#include "bench/cli/account/account.h"
#include "bench/cli/cli.h"
#include "bench/cli/terminal.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// The components that are not 0, the largest first.
std::vector<NamedCount> Sorted(const Breakdown& breakdown) {
  std::vector<NamedCount> parts = breakdown.components;
  std::erase_if(parts, [](const NamedCount& part) { return part.value == 0; });
  std::ranges::stable_sort(parts, std::greater<>(), &NamedCount::value);
  return parts;
}

Table TableOf(const ExplainedSection& section) {
  const bool shapes = std::ranges::any_of(
      section.lines, [](const ExplainedLine& line) { return !line.shape.empty(); });
  Table table{{{section.title, false}}, {}};
  if (shapes) table.columns.push_back({"shape", false});
  table.columns.insert(table.columns.end(),
                       {{"formula", false}, {"= in numbers", false}, {"= " + section.unit}});
  for (const ExplainedLine& line : section.lines) {
    std::vector<std::string> row{line.name};
    if (shapes) row.push_back(line.shape);
    row.insert(row.end(), {line.letters, line.numbers, Grouped(line.value)});
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table SortedTable(const Breakdown& breakdown, const char* heading, const char* unit) {
  Table table{{{heading, false}, {unit}, {"% of total"}}, {}};
  for (const NamedCount& part : Sorted(breakdown)) {
    table.rows.push_back(
        {std::string(part.name), Grouped(part.value), Percent(part.value, breakdown.total)});
  }
  return table;
}

nlohmann::json ToJson(const std::vector<ExplainedSection>& sections) {
  nlohmann::json list = nlohmann::json::array();
  for (const ExplainedSection& section : sections) {
    for (const ExplainedLine& line : section.lines) {
      list.push_back({{"section", section.title},
                      {"name", line.name},
                      {"shape", line.shape.empty() ? nlohmann::json() : nlohmann::json(line.shape)},
                      {"formula", line.letters},
                      {"numbers", line.numbers},
                      {"value", line.value},
                      {"unit", section.unit}});
    }
  }
  return list;
}

}  // namespace

int AccountExplain(const AccountOptions& options, std::ostream& out) {
  const Format format = ParseFormat(options.format);
  const Accounting accounting = MakeAccounting(options);
  const std::vector<ExplainedSection> sections =
      Explain(accounting.model, accounting.memory_shape, accounting.convention);
  if (format == Format::kJson) {
    nlohmann::json account = ToJson(accounting);
    account["explain"] = ToJson(sections);
    out << account.dump(2) << '\n';
    return kDone;
  }
  if (format == Format::kCsv) {
    Table all{{{"section"}, {"name"}, {"shape"}, {"formula"}, {"numbers"}, {"value"}, {"unit"}},
              {}};
    for (const ExplainedSection& section : sections) {
      for (const ExplainedLine& line : section.lines) {
        all.rows.push_back({section.title, line.name, line.shape, line.letters, line.numbers,
                            fmt::to_string(line.value), section.unit});
      }
    }
    out << all.ToCsv();
    return kDone;
  }
  PrintNote(out, fmt::format("{}\n{}", ModelLine(accounting.model),
                             ShapeLine(accounting.shape, accounting.convention)));
  out << '\n';
  PrintNote(
      out,
      fmt::format(
          "B batch {}, T context {}, L layers {}, C d_model {}, NH heads {}, NKV key/value heads "
          "{}, HS head size {}, F d_ff {}, V vocabulary {}, P parameters {}",
          accounting.shape.batch, Grouped(accounting.shape.context), accounting.model.num_layers,
          Grouped(accounting.model.d_model), accounting.model.num_heads,
          accounting.model.num_kv_heads, accounting.model.head_size(),
          Grouped(accounting.model.d_ff), Grouped(accounting.model.vocab_size),
          Grouped(accounting.params.total)));
  out << '\n';
  for (const ExplainedSection& section : sections)
    out << Drawn(TableOf(section), format, out) << '\n';
  out << Drawn(SortedTable(accounting.flops, "most FLOPs first", "FLOPs"), format, out) << '\n';
  out << Drawn(SortedTable(accounting.params, "most parameters first", "count"), format, out);
  return kDone;
}

}  // namespace flopledger
