#include "analysis/audit/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "analysis/audit/quantities.h"
#include "analysis/text/csv.h"
#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// What a file or a claim may say of its setting.
constexpr const char* kSettingKeys[] = {
    "model",        "context", "batch", "convention", "dtype",     "kv_dtype",     "activations",
    "from_context", "memory",  "peak",  "mfu",        "step_time", "tokens_per_s", "steps"};
/// What people call the figure of a claim, besides "value".
constexpr const char* kClaimed = "claimed";

/// The start of a quantity's name, and what the setting must say for it to have a figure.
constexpr std::pair<std::string_view, std::string_view> kNeeds[] = {
    {"time.step", "'peak' and 'mfu', or 'step_time'"},
    {"time.training", "'steps', and 'peak' with 'mfu' or 'step_time'"},
    {"tokens_per_second", "'step_time', or 'peak' and 'mfu'"},
    {"mfu", "'peak', and 'step_time' or 'tokens_per_s'"},
    {"batch.largest", "'memory'"},
    {"growth.", "'context' and 'from_context', two contexts that differ"}};

InputError UnknownQuantity(const std::string& where, const std::string& name,
                           const Catalogue& catalogue) {
  for (const auto& [start, needed] : kNeeds) {
    if (name.starts_with(start)) {
      return InputError(
          fmt::format("{}: the quantity '{}' needs {}", where, name.substr(0, 60), needed));
    }
  }
  std::vector<std::string> names = catalogue.names();
  for (const std::string& full : catalogue.names()) {
    if (full.ends_with(".model")) names.push_back(full.substr(0, full.rfind('.')));
  }
  std::string hint = Suggest(name, names);
  if (hint.starts_with("; allowed")) hint = "; 'flopledger audit --quantities' lists them";
  return InputError(fmt::format("{}: unknown quantity '{}'{}", where, name.substr(0, 60), hint));
}

std::string TextOf(const json& value, const std::string& where, const char* key) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  // 3506703564800.0 is whole; the shortest text of a double is what was written.
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  throw InputError(fmt::format("{}: '{}' must be text or a number, not {}", where, key,
                               value.dump().substr(0, 40)));
}

int64_t SizeOf(const json& value, const std::string& where, const char* key) {
  int64_t size = 0;
  if (value.is_string()) {  // of CSV
    const auto& text = value.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || end != text.data() + text.size()) size = 0;
  } else if (value.is_number_integer() && !value.is_number_unsigned()) {
    size = value.get<int64_t>();
  } else if (value.is_number_unsigned() && value.get<uint64_t>() <= INT64_MAX) {
    size = value.get<int64_t>();
  }
  if (size < 1) throw InputError(fmt::format("{}: '{}' must be a whole number from 1", where, key));
  return size;
}

void SetModel(AuditSetting& setting, const json& model, const std::string& where) {
  setting.own_positions = 0;
  if (model.is_string()) {
    try {
      setting.model = LoadModel(model.get<std::string>());
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", where, error.what()));
    }
    setting.context = setting.model.context_length;
  } else if (model.is_object()) {
    json merged = ToJson(setting.model);
    merged.update(model);
    setting.model = ParseModel(merged, where);
  } else {
    throw InputError(fmt::format("{}: 'model' must be a name or an object", where));
  }
}

ActivationList ParseActivations(const std::string& name, const std::string& where) {
  constexpr std::pair<const char*, ActivationList> kLists[] = {{"2025", ActivationList::k2025},
                                                               {"2026", ActivationList::k2026},
                                                               {"fused", ActivationList::kFused},
                                                               {"full", ActivationList::kFull}};
  for (const auto& [known, list] : kLists) {
    if (name == known) return list;
  }
  throw InputError(fmt::format("{}: unknown list of activations '{}'{}", where, name.substr(0, 40),
                               Suggest(name, {"2025", "2026", "fused", "full"})));
}

void SetPlan(AssumedPlan& plan, const json& claim, const std::string& where) {
  const auto set = [&](const char* key, Unit unit, std::optional<Exact>& value) {
    if (!claim.contains(key)) return;
    const std::string text = TextOf(claim[key], where, key);
    value = ParseFigure(text, unit, fmt::format("{}: '{}'", where, key)).value;
    if (*value <= 0) throw InputError(fmt::format("{}: '{}' must be above 0", where, key));
    if (unit == Unit::kBytes && !HasUnit(text)) {
      throw InputError(fmt::format("{}: '{}' has no unit: '{}'; write {} GB or {} GiB", where, key,
                                   text, text, text));
    }
  };
  set("memory", Unit::kBytes, plan.memory_bytes);
  set("peak", Unit::kFlops, plan.peak_flops_per_s);
  set("step_time", Unit::kSeconds, plan.step_seconds);
  set("tokens_per_s", Unit::kTokensPerSecond, plan.tokens_per_second);
  set("steps", Unit::kPlain, plan.steps);
  set("mfu", Unit::kPercent, plan.mfu);
  if (!claim.contains("mfu")) return;
  *plan.mfu /= 100;
  if (*plan.mfu > 1) throw InputError(fmt::format("{}: 'mfu' is above 100 %", where));
}

/// The setting with what an object says of it.
AuditSetting Changed(AuditSetting setting, const json& object, const std::string& where) {
  const auto text = [&](const char* key) { return TextOf(object[key], where, key); };
  if (object.contains("model")) SetModel(setting, object["model"], where);
  if (object.contains("context")) setting.context = SizeOf(object["context"], where, "context");
  if (object.contains("batch")) setting.batch = SizeOf(object["batch"], where, "batch");
  if (object.contains("from_context")) {
    setting.from_context = SizeOf(object["from_context"], where, "from_context");
  }
  if (object.contains("convention")) SetConvention(setting, text("convention"), where);
  if (object.contains("dtype")) setting.dtype = ParseNumberType(text("dtype"), where);
  // A cache is kept as the weights are unless its own type is named.
  if (object.contains("dtype")) setting.kv_dtype = setting.dtype;
  if (object.contains("kv_dtype")) setting.kv_dtype = ParseNumberType(text("kv_dtype"), where);
  if (object.contains("activations")) {
    setting.activations = ParseActivations(text("activations"), where);
  }
  SetPlan(setting.plan, object, where);
  FitPositions(setting);
  return setting;
}

void CheckKeys(const json& object, std::vector<std::string> allowed, const std::string& where) {
  allowed.insert(allowed.end(), std::begin(kSettingKeys), std::end(kSettingKeys));
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(allowed, key) == allowed.end()) {
      throw InputError(fmt::format("{}: unknown key '{}'{}", where, key, Suggest(key, allowed)));
    }
  }
}

/// Reads a claim's value; one that is no figure is kept with the reason.
void ReadFigure(Claim& claim, const json& value, Unit unit, const std::string& where) {
  const bool blank = value.is_null() || (value.is_string() && value.get<std::string>().empty());
  if (blank) {
    claim.unreadable = "no value is given";
    return;
  }
  const std::string written = TextOf(value, where, "value");
  claim.figure.written = OneLine(written.substr(0, 60));
  try {
    std::vector<Figure> readings = FigureReadings(written, unit, "");
    claim.figure = readings.front();
    claim.other_readings.assign(readings.begin() + 1, readings.end());
  } catch (const InputError& error) {
    claim.unreadable = std::string(error.what()).substr(std::string_view(": ").size());
  }
}

Claim MakeClaim(json object, const AuditSetting& common, const std::string& place,
                const std::string& where) {
  std::string here = fmt::format("{}: claim {}", where, place);
  if (!object.is_object()) throw InputError(fmt::format("{} is no object", here));
  if (object.contains(kClaimed) && !object.contains("value")) {
    object["value"] = object[kClaimed];
    object.erase(kClaimed);
  }
  CheckKeys(object, {"id", "text", "quantity", "value"}, here);
  Claim claim;
  claim.id_is_place = !object.contains("id");
  claim.id = claim.id_is_place ? place : TextOf(object["id"], here, "id");
  here = fmt::format("{}: claim {}", where, claim.id);
  for (const char* key : {"quantity", "value"}) {
    if (!object.contains(key)) throw InputError(fmt::format("{}: '{}' is missing", here, key));
  }
  if (object.contains("text")) claim.text = TextOf(object["text"], here, "text");
  claim.quantity = TextOf(object["quantity"], here, "quantity");
  claim.setting = Changed(common, object, here);
  const Catalogue catalogue(claim.setting);
  const Quantity* quantity = catalogue.Find(claim.quantity);
  if (quantity == nullptr) throw UnknownQuantity(here, claim.quantity, catalogue);
  claim.quantity = quantity->name;
  ReadFigure(claim, object["value"], quantity->unit, here);
  return claim;
}

void CheckIds(const std::vector<Claim>& claims, const std::string& where) {
  if (claims.empty()) throw InputError(fmt::format("{}: no claims in it", where));
  std::set<std::string> ids;
  for (const Claim& claim : claims) {
    if (!ids.insert(claim.id).second) {
      throw InputError(fmt::format("{}: two claims have the id '{}'", where, claim.id));
    }
  }
}

}  // namespace

void SetConvention(AuditSetting& setting, std::string_view name, const std::string& where) {
  setting.tool = FindOtherTool(name);
  setting.convention = Convention::kMatmul;
  if (setting.tool != nullptr) return;
  std::vector<std::string> names;
  for (const ConventionInfo& info : Conventions()) {
    if (info.name == name) {
      setting.convention = info.value;
      return;
    }
    names.emplace_back(info.name);
  }
  for (const OtherTool& tool : OtherTools()) names.emplace_back(tool.name);
  throw InputError(fmt::format("{}: unknown convention '{}'{}", where, name.substr(0, 40),
                               Suggest(name, names)));
}

std::vector<Claim> ParseClaimsJson(std::string_view text, const AuditSetting& setting,
                                   const std::string& where) {
  const json file = ParseJson(text, where);
  AuditSetting common = setting;
  if (file.is_object()) {
    CheckKeys(file, {"claims"}, where);
    common = Changed(common, file, where);
  }
  const json list = file.is_object() ? file.value("claims", json::array()) : file;
  if (!list.is_array()) throw InputError(fmt::format("{}: a list of claims is expected", where));
  std::vector<Claim> claims;
  for (const json& object : list) {
    claims.push_back(MakeClaim(object, common, std::to_string(claims.size() + 1), where));
  }
  CheckIds(claims, where);
  return claims;
}

std::vector<Claim> ParseClaimsCsv(std::string_view text, const AuditSetting& setting,
                                  const std::string& where) {
  const std::vector<std::vector<std::string>> lines = ParseCsv(text, where);
  if (lines.empty()) throw InputError(fmt::format("{}: no claims in it", where));
  std::vector<std::string> allowed{"id", "text", "quantity", "value", kClaimed};
  allowed.insert(allowed.end(), std::begin(kSettingKeys), std::end(kSettingKeys));
  std::set<std::string> titles;
  for (const std::string& title : lines.front()) {
    const bool known = std::ranges::find(allowed, title) != allowed.end();
    if (!known || !titles.insert(title == kClaimed ? "value" : title).second) {
      throw InputError(fmt::format("{}: unknown or repeated column '{}'{}", where, title,
                                   Suggest(title, allowed)));
    }
  }
  for (const char* title : {"quantity", "value"}) {
    if (!titles.contains(title)) {
      throw InputError(fmt::format("{}: the column '{}' is missing", where, title));
    }
  }
  std::vector<Claim> claims;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    json object = json::object();
    for (std::size_t column = 0; column < lines[i].size(); ++column) {
      const std::string& title = lines.front()[column];
      const bool setting_of_file =
          lines[i][column].empty() && std::ranges::count(kSettingKeys, title) > 0;
      if (!setting_of_file) object[title] = lines[i][column];
    }
    claims.push_back(MakeClaim(std::move(object), setting, std::to_string(i), where));
  }
  CheckIds(claims, where);
  return claims;
}

}  // namespace flopledger
