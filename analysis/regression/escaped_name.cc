#include "analysis/regression/escaped_name.h"

#include <fmt/format.h>

#include "analysis/text/markup.h"

namespace flopledger {

std::string EscapedName(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      escaped += "\\n";
    } else if (c == '\r') {
      escaped += "\\r";
    } else if (c == '\t') {
      escaped += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      escaped += fmt::format("\\x{:02x}", byte);
    } else {
      escaped += c;
    }
  }
  return Printable(escaped);
}

}  // namespace flopledger
