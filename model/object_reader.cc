#include "model/object_reader.h"

#include <fmt/format.h>

#include <cmath>

namespace flopledger {
namespace {

using nlohmann::json;

constexpr int64_t kLargestSize = 1'000'000'000'000;

bool IsSize(const json& value, int64_t least) {
  if (!value.is_number_integer()) return false;
  const bool fits = !value.is_number_unsigned() || value.get<uint64_t>() <= kLargestSize;
  return fits && value.get<int64_t>() >= least && value.get<int64_t>() <= kLargestSize;
}

/// A value in an error, cut where it is long.
std::string Shown(const json& value) {
  constexpr std::size_t kMost = 200;
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kMost) text = text.substr(0, kMost) + "…";
  return text;
}

}  // namespace

ObjectReader::ObjectReader(const json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object.is_object()) throw InputError(fmt::format("{}: must be a JSON object", where_));
}

const json& ObjectReader::At(const std::string& key) const {
  read_.insert(key);
  return object_[key];
}

bool ObjectReader::Has(const std::string& key) const {
  read_.insert(key);
  return object_.contains(key) && !object_[key].is_null();
}

std::string ObjectReader::FirstOf(const std::vector<std::string>& names) const {
  const std::string* first = nullptr;
  for (const std::string& name : names) {
    if (!Has(name)) continue;
    if (first == nullptr) {
      first = &name;
    } else if (object_[name] != object_[*first]) {
      Fail(name, fmt::format("contradicts '{}', another name of it, which is {}", *first,
                             Shown(object_[*first])));
    }
  }
  return first != nullptr ? *first : names.front();
}

int64_t ObjectReader::Size(const std::string& key) const {
  if (!Has(key)) Fail(key, "is missing");
  return CheckSize(key, 1);
}

int64_t ObjectReader::Size(const std::string& key, int64_t otherwise) const {
  return Has(key) ? CheckSize(key, 1) : otherwise;
}

int64_t ObjectReader::SizeOrZero(const std::string& key, int64_t otherwise) const {
  return Has(key) ? CheckSize(key, 0) : otherwise;
}

bool ObjectReader::Flag(const std::string& key, bool otherwise) const {
  if (!Has(key)) return otherwise;
  if (!At(key).is_boolean()) Fail(key, "must be true or false");
  return At(key).get<bool>();
}

double ObjectReader::Number(const std::string& key, double otherwise) const {
  if (!Has(key)) return otherwise;
  if (!At(key).is_number()) Fail(key, "must be a number");
  return At(key).get<double>();
}

double ObjectReader::Positive(const std::string& key, double otherwise, double largest) const {
  if (!Has(key)) return otherwise;
  const double value = Number(key, otherwise);
  if (!(value > 0 && value <= largest)) {
    Fail(key, fmt::format("must be above 0 and at most {}", largest));
  }
  return value;
}

std::string ObjectReader::Text(const std::string& key, const std::string& otherwise) const {
  if (!Has(key)) return otherwise;
  if (!At(key).is_string()) Fail(key, "must be a string");
  return At(key).get<std::string>();
}

std::vector<double> ObjectReader::Numbers(const std::string& key) const {
  if (!Has(key)) return {};
  const json& list = At(key);
  if (!list.is_array() || !std::ranges::all_of(list, [](const json& v) { return v.is_number(); })) {
    Fail(key, "must be a list of numbers");
  }
  return list.get<std::vector<double>>();
}

std::vector<int64_t> ObjectReader::Sizes(const std::string& key) const {
  if (!Has(key)) return {};
  const json& list = At(key);
  if (!list.is_array() || !std::ranges::all_of(list, [](const json& v) { return IsSize(v, 0); })) {
    Fail(key, "must be a list of whole numbers from 0 on");
  }
  return list.get<std::vector<int64_t>>();
}

std::vector<std::string> ObjectReader::Texts(const std::string& key) const {
  if (!Has(key)) return {};
  const json& list = At(key);
  if (!list.is_array() || !std::ranges::all_of(list, [](const json& v) { return v.is_string(); })) {
    Fail(key, "must be a list of strings");
  }
  return list.get<std::vector<std::string>>();
}

ObjectReader ObjectReader::Object(const std::string& key) const {
  if (!At(key).is_object()) Fail(key, "must be a JSON object");
  return {object_[key], fmt::format("{}: '{}'", where_, key)};
}

void ObjectReader::AllowOnly(const std::vector<std::string>& known) const {
  for (const auto& [key, value] : object_.items()) {
    if (std::ranges::find(known, key) == known.end()) {
      throw InputError(fmt::format("{}: unknown key '{}'{}", where_, key, Suggest(key, known)));
    }
    if (value.is_null()) Fail(key, "must have a value");
  }
}

std::vector<std::string> ObjectReader::Unread() const {
  std::vector<std::string> unread;
  for (const auto& [key, value] : object_.items()) {
    const bool neutral = value.is_null() || value == false || value == 0 || value == "" ||
                         (value.is_structured() && value.empty());
    if (!neutral && !read_.contains(key)) unread.push_back(key);
  }
  return unread;
}

void ObjectReader::Fail(const std::string& key, const std::string& what) const {
  const std::string found =
      object_.contains(key) ? " (found " + Shown(object_[key]) + ")" : std::string();
  throw InputError(fmt::format("{}: '{}' {}{}", where_, key, what, found));
}

int64_t ObjectReader::CheckSize(const std::string& key, int64_t least) const {
  if (!At(key).is_number_integer()) Fail(key, "must be an integer");
  if (!IsSize(At(key), least)) Fail(key, fmt::format("must be from {} to {}", least, kLargestSize));
  return At(key).get<int64_t>();
}

}  // namespace flopledger
