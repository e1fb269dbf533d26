#include "bench/machine/pass_progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/accounting/accounting.h"
#include "analysis/text/numbers.h"
#include "bench/machine/interrupt.h"

namespace flopledger {

PassWork WorkOf(const ModelConfig& model, const RunShape& shape, std::span<const Op> ops) {
  PassWork work;
  std::array<double, std::tuple_size_v<decltype(work.execution)>> executions{};
  for (const Op& op : ops) {
    const auto flops = static_cast<double>(OpFlops(model, shape, op, Convention::kAll));
    work.pass += flops;
    work.execution[static_cast<std::size_t>(op.id)] += flops;
    executions[static_cast<std::size_t>(op.id)] += static_cast<double>(Executions(op, shape));
  }
  for (std::size_t id = 0; id < executions.size(); ++id) {
    if (executions[id] > 0) work.execution[id] /= executions[id];
  }
  return work;
}

void PassProgress::Write(const Op& op, int64_t layer) {
  std::string line = label_ + ": ";
  if (layer >= 0) line += fmt::format("layer {} of {}, ", layer + 1, num_layers_);
  line += op.name();
  // A repetition of several passes counts as one.
  const std::string left = progress_.left.ToText(std::min(done_, work_.pass));
  progress_.Show(left.empty() ? line : line + "; " + left);
}

std::function<void(double)> FillingProgress(Progress& progress, const std::string& label) {
  WorkLeft left;
  left.Start(1);
  return [&progress, label, left](double share) {
    if (progress.Due()) {
      const std::string text = left.ToText(share);
      progress.Show(fmt::format("{}: {:.0f} %{}", label, 100 * share,
                                text.empty() || share >= 1 ? "" : ", " + text));
    }
    ThrowIfInterrupted();
  };
}

}  // namespace flopledger
