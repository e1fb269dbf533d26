// One JSON object, read key by key and strictly: every getter throws InputError that names the key,
// what it found and what is allowed. It remembers which keys were asked for, so that what is left
// over can be judged.
#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/input_error.h"

namespace flopledger {

template <class Value>
struct Named {
  Value value;
  std::string_view name;
};

template <class Value, std::size_t n>
std::string_view NameOf(const Value& value, const Named<Value> (&names)[n]) {
  return std::ranges::find(names, value, &Named<Value>::value)->name;
}

class ObjectReader {
 public:
  /// Keeps a reference to `object`. `where` names it in errors.
  ObjectReader(const nlohmann::json& object, std::string where);

  /// Whether the key is there with a value other than null.
  bool Has(const std::string& key) const;
  /// The first of several names of one key that is there, else the first. Fails where two are there
  /// with different values.
  std::string FirstOf(const std::vector<std::string>& names) const;

  /// A whole number from 1 to 10¹².
  int64_t Size(const std::string& key) const;
  int64_t Size(const std::string& key, int64_t otherwise) const;
  /// A whole number from 0 to 10¹².
  int64_t SizeOrZero(const std::string& key, int64_t otherwise) const;
  bool Flag(const std::string& key, bool otherwise) const;
  /// Any finite number.
  double Number(const std::string& key, double otherwise) const;
  /// A number above 0 and at most `largest`.
  double Positive(const std::string& key, double otherwise, double largest) const;
  std::string Text(const std::string& key, const std::string& otherwise) const;
  /// A list of numbers; empty where the key is not there.
  std::vector<double> Numbers(const std::string& key) const;
  /// A list of whole numbers from 0 on; empty where the key is not there.
  std::vector<int64_t> Sizes(const std::string& key) const;
  /// A list of strings; empty where the key is not there.
  std::vector<std::string> Texts(const std::string& key) const;
  /// The object under a key. The key must be there.
  ObjectReader Object(const std::string& key) const;

  template <class Value, std::size_t n>
  Value OneOf(const std::string& key, Value otherwise, const Named<Value> (&names)[n]) const {
    if (!Has(key)) return otherwise;
    const std::string text = Text(key, "");
    const auto found = std::ranges::find(names, text, &Named<Value>::name);
    if (found != std::end(names)) return found->value;
    std::vector<std::string> allowed;
    for (const auto& entry : names) allowed.emplace_back(entry.name);
    Fail(key, "is not known" + Suggest(text, allowed));
  }

  /// Fails unless every key is one of `known` and none of them is null.
  void AllowOnly(const std::vector<std::string>& known) const;
  /// Marks a key as understood.
  void Pass(const std::string& key) const { read_.insert(key); }
  /// The keys that nothing asked for and whose value is not null, false, 0 or empty.
  std::vector<std::string> Unread() const;

  const nlohmann::json& raw() const { return object_; }
  const std::string& where() const { return where_; }
  [[noreturn]] void Fail(const std::string& key, const std::string& what) const;

 private:
  const nlohmann::json& At(const std::string& key) const;
  int64_t CheckSize(const std::string& key, int64_t least) const;

  const nlohmann::json& object_;
  std::string where_;
  mutable std::set<std::string> read_;
};

}  // namespace flopledger
