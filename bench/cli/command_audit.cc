// `audit`: hand-made claims against the derivation, and the list of quantities.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "analysis/audit/audit.h"
#include "analysis/audit/quantities.h"
#include "analysis/text/table.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/cli/terminal.h"
#include "model/json.h"

namespace flopledger {
namespace {

void Print(const Table& table, Format format, std::ostream& out) {
  out << Drawn(table, format, out);
}

nlohmann::json Number(const Exact& value) {
  if (denominator(value) == 1 && value <= Exact(INT64_MAX)) return value.convert_to<int64_t>();
  return value.convert_to<double>();
}

std::string Ratio(const Finding& finding) {
  if (finding.derived == 0 || finding.verdict == Verdict::kUnreadable) return "";
  return fmt::format("{:.6g}",
                     Exact(finding.claim.figure.value / finding.derived).convert_to<double>());
}

/// The other convention in which the claimed figure is right, where there is one.
nlohmann::json ConventionOf(const Finding& finding) {
  if (finding.verdict == Verdict::kRightUnder) return "all";
  if (finding.coincidences.empty()) return nullptr;
  return finding.coincidences.front().convention;
}

nlohmann::json ToJson(const Finding& finding) {
  nlohmann::json causes = nlohmann::json::array();
  for (const Cause& cause : finding.causes) {
    causes.push_back({{"text", cause.text}, {"kind", cause.kind}, {"factor", cause.factor}});
  }
  const bool readable = finding.verdict != Verdict::kUnreadable;
  nlohmann::json ratio;
  if (finding.derived != 0 && readable) {
    ratio = Exact(finding.claim.figure.value / finding.derived).convert_to<double>();
  }
  return {{"id", finding.claim.id},
          {"text", finding.claim.text},
          {"quantity", finding.claim.quantity},
          {"claimed", readable ? Number(finding.claim.figure.value) : nlohmann::json()},
          {"written", finding.claim.figure.written},
          {"derived", Number(finding.derived)},
          {"formula", finding.formula},
          {"verdict", NameOf(finding.verdict)},
          {"convention", ConventionOf(finding)},
          {"ratio", ratio},
          {"follows_from", finding.follows},
          {"via", finding.via},
          {"cause", causes.empty() ? nlohmann::json() : causes.front()["text"]},
          {"causes", causes},
          {"more_causes", finding.more_causes},
          {"remark", finding.Remark()}};
}

/// What stands for a claim in the table: its id and, where that is only its place, its text.
std::string Called(const Claim& claim) {
  if (!claim.id_is_place || claim.text.empty()) return claim.id;
  constexpr std::size_t kLongest = 40;
  const std::string text = claim.text.size() > kLongest
                               ? claim.text.substr(0, claim.text.rfind(' ', kLongest)) + " …"
                               : claim.text;
  return fmt::format("{}: {}", claim.id, OneLine(text));
}

void ListQuantities(const AuditSetting& setting, Format format, std::ostream& out) {
  const Catalogue catalogue(setting);
  if (format == Format::kJson) {
    nlohmann::json list = nlohmann::json::array();
    for (const Quantity& quantity : catalogue.quantities()) {
      list.push_back({{"name", quantity.name},
                      {"unit", NameOf(quantity.unit)},
                      {"meaning", quantity.meaning},
                      {"formula", quantity.Formula()},
                      {"value", Number(quantity.value)}});
    }
    fmt::print(out, "{}\n", list.dump(1));
    return;
  }
  Table table{
      {{"quantity", false}, {"value"}, {"unit", false}, {"formula", false}, {"meaning", false}},
      {}};
  for (const Quantity& quantity : catalogue.quantities()) {
    table.rows.push_back({quantity.name, Show(quantity.value), std::string(NameOf(quantity.unit)),
                          quantity.Formula(), quantity.meaning});
  }
  Print(table, format, out);
}

std::vector<Claim> ReadClaims(const std::string& path, const AuditSetting& setting) {
  const std::string where = path == "-" ? "standard input" : path;
  const std::string text =
      path == "-" ? std::string(std::istreambuf_iterator<char>(std::cin), {}) : ReadTextFile(path);
  const auto first = text.find_first_not_of(" \t\r\n");
  const bool looks_json = first != std::string::npos && (text[first] == '[' || text[first] == '{');
  const bool csv = path.ends_with(".csv") || (path == "-" && !looks_json);
  return csv ? ParseClaimsCsv(text, setting, where) : ParseClaimsJson(text, setting, where);
}

}  // namespace

int RunAudit(const AuditOptions& options, std::ostream& out, std::ostream& err) {
  const Format format = ParseFormat(options.format);
  AuditSetting setting;
  setting.model = LoadModel(options.model);
  setting.context = options.context.value_or(setting.model.context_length);
  setting.batch = options.batch;
  SetConvention(setting, options.convention, "--convention");
  if (options.dtype) setting.dtype = setting.kv_dtype = ParseNumberType(*options.dtype, "--dtype");
  if (options.kv_dtype) setting.kv_dtype = ParseNumberType(*options.kv_dtype, "--kv-dtype");
  FitPositions(setting);
  if (options.quantities) {
    ListQuantities(setting, format, out);
    if (format == Format::kTable) {
      PrintNext(err,
                "'flopledger audit FILE' checks claims such as {\"quantity\": "
                "\"params.total.model\", \"value\": \"124M\"}");
    }
    return kDone;
  }
  if (options.claims.empty()) {
    throw InputError("audit needs a file of claims (.json, .csv or - ), or --quantities");
  }

  const std::vector<Finding> findings = Audit(ReadClaims(options.claims, setting));
  bool all_right = true;
  nlohmann::json list = nlohmann::json::array();
  Table table{{{"claim", false},
               {"quantity", false},
               {"claimed"},
               {"derived"},
               {"ratio", true, 1},
               {"verdict", false},
               {"why", false}},
              {}};
  for (const Finding& finding : findings) {
    all_right = all_right &&
                (finding.verdict == Verdict::kRight || finding.verdict == Verdict::kRightUnder);
    list.push_back(ToJson(finding));
    const bool right = finding.verdict == Verdict::kRight;
    const bool under = finding.verdict == Verdict::kRightUnder;
    table.rows.push_back(
        {Called(finding.claim), finding.claim.quantity, finding.claim.figure.written,
         Show(finding.derived), right ? "" : Ratio(finding),
         under ? "right" : std::string(NameOf(finding.verdict)), finding.Remark()});
  }
  if (format == Format::kJson) {
    fmt::print(out, "{}\n", nlohmann::json{{"all_right", all_right}, {"claims", list}}.dump(1));
  } else {
    Print(table, format, out);
  }
  if (format == Format::kTable) {
    PrintNext(err, all_right
                       ? "'flopledger audit --quantities' lists what else can be claimed"
                       : fmt::format("'flopledger account {} --explain' writes the formulas out",
                                     setting.model.name));
  }
  return all_right ? kDone : kCheckFailed;
}

void AddAudit(CLI::App& app, Session& session) {
  const auto options = std::make_shared<AuditOptions>();
  CLI::App* command = app.add_subcommand(
      "audit",
      "Checks figures made by hand against the formulas, and names the slip behind a wrong one.");
  command->add_option("claims", options->claims, "claims: a .json or .csv file, or - for stdin");
  command->add_option("-m,--model", options->model, "the model of claims that name none")
      ->capture_default_str();
  AddShape(command, options->context, options->batch);
  command
      ->add_option("--convention", options->convention,
                   ConventionHelp() + ". Other tools' totals as well:" + OtherToolNames())
      ->capture_default_str();
  command->add_option("--dtype", options->dtype,
                      "how numbers are stored: f32 (default), bf16, f16, f8, int8, int4, f64");
  command->add_option("--kv-dtype", options->kv_dtype, "of the KV cache; default: as --dtype");
  command->add_flag("--quantities", options->quantities,
                    "list what can be claimed, with its value");
  AddFormat(command, options->format);
  command->footer(
      "Examples:\n"
      "  flopledger audit examples/gpt2-xl-by-hand.json\n"
      "  flopledger audit --quantities --model gpt2\n"
      "Exit codes: 0 every claim is right; 1 one is not; 2 bad input.");
  command->final_callback([options, &session] {
    session.run = [options, &session] { return RunAudit(*options, session.out, session.err); };
  });
}

}  // namespace flopledger
