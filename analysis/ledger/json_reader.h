// Reading JSON strictly into plain structs: an error names the path to the value.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "model/input_error.h"

namespace flopledger {

/// One value of a JSON document, which must outlive it, and the path to it.
class JsonReader {
 public:
  /// `hint` follows each error, such as "; run 'flopledger calibrate'".
  JsonReader(const nlohmann::json& value, std::string where, std::string hint = "")
      : value_(value), where_(std::move(where)), hint_(std::move(hint)) {}

  JsonReader operator[](const char* key) const {
    CheckIsObject();
    if (!value_.contains(key)) Fail(fmt::format("lacks '{}'", key));
    return {value_.at(key), fmt::format("{}: {}", where_, key), hint_};
  }
  /// Nothing where the key is absent, or its value null.
  std::optional<JsonReader> IfAny(const char* key) const {
    CheckIsObject();
    if (!value_.contains(key) || value_.at(key).is_null()) return std::nullopt;
    return (*this)[key];
  }

  template <class Visit>
  void ForEach(Visit&& visit) const {
    if (!value_.is_array()) FailFound("a list");
    for (std::size_t i = 0; i < value_.size(); ++i) {
      visit(JsonReader(value_[i], fmt::format("{}: element {}", where_, i), hint_));
    }
  }

  std::string Text() const {
    if (!value_.is_string()) FailFound("text");
    return value_.get<std::string>();
  }
  int64_t Integer() const {
    const bool fits = value_.is_number_integer() && (!value_.is_number_unsigned() ||
                                                     value_.get<uint64_t>() <= uint64_t{INT64_MAX});
    if (!fits) FailFound("a 64-bit integer");
    return value_.get<int64_t>();
  }
  /// A whole number above 0.
  int64_t Count() const {
    if (Integer() < 1) FailFound("a whole number above 0");
    return Integer();
  }
  double Positive() const {
    if (!value_.is_number() || !(value_.get<double>() > 0)) FailFound("a number above 0");
    return value_.get<double>();
  }
  double NonNegative() const {
    if (!value_.is_number() || !(value_.get<double>() >= 0)) FailFound("a number from 0 on");
    return value_.get<double>();
  }

  /// By the type of the field: text, an integer, a number, true or false.
  template <class T>
  void To(T& field) const {
    if constexpr (std::is_same_v<T, std::string>) {
      field = Text();
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!value_.is_boolean()) FailFound("true or false");
      field = value_.get<bool>();
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      if (!value_.is_number_unsigned()) FailFound("a whole number from 0 on");
      field = value_.get<uint64_t>();
    } else if constexpr (std::is_same_v<T, int64_t>) {
      field = Integer();
    } else {
      static_assert(std::is_same_v<T, double>);
      if (!value_.is_number()) FailFound("a number");
      field = value_.get<double>();
    }
  }

  const nlohmann::json& value() const { return value_; }

  /// Throws InputError: the value must be something else.
  [[noreturn]] void FailFound(const char* wanted) const {
    Fail(fmt::format("must be {}, found {}", wanted, value_.dump().substr(0, 60)));
  }
  [[noreturn]] void Fail(const std::string& what) const {
    throw InputError(fmt::format("{}: {}{}", where_, what, hint_));
  }

 private:
  void CheckIsObject() const {
    if (!value_.is_object()) FailFound("an object");
  }

  const nlohmann::json& value_;
  std::string where_, hint_;
};

}  // namespace flopledger
