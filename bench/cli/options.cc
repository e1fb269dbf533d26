#include "bench/cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/other_tools.h"
#include "kernels/matmul_library.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

constexpr char kModelHelp[] =
    "a preset (see 'flopledger presets'), or a JSON file: our keys, or a Hugging Face config.json";

}  // namespace

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

void AddDataTypes(CLI::App* command, std::optional<std::string>& weights,
                  std::optional<std::string>& kv_cache) {
  command->add_option("--dtype", weights,
                      "type of the weights in memory: f32 (default), bf16, f16, f8, int8, int4");
  command->add_option("--kv-dtype", kv_cache, "type of the KV cache, likewise");
}

void AddCalibration(CLI::App* command, std::string& calibration) {
  command->add_option("--calibration", calibration,
                      "a file of 'flopledger calibrate'; default: the user's own");
}

void AddModel(CLI::App* command, std::string& model) {
  command->add_option("-m,--model,model", model, kModelHelp)->capture_default_str();
}

void AddShape(CLI::App* command, std::optional<int64_t>& context, int64_t& batch) {
  command->add_option("-p,--context", context,
                      "positions in each sequence; default: the model's context_length");
  command->add_option("--batch", batch, "sequences")->capture_default_str();
}

void AddThreads(CLI::App* command, std::optional<int64_t>& threads) {
  command->add_option("-t,--threads", threads,
                      "OpenMP threads; default: one for each physical performance core that may be "
                      "used");
}

void AddPin(CLI::App* command, std::string& pin) {
  command->add_option("--pin", pin, kPinHelp)->capture_default_str();
}

void AddMatmul(CLI::App* command, std::string& matmul) {
  command->add_option("--matmul", matmul, MatmulHelp())->capture_default_str();
}

void AddAttention(CLI::App* command, std::string& attention) {
  command
      ->add_option("--attention", attention,
                   "the attention kernel: fused (streaming softmax, causal tiles skipped, scores "
                   "never stored); reference (stores every score)")
      ->type_name("fused|reference")
      ->capture_default_str();
}

void AddBudget(CLI::App* command, double& percent) {
  command->add_option("--budget", percent, "the slowdown that is allowed, in percent")
      ->capture_default_str();
}

void AddFormat(CLI::App* command, std::string& format) {
  command->add_option("-o,--format", format, "table, csv, json or md")
      ->type_name("table|csv|json|md")
      ->capture_default_str();
}

CLI::Option* AtLeast(int64_t least, CLI::Option* option) {
  return option->check([least](const std::string& text) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    if (whole && value >= least) return std::string();
    return fmt::format("must be a whole number of at least {}, found '{}'", least, text);
  });
}

}  // namespace flopledger
