#include "analysis/text/csv.h"

#include <csv.h>
#include <fmt/format.h>

#include <new>
#include <utility>

#include "model/input_error.h"

namespace flopledger {
namespace {

std::string Quoted(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string quoted(2 * field.size() + 2, '\0');  // the longest that csv_write can make of it
  quoted.resize(csv_write(quoted.data(), quoted.size(), field.data(), field.size()));
  return quoted;
}

struct Lines {
  std::vector<std::vector<std::string>> all;
  std::vector<std::string> current;

  static void OnField(void* text, std::size_t size, void* self) {
    static_cast<Lines*>(self)->current.emplace_back(static_cast<const char*>(text), size);
  }
  static void OnLine(int, void* self) {
    auto& lines = *static_cast<Lines*>(self);
    lines.all.push_back(std::exchange(lines.current, {}));
  }
};

}  // namespace

std::string CsvLine(std::span<const std::string> fields) {
  std::string line;
  for (const std::string& field : fields) {
    if (&field != &fields.front()) line += ',';
    line += Quoted(field);
  }
  return line + "\r\n";
}

std::vector<std::vector<std::string>> ParseCsv(std::string_view text, const std::string& where) {
  Lines lines;
  csv_parser parser;
  if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0) throw std::bad_alloc();
  // RFC 4180, section 2.4: spaces belong to the field.
  csv_set_space_func(&parser, [](unsigned char) { return 0; });
  const bool parsed = csv_parse(&parser, text.data(), text.size(), Lines::OnField, Lines::OnLine,
                                &lines) == text.size() &&
                      csv_fini(&parser, Lines::OnField, Lines::OnLine, &lines) == 0;
  csv_free(&parser);
  if (!parsed) {
    throw InputError(fmt::format("{}: malformed CSV at line {}", where, lines.all.size() + 1));
  }
  for (std::size_t i = 0; i < lines.all.size(); ++i) {
    if (lines.all[i].size() != lines.all.front().size()) {
      throw InputError(fmt::format("{}: line {} has {} fields, the heading has {}", where, i + 1,
                                   lines.all[i].size(), lines.all.front().size()));
    }
  }
  return lines.all;
}

}  // namespace flopledger
