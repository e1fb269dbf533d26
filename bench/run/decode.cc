#include "bench/run/decode.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <omp.h>

#include "analysis/text/stats.h"
#include "analysis/text/table.h"
#include "bench/calibration/speed.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/stopwatch.h"
#include "model/checked.h"
#include "model/kv_cache.h"
#include "model/spread_tokens.h"

namespace flopledger {
namespace {

/// Adds up each op's seconds over the tokens of a repetition. The op list is made anew for each
/// position; its order is not.
class StepTimer {
 public:
  explicit StepTimer(const Forward<float>& forward)
      : forward_(forward), seconds_(forward.ops().size(), 0.0) {}

  void Before(const Op&, int64_t, const Operands<float>&) { start_ = Clock::now(); }
  void After(const Op& op, int64_t, const Operands<float>&) {
    seconds_[static_cast<std::size_t>(&op - forward_.ops().data())] += SecondsSince(start_);
  }
  const std::vector<double>& seconds() const { return seconds_; }

 private:
  const Forward<float>& forward_;
  std::vector<double> seconds_;
  Clock::time_point start_{};
};

/// The accounting of all steps, op by op and in total.
void SetAccounting(const RunSettings& settings, const RunShape& prompt, DecodeResult& result) {
  result.total.op = "total";
  for (int64_t i = 0; i < result.tokens; ++i) {
    const RunShape step = DecodeStep(prompt, i);
    const std::vector<Op> ops = ForwardOps(settings.model, step);
    result.ops.resize(ops.size());
    for (std::size_t j = 0; j < ops.size(); ++j) {
      const int64_t flops = OpFlops(settings.model, step, ops[j], settings.convention);
      const int64_t bytes = OpBytes(settings.model, step, ops[j]);
      result.ops[j].op = ops[j].name();
      for (DecodedOp* op : {&result.ops[j], &result.total}) {
        op->flops = CheckedAdd(op->flops, flops);
        op->bytes = CheckedAdd(op->bytes, bytes);
      }
    }
  }
}

}  // namespace

double DecodeResult::TokensPerSecond() const {
  return static_cast<double>(tokens * batch) / Median(total.seconds);
}

double DecodeResult::BytesPerSecond() const {
  return static_cast<double>(total.bytes) / Median(total.seconds);
}

double DecodeResult::ShareOfBandwidth() const {
  std::vector<double> shares;
  for (std::size_t i = 0; i < total.seconds.size(); ++i) {
    shares.push_back(static_cast<double>(total.bytes) / total.seconds[i] / read_bytes_per_s[i]);
  }
  return Median(shares);
}

int64_t DecodeBytes(const RunSettings& settings, int64_t layers) {
  RunShape shape = settings.Shape(layers);
  const int64_t buffers = CountMemory(settings.model, shape).activation_bytes;
  shape.context = CheckedAdd(shape.context, settings.decode);
  return CheckedAdd(CountMemory(settings.model, shape).kv_cache_bytes, buffers);
}

DecodeResult Decode(const RunSettings& settings, int64_t layers, const Weights<float>& weights,
                    int repetitions, Progress& progress) {
  const ModelConfig& model = settings.model;
  const RunShape prompt = settings.Shape(layers);
  DecodeResult result;
  result.prompt = prompt.context;
  result.tokens = settings.decode;
  result.batch = prompt.batch;
  result.layers_run = layers;
  result.layers_total = model.num_layers;
  SetAccounting(settings, prompt, result);

  omp_set_num_threads(settings.threads);
  const MatmulBackend<float>& matmul = *FindMatmul<float>(settings.matmul);
  KvCache<float> cache(model, layers, prompt.batch, prompt.context + settings.decode);
  progress.Show("decoding: the prompt");
  {
    Forward<float> prefill(model, weights, prompt, matmul, &cache);
    NoObserver nobody;
    prefill.Run(SpreadTokens(prompt.batch * prompt.context, model.vocab_size), nobody);
  }
  const std::vector<int32_t> tokens = SpreadTokens(prompt.batch, model.vocab_size);
  Forward<float> step(model, weights, DecodeStep(prompt, 0), matmul, &cache);
  OpVerifier verifier(step, tokens);
  step.Run(tokens, verifier);
  result.verification = verifier.result();
  if (!result.verification.ok()) return result;

  const Weight<float>& table = weights.Unembedding();
  SpeedProbe speed({table.data(), static_cast<std::size_t>(table.stored_size())});
  for (int repetition = 0; repetition < repetitions && !interrupted; ++repetition) {
    StepTimer timer(step);
    double seconds = 0;
    const double read_before = speed.MeasureRead(settings.threads);
    for (int64_t i = 0; i < settings.decode && !interrupted; ++i) {
      step.MoveTo(prompt.context + i);
      const auto start = Clock::now();
      step.Run(tokens, timer);
      seconds += SecondsSince(start);
      progress.Show(fmt::format("decoding: token {} of {}", i + 1, settings.decode));
    }
    if (interrupted) break;
    result.read_bytes_per_s.push_back((read_before + speed.MeasureRead(settings.threads)) / 2);
    result.total.seconds.push_back(seconds);
    for (std::size_t j = 0; j < result.ops.size(); ++j) {
      result.ops[j].seconds.push_back(timer.seconds()[j]);
    }
  }
  progress.Clear();
  return result;
}

nlohmann::json ToJson(const DecodeResult& result) {
  nlohmann::json ops = nlohmann::json::array();
  for (const DecodedOp& op : result.ops) {
    ops.push_back({{"op", op.op},
                   {"predicted_flops", op.flops},
                   {"bytes", op.bytes},
                   {"time_s", Median(op.seconds)},
                   {"samples_s", op.seconds}});
  }
  return {{"prompt", result.prompt},
          {"tokens", result.tokens},
          {"batch", result.batch},
          {"layers_run", result.layers_run},
          {"layers_total", result.layers_total},
          {"tokens_per_s", result.TokensPerSecond()},
          {"time_s", Median(result.total.seconds)},
          {"samples_s", result.total.seconds},
          {"predicted_flops", result.total.flops},
          {"bytes", result.total.bytes},
          {"bytes_per_token", static_cast<double>(result.total.bytes) /
                                  static_cast<double>(result.tokens * result.batch)},
          {"bytes_per_s", result.BytesPerSecond()},
          {"read_bytes_per_s", Median(result.read_bytes_per_s)},
          {"share_of_bandwidth", result.ShareOfBandwidth()},
          {"operations", ops}};
}

void PrintDecode(const DecodeResult& result, std::ostream& out) {
  Table table{{{"one token at a time", false},
               {"FLOPs (all tokens)"},
               {"bytes (all tokens)"},
               {"ms a step"},
               {"MAD ms"},
               {"% of step"},
               {"GB/s"}},
              {}};
  const auto tokens = static_cast<double>(result.tokens);
  const auto add = [&](const DecodedOp& op) {
    const double seconds = Median(op.seconds);
    table.rows.push_back({op.op, Grouped(op.flops), Grouped(op.bytes),
                          fmt::format("{:.4f}", seconds / tokens * 1e3),
                          fmt::format("{:.4f}", MedianAbsoluteDeviation(op.seconds) / tokens * 1e3),
                          fmt::format("{:.2f}", 100 * seconds / Median(result.total.seconds)),
                          fmt::format("{:.1f}", static_cast<double>(op.bytes) / seconds / 1e9)});
  };
  for (const DecodedOp& op : result.ops) add(op);
  add(result.total);
  fmt::print(out, "\n{}", table.ToText());
  fmt::print(
      out,
      "decoding {} tokens{} after a prompt of {}{}, {} times: {:.3f} tokens/s, {:.1f} GB/s of "
      "least traffic, {:.1f} % of the {:.1f} GB/s that these threads read from memory just "
      "before and after (medians; verified: {} outputs)\n",
      Grouped(result.tokens),
      result.batch > 1 ? fmt::format(" of each of {} sequences", result.batch) : "",
      Grouped(result.prompt),
      result.layers_run < result.layers_total
          ? fmt::format(", through {} of {} layers", result.layers_run, result.layers_total)
          : "",
      result.total.seconds.size(), result.TokensPerSecond(), result.BytesPerSecond() / 1e9,
      100 * result.ShareOfBandwidth(), Median(result.read_bytes_per_s) / 1e9,
      Grouped(result.verification.checked));
}

}  // namespace flopledger
