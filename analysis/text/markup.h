// Text made safe for HTML and Markdown.
#pragma once

#include <string>
#include <string_view>

namespace flopledger {

/// `text` with U+FFFD for control characters and for marks that turn the direction of writing.
std::string Printable(std::string_view text);

/// `text` for an element's content or a quoted attribute of HTML: markup is escaped, control
/// characters and marks that turn the direction of writing become U+FFFD.
std::string EscapedHtml(std::string_view text);

/// `text` for a line or a table cell of Markdown (as GitHub reads it): nothing in it is markup.
std::string EscapedMarkdown(std::string_view text);

/// At most `length` code points of `text`, the last an ellipsis where some are left out.
std::string Shortened(std::string_view text, std::size_t length);

/// Code points of `text`.
std::size_t LengthOf(std::string_view text);

}  // namespace flopledger
