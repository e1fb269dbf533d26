// Numbers as people read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flopledger {

/// 1557611200 as "1,557,611,200".
std::string Grouped(int64_t value);

/// A size in bytes as "6.23 GB (5.80 GiB)".
std::string HumanBytes(int64_t bytes);

/// "8.2 µs", "427.7 ms", "7.341 s", "12.5 min", "2.05 h".
std::string HumanSeconds(double seconds);

/// 3.507e12 with "FLOP" as "3.507 TFLOP".
std::string HumanScaled(double value, std::string_view unit);

/// `value` grouped; nothing where it is absent.
std::string OrBlank(const std::optional<int64_t>& value);
/// `value` times `scale` with so many digits after the point; nothing where it is absent.
std::string OrBlank(const std::optional<double>& value, int digits, double scale = 1);

/// Seconds as milliseconds with three digits after the point; nothing where they are absent.
std::string Milliseconds(const std::optional<double>& seconds);

/// The ending of a noun that `count` stands before: "" or "s".
std::string_view Plural(int64_t count);

}  // namespace flopledger
