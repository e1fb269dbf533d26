#include "analysis/report/side_by_side.h"

#include <fmt/format.h>

#include <algorithm>

namespace flopledger {
Table SideBySide(const std::vector<Record>& rows, const std::string& title,
                 std::optional<double> Record::*field, double scale, int digits) {
  const std::vector<std::string> backends = Distinct(rows, &Record::matmul);
  Table table{{{title, false}, {"m"}, {"n"}, {"k"}}, {}};
  for (const std::string& backend : backends) table.columns.push_back({backend});
  for (const std::string& op : Distinct(rows, &Record::op)) {
    const Record& shape = *std::ranges::find(rows, op, &Record::op);
    std::vector<std::string> line = {op, OrBlank(shape.m), OrBlank(shape.n), OrBlank(shape.k)};
    for (const std::string& backend : backends) {
      const auto row = std::ranges::find_if(
          rows, [&](const Record& r) { return r.op == op && r.matmul == backend; });
      const bool has = row != rows.end() && (*row).*field;
      line.push_back(has ? fmt::format("{:.{}f}", scale * *((*row).*field), digits) : "");
    }
    table.rows.push_back(std::move(line));
  }
  return table;
}

}  // namespace flopledger
