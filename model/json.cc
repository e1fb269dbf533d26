#include "model/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <vector>

namespace flopledger {

std::string ReadTextFile(const std::string& path) {
  std::error_code ignored;  // what cannot be asked about cannot be opened either
  if (std::filesystem::is_directory(path, ignored)) {
    throw InputError(fmt::format("{}: is a directory, not a file", path));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InputError(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

nlohmann::json ParseJson(std::string_view text, const std::string& where) {
  using nlohmann::json;
  constexpr int kDeepest = 64;
  std::vector<std::set<std::string>> open_objects;
  const auto on_event = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > kDeepest) {  // what walks the value later may recurse
      throw InputError(fmt::format("{}: nested more than {} deep", where, kDeepest));
    }
    if (event == json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == json::parse_event_t::object_end) open_objects.pop_back();
    if (event == json::parse_event_t::key &&
        !open_objects.back().insert(value.get<std::string>()).second) {
      throw InputError(fmt::format("{}: key {} stands twice", where, value.dump()));
    }
    return true;
  };
  try {
    return json::parse(text, on_event);
  } catch (const json::parse_error& error) {
    const std::string_view before = text.substr(0, std::min(error.byte, text.size()));
    const auto line = std::ranges::count(before, '\n') + 1;
    const auto column = before.size() - (before.rfind('\n') + 1);
    throw InputError(fmt::format("{}: not valid JSON at line {}, column {}", where, line, column));
  } catch (const json::exception& error) {  // such as a number beyond double
    throw InputError(fmt::format("{}: not valid JSON: {}", where, error.what()));
  }
}

}  // namespace flopledger
