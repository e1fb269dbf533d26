#include "bench/machine/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "analysis/text/markup.h"
#include "analysis/text/numbers.h"
#include "analysis/text/wrap.h"

namespace flopledger {
namespace {

std::size_t WidthOfErrors() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

std::string RoughSeconds(double seconds) {
  return seconds < 600 ? fmt::format("{:.0f} s", seconds) : HumanSeconds(seconds);
}

void WorkLeft::Start(double total) {
  total_ = total;
  done_ = 0;
  start_ = std::chrono::steady_clock::now();
}

std::string WorkLeft::ToText(double under_way) const {
  const double done = done_ + under_way;
  if (total_ <= 0 || done < 0.01 * total_) return "";
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  return fmt::format("about {} left",
                     RoughSeconds(elapsed.count() * std::max(0.0, total_ - done) / done));
}

void Progress::Say(const std::string& line) {
  Clear();
  const std::string text = "flopledger: " + line;
  out_ << (on_terminal_ ? Wrapped(text, WidthOfErrors(), 2) : text + "\n") << std::flush;
}

void Progress::Show(const std::string& line) {
  if (!Due()) return;
  next_ = std::chrono::steady_clock::now() + interval_;
  if (!on_terminal_) return Say(line);
  out_ << "\r\x1b[K" << Shortened(line, WidthOfErrors() - 1) << std::flush;
  shown_ = true;
}

}  // namespace flopledger
