#include "bench/cli/cli.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <new>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/other_tools.h"
#include "bench/cli/commands.h"
#include "bench/machine/build_info.h"
#include "kernels/matmul_library.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

constexpr char kModelHelp[] =
    "a preset (see 'flopledger presets'), or a JSON file: our keys, or a Hugging Face config.json";

std::string ConventionHelp() {
  std::string text = "what counts as a FLOP:";
  for (const ConventionInfo& info : Conventions()) text += fmt::format(" {};", info.name);
  text.back() = '.';
  return text + " 'account' prints what each means";
}

std::string OtherToolNames() {
  std::string names;
  for (const OtherTool& tool : OtherTools()) names += fmt::format(" {},", tool.name);
  names.pop_back();
  return names;
}

std::string MatmulHelp() {
  std::string text = "the product kernels:";
  for (const auto& backend : MatmulBackends<float>()) {
    text += fmt::format(" {} ({});", backend.name, backend.description);
  }
  for (const MatmulLibrary& library : MatmulLibraries()) {
    text += fmt::format(" {} ({});", library.backend.name, library.backend.description);
  }
  text.pop_back();
  return text;
}

/// The parser and the options that it fills. Run() calls the command that was chosen.
class Parser {
 public:
  Parser(std::ostream& out, std::ostream& err) : out_(out), err_(err) {
    app_.description(
        "FlopLedger is the ledger of a transformer forward pass on a CPU: what each operation "
        "should cost, what it did cost, and the difference.");
    app_.set_version_flag("--version", fmt::format("flopledger {} ({})", GetBuildInfo().version,
                                                   GetBuildInfo().commit));
    app_.require_subcommand(1);
    app_.footer(
        "Exit codes: 0 done; 1 the answer is no (a wrong result, a regression); 2 bad input;\n"
        "3 no answer can be had here; 4 a fault in the program.\n\n"
        "Examples:\n"
        "  flopledger account --model gpt2-xl\n"
        "  flopledger run --model gpt2 --threads 2 --csv gpt2.csv\n"
        "  flopledger run --model gpt2-xl --layers 1 --benchmark_repetitions=5\n"
        "  flopledger gate --baseline old/bench_forward --candidate build/bench_forward");
    AddPresets();
    AddAccount();
    AddAudit();
    AddRun();
    AddReport();
    AddLogits();
    AddCountInstructions();
    AddCompare();
    AddGate();
    AddDoctor();
    AddCalibrate();
    AddPredict();
  }

  int Run(std::vector<std::string> args) {
    if (args.empty()) throw InputError("no command; 'flopledger --help' lists them");
    RejectUnknownCommand(args);
    if (const auto dashes = std::ranges::find(args, "--");
        args.front() == "gate" && dashes != args.end()) {
      gate_.arguments.assign(dashes + 1, args.end());
      args.erase(dashes, args.end());
    }
    for (CLI::App* command : app_.get_subcommands(nullptr)) command->allow_extras();
    try {
      app_.parse(std::vector<std::string>(args.rbegin(), args.rend()));
    } catch (const CLI::Success& asked) {  // --help, --version
      app_.exit(asked, out_, err_);
      return kDone;
    } catch (const CLI::ParseError& error) {
      throw InputError(error.what());
    }
    TakeRemaining(*app_.get_subcommands().front());
    return command_();
  }

 private:
  void AddPresets() {
    CLI::App* command =
        app_.add_subcommand("presets", "Lists the models with parameters and FLOPs.");
    AddFormat(command, presets_.format);
    command->final_callback([this] { command_ = [this] { return RunPresets(presets_, out_); }; });
  }

  void AddAccount() {
    CLI::App* command = app_.add_subcommand(
        "account",
        "The analytic accounting: parameters, memory and FLOPs, exact, from closed formulas.");
    AddModel(command, account_.model);
    AddShape(command, account_.context, account_.batch);
    AddAttention(command, account_.attention);
    command
        ->add_option("--convention", account_.convention,
                     ConventionHelp() + ". Other tools' formulas as well:" + OtherToolNames())
        ->capture_default_str();
    AddFormat(command, account_.format);
    command->add_flag("--explain", account_.explain,
                      "write each formula out with its letters and numbers, and sort the parts");
    command->add_option(
        "--sweep", account_.sweep,
        "several accounts side by side: context=1024:16384:x2, "
        "model=gpt2,gpt2-xl, or any key of a model's JSON; a range is FIRST:LAST:xN or "
        "FIRST:LAST:+N");
    command->add_flag("--training", account_.training,
                      "AdamW: memory by batch, FLOPs of a step, and with --peak its time");
    command->add_flag("--inference", account_.inference,
                      "the KV cache, prefill against decode, GQA against MHA");
    command->add_flag("--conventions", account_.conventions,
                      "this model under every convention, ours and other tools'");
    command->add_option("--memory", account_.memory,
                        "with --training: what the batch must fit in; default: 80GB");
    command->add_option("--peak", account_.peak,
                        "with --training: the machine's FLOPs a second, e.g. 19.5T");
    command->add_option("--mfu", account_.mfu,
                        "with --training: the share of the peak that is reached; default: 50%");
    command->add_option("--steps", account_.steps, "with --training: steps of the whole run");
    command->footer(
        "Examples:\n"
        "  flopledger account --model cs336-xl --explain\n"
        "  flopledger account --model cs336-xl --sweep context=1024:16384:x2\n"
        "  flopledger account --sweep model=gpt2,gpt2-medium,gpt2-large,gpt2-xl\n"
        "  flopledger account --model cs336-xl --training --batch 1024 --memory 80GB \\\n"
        "      --peak 19.5T --mfu 50% --steps 400000\n"
        "  flopledger account --model gpt2-xl --convention nanogpt");
    command->final_callback([this] { command_ = [this] { return RunAccount(account_, out_); }; });
  }

  void AddAudit() {
    CLI::App* command = app_.add_subcommand(
        "audit", "Hand-made figures held against the derivation, and where a hand slipped.");
    command->add_option("claims", audit_.claims, "claims: a .json or .csv file, or - for stdin");
    AddModel(command, audit_.model);
    AddShape(command, audit_.context, audit_.batch);
    command->add_option("--convention", audit_.convention, ConventionHelp())->capture_default_str();
    command->add_flag("--quantities", audit_.quantities,
                      "list what can be claimed, with its value");
    AddFormat(command, audit_.format);
    command->final_callback([this] { command_ = [this] { return RunAudit(audit_, out_); }; });
  }

  void AddRun() {
    CLI::App* command = app_.add_subcommand(
        "run",
        "Runs the forward pass with seeded weights under Google Benchmark and prints the "
        "ledger: every operation predicted and timed, beside the machine's FMA peak.");
    AddModel(command, run_.workload.model);
    AddShape(command, run_.workload.context, run_.workload.batch);
    command->add_option("--layers", run_.workload.layers,
                        "run only the first N layers; default: all, or as many as fit in memory");
    AddThreads(command, run_.workload.threads);
    command
        ->add_option("--matmul", run_.workload.matmul,
                     MatmulHelp() +
                         "; all (all but reference and packed-fused, side by side: repetitions "
                         "interleaved, one table)")
        ->capture_default_str();
    AddAttention(command, run_.workload.attention);
    command->add_option("--convention", run_.convention, ConventionHelp())->capture_default_str();
    command
        ->add_option(
            "--count", run_.count,
            "measure executed FLOPs by an exact, untimed counting run: off; sample (small "
            "shapes, to confirm the formulas); full (this very shape; kept for next time); "
            "instructions (times nothing: one layer as 'count-instructions --model' does)")
        ->capture_default_str();
    command
        ->add_option(
            "--counters", run_.counters,
            "hardware counters, read in a pass of its own after those that are timed: auto "
            "(where the machine has them; see 'flopledger doctor'); off")
        ->capture_default_str();
    command->add_flag("--sample", run_.sample,
                      "measure three layers and what stands around the layers, fifteen times, and "
                      "extrapolate to the whole pass, with an interval");
    AddCalibration(command, run_.calibration);
    command->add_option("--seed", run_.seed, "the seed of the weights")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command
        ->add_option("--max-memory", run_.max_memory,
                     "take at most this much, e.g. 8GiB; default: what is available")
        ->transform(CLI::AsSizeValue(true));
    command->add_option("--csv", run_.csv, "write the ledger here as CSV");
    command->add_option("--json", run_.json, "write the ledger here as JSON, with every sample");
    command
        ->add_option(
            "--decode", run_.decode,
            "then decode this many tokens, one at a time, with a key/value cache: tokens/s "
            "and the share of the memory's bandwidth")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 32));
    command->add_option("--trace", run_.trace,
                        "write a Chrome trace here (for Perfetto or speedscope): a slice for each "
                        "layer, operation and thread's share, of one more pass after those timed");
    command->add_option("--results", run_.results,
                        "write <model>-<time>.csv, .json and .html into this folder");
    command->footer(
        "Flags of Google Benchmark are passed on: --benchmark_repetitions=N (default 3),\n"
        "--benchmark_min_time=S, --benchmark_filter=RE, --benchmark_out=FILE, …\n"
        "A run that is interrupted (Ctrl-C) still reports the repetitions that it finished.");
    command->final_callback([this] { command_ = [this] { return RunRun(run_, out_, err_); }; });
  }

  void AddReport() {
    CLI::App* command = app_.add_subcommand(
        "report",
        "The page of a run: verdict, roofline, predicted beside measured, shares, the ledger, how "
        "to repeat it. One file that loads nothing; several runs become a comparison.");
    command->add_option("results", report_.results,
                        "the .json of a run ('run --json'); several are compared with the first");
    command->add_option("--out", report_.out, "write here instead of to standard output");
    command->add_option("--format", report_.format,
                        "html; md (Markdown for a CI summary). Default: what --out ends with, else "
                        "html");
    command->footer(
        "Examples:\n"
        "  flopledger report results/gpt2.json --out gpt2.html\n"
        "  flopledger report before.json after.json --out compared.html\n"
        "  flopledger report gpt2.json --format md >> \"$GITHUB_STEP_SUMMARY\"");
    command->final_callback([this] { command_ = [this] { return RunReport(report_, out_); }; });
  }

  void AddLogits() {
    CLI::App* command = app_.add_subcommand(
        "logits", "One forward pass on given weights: a row of V logits for each token, CSV.");
    command->add_option("--model", logits_.model, kModelHelp)->required();
    command
        ->add_option("--weights", logits_.weights,
                     "a safetensors file with Hugging Face's names for GPT-2 or Llama")
        ->required();
    command->add_option("--tokens", logits_.tokens, "a JSON file: one list of token ids")
        ->required();
    command->add_option("--out", logits_.out, "write here instead of to standard output");
    AddThreads(command, logits_.threads);
    AddMatmul(command, logits_.matmul);
    AddAttention(command, logits_.attention);
    command->final_callback([this] { command_ = [this] { return RunLogits(logits_, out_); }; });
  }

  void AddCountInstructions() {
    CLI::App* command = app_.add_subcommand(
        "count-instructions",
        "Steps through the compiled kernels one instruction at a time and holds the FLOPs that "
        "they retire against the formulas. Slow, exact, for small shapes; x86-64.");
    std::string kernels = "what is counted, alone:";
    for (const std::string& name : InstructionKernels()) kernels += " " + name + ",";
    kernels.pop_back();
    command->add_option("--kernel", stepped_.kernel, kernels)->capture_default_str();
    command->add_option("--shape", stepped_.shape,
                        "MxNxK for matmul, rows x columns for the others; default: a small one");
    command->add_option(
        "--model", stepped_.model,
        "instead of one kernel, every operation of one layer of this model (and of what "
        "stands around the layers)");
    command->add_option("--context", stepped_.context, "positions, with --model; default: 8");
    AddMatmul(command, stepped_.matmul);
    AddAttention(command, stepped_.attention);
    AddFormat(command, stepped_.format);
    command->final_callback(
        [this] { command_ = [this] { return RunCountInstructions(stepped_, out_, err_); }; });
  }

  void AddCompare() {
    CLI::App* command = app_.add_subcommand(
        "compare",
        "Two saved results: FLOPs exactly, times as far as runs that were not paired allow.");
    constexpr char kFile[] = "a ledger of 'run --json', or Google Benchmark's JSON";
    command->add_option("baseline", compare_.baseline, kFile)->required();
    command->add_option("candidate", compare_.candidate, kFile)->required();
    AddBudget(command, compare_.budget);
    command
        ->add_option("--drift", compare_.drift,
                     "how far one run's level lies from another's, one sigma, in percent; default: "
                     "what was found between jobs on shared runners")
        ->capture_default_str();
    AddFormat(command, compare_.format);
    command->footer(
        "Exit codes: 0 PASS; 1 FAIL; 3 inconclusive, or not comparable (another CPU, other flags,\n"
        "rows missing). Small differences take runs in turn: 'flopledger gate'.");
    command->final_callback([this] { command_ = [this] { return RunCompare(compare_, out_); }; });
  }

  void AddGate() {
    CLI::App* command = app_.add_subcommand(
        "gate",
        "Runs two builds of a Google Benchmark binary in turn and says whether the second is "
        "slower: PASS, FAIL or INCONCLUSIVE for every row.");
    command->add_option("--baseline", gate_.baseline, "the binary as it was (A)");
    command->add_option("--candidate", gate_.candidate, "the binary as it is now (B)");
    command->add_option("--baseline-ref", gate_.baseline_ref,
                        "build A from this git revision, and B from --candidate-ref, in worktrees");
    command->add_option("--candidate-ref", gate_.candidate_ref,
                        "with --baseline-ref; default: HEAD");
    command
        ->add_option("--preset", gate_.preset,
                     "the CMake preset of both builds; '' for none (a Release build)")
        ->capture_default_str();
    command->add_option("--target", gate_.target, "the CMake target that is built and gated")
        ->capture_default_str();
    AddBudget(command, gate_.budget);
    command
        ->add_option("--blocks", gate_.blocks,
                     "blocks (two runs of each binary) up to the first decision")
        ->capture_default_str();
    command->add_option("--max-blocks", gate_.max_blocks,
                        "blocks to which a row that is inconclusive goes on; default: 30");
    command
        ->add_option("--seed", gate_.seed, "draws the order of runs; default: drawn, and printed")
        ->check(CLI::NonNegativeNumber);
    command->add_option("--time-limit", gate_.time_limit_s, "seconds that one run may take")
        ->capture_default_str();
    command
        ->add_option("--exact", gate_.exact,
                     "a counter of the benchmarks that must be equal, beside predicted_flops, "
                     "counted_flops and sample_counted_flops")
        ->take_all();
    command->add_flag("--flops-may-change", gate_.flops_may_change,
                      "time rows whose exact counters changed");
    command->add_flag("--across-builds", gate_.across_builds,
                      "compare builds of different compilers, flags or build types");
    command->add_flag("--time-identical", gate_.time_identical,
                      "time binaries of equal content too, to test this machine");
    command->add_flag(
        "--plan", gate_.plan,
        "gate --baseline (default: a small product of ours) against itself, and print "
        "sigma and the smallest slowdown that 10, 20 and 30 blocks can catch here");
    command->add_option("--plan-seconds", gate_.plan_seconds, "how long --plan takes")
        ->capture_default_str();
    command->add_option(
        "--profile", gate_.profile,
        "run rows that fail once more under 'perf record', and leave folded stacks in "
        "this folder");
    command->add_option("--json", gate_.json, "the verdict, with every run")->capture_default_str();
    command->add_option("--markdown", gate_.markdown, "a summary, e.g. \"$GITHUB_STEP_SUMMARY\"");
    command->add_option("--junit", gate_.junit, "JUnit XML");
    command->add_option("--bencher", gate_.bencher, "Bencher Metric Format");
    command
        ->add_option("--annotations", gate_.annotations,
                     "GitHub's ::error and ::warning lines: on, off, or auto (in GitHub Actions)")
        ->capture_default_str();
    command->footer(
        "--benchmark_filter=RE and what stands after '--' are handed to both binaries, e.g.\n"
        "  flopledger gate --baseline a/bench_forward --candidate b/bench_forward -- --model gpt2\n"
        "Exit codes: 0 PASS; 1 FAIL; 2 bad usage; 3 INCONCLUSIVE, not comparable or interrupted.\n"
        "The verdict file is written in every case but bad usage.");
    command->final_callback(
        [this] { command_ = [this] { return RunGateCommand(gate_, out_, err_); }; });
  }

  void AddDoctor() {
    CLI::App* command = app_.add_subcommand(
        "doctor", "What this machine can measure, and precisely why not what it cannot.");
    AddFormat(command, doctor_.format);
    command->final_callback([this] { command_ = [this] { return RunDoctor(doctor_, out_); }; });
  }

  void AddCalibrate() {
    CLI::App* command = app_.add_subcommand(
        "calibrate",
        "Measures the machine's ceilings and samples of every operation, from which seconds are "
        "predicted. Takes two minutes at most; wants an otherwise idle machine.");
    command->add_option("--out", calibrate_.out,
                        "write here; default: the user's cache, where 'run' and 'predict' look");
    command->add_flag("--quick", calibrate_.quick, "half a minute: fewer shapes, wider spread");
    command->final_callback(
        [this] { command_ = [this] { return RunCalibrate(calibrate_, out_, err_); }; });
  }

  void AddPredict() {
    CLI::App* command = app_.add_subcommand(
        "predict",
        "The seconds that a forward pass would need on this machine, operation by operation, from "
        "the calibration alone: the model need not fit in memory.");
    AddModel(command, predict_.model);
    AddShape(command, predict_.context, predict_.batch);
    AddThreads(command, predict_.threads);
    AddMatmul(command, predict_.matmul);
    AddAttention(command, predict_.attention);
    command->add_option("--convention", predict_.convention, ConventionHelp())
        ->capture_default_str();
    AddCalibration(command, predict_.calibration);
    AddFormat(command, predict_.format);
    command->final_callback([this] { command_ = [this] { return RunPredict(predict_, out_); }; });
  }

  static void AddCalibration(CLI::App* command, std::string& calibration) {
    command->add_option("--calibration", calibration,
                        "a file of 'flopledger calibrate'; default: the user's own");
  }
  static void AddModel(CLI::App* command, std::string& model) {
    command->add_option("--model", model, kModelHelp)->capture_default_str();
  }
  static void AddShape(CLI::App* command, std::optional<int64_t>& context, int64_t& batch) {
    command->add_option("--context", context,
                        "positions in each sequence; default: the model's context_length");
    command->add_option("--batch", batch, "sequences")->capture_default_str();
  }
  static void AddThreads(CLI::App* command, std::optional<int64_t>& threads) {
    command->add_option("--threads", threads, "OpenMP threads; default: every processor");
  }
  static void AddMatmul(CLI::App* command, std::string& matmul) {
    command->add_option("--matmul", matmul, MatmulHelp())->capture_default_str();
  }
  static void AddAttention(CLI::App* command, std::string& attention) {
    command
        ->add_option("--attention", attention,
                     "the attention kernel: fused (streaming softmax, causal tiles skipped, scores "
                     "never stored); reference (stores every score)")
        ->capture_default_str();
  }
  static void AddBudget(CLI::App* command, double& percent) {
    command->add_option("--budget", percent, "the slowdown that is let pass, in percent")
        ->capture_default_str();
  }
  static void AddFormat(CLI::App* command, std::string& format) {
    command->add_option("--format", format, "table, csv, json or md")->capture_default_str();
  }

  /// What a command did not know itself: for `run` and `gate`, Google Benchmark may; else it is an
  /// error.
  void TakeRemaining(const CLI::App& command) {
    for (const std::string& word : command.remaining()) {
      if (command.get_name() == "run" && word.starts_with("--benchmark_")) {
        run_.benchmark_flags.push_back(word);
      } else if (command.get_name() == "gate" && word.starts_with("--benchmark_")) {
        gate_.arguments.push_back(word);
      } else if (word.starts_with('-')) {
        std::vector<std::string> names;
        for (const CLI::Option* option : command.get_options()) names.push_back(option->get_name());
        throw InputError(fmt::format("unknown option '{}'{}", word, Suggest(word, names)));
      }
    }
    if (!command.remaining().empty() && !command.remaining().front().starts_with('-')) {
      throw InputError(fmt::format("'{}' belongs to no option", command.remaining().front()));
    }
  }

  void RejectUnknownCommand(const std::vector<std::string>& args) const {
    if (args.front().starts_with('-')) {
      if (app_.get_option_no_throw(args.front()) != nullptr) return;
      throw InputError(
          fmt::format("unknown option '{}'; a command comes first, and 'flopledger --help' "
                      "lists them",
                      args.front()));
    }
    std::vector<std::string> names;
    for (const CLI::App* command : app_.get_subcommands(nullptr))
      names.push_back(command->get_name());
    if (std::ranges::find(names, args.front()) != names.end()) return;
    throw InputError(
        fmt::format("unknown command '{}'{}", args.front(), Suggest(args.front(), names)));
  }

  std::ostream& out_;
  std::ostream& err_;
  CLI::App app_{"", "flopledger"};
  PresetsOptions presets_;
  AccountOptions account_;
  AuditOptions audit_;
  RunOptions run_;
  ReportOptions report_;
  LogitsOptions logits_;
  DoctorOptions doctor_;
  CompareOptions compare_;
  GateOptions gate_;
  CountInstructionsOptions stepped_;
  CalibrateOptions calibrate_;
  PredictOptions predict_;
  std::function<int()> command_;
};

}  // namespace

int RunCli(const std::vector<std::string>& args, std::ostream& out, std::ostream& err) {
  const auto say = [&](std::string_view what) {
    fmt::print(err, "flopledger: {}\n", OneLine(std::string(what)));
  };
  try {
    const int code = Parser(out, err).Run(args);
    if (!out.flush()) throw InputError("standard output cannot be written");
    return code;
  } catch (const InputError& error) {
    say(error.what());
    return kBadInput;
  } catch (const CannotMeasure& error) {
    say(error.what());
    return kNoAnswer;
  } catch (const std::bad_alloc&) {
    say("out of memory; use fewer --layers, a shorter --context or a smaller model");
    return kNoAnswer;
  } catch (const std::exception& error) {
    say(fmt::format("a fault in the program, please report it: {}", error.what()));
    return kProgramFault;
  }
}

}  // namespace flopledger
