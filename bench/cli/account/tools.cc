// `account --convention nanogpt` and the like, and `--conventions`: what others count, and why it
// differs.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <nlohmann/json.hpp>

#include "bench/cli/account/account.h"
#include "bench/cli/cli.h"
#include "bench/cli/terminal.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// "+1,234" or "-1,234".
std::string Signed(int64_t value) { return (value > 0 ? "+" : "") + Grouped(value); }

std::string Deviation(int64_t value, int64_t exact) {
  return fmt::format("{:+.2f}",
                     100 * (static_cast<double>(value) / static_cast<double>(exact) - 1));
}

/// The accounting with our own convention in place of the other tool's.
Accounting AccountingBehind(AccountOptions options) {
  options.convention = "matmul";
  return MakeAccounting(options);
}

nlohmann::json ToJson(const std::vector<NamedCount>& parts) {
  nlohmann::json list = nlohmann::json::object();
  for (const NamedCount& part : parts) list[std::string(part.name)] = part.value;
  return list;
}

nlohmann::json ToJson(const Accounting& accounting, const OtherTool& tool,
                      const ToolFigure& figure) {
  nlohmann::json account = ToJson(accounting);
  account["convention"] = tool.name;
  account["flops"] = {{"total", figure.forward}, {"components", ToJson(figure.terms)}};
  account["training_flops"] = figure.training ? nlohmann::json(*figure.training) : nlohmann::json();
  account["counts_macs"] = tool.counts_macs;
  account["formula"] = tool.formula;
  account["counts"] = tool.counts;
  account["source"] = tool.source;
  account["against_matmul"] = {{"matmul", accounting.exact_flops},
                               {"difference", figure.forward - accounting.exact_flops},
                               {"because", ToJson(figure.differences)}};
  account.erase("ops");
  account.erase("rule_of_thumb");
  return account;
}

std::string Reasons(const ToolFigure& figure) {
  std::string reasons;
  for (const NamedCount& part : figure.differences) {
    if (!reasons.empty()) reasons += "; ";
    reasons += fmt::format("{} ({})", part.name, Signed(part.value));
  }
  return reasons.empty() ? "the same" : reasons;
}

}  // namespace

int AccountOtherTool(const AccountOptions& options, const OtherTool& tool, std::ostream& out) {
  const Format format = ParseFormat(options.format);
  const Accounting accounting = AccountingBehind(options);
  const ToolFigure figure = tool.figure(accounting.model, accounting.shape);
  if (format == Format::kJson) {
    out << ToJson(accounting, tool, figure).dump(2) << '\n';
    return kDone;
  }
  const char* unit = tool.counts_macs ? "its FLOPs: a multiply-add is one" : "FLOPs";
  Table terms{{{"forward pass", false}, {unit}}, {}};
  for (const NamedCount& term : figure.terms) {
    terms.rows.push_back({std::string(term.name), Grouped(term.value)});
  }
  terms.rows.push_back({"total", Grouped(figure.forward)});
  if (figure.training) {
    terms.rows.push_back({"forward and backward", Grouped(*figure.training)});
  }
  Table bridge{{{"from ours to theirs", false}, {"FLOPs"}}, {}};
  bridge.rows.push_back({"matmul: our matrix products", Grouped(accounting.exact_flops)});
  for (const NamedCount& part : figure.differences) {
    bridge.rows.push_back({std::string(part.name), Signed(part.value)});
  }
  bridge.rows.push_back({std::string(tool.name), Grouped(figure.forward)});
  if (format == Format::kCsv) {
    Table all{{{"table"}, {"part"}, {"value"}}, {}};
    for (const NamedCount& term : figure.terms) {
      all.rows.push_back({"forward", std::string(term.name), fmt::to_string(term.value)});
    }
    all.rows.push_back({"forward", "total", fmt::to_string(figure.forward)});
    if (figure.training) {
      all.rows.push_back({"training", "total", fmt::to_string(*figure.training)});
    }
    all.rows.push_back({"matmul", "total", fmt::to_string(accounting.exact_flops)});
    for (const NamedCount& part : figure.differences) {
      all.rows.push_back({"difference", std::string(part.name), fmt::to_string(part.value)});
    }
    out << all.ToCsv();
    return kDone;
  }
  PrintNote(
      out, fmt::format("{}\ncontext {}, batch {}; as {} counts: {}\n{}\n({})",
                       ModelLine(accounting.model), Grouped(accounting.shape.context),
                       accounting.shape.batch, tool.title, tool.formula, tool.counts, tool.source));
  out << '\n';
  out << Drawn(terms, format, out) << '\n' << Drawn(bridge, format, out);
  PrintNote(out, fmt::format("\n{} % off our matrix products",
                             Deviation(figure.forward, accounting.exact_flops)));
  return kDone;
}

int AccountConventions(const AccountOptions& options, std::ostream& out) {
  const Format format = ParseFormat(options.format);
  const Accounting accounting = AccountingBehind(options);
  const bool for_people = format == Format::kTable || format == Format::kMarkdown;
  const auto number = [&](int64_t value) {
    return for_people ? Grouped(value) : fmt::to_string(value);
  };
  Table table{{{"convention", false},
               {"forward FLOPs"},
               {"% off matmul"},
               {"training FLOPs"},
               {"differs by", false}},
              {}};
  nlohmann::json list = nlohmann::json::array();
  for (const ConventionInfo& info : Conventions()) {
    const int64_t total = CountFlops(accounting.model, accounting.shape, info.value).total;
    table.rows.push_back({std::string(info.name), number(total),
                          Deviation(total, accounting.exact_flops), "", std::string(info.meaning)});
    list.push_back({{"convention", info.name},
                    {"forward", total},
                    {"training", nullptr},
                    {"meaning", info.meaning},
                    {"source", info.source}});
  }
  for (const OtherTool& tool : OtherTools()) {
    const ToolFigure figure = tool.figure(accounting.model, accounting.shape);
    table.rows.push_back({std::string(tool.name), number(figure.forward),
                          Deviation(figure.forward, accounting.exact_flops),
                          figure.training ? number(*figure.training) : "", Reasons(figure)});
    list.push_back({{"convention", tool.name},
                    {"forward", figure.forward},
                    {"training", figure.training ? nlohmann::json(*figure.training) : nullptr},
                    {"meaning", tool.counts},
                    {"formula", tool.formula},
                    {"because", ToJson(figure.differences)},
                    {"source", tool.source}});
  }
  if (format == Format::kJson) {
    out << nlohmann::json{{"model", accounting.model.name},
                          {"context", accounting.shape.context},
                          {"batch", accounting.shape.batch},
                          {"conventions", list}}
               .dump(2)
        << '\n';
    return kDone;
  }
  if (for_people) {
    PrintNote(out, fmt::format("{}\ncontext {}, batch {}", ModelLine(accounting.model),
                               Grouped(accounting.shape.context), accounting.shape.batch));
    out << '\n';
  }
  out << Drawn(table, format, out);
  return kDone;
}

}  // namespace flopledger
