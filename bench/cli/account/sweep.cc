// `account --sweep`: several accounts side by side, and how the shares move.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "analysis/accounting/sweep.h"
#include "bench/cli/account/account.h"
#include "bench/cli/cli.h"
#include "bench/cli/terminal.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

struct AccountedPoint {
  SweepPoint point;
  Accounting accounting;
};

constexpr std::size_t kBarWidth = 60;

/// The letter of a component in a bar: small for what is no matrix product.
char LetterOf(std::string_view component) {
  constexpr std::pair<std::string_view, char> kLetters[] = {{"attention_qkv", 'Q'},
                                                            {"attention_scores", 'S'},
                                                            {"attention_values", 'V'},
                                                            {"attention_out", 'O'},
                                                            {"ffn", 'F'},
                                                            {"lm_head", 'L'},
                                                            {"embedding", 'e'},
                                                            {"attention_softmax", 's'},
                                                            {"norms", 'n'},
                                                            {"rope", 'r'},
                                                            {"residual", 'd'}};
  const auto* found =
      std::ranges::find(kLetters, component, &std::pair<std::string_view, char>::first);
  return found == std::end(kLetters) ? '?' : found->second;
}

/// The components that any point has FLOPs in, by their place.
std::vector<std::size_t> Present(const std::vector<AccountedPoint>& points) {
  std::vector<std::size_t> present;
  for (std::size_t i = 0; i < points.front().accounting.flops.components.size(); ++i) {
    const bool any = std::ranges::any_of(points, [&](const AccountedPoint& accounted) {
      return accounted.accounting.flops.components[i].value > 0;
    });
    if (any) present.push_back(i);
  }
  return present;
}

double Share(const Breakdown& breakdown, std::size_t component) {
  return static_cast<double>(breakdown.components[component].value) /
         static_cast<double>(breakdown.total);
}

/// A row a point: sizes, the total against the first, the share of each component; below, how the
/// shares move from the first point to the last.
Table SharesTable(const std::string& key, const std::vector<AccountedPoint>& points) {
  const std::vector<std::size_t> present = Present(points);
  Table table{{{key, false}, {"parameters", true, 3}, {"FLOPs", true, 1}, {"× first", true, 2}},
              {}};
  const Breakdown& first = points.front().accounting.flops;
  const Breakdown& last = points.back().accounting.flops;
  for (const std::size_t i : present) {
    table.columns.push_back({fmt::format("{} %", first.components[i].name)});
  }
  for (const AccountedPoint& accounted : points) {
    const Breakdown& flops = accounted.accounting.flops;
    table.rows.push_back({accounted.point.value, Grouped(accounted.accounting.params.total),
                          Grouped(flops.total),
                          fmt::format("{:.4g}", static_cast<double>(flops.total) /
                                                    static_cast<double>(first.total))});
    for (const std::size_t i : present) {
      table.rows.back().push_back(Percent(flops.components[i].value, flops.total));
    }
  }
  if (points.size() > 1) {
    table.rows.push_back({"change", "", "", ""});
    for (const std::size_t i : present) {
      table.rows.back().push_back(fmt::format("{:+.2f}", 100 * (Share(last, i) - Share(first, i))));
    }
  }
  return table;
}

void PrintChart(const std::vector<AccountedPoint>& points, std::ostream& out) {
  const std::vector<std::size_t> present = Present(points);
  std::string letters, legend;
  for (const std::size_t i : present) {
    const std::string_view name = points.front().accounting.flops.components[i].name;
    letters += LetterOf(name);
    legend += fmt::format("{}{} {}", legend.empty() ? "" : "  ", letters.back(), name);
  }
  std::size_t widest = 0;
  for (const auto& accounted : points) widest = std::max(widest, accounted.point.value.size());
  for (const AccountedPoint& accounted : points) {
    std::vector<int64_t> parts;
    for (const std::size_t i : present) {
      parts.push_back(accounted.accounting.flops.components[i].value);
    }
    fmt::print(out, "{:>{}} |{}|\n", accounted.point.value, widest,
               StackedBar(parts, letters, kBarWidth));
  }
  fmt::print(out, "{:>{}}  0 % {:>{}}\n", "", widest, "100 %", kBarWidth - 4);
  PrintNote(out, legend);
}

Table LongTable(const std::string& key, const std::vector<AccountedPoint>& points) {
  Table table{{{"sweep"},
               {"point"},
               {"model"},
               {"context"},
               {"batch"},
               {"convention"},
               {"quantity"},
               {"component"},
               {"value"},
               {"unit"},
               {"share"}},
              {}};
  for (const auto& [point, accounting] : points) {
    const auto add = [&, &at = point, &b = accounting](const char* quantity,
                                                       std::string_view component, int64_t value,
                                                       const char* unit, int64_t total) {
      table.rows.push_back({key, at.value, b.model.name, fmt::to_string(at.context),
                            fmt::to_string(at.batch), std::string(InfoOf(b.convention).name),
                            quantity, std::string(component), fmt::to_string(value), unit,
                            total == 0 ? ""
                                       : fmt::format("{:.17g}", static_cast<double>(value) /
                                                                    static_cast<double>(total))});
    };
    for (const NamedCount& part : accounting.params.components) {
      add("params", part.name, part.value, "parameters", accounting.params.total);
    }
    add("params", "total", accounting.params.total, "parameters", accounting.params.total);
    add("memory", "weights", accounting.memory.weights_bytes, "bytes", 0);
    add("memory", "activations", accounting.memory.activation_bytes, "bytes", 0);
    add("memory", "kv_cache", accounting.memory.kv_cache_bytes, "bytes", 0);
    for (const NamedCount& part : accounting.flops.components) {
      add("flops", part.name, part.value, "FLOPs", accounting.flops.total);
    }
    add("flops", "total", accounting.flops.total, "FLOPs", accounting.flops.total);
  }
  return table;
}

nlohmann::json ToJson(const std::string& key, const std::vector<AccountedPoint>& points) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [point, accounting] : points) {
    nlohmann::json account = ToJson(accounting);
    account.erase("ops");
    account["point"] = point.value;
    account["positions_grown"] = point.grown;
    list.push_back(std::move(account));
  }
  return {{"sweep", key}, {"points", std::move(list)}};
}

}  // namespace

int AccountSweep(const AccountOptions& options, std::ostream& out) {
  const Format format = ParseFormat(options.format);
  const Sweep sweep = ParseSweep(options.sweep);
  if (sweep.key == "context" && options.context) {
    throw InputError("--context and --sweep context=… do not go together");
  }
  std::vector<AccountedPoint> points;
  for (SweepPoint& point : SweepPoints(sweep, options.model, options.context, options.batch)) {
    Accounting accounting = MakeAccounting(point.model, point.context, point.batch, options);
    points.push_back({std::move(point), std::move(accounting)});
  }
  if (format == Format::kJson) {
    out << ToJson(sweep.key, points).dump(2) << '\n';
    return kDone;
  }
  if (format == Format::kCsv) {
    out << LongTable(sweep.key, points).ToCsv();
    return kDone;
  }
  const Accounting& first = points.front().accounting;
  PrintNote(out, fmt::format("{} by {}; {}", sweep.key == "model" ? "models" : first.model.name,
                             sweep.key, InfoOf(first.convention).name));
  out << '\n';
  const bool markdown = format == Format::kMarkdown;
  out << Drawn(SharesTable(sweep.key, points), format, out) << '\n';
  if (markdown) out << "```\n";
  PrintChart(points, out);
  if (markdown) out << "```\n";
  if (std::ranges::any_of(points, [](const AccountedPoint& p) { return p.point.grown; })) {
    PrintNote(out,
              "\nBeyond its context_length the model's table of learned positions is taken to grow "
              "with the context; its parameters with it.");
  }
  return kDone;
}

}  // namespace flopledger
