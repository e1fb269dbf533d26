#include "bench/run/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "bench/machine/interrupt.h"

namespace flopledger {
namespace {

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const char* CategoryOf(Slice::Level level) {
  switch (level) {
    case Slice::Level::kLayer: return "layer";
    case Slice::Level::kOp: return "operation";
    case Slice::Level::kRegion: break;
  }
  return "thread";
}

/// "1024×4800×1600" of one product, "1024×1600" of what is none.
std::string ShapeOf(const Op& op) {
  return op.k > 0 ? fmt::format("{}×{}×{}", op.m, op.n, op.k) : fmt::format("{}×{}", op.m, op.n);
}

/// What a slice is beside its time: which layer, what was computed, at what rate.
nlohmann::json Arguments(const Slice& slice, double peak_flops_per_s) {
  nlohmann::json arguments = nlohmann::json::object();
  if (slice.layer >= 0) arguments["layer"] = slice.layer;
  if (slice.op) {
    arguments["shape"] = ShapeOf(*slice.op);
    arguments["products"] = slice.op->products;
  }
  if (!slice.flops) return arguments;
  arguments["flops"] = *slice.flops;
  if (slice.duration_ns <= 0) return arguments;
  const double flops_per_ns =
      static_cast<double>(*slice.flops) / static_cast<double>(slice.duration_ns);
  arguments["gflops"] = flops_per_ns;
  if (peak_flops_per_s > 0) arguments["pct_peak"] = 100 * flops_per_ns * 1e9 / peak_flops_per_s;
  return arguments;
}

/// Names a thread of a rank, or (of thread 0) the rank.
nlohmann::json Metadata(const char* what, std::pair<int, int> rank_and_thread,
                        const std::string& name) {
  const auto& [rank, thread] = rank_and_thread;
  return {
      {"ph", "M"}, {"name", what}, {"pid", rank + 1}, {"tid", thread}, {"args", {{"name", name}}}};
}

}  // namespace

TraceObserver::TraceObserver(int threads, PassProgress progress)
    : progress_(std::move(progress)),
      threads_(static_cast<std::size_t>(threads)),
      began_ns_(NowNs()) {
  constexpr std::size_t kRegionsOfAnOp = 64;  // so that no thread allocates while it is traced
  for (ThreadSpans& thread : threads_) thread.done_ns.reserve(kRegionsOfAnOp);
  listener_ = {.begin =
                   [](void* self, int thread) {
                     auto& spans = static_cast<TraceObserver*>(self)->threads_;
                     const auto index = static_cast<std::size_t>(thread);
                     if (index < spans.size()) spans[index].open_ns = NowNs();
                   },
               .end =
                   [](void* self, int thread) {
                     auto& spans = static_cast<TraceObserver*>(self)->threads_;
                     const auto index = static_cast<std::size_t>(thread);
                     if (index >= spans.size()) return;
                     spans[index].done_ns.emplace_back(spans[index].open_ns, NowNs());
                   },
               .self = this};
  SetThreadSpanListener(&listener_);
}

void TraceObserver::Before(const Op& op, int64_t layer, const Operands<float>&) {
  progress_.Show(op, layer);
  op_start_ns_ = NowNs();
  if (layer == layer_) return;
  CloseLayer();
  layer_ = layer;
  layer_start_ns_ = op_start_ns_;
}

void TraceObserver::After(const Op& op, int64_t layer, const Operands<float>&) {
  const int64_t end_ns = NowNs();
  const auto add = [&](Slice::Level level, std::size_t thread, int64_t from_ns, int64_t to_ns) {
    slices_.push_back({level, std::string(op.name()), layer, static_cast<int>(thread),
                       from_ns - began_ns_, to_ns - from_ns});
  };
  add(Slice::Level::kOp, 0, op_start_ns_, end_ns);
  slices_.back().op = op;
  for (std::size_t thread = 0; thread < threads_.size(); ++thread) {
    for (const auto& [from_ns, to_ns] : threads_[thread].done_ns) {
      add(Slice::Level::kRegion, thread, from_ns, to_ns);
    }
    threads_[thread].done_ns.clear();
  }
  layer_end_ns_ = end_ns;
  ThrowIfInterrupted();
}

void TraceObserver::CloseLayer() {
  if (layer_ < 0) return;
  slices_.push_back({Slice::Level::kLayer, fmt::format("layer {}", layer_), layer_, 0,
                     layer_start_ns_ - began_ns_, layer_end_ns_ - layer_start_ns_});
  layer_ = -1;
}

std::vector<Slice> TraceObserver::Finish() {
  CloseLayer();
  std::ranges::stable_sort(slices_, [](const Slice& a, const Slice& b) {
    return std::pair(a.start_ns, a.level) < std::pair(b.start_ns, b.level);
  });
  return std::move(slices_);
}

void SetFlops(std::vector<Slice>& slices, const std::function<int64_t(const Op&)>& flops_of) {
  std::map<int64_t, int64_t> of_layer;
  for (Slice& slice : slices) {
    if (!slice.op) continue;
    slice.flops = flops_of(*slice.op);
    of_layer[slice.layer] += *slice.flops;
  }
  for (Slice& slice : slices) {
    if (slice.level == Slice::Level::kLayer) slice.flops = of_layer[slice.layer];
  }
}

std::string ToChromeTrace(const PassTrace& trace, const std::string& title) {
  nlohmann::json events = nlohmann::json::array();
  std::set<std::pair<int, int>> threads;
  for (const Slice& slice : trace.slices) threads.insert({slice.rank, slice.thread});
  const bool several = !threads.empty() && threads.rbegin()->first > 0;
  for (const auto& [rank, thread] : threads) {
    if (thread == 0) {
      events.push_back(Metadata("process_name", {rank, 0},
                                several ? fmt::format("rank {} of {}", rank, title) : title));
    }
    events.push_back(Metadata("thread_name", {rank, thread},
                              thread == 0 ? "thread 0: layers, operations, its own share"
                                          : fmt::format("thread {}", thread)));
  }
  for (const Slice& slice : trace.slices) {
    nlohmann::json event = {{"ph", "X"},
                            {"name", slice.name},
                            {"cat", CategoryOf(slice.level)},
                            {"pid", slice.rank + 1},
                            {"tid", slice.thread},
                            {"ts", static_cast<double>(slice.start_ns) / 1e3},
                            {"dur", static_cast<double>(slice.duration_ns) / 1e3}};
    const auto rank = static_cast<std::size_t>(slice.rank);
    auto arguments =
        Arguments(slice, rank < trace.peaks_flops_per_s.size() ? trace.peaks_flops_per_s[rank] : 0);
    if (!arguments.empty()) event["args"] = std::move(arguments);
    events.push_back(std::move(event));
  }
  std::string text = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [";
  for (std::size_t i = 0; i < events.size(); ++i) {  // an event a line, for whoever reads it
    text += (i == 0 ? "\n" : ",\n") + events[i].dump();
  }
  return text + "\n]}\n";
}

}  // namespace flopledger
