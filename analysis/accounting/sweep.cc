#include "analysis/accounting/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <numeric>
#include <regex>

#include "model/json.h"

namespace flopledger {
namespace {

constexpr std::size_t kMostPoints = 1000;

InputError BadSweep(std::string_view text, std::string_view why) {
  return InputError(
      fmt::format("--sweep '{}': {}; write KEY=a,b,c or KEY=1024:16384:x2 or KEY=0:10:+2",
                  text.substr(0, 60), why));
}

std::optional<int64_t> Whole(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool all = error == std::errc() && end == text.data() + text.size();
  return all ? std::optional(value) : std::nullopt;
}

/// The error for a reason why a list cannot be read.
using Fail = std::function<InputError(std::string_view)>;

/// The values of one item of the list: itself, or a range.
void AddItem(const std::string& item, const Fail& fail, std::vector<std::string>& values) {
  static const std::regex range(R"(([0-9]+)[:-]([0-9]+):?([x*+])([0-9]+))");
  std::smatch match;
  if (!std::regex_match(item, match, range)) {
    if (item.empty()) throw fail("a value is empty");
    values.push_back(item);
    return;
  }
  const auto first = Whole(match[1].str()), last = Whole(match[2].str()),
             step = Whole(match[4].str());
  if (!first || !last || !step) throw fail("a number is too large");
  const bool times = match[3] != "+";
  if (*first > *last) throw fail("the range ends before it begins");
  if (times ? *step < 2 || *first == 0 : *step < 1) throw fail("the range never ends");
  for (int64_t value = *first; value <= *last;) {
    values.push_back(std::to_string(value));
    if (values.size() > kMostPoints) throw fail("more than 1,000 points");
    const bool overflow = times ? __builtin_mul_overflow(value, *step, &value)
                                : __builtin_add_overflow(value, *step, &value);
    if (overflow) break;
  }
}

/// The values of "a,b,c", of which each may be a range.
std::vector<std::string> Values(std::string_view list, const Fail& fail) {
  std::vector<std::string> values;
  while (true) {
    const auto comma = list.find(',');
    AddItem(std::string(list.substr(0, comma)), fail, values);
    if (values.size() > kMostPoints) throw fail("more than 1,000 points");
    if (comma == std::string_view::npos) return values;
    list.remove_prefix(comma + 1);
  }
}

/// A value as JSON would have it: a number, true or false, else text.
nlohmann::json Typed(const std::string& value) {
  if (const auto whole = Whole(value)) return *whole;
  if (value == "true" || value == "false") return value == "true";
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc() && end == value.data() + value.size()) return number;
  return value;
}

int64_t Size(const std::string& value, const std::string& key) {
  const auto size = Whole(value);
  if (!size) throw InputError(fmt::format("--sweep {}: '{}' is no whole number", key, value));
  return *size;
}

ModelConfig WithKey(const ModelConfig& model, const std::string& key, const std::string& value) {
  nlohmann::json changed = ToJson(model);
  changed[key] = Typed(value);
  const bool each_its_own = model.num_kv_heads == model.num_heads;
  if (key == "num_heads" && each_its_own) changed["num_kv_heads"] = changed[key];
  return ParseModel(changed, fmt::format("--sweep {}={}", key, value));
}

}  // namespace

Sweep ParseSweep(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) throw BadSweep(text, "it names no key");
  const auto fail = [&](std::string_view why) { return BadSweep(text, why); };
  return {std::string(text.substr(0, equals)), Values(text.substr(equals + 1), fail)};
}

std::vector<int64_t> WholeNumbers(const std::string& option, std::string_view list) {
  const auto fail = [&](std::string_view why) {
    return InputError(fmt::format("{} '{}': {}; write a number, a,b,c or 128:1024:x2", option,
                                  list.substr(0, 60), why));
  };
  std::vector<int64_t> numbers;
  for (const std::string& value : Values(list, fail)) {
    const auto number = Whole(value);
    if (!number) throw fail(fmt::format("'{}' is no whole number", value.substr(0, 30)));
    numbers.push_back(*number);
  }
  return numbers;
}

std::vector<SweepPoint> SweepPoints(const Sweep& sweep, const std::string& model,
                                    std::optional<int64_t> context, int64_t batch) {
  std::vector<SweepPoint> points;
  for (const std::string& value : sweep.values) {
    SweepPoint point{value, LoadModel(sweep.key == "model" ? value : model), 1, batch, false};
    const bool of_run = sweep.key == "model" || sweep.key == "context" || sweep.key == "batch";
    if (!of_run) point.model = WithKey(point.model, sweep.key, value);
    point.context = sweep.key == "context" ? Size(value, "context")
                                           : context.value_or(point.model.context_length);
    if (sweep.key == "batch") point.batch = Size(value, "batch");
    if (point.model.position == Position::kLearned && sweep.key == "context" &&
        point.context > point.model.context_length) {
      point.model.context_length = point.context;
      point.grown = true;
    }
    ValidateRunShape(point.model, point.context, point.batch);
    points.push_back(std::move(point));
  }
  return points;
}

std::string StackedBar(const std::vector<int64_t>& parts, std::string_view letters,
                       std::size_t width) {
  const double whole = std::accumulate(parts.begin(), parts.end(), 0.0);
  if (whole == 0) return "";
  std::vector<std::size_t> cells;
  std::vector<std::pair<double, std::size_t>> remainders;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const double exact = static_cast<double>(parts[i]) / whole * static_cast<double>(width);
    cells.push_back(static_cast<std::size_t>(exact));
    remainders.emplace_back(exact - static_cast<double>(cells[i]), i);
  }
  std::ranges::stable_sort(remainders, std::greater<>(), &std::pair<double, std::size_t>::first);
  const std::size_t filled = std::accumulate(cells.begin(), cells.end(), std::size_t{0});
  for (std::size_t i = 0; i < width - std::min(width, filled) && i < remainders.size(); ++i) {
    ++cells[remainders[i].second];
  }
  std::string bar;
  for (std::size_t i = 0; i < parts.size(); ++i) bar += std::string(cells[i], letters[i]);
  return bar;
}

}  // namespace flopledger
