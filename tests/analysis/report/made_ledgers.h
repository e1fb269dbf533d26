// Ledgers made for the tests of the page, and what is looked for in it.
#pragma once

#include <fmt/format.h>

#include <regex>
#include <string>
#include <vector>

#include "analysis/ledger/roofline.h"
#include "analysis/report/report.h"

namespace flopledger {

/// A product at half of a peak of 100 GFLOP/s: 1 GFLOP in 20 ms on 10 MB.
inline Record MakeOp(const std::string& name) {
  Record row;
  row.run_id = "tiny-1";
  row.model = "tiny";
  row.context = 64;
  row.batch = 1;
  row.layers_run = row.layers_total = 2;
  row.threads = 2;
  row.matmul = "packed";
  row.attention = "fused";
  row.op = name;
  row.kind = "matmul";
  row.m = row.n = row.k = 64;
  row.count = 2;
  row.convention = "matmul";
  row.predicted_flops = row.executed_flops = row.measured_flops = 1'000'000'000;
  row.flops_source = "counted";
  row.flops_ratio = 1;
  row.time_s = 0.02;
  row.time_mad_s = 0.001;
  row.repetitions = 3;
  row.gflops = 50;
  row.peak_gflops = 100;
  row.pct_peak = 50;
  row.bytes = 10'000'000;
  row.intensity = 100;
  return row;
}

inline Record MakeTotal(const std::vector<Record>& ops) {
  Record total = ops.front();
  total.op = total.kind = "total";
  const auto size = static_cast<int64_t>(ops.size());
  total.predicted_flops = total.executed_flops = total.measured_flops = size * 1'000'000'000;
  total.time_s = 0.02 * static_cast<double>(size);
  return total;
}

inline NamedLedger MakeLedger(int ops) {
  NamedLedger named{"tiny.json", {}};
  for (int i = 0; i < ops; ++i) named.ledger.rows.push_back(MakeOp(fmt::format("op{}", i)));
  named.ledger.rows.push_back(MakeTotal(named.ledger.rows));
  return named;
}

/// With the ceilings of a machine: its roofline has slopes.
inline NamedLedger Calibrated(NamedLedger named) {
  const Ceilings ceilings{
      .threads = 2,
      .fma_flops_per_s = {},
      .bandwidth = {{"L1", 64'000, {8e11, 1}, {1, 1}}, {"memory", std::nullopt, {1e10, 1}, {1, 1}}},
      .product_flops_per_s = {},
      .fork_join_s = {},
      .exp_s = {},
      .clock_hz = {},
      .theoretical_flops_per_s = Measured{1.25e11, 0}};
  named.ledger.environment.calibration = CalibrationFacts{
      .taken = "", .ceilings = {ceilings}, .scaled_to = {}, .total_by_the_peak_alone_s = {}};
  return named;
}

/// With three repetitions of each operation and of the pass.
inline NamedLedger Repeated(NamedLedger named) {
  for (Record& row : named.ledger.rows) {
    row.samples_s = {*row.time_s, *row.time_s * 1.1, *row.time_s * 0.95};
  }
  named.ledger.rows.back().peak_samples_gflops = {100, 99, 90};
  return named;
}

inline std::string Html(const NamedLedger& named) { return ToHtml({&named, 1}); }
inline std::string Markdown(const NamedLedger& named) { return ToMarkdown({&named, 1}); }

inline std::size_t CountOf(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) {
    ++count;
  }
  return count;
}

/// Names of elements that are not closed in the order in which they were opened; script and style
/// are skipped.
inline std::vector<std::string> Unbalanced(std::string html) {
  for (const char* raw : {"style", "script"}) {
    const auto begin = html.find(fmt::format("<{}>", raw)),
               end = html.find(fmt::format("</{}>", raw));
    html.erase(begin, end - begin + std::string(raw).size() + 3);
  }
  static const std::regex tag(R"(<(/?)([a-zA-Z0-9]+)((?:[^>"]|"[^"]*")*?)(/?)>)");
  std::vector<std::string> open, wrong;
  for (std::sregex_iterator at(html.begin(), html.end(), tag), end; at != end; ++at) {
    const std::string name = (*at)[2];
    if (name == "meta" || name == "link" || (*at)[4].length() > 0) continue;
    if ((*at)[1].length() == 0) {
      open.push_back(name);
    } else if (!open.empty() && open.back() == name) {
      open.pop_back();
    } else {
      wrong.push_back(name);
    }
  }
  wrong.insert(wrong.end(), open.begin(), open.end());
  return wrong;
}

}  // namespace flopledger
