// docs/glossary.md, built in, as HTML.
#include <fmt/format.h>

#include <cctype>

#include "analysis/report/html_page.h"
#include "analysis/report/report_assets.h"
#include "analysis/text/markup.h"

namespace flopledger {
namespace {

struct GlossaryEntry {
  std::string_view word, meaning;
};

std::string_view Trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

/// The rows of the one table, without its heading: "| word | meaning |".
std::vector<GlossaryEntry> GlossaryEntries() {
  std::vector<GlossaryEntry> entries;
  bool in_table = false;
  for (std::string_view rest = kGlossary; !rest.empty();) {
    const auto end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    const auto middle = line.find('|', 1);
    if (!line.starts_with('|') || middle == std::string_view::npos) continue;
    if (in_table) {
      entries.push_back({Trimmed(line.substr(1, middle - 1)),
                         Trimmed(line.substr(middle + 1, line.rfind('|') - middle - 1))});
    }
    in_table = in_table || line.starts_with("| ---");
  }
  return entries;
}

/// "share of peak" as "word-share-of-peak".
std::string AnchorOf(std::string_view word) {
  std::string anchor = "word-";
  for (const char c : word) {
    const auto letter = static_cast<unsigned char>(c);
    if (std::isalnum(letter)) {
      anchor += static_cast<char>(std::tolower(letter));
    } else if (!anchor.ends_with('-')) {
      anchor += '-';
    }
  }
  return anchor;
}

/// Markdown's `code` as HTML.
std::string WithCode(std::string_view text) {
  std::string html;
  bool code = false;
  for (const char c : EscapedHtml(text)) {
    if (c != '`') {
      html += c;
    } else {
      html += code ? "</code>" : "<code>";
      code = !code;
    }
  }
  return html;
}

}  // namespace

std::string OpenSection(const std::string& id, std::string_view title, std::string_view word,
                        const std::string& lead) {
  std::string html = fmt::format(
      "<section aria-labelledby=\"{0}\">\n<h2 id=\"{0}\">{1} <a class=\"word\" href=\"#{2}\" "
      "title=\"{3}: what it means\">{3}</a></h2>\n",
      id, title, AnchorOf(word), word);
  if (!lead.empty()) html += fmt::format("<p class=\"lead\">{}</p>\n", lead);
  return html;
}

std::string GlossarySection() {
  std::string html =
      "<section class=\"glossary\" aria-labelledby=\"glossary\">\n<h2 "
      "id=\"glossary\">Glossary</h2>\n<dl>\n";
  for (const GlossaryEntry& entry : GlossaryEntries()) {
    html += fmt::format("<div id=\"{}\"><dt>{}</dt><dd>{}</dd></div>\n", AnchorOf(entry.word),
                        WithCode(entry.word), WithCode(entry.meaning));
  }
  return html + "</dl>\n</section>\n";
}

}  // namespace flopledger
