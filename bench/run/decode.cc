#include "bench/run/decode.h"

#include <fmt/format.h>

#include <functional>

#include "analysis/ledger/ranks.h"
#include "analysis/text/stats.h"
#include "analysis/text/table.h"
#include "bench/calibration/speed.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/op_meter.h"
#include "bench/machine/threads.h"
#include "bench/run/ranks.h"
#include "model/checked.h"
#include "model/kv_cache.h"
#include "model/spread_tokens.h"

namespace flopledger {
namespace {

/// What is decoded, and the accounting of all steps, op by op and in total.
DecodeFigures Accounting(const RunSettings& settings, const RunShape& prompt) {
  DecodeFigures figures;
  figures.prompt = prompt.context;
  figures.tokens = settings.decode;
  figures.batch = prompt.batch;
  figures.layers_run = prompt.num_layers;
  figures.layers_total = settings.model.num_layers;
  for (int64_t i = 0; i < figures.tokens; ++i) {
    const MeasuredRun measured = settings.Measured(prompt.num_layers, "");
    const std::vector<RankList> lists = ListsOfRanks(measured, DecodeStep(prompt, i));
    figures.ops.resize(lists.front().ops.size());
    for (std::size_t j = 0; j < figures.ops.size(); ++j) {
      int64_t flops = 0, bytes = 0;
      for (const RankList& list : lists) {
        const Op& op = list.ops[j];
        flops = CheckedAdd(flops, OpFlops(list.model, list.shape, op, settings.convention));
        bytes = CheckedAdd(bytes, OpBytes(list.model, list.shape, op));
      }
      figures.ops[j].op = lists.front().ops[j].name();
      for (DecodedOp* op : {&figures.ops[j], &figures.total}) {
        op->flops = CheckedAdd(op->flops, flops);
        op->bytes = CheckedAdd(op->bytes, bytes);
      }
    }
  }
  return figures;
}

/// Decodes all tokens once, and tells `after_token` the index of each. Throws Interrupted, and
/// leaves the figures as they were.
void Repeat(Forward<float>& step, std::span<const int32_t> tokens, SpeedProbe& speed,
            const std::function<void(int64_t)>& after_token, DecodeFigures& figures) {
  OpTimer timer;
  double seconds = 0;
  const double read_before = speed.MeasureRead();
  for (int64_t i = 0; i < figures.tokens; ++i) {
    step.MoveTo(figures.prompt + i);
    const auto start = Clock::now();
    step.Run(tokens, timer);
    seconds += SecondsSince(start);
    after_token(i);
  }
  figures.read_bytes_per_s.push_back((read_before + speed.MeasureRead()) / 2);
  figures.total.seconds.push_back(seconds);
  for (std::size_t j = 0; j < figures.ops.size(); ++j) {
    figures.ops[j].seconds.push_back(timer.of(step.ops()[j].id));
  }
}

}  // namespace

int64_t DecodeBytes(const RunSettings& settings, int64_t layers) {
  RunShape shape = settings.Shape(layers);
  const ModelConfig model = settings.OwnModel();
  const int64_t buffers = CountMemory(model, shape).activation_bytes;
  shape.context = CheckedAdd(shape.context, settings.decode);
  return CheckedAdd(CountMemory(model, shape).kv_cache_window_bytes, buffers);
}

DecodeResult Decode(const RunSettings& settings, int64_t layers, const Weights<float>& weights,
                    int repetitions, Progress& progress) {
  const ModelConfig model = settings.OwnModel();
  const RunShape prompt = settings.Shape(layers);
  DecodeResult result;
  result.figures = Accounting(settings, prompt);

  UseThreads(settings.threads);
  const MatmulBackend<float>& matmul = *settings.kernels.matmul;
  KvCache<float> cache(model, layers, prompt.batch, prompt.context + settings.decode);
  progress.Show("decoding: the prompt");
  {
    Forward<float> prefill(model, weights, prompt, matmul, &cache);
    if (settings.team != nullptr) prefill.Connect(settings.team->link);
    NoObserver nobody;
    prefill.Run(SpreadTokens(prompt.batch * prompt.context, model.vocab_size), nobody);
  }
  const std::vector<int32_t> tokens = SpreadTokens(prompt.batch, model.vocab_size);
  Forward<float> step(model, weights, DecodeStep(prompt, 0), matmul, &cache);
  if (settings.team != nullptr) step.Connect(settings.team->link);
  OpVerifier verifier(step, tokens);
  step.Run(tokens, verifier);
  result.verification = Together(settings.team, verifier.result());
  if (!result.verification.ok()) return result;

  SpeedProbe speed(settings.threads);
  try {
    progress.left.Start(static_cast<double>(repetitions * settings.decode));
    for (int i = 0; i < repetitions; ++i) {
      const auto say = [&](int64_t token) {
        progress.left.Add(1);
        if (!progress.Due()) return;
        progress.Show(fmt::format("decoding, repetition {} of {}: token {} of {}; {}", i + 1,
                                  repetitions, token + 1, settings.decode, progress.left.ToText()));
      };
      Repeat(step, tokens, speed, say, result.figures);
    }
  } catch (const Interrupted&) {  // the repetitions that are whole stand
  }
  progress.Clear();
  return result;
}

Table DecodeTable(const DecodeFigures& figures) {
  Table table{{{"one token at a time", false},
               {"FLOPs (all tokens)", true, 2},
               {"bytes (all tokens)", true, 1},
               {"ms a step"},
               {"MAD ms"},
               {"% of step"},
               {"GB/s"}},
              {}};
  const auto tokens = static_cast<double>(figures.tokens);
  const auto add = [&](const DecodedOp& op) {
    const double seconds = Median(op.seconds);
    table.rows.push_back({op.op, Grouped(op.flops), Grouped(op.bytes),
                          fmt::format("{:.4f}", seconds / tokens * 1e3),
                          fmt::format("{:.4f}", MedianAbsoluteDeviation(op.seconds) / tokens * 1e3),
                          fmt::format("{:.2f}", 100 * seconds / Median(figures.total.seconds)),
                          fmt::format("{:.1f}", static_cast<double>(op.bytes) / seconds / 1e9)});
  };
  for (const DecodedOp& op : figures.ops) add(op);
  add(figures.total);
  return table;
}

std::string Sentence(const DecodeResult& result) {
  const DecodeFigures& figures = result.figures;
  return fmt::format(
      "decoding {} tokens{} after a prompt of {}{}, {} times: {:.3f} tokens/s, {:.1f} GB/s of "
      "least traffic, {:.1f} % of the {:.1f} GB/s that these threads read from memory just "
      "before and after (medians; verified: {} outputs)",
      Grouped(figures.tokens),
      figures.batch > 1 ? fmt::format(" of each of {} sequences", figures.batch) : "",
      Grouped(figures.prompt),
      figures.layers_run < figures.layers_total
          ? fmt::format(", through {} of {} layers", figures.layers_run, figures.layers_total)
          : "",
      figures.total.seconds.size(), figures.TokensPerSecond(), figures.BytesPerSecond() / 1e9,
      100 * figures.ShareOfBandwidth(), Median(figures.read_bytes_per_s) / 1e9,
      Grouped(result.verification.checked));
}

}  // namespace flopledger
