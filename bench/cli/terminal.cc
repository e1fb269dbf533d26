#include "bench/cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>

#include <charconv>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "analysis/text/wrap.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

constexpr std::size_t kWidthOfNoTerminal = 100;
constexpr std::size_t kNarrowest = 40;

// Where a stream keeps what was set for it.
long& WidthSlot(std::ostream& out) {
  static const int slot = std::ios_base::xalloc();
  return out.iword(slot);
}
long& ColourSlot(std::ostream& out) {
  static const int slot = std::ios_base::xalloc();
  return out.iword(slot);
}

std::optional<std::size_t> Columns() {
  const char* text = std::getenv("COLUMNS");
  if (text == nullptr) return std::nullopt;
  std::size_t columns = 0;
  const std::string_view digits(text);
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), columns);
  if (error != std::errc() || end != digits.end() || columns == 0) return std::nullopt;
  return columns;
}

/// The terminal that `out` writes to; absent where it is none.
std::optional<int> TerminalOf(const std::ostream& out) {
  const int descriptor = &out == &std::cout   ? STDOUT_FILENO
                         : &out == &std::cerr ? STDERR_FILENO
                                              : -1;
  return descriptor >= 0 && isatty(descriptor) != 0 ? std::optional(descriptor) : std::nullopt;
}

/// `text` with its verdicts in the colour of their meaning, where `out` has colours.
std::string Coloured(std::string text, std::ostream& out) {
  if (ColourSlot(out) == 0) return text;
  constexpr int kGreen = 32, kRed = 31, kYellow = 33;
  constexpr std::pair<std::string_view, int> kVerdicts[] = {
      {"PASS", kGreen},          {"FAIL", kRed},         {"NOT COMPARABLE", kYellow},
      {"INCONCLUSIVE", kYellow}, {"DISTURBED", kYellow}, {"  wrong ", kRed},
      {"  follows  ", kYellow}};
  for (const auto& [verdict, colour] : kVerdicts) {
    for (std::size_t at = 0; (at = text.find(verdict, at)) != std::string::npos;) {
      const std::string coloured = fmt::format("\x1b[{}m{}\x1b[0m", colour, verdict);
      text.replace(at, verdict.size(), coloured);
      at += coloured.size();
    }
  }
  return text;
}

}  // namespace

std::size_t WidthOf(std::ostream& out) {
  if (const long set = WidthSlot(out); set > 0) return static_cast<std::size_t>(set);
  if (const auto columns = Columns()) return std::max(*columns, kNarrowest);
  winsize size{};
  const auto terminal = TerminalOf(out);
  if (terminal && ioctl(*terminal, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return std::max<std::size_t>(size.ws_col, kNarrowest);
  }
  return kWidthOfNoTerminal;
}

void SetWidth(std::ostream& out, std::size_t width) { WidthSlot(out) = static_cast<long>(width); }

void SetColour(std::ostream& out, std::string_view choice) {
  if (choice != "auto" && choice != "always" && choice != "never") {
    throw InputError(fmt::format("unknown --color '{}'{}", choice,
                                 Suggest(choice, {"auto", "always", "never"})));
  }
  const char* no_colour = std::getenv("NO_COLOR");
  const bool wanted = no_colour == nullptr || *no_colour == '\0';
  ColourSlot(out) = choice == "always" || (choice == "auto" && wanted && TerminalOf(out)) ? 1 : 0;
}

std::string Drawn(const Table& table, Format format, std::ostream& out) {
  switch (format) {
    case Format::kCsv: return table.ToCsv();
    case Format::kMarkdown: return table.ToMarkdown();
    default: return Coloured(table.ToText(WidthOf(out)), out);
  }
}

std::string Bar(double share, std::size_t width) {
  const auto full =
      static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width) + 0.5);
  std::string bar;
  for (std::size_t i = 0; i < full; ++i) bar += "█";
  return bar + std::string(width - full, ' ');
}

void PrintNote(std::ostream& out, std::string_view text) {
  out << Coloured(Wrapped(text, WidthOf(out), 2), out);
}

void PrintNext(std::ostream& err, std::string_view text) {
  PrintNote(err, fmt::format("flopledger: next: {}", text));
}

}  // namespace flopledger
