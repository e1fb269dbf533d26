// Counts the instructions of kernels at small shapes and holds the FLOPs that they retire against
// the `executed` formulas.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "analysis/accounting/accounting.h"
#include "analysis/text/table.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/cli/terminal.h"
#include "bench/counting/counting.h"
#include "bench/counting/instruction_count.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/stopwatch.h"
#include "bench/machine/threads.h"
#include "kernels/tile.h"
#include "model/forward.h"
#include "model/input_error.h"
#include "model/runnable.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// A kernel as an op of a model that is built around it: M rows, N columns, K summed.
struct Kernel {
  std::string_view name;
  OpId id;
  bool has_k;
  std::string_view shape;  // by default
  std::string_view meaning;
  void (*build)(ModelConfig& config, int64_t N, int64_t K);
  bool reference_attention = false;
};

void WithHeadSize(ModelConfig& config, int64_t head_size, int64_t) { config.d_model = head_size; }

constexpr Kernel kKernels[] = {
    {"matmul", OpId::kLmHead, true, "37x53x71", "M×N×K",
     [](ModelConfig& config, int64_t N, int64_t K) {
       config.d_model = K;
       config.vocab_size = N;
     }},
    {"attention", OpId::kAttention, false, "40x64", "positions × head size, one head, fused",
     WithHeadSize},
    {"attention_scores", OpId::kAttentionScores, false, "40x64", "positions × head size",
     WithHeadSize, true},
    {"attention_softmax", OpId::kAttentionSoftmax, false, "40x64", "positions × head size",
     WithHeadSize, true},
    {"attention_values", OpId::kAttentionValues, false, "40x64", "positions × head size",
     WithHeadSize, true},
    {"layernorm", OpId::kFinalNorm, false, "4x160", "rows × columns", WithHeadSize},
    {"rmsnorm", OpId::kFinalNorm, false, "4x160", "rows × columns",
     [](ModelConfig& config, int64_t N, int64_t) {
       config.d_model = N;
       config.norm = Norm::kRmsNorm;
     }},
    {"gelu", OpId::kFfnActivation, false, "4x160", "rows × columns",
     [](ModelConfig& config, int64_t N, int64_t) { config.d_ff = N; }},
    {"gelu_exact", OpId::kFfnActivation, false, "4x160", "rows × columns",
     [](ModelConfig& config, int64_t N, int64_t) {
       config.d_ff = N;
       config.ffn = Ffn::kGeluErf;
     }},
    {"relu", OpId::kFfnActivation, false, "4x160", "rows × columns",
     [](ModelConfig& config, int64_t N, int64_t) {
       config.d_ff = N;
       config.ffn = Ffn::kRelu;
     }},
    {"swiglu", OpId::kFfnActivation, false, "4x160", "rows × columns",
     [](ModelConfig& config, int64_t N, int64_t) {
       config.d_ff = N;
       config.ffn = Ffn::kSwiglu;
     }},
    {"rope", OpId::kRope, false, "4x160", "rows × head size, one head",
     [](ModelConfig& config, int64_t N, int64_t) {
       config.d_model = N;
       config.position = Position::kRope;
     }},
    {"residual", OpId::kAttentionResidual, false, "4x160", "rows × columns", WithHeadSize},
    {"embedding", OpId::kEmbedding, false, "4x160", "rows × columns", WithHeadSize},
};

const Kernel& FindKernel(const std::string& name) {
  const auto* found = std::ranges::find(kKernels, name, &Kernel::name);
  if (found != std::end(kKernels)) return *found;
  throw InputError(fmt::format("unknown kernel '{}'{}", name, Suggest(name, InstructionKernels())));
}

/// "37x53x71" as that many positive numbers.
std::vector<int64_t> ParseShape(std::string_view text, const Kernel& kernel) {
  const std::size_t wanted = kernel.has_k ? 3 : 2;
  std::vector<int64_t> sizes;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    int64_t size = 0;
    const auto read = std::from_chars(at, end, size);
    if (read.ec != std::errc() || size < 1 || size > 100'000) break;
    sizes.push_back(size);
    if (read.ptr == end && sizes.size() == wanted) return sizes;
    if (read.ptr == end || *read.ptr != 'x') break;
    at = read.ptr + 1;
  }
  throw InputError(fmt::format("shape '{}' must be {} numbers from 1 to 100000, as in {} ({})",
                               text, wanted, kernel.shape, kernel.meaning));
}

/// What is counted: every op of one layer, or only one of them.
struct InstructionPlan {
  CountRequest request;
  std::optional<OpId> only;
};

InstructionPlan PlanInstructions(const CountInstructionsOptions& options) {
  InstructionPlan plan;
  CountRequest& request = plan.request;
  request.kernels = {.matmul = &ParseMatmul(options.matmul),
                     .attention = ParseAttention(options.attention)};
  if (!options.model.empty()) {
    request.model = LoadModel(options.model);
    CheckComputed(request.model, "count-instructions");
    request.context = options.context.value_or(8);
    ValidateRunShape(request.model, request.context, 1);
    return plan;
  }
  const Kernel& kernel = FindKernel(options.kernel);
  const auto shape =
      ParseShape(options.shape.empty() ? kernel.shape : std::string_view(options.shape), kernel);
  ModelConfig& config = request.model;
  config.name = kernel.name;
  config.vocab_size = config.d_model = config.d_ff = 2;
  config.num_layers = config.num_heads = config.num_kv_heads = 1;
  config.context_length = request.context = shape[0];
  kernel.build(config, shape[1], kernel.has_k ? shape[2] : 0);
  Validate(config, fmt::format("--kernel {} --shape {}", kernel.name, options.shape));
  if (kernel.id == OpId::kAttention) request.kernels.attention = AttentionKernel::kFused;
  if (kernel.reference_attention) request.kernels.attention = AttentionKernel::kReference;
  plan.only = kernel.id;
  return plan;
}

/// One op's instructions beside the accounting.
struct Row {
  Op op = {};
  InstructionCount counted = {};
  int64_t predicted = 0;                 // under matmul
  std::optional<int64_t> executed = {};  // absent for an external library
  Tally tally = {};                      // operations of the kernel's source, by the counting run

  std::optional<int64_t> difference() const {
    if (!executed) return std::nullopt;
    return counted.flops - *executed;
  }
  /// Functions that are one operation of the source each, and many instructions.
  int64_t functions() const { return tally.exp + tally.tanh + tally.erf; }
  /// FLOPs of additions that stand alone, not in a multiply-add.
  int64_t additions() const {
    int64_t flops = 0;
    for (const auto& [name, count] : counted.by_mnemonic) {
      if (!count.is_double && (name.starts_with("vadd") || name.starts_with("add"))) {
        flops += count.flops;
      }
    }
    return flops;
  }
};

/// What is known of a difference: how the compiled code differs from its source.
std::string Explain(const Row& row) {
  if (!row.executed) return "no formula: an external library";
  const int64_t difference = *row.difference();
  if (difference == 0) return "exactly";
  if (const int64_t functions = row.functions(); functions > 0) {
    const int64_t flops = difference + functions;
    if (flops % functions == 0) {
      return fmt::format(
          "each of {} exp, tanh or erf is one operation in the source, {} FLOPs here",
          Grouped(functions), flops / functions);
    }
    return fmt::format(
        "each of {} exp, tanh or erf is one operation in the source, about {:.1f} "
        "FLOPs here, with vectors' idle lanes",
        Grouped(functions), static_cast<double>(flops) / static_cast<double>(functions));
  }
  switch (row.op.kind) {
    case OpKind::kNorm: return "sums across a vector's lanes add idle lanes as well";
    case OpKind::kMatmul:
    case OpKind::kAttentionScores:
    case OpKind::kAttentionValues:
      return fmt::format(
          "additions of Eigen's that fold accumulators of rows and columns left "
          "over ({} FLOPs); alpha's products are made by the compiler",
          Grouped(row.additions()));
    default: return "not explained";
  }
}

/// The ops of one layer, ready to be stepped through one by one.
class Stepper {
 public:
  Stepper(const InstructionPlan& plan, Progress& progress) : plan_(plan), progress_(progress) {
    UseThreads(1);
    const CountRequest& request = plan.request;
    const MatmulBackend<float>& matmul = *request.kernels.matmul;
    shape_ = request.kernels.Apply({.context = request.context});
    weights_ = SeededWeights<float>(request.model, 1, 1, matmul.packs_weights);
    forward_ = std::make_unique<Forward<float>>(request.model, weights_, shape_, matmul);
    tokens_.assign(static_cast<std::size_t>(request.context), 0);
    NoObserver observer;
    forward_->Run(tokens_, observer);  // fills the buffers that single ops read
  }

  std::vector<Op> ops() const {
    std::vector<Op> chosen;
    for (const Op& op : forward_->ops()) {
      if (!plan_.only || op.id == *plan_.only) chosen.push_back(op);
    }
    return chosen;
  }

  Row Count(const Op& op, const std::vector<OpCount>& tallies) {
    Row row{.op = op};
    const ModelConfig& model = plan_.request.model;
    const Operands<float> operands = forward_->Bind(op, op.per_layer ? 0 : -1);
    row.counted = CountInstructions(
        [&] { forward_->Execute(op, operands, tokens_); },
        [&](int64_t steps) {
          progress_.Show(fmt::format("{}: {} instructions", op.name(), Grouped(steps)));
        });
    progress_.Clear();
    if (!row.counted.finished) throw CannotMeasure("interrupted: the counts would not be whole");
    row.predicted = OpFlops(model, shape_, op, Convention::kMatmul);
    row.executed = ExecutedFlops(model, shape_, op, FactsOf(plan_.request.kernels));
    const auto tally = std::ranges::find(tallies, op.id, &OpCount::id);
    if (tally != tallies.end()) row.tally = tally->tally;
    return row;
  }

  /// Instructions that stepping through all of it will take, roughly: in vectorised products FMAs
  /// are somewhat more than half of them; three plain loops spend seven a FLOP.
  int64_t EstimatedSteps() const {
    int64_t flops = 0;
    for (const Op& op : ops()) {
      flops += OpFlops(plan_.request.model, shape_, op, Convention::kAll);
    }
    return 2000 +
           (plan_.request.kernels.matmul->name == "reference" ? 7 * flops : flops / kVectorFloats);
  }

 private:
  const InstructionPlan& plan_;
  Progress& progress_;
  RunShape shape_;
  Weights<float> weights_;
  std::unique_ptr<Forward<float>> forward_;
  std::vector<int32_t> tokens_;
};

/// Seconds that a step takes here, by stepping through a loop.
double SecondsPerStep() {
  const auto start = Clock::now();
  volatile int sink = 0;
  const InstructionCount count = CountInstructions([&] {
    for (int i = 0; i < 2000; ++i) sink = sink + i;
  });
  return SecondsSince(start) / static_cast<double>(std::max<int64_t>(1, count.instructions));
}

std::string OrUnavailable(const std::optional<int64_t>& value) {
  return value ? Grouped(*value) : "unavailable";
}

Table RowsTable(const std::vector<Row>& rows) {
  Table table{{{"operation", false},
               {"m"},
               {"n"},
               {"k"},
               {"products", true, 2},
               {"instructions", true, 1},
               {"FLOPs retired"},
               {"2MNK"},
               {"executed"},
               {"retired - executed"},
               {"explained by", false}},
              {}};
  for (const Row& row : rows) {
    table.rows.push_back({std::string(row.op.name()), Grouped(row.op.m), Grouped(row.op.n),
                          row.op.k > 0 ? Grouped(row.op.k) : "", Grouped(row.op.products),
                          Grouped(row.counted.instructions), Grouped(row.counted.flops),
                          row.op.k > 0 ? Grouped(row.predicted) : "", OrUnavailable(row.executed),
                          OrUnavailable(row.difference()), Explain(row)});
  }
  return table;
}

Table MnemonicsTable(const Row& row) {
  Table table{{{"instruction", false}, {"executions"}, {"FLOPs"}}, {}};
  for (const auto& [name, count] : row.counted.by_mnemonic) {
    table.rows.push_back({count.is_double ? name + " (double)" : name, Grouped(count.executions),
                          Grouped(count.flops)});
  }
  return table;
}

json ToJson(const Row& row) {
  json mnemonics = json::object();
  for (const auto& [name, count] : row.counted.by_mnemonic) {
    mnemonics[name] = {{"executions", count.executions}, {"flops", count.flops}};
  }
  return {{"op", row.op.name()},
          {"m", row.op.m},
          {"n", row.op.n},
          {"k", row.op.k > 0 ? json(row.op.k) : json(nullptr)},
          {"products", row.op.products},
          {"instructions", row.counted.instructions},
          {"flops_retired", row.counted.flops},
          {"double_flops_retired", row.counted.double_flops},
          {"matmul_flops", row.op.k > 0 ? json(row.predicted) : json(nullptr)},
          {"executed_flops", row.executed ? json(*row.executed) : json(nullptr)},
          {"difference", row.executed ? json(*row.difference()) : json(nullptr)},
          {"explained_by", Explain(row)},
          {"by_instruction", mnemonics}};
}

}  // namespace

std::vector<std::string> InstructionKernels() {
  std::vector<std::string> names;
  for (const Kernel& kernel : kKernels) names.emplace_back(kernel.name);
  return names;
}

int RunCountInstructions(const CountInstructionsOptions& options, std::ostream& out,
                         std::ostream& err) {
  const Format format = ParseFormat(options.format);
  const InstructionPlan plan = PlanInstructions(options);
  if (const std::string why = InstructionCountUnavailable(); !why.empty()) {
    throw CannotMeasure("instructions cannot be counted: " + why);
  }
  const InterruptGuard guard;
  Progress progress(err, &err == &std::cerr && isatty(STDERR_FILENO) != 0);
  Stepper stepper(plan, progress);
  fmt::print(err, "flopledger: about {} instructions, one at a time: about {:.0f} s\n",
             Grouped(stepper.EstimatedSteps()),
             std::ceil(static_cast<double>(stepper.EstimatedSteps()) * SecondsPerStep()));
  std::vector<OpCount> tallies;
  if (IsCountable(plan.request.kernels)) {
    tallies = CountOneLayer(plan.request, progress);
  }
  std::vector<Row> rows;
  for (const Op& op : stepper.ops()) rows.push_back(stepper.Count(op, tallies));

  if (format == Format::kJson) {
    json list = json::array();
    for (const Row& row : rows) list.push_back(ToJson(row));
    out << json{{"matmul", plan.request.kernels.matmul->name},
                {"attention", NameOf(plan.request.kernels.attention)},
                {"context", plan.request.context},
                {"rows", list}}
               .dump(2)
        << '\n';
  } else if (format == Format::kCsv) {
    out << RowsTable(rows).ToCsv();
  } else {
    const bool markdown = format == Format::kMarkdown;
    const auto draw = [&](const Table& table) {
      return markdown ? table.ToMarkdown() : Drawn(table, Format::kTable, out);
    };
    out << draw(RowsTable(rows));
    if (rows.size() == 1) out << '\n' << draw(MnemonicsTable(rows.front()));
    if (!markdown) {
      PrintNext(err,
                "'flopledger run -m gpt2 --layers 1 --count full' counts what the source "
                "executes, at any shape");
    }
  }
  return kDone;
}

void AddCountInstructions(CLI::App& app, Session& session) {
  const auto options = std::make_shared<CountInstructionsOptions>();
  CLI::App* command = app.add_subcommand(
      "count-instructions",
      "Runs the compiled kernels one instruction at a time and compares the FLOPs that "
      "they retire with the formulas. Slow, exact, for small shapes; x86-64.");
  std::string kernels = "what is counted, alone:";
  for (const std::string& name : InstructionKernels()) kernels += " " + name + ",";
  kernels.pop_back();
  command->add_option("--kernel", options->kernel, kernels)->capture_default_str();
  command->add_option("--shape", options->shape,
                      "MxNxK for matmul, rows x columns for the others; default: a small one");
  command->add_option(
      "--model", options->model,
      "instead of one kernel, every operation of one layer of this model (and of what is "
      "outside of the layers)");
  command->add_option("--context", options->context, "positions, with --model; default: 8");
  AddMatmul(command, options->matmul);
  AddAttention(command, options->attention);
  AddFormat(command, options->format);
  command->footer(
      "Examples:\n"
      "  flopledger count-instructions --kernel matmul --shape 37x53x71\n"
      "  flopledger count-instructions --kernel gelu --format json");
  command->final_callback([options, &session] {
    session.run = [options, &session] {
      return RunCountInstructions(*options, session.out, session.err);
    };
  });
}

}  // namespace flopledger
