#include "bench/counting/counting.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <omp.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "analysis/accounting/accounting.h"
#include "analysis/text/table.h"
#include "bench/machine/cache_dir.h"
#include "bench/machine/files.h"
#include "bench/machine/machine.h"
#include "bench/machine/op_meter.h"
#include "bench/machine/stopwatch.h"
#include "kernels/counted.h"
#include "model/forward.h"
#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;
using Scalar = Counted<float>;

/// All threads' tallies together.
struct TallyMeter {
  void Start() const { ResetTallies(); }
  Tally Stop() const { return SumTallies(); }
};

/// The same backend on scalars that count; null for a library.
const MatmulBackend<Scalar>* CountingTwin(const KernelChoice& kernels) {
  return FindMatmul<Scalar>(kernels.matmul->name);
}

RunShape OneLayer(const CountRequest& request) {
  return request.kernels.Apply(
      {.context = request.context, .batch = request.batch, .shard = request.shard});
}

/// The model whose ops are executed.
ModelConfig OwnModel(const CountRequest& request) {
  return RankModel(request.model, request.shard);
}

}  // namespace

std::vector<OpCount> CountOneLayer(const CountRequest& request, Progress& progress) {
  const RunShape shape = OneLayer(request);
  const MatmulBackend<Scalar>& matmul = *CountingTwin(request.kernels);
  const ModelConfig own = OwnModel(request);
  const auto weights = SeededWeights<Scalar>(
      request.model, 1, 1, matmul.packs_weights,
      {.shard = request.shard, .after_tensor = FillingProgress(progress, "counting: weights")});
  Forward<Scalar> forward(own, weights, shape, matmul);
  AbsentPeers peers(request.shard);
  forward.Connect(peers);
  const std::vector<int32_t> tokens(static_cast<std::size_t>(shape.batch * shape.context), 0);
  const PassWork work = WorkOf(own, shape, forward.ops());
  const WorkLeft of_the_command = progress.left;
  progress.left.Start(work.pass);
  PassProgress pass_progress(progress, "counting", 1, work);
  OpMeter<TallyMeter> meter({}, &pass_progress);
  forward.Run(tokens, meter);
  progress.left = of_the_command;
  std::vector<OpCount> counts;
  for (const Op& op : forward.ops()) counts.push_back({op.id, meter.of(op.id)});
  return counts;
}

namespace {

// --- Counts kept on disk ---------------------------------------------------------------------

/// Everything that a count depends on. The thread count is not among it: no kernel's work depends
/// on it. The executable's own bytes stand for the build.
json KeyOf(const CountRequest& request) {
  json model = ToJson(request.model);
  for (const char* irrelevant : {"name", "num_layers"}) model.erase(irrelevant);
  if (!request.shard.is_whole()) model["shard"] = {request.shard.rank, request.shard.ranks};
  const std::string executable = ReadTextFile("/proc/self/exe");
  return {{"executable", fmt::format("{:016x}", std::hash<std::string>{}(executable))},
          {"model", model},
          {"context", request.context},
          {"batch", request.batch},
          {"matmul", request.kernels.matmul->name},
          {"attention", NameOf(request.kernels.attention)}};
}

/// The file for a key, or empty where the user has no cache folder.
std::string CacheFile(const json& key) {
  const std::string folder = CacheDir();
  if (folder.empty()) return "";
  return fmt::format("{}/counts/{:016x}.json", folder, std::hash<std::string>{}(key.dump()));
}

template <class AnyTally, class Visit>
void ForEachKind(AnyTally& tally, Visit&& visit) {
  visit("add", tally.add);
  visit("mul", tally.mul);
  visit("fma", tally.fma);
  visit("div", tally.div);
  visit("sqrt", tally.sqrt);
  visit("exp", tally.exp);
  visit("tanh", tally.tanh);
  visit("erf", tally.erf);
  visit("max", tally.max);
  visit("negate", tally.negate);
  visit("compare", tally.compare);
}

/// The counts kept under `key`, if the file is there, whole, and of that very key.
std::optional<std::vector<OpCount>> ReadCounts(const std::string& path, const json& key,
                                               std::span<const Op> ops) {
  std::error_code ignored;
  if (path.empty() || !std::filesystem::exists(path, ignored)) return std::nullopt;
  try {
    const json kept = ParseJson(ReadTextFile(path), path);
    if (kept.at("key") != key) return std::nullopt;
    std::vector<OpCount> counts;
    for (const Op& op : ops) {
      counts.push_back({op.id, {}});
      const json& kinds = kept.at("ops").at(std::string(op.name()));
      ForEachKind(counts.back().tally,
                  [&](const char* kind, int64_t& n) { n = kinds.at(kind).get<int64_t>(); });
    }
    return counts;
  } catch (const std::exception&) {
    return std::nullopt;  // a damaged file is counted anew and replaced
  }
}

/// Keeps counts for the next run. That they cannot be kept is no reason to fail.
void KeepCounts(const std::string& path, const json& key, std::span<const Op> ops,
                std::span<const OpCount> counts, std::ostream& log) {
  if (path.empty()) return;
  json kept = {{"key", key}, {"ops", json::object()}};
  for (std::size_t i = 0; i < ops.size(); ++i) {
    json& kinds = kept["ops"][std::string(ops[i].name())];
    ForEachKind(counts[i].tally, [&](const char* kind, int64_t n) { kinds[kind] = n; });
  }
  try {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    WriteWhole(path, kept.dump(1) + "\n");
  } catch (const std::exception& error) {
    fmt::print(log, "flopledger: the counts are not kept for the next run: {}\n", error.what());
  }
}

// --- The estimate ------------------------------------------------------------------------------

/// Counted FLOPs a second of all threads, from a product small enough to take no time.
double CountingRate() {
  constexpr int64_t kSize = 512;
  Matrix<Scalar> x(kSize, kSize), w(kSize, kSize), y(kSize, kSize);
  for (Matrix<Scalar>* matrix : {&x, &w}) std::fill_n(matrix->data(), matrix->size(), Scalar(1.0f));
  const auto start = Clock::now();
  FindMatmul<Scalar>("eigen")->run(
      {.x = x.view(), .w = WeightView<const Scalar>::Of(w.view()), .y = y.view()});
  return 2.0 * kSize * kSize * kSize / SecondsSince(start);
}

double SecondsToCount(const CountRequest& request) {
  const int64_t flops = CountFlops(OwnModel(request), OneLayer(request), Convention::kAll).total;
  return static_cast<double>(flops) / CountingRate();
}

/// Why there is not enough memory to count; empty where there is.
std::string WhyNoMemory(const CountRequest& request) {
  const MemoryFigures memory = CountMemory(OwnModel(request), OneLayer(request));
  const int64_t needed = memory.weights_bytes + memory.activation_bytes;
  const auto available = AvailableMemoryBytes();
  if (!available || needed <= *available) return "";
  return fmt::format("the counting run needs {}, and {} is available", HumanBytes(needed),
                     HumanBytes(*available));
}

/// A small model with the request's features, for as many ranks: `scale` moves every size, none of
/// them round.
ModelConfig Shrunk(const ModelConfig& model, int64_t ranks, int64_t scale) {
  ModelConfig small = model;
  small.num_kv_heads = std::max(scale % 2 + 1, std::min(ranks, model.num_kv_heads));
  small.num_heads = small.num_kv_heads * std::min<int64_t>(4, model.num_heads / model.num_kv_heads);
  if (small.num_heads < ranks) small.num_heads = model.num_heads;
  const int64_t head_size = 2 * scale + 4;
  small.d_model = small.num_heads * head_size;
  if (model.own_head_size > 0) {
    small.own_head_size = head_size;
    small.d_model += 5 + scale;
  }
  if (model.embedding_size > 0) small.embedding_size = 11 + 7 * scale;
  if (model.rope_dims > 0) small.rope_dims = scale + 2 - scale % 2;
  // How far a pair turns changes no count.
  small.rope_scaling = {};
  for (LayerKind& kind : small.layer_kinds) {
    if (kind.window > 0) kind.window = 3 + 5 * scale;
  }
  small.d_ff = std::max(ranks, scale == 2 ? 1001 : 24 + 13 * scale);  // one with several K-blocks
  small.vocab_size = std::max(ranks, 51 + 32 * scale);
  small.context_length = 64;
  small.num_layers = 2;
  return small;
}

}  // namespace

CountMode ParseCountMode(std::string_view name) {
  if (name == "auto") return CountMode::kAuto;
  if (name == "off") return CountMode::kOff;
  if (name == "sample") return CountMode::kSample;
  if (name == "full") return CountMode::kFull;
  throw InputError(fmt::format("unknown --count '{}'{}", name,
                               Suggest(name, {"auto", "off", "sample", "full"})));
}

bool IsCountable(const KernelChoice& kernels) { return CountingTwin(kernels) != nullptr; }

std::vector<OpCount> CountFully(const CountRequest& request, std::ostream& log,
                                Progress& progress) {
  const RunShape shape = OneLayer(request);
  const std::vector<Op> ops = ForwardOps(OwnModel(request), shape);
  const json key = KeyOf(request);
  const std::string path = CacheFile(key);
  if (auto kept = ReadCounts(path, key, ops)) {
    fmt::print(log, "flopledger: counts of this build and shape found in {}\n", path);
    return *kept;
  }
  if (const std::string why_not = WhyNoMemory(request); !why_not.empty()) {
    throw CannotMeasure(why_not + "; use --count sample, or a shorter --context");
  }
  if (const double seconds = SecondsToCount(request); seconds > 1) {
    fmt::print(log, "flopledger: counting one layer and the head: about {:.0f} s\n", seconds);
  }
  std::vector<OpCount> counts = CountOneLayer(request, progress);
  progress.Clear();
  KeepCounts(path, key, ops, counts, log);
  return counts;
}

SampleResult CountSamples(const CountRequest& request) {
  std::ostream nowhere(nullptr);
  Progress silent(nowhere, false);
  const KernelFacts facts = FactsOf(request.kernels);
  SampleResult result;
  for (const Op& op : ForwardOps(OwnModel(request), OneLayer(request))) {
    result.met.emplace_back(op.id, 0);
    result.counted.emplace_back(op.id, 0);
  }
  static constexpr int64_t kContexts[] = {1, 2, 7, 12, 20, 33};
  for (const int64_t context : kContexts) {
    CountRequest sample = request;
    sample.model = Shrunk(request.model, request.shard.ranks, result.samples++);
    sample.context = context;
    sample.batch = 1 + context % 2;
    const RunShape shape = OneLayer(sample);
    const ModelConfig own = OwnModel(sample);
    const std::vector<Op> ops = ForwardOps(own, shape);
    const std::vector<OpCount> counts = CountOneLayer(sample, silent);
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const auto executed = ExecutedFlops(own, shape, ops[i], facts);
      if (executed == counts[i].tally.flops()) ++result.met[i].second;
      result.counted[i].second += counts[i].tally.flops();
    }
  }
  return result;
}

CountMode AffordableCount(const CountRequest& request, double budget_s, std::ostream& log) {
  if (!IsCountable(request.kernels)) return CountMode::kSample;  // which says why there is none
  const json key = KeyOf(request);
  if (ReadCounts(CacheFile(key), key, ForwardOps(request.model, OneLayer(request)))) {
    return CountMode::kFull;
  }
  std::string why_not = WhyNoMemory(request);
  if (const double seconds = SecondsToCount(request); why_not.empty() && seconds > budget_s) {
    why_not = fmt::format(
        "an exact count at this shape takes about {:.0f} s, and a run spends {:.0f} s on it "
        "unasked",
        seconds, budget_s);
  }
  if (why_not.empty()) return CountMode::kFull;
  fmt::print(log,
             "flopledger: {}: small shapes are counted instead, to confirm the formulas "
             "(--count full counts all the same)\n",
             why_not);
  return CountMode::kSample;
}

FlopsEvidence GatherEvidence(CountMode mode, const CountRequest& request, std::ostream& log,
                             Progress& progress) {
  FlopsEvidence evidence;
  evidence.mode = mode;
  if (mode == CountMode::kOff) {
    evidence.none_because = "counting was turned off (--count off)";
  } else if (!IsCountable(request.kernels)) {
    evidence.mode = CountMode::kOff;
    evidence.none_because = fmt::format("{} is a library that the counting run cannot see into",
                                        request.kernels.matmul->name);
  } else if (mode == CountMode::kSample) {
    evidence.sampled = CountSamples(request);
  } else {
    for (const OpCount& count : CountFully(request, log, progress)) {
      evidence.counted.emplace_back(count.id, count.tally.flops());
    }
  }
  return evidence;
}

}  // namespace flopledger
