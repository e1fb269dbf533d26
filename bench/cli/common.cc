#include "bench/cli/common.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>

#include "analysis/accounting/sweep.h"
#include "bench/machine/machine.h"
#include "bench/machine/pinning.h"
#include "bench/run/settings.h"
#include "kernels/matmul_library.h"
#include "model/input_error.h"

namespace flopledger {

RunSettings ParseWorkload(const WorkloadOptions& options) {
  RunSettings settings;
  settings.model = LoadModel(options.model);
  settings.context = options.context.value_or(settings.model.context_length);
  settings.batch = options.batch;
  ValidateRunShape(settings.model, settings.context, settings.batch);
  if (options.layers && (*options.layers < 1 || *options.layers > settings.model.num_layers)) {
    throw InputError(fmt::format("layers must be from 1 to {}, found {}", settings.model.num_layers,
                                 *options.layers));
  }
  settings.layers = options.layers;
  settings.threads = CheckedThreads(options.threads);
  settings.kernels = {.matmul = &ParseMatmul(options.matmul),
                      .attention = ParseAttention(options.attention)};
  return settings;
}

int CheckedThreads(const std::optional<int64_t>& threads) {
  const int processors = AvailableProcessors();
  if (threads && (*threads < 1 || *threads > processors)) {
    throw InputError(fmt::format(
        "threads must be from 1 to the {} processor{} that this process may use "
        "(limited by {}), found {}",
        processors, processors == 1 ? "" : "s", Processors().Decisive().name, *threads));
  }
  return static_cast<int>(threads.value_or(DefaultThreads()));
}

Pin ParsePin(const std::string& name) {
  if (name == "none") return Pin::kNone;
  if (name == "cores") {
    if (RanksSharingProcessors() == 1) return Pin::kCores;
    throw CannotMeasure(
        "--pin cores: ranks share the processors of this host; have the launcher give each its "
        "own, as mpirun --bind-to core --map-by slot:PE=N does");
  }
  throw InputError(fmt::format("unknown pin '{}'{}", name, Suggest(name, {"none", "cores"})));
}

namespace {

/// The backend of that name, or for "all" every one that is installed but "reference".
std::vector<std::string> MatmulsNamed(const std::string& name) {
  if (name != "all") return {name};
  std::vector<std::string> names;
  for (const auto& backend : MatmulBackends<float>()) {
    // One that fuses has no rows for some operations: it would not stand beside the others.
    if (backend.name != "reference" && !backend.fuses_epilogues) names.emplace_back(backend.name);
  }
  for (const MatmulLibrary& library : MatmulLibraries()) {
    if (library.load().usable()) names.emplace_back(library.backend.name);
  }
  return names;
}

/// The backends of a list, each once.
std::vector<std::string> MatmulsOf(std::string_view list) {
  std::vector<std::string> all;
  while (true) {
    const auto comma = list.find(',');
    for (std::string& name : MatmulsNamed(std::string(list.substr(0, comma)))) {
      if (std::ranges::find(all, name) == all.end()) all.push_back(std::move(name));
    }
    if (comma == std::string_view::npos) return all;
    list.remove_prefix(comma + 1);
  }
}

/// The numbers of a list; one that is absent where it is empty.
std::vector<std::optional<int64_t>> NumbersOf(const char* option, const std::string& list) {
  if (list.empty()) return {std::nullopt};
  const std::vector<int64_t> numbers = WholeNumbers(option, list);
  return {numbers.begin(), numbers.end()};
}

}  // namespace

std::vector<WorkloadOptions> PointsOf(const WorkloadOptions& workload, const SweepOptions& sweep) {
  constexpr std::size_t kMostPoints = 64;
  const std::vector<std::string> matmuls = MatmulsOf(workload.matmul);
  const auto batches = NumbersOf("--batch", sweep.batch);
  const auto threads = NumbersOf("--threads", sweep.threads);
  std::vector<WorkloadOptions> points;
  WorkloadOptions point = workload;
  for (const auto& context : NumbersOf("--context", sweep.context)) {
    point.context = context;
    for (const auto& batch : batches) {
      point.batch = batch.value_or(1);
      for (const auto& count : threads) {
        point.threads = count;
        for (const std::string& matmul : matmuls) {
          point.matmul = matmul;
          points.push_back(point);
        }
        if (points.size() > kMostPoints) {
          throw InputError(fmt::format("a sweep of more than {} points", kMostPoints));
        }
      }
    }
  }
  return points;
}

void PrintLeftOut(const std::string& matmuls, std::ostream& err) {
  if (("," + matmuls + ",").find(",all,") == std::string::npos) return;
  for (const MatmulLibrary& library : MatmulLibraries()) {
    if (library.load().usable()) continue;
    fmt::print(err, "flopledger: left out: {}\n", AbsenceOf(library));
  }
}

const MatmulBackend<float>& ParseMatmul(const std::string& name) {
  if (const MatmulBackend<float>* backend = FindMatmul<float>(name)) return *backend;
  std::vector<std::string> names;
  for (const auto& backend : MatmulBackends<float>()) names.emplace_back(backend.name);
  for (const MatmulLibrary& library : MatmulLibraries()) {
    if (library.backend.name == name) throw CannotMeasure(AbsenceOf(library));
    names.emplace_back(library.backend.name);
  }
  throw InputError(fmt::format("unknown matmul '{}'{}", name, Suggest(name, names)));
}

std::string AbsenceOf(const MatmulLibrary& library) {
  return fmt::format("matmul {} is not installed: {}; on Debian, install {}", library.backend.name,
                     library.load().error, library.package);
}

AttentionKernel ParseAttention(const std::string& name) {
  for (const AttentionKernel kernel : {AttentionKernel::kFused, AttentionKernel::kReference}) {
    if (name == NameOf(kernel)) return kernel;
  }
  throw InputError(
      fmt::format("unknown attention '{}'{}", name, Suggest(name, {"fused", "reference"})));
}

}  // namespace flopledger
