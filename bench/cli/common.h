// What several commands share: exit codes, and the options that say what is run.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace flopledger {

template <class Scalar>
struct MatmulBackend;        // kernels/matmul.h
struct MatmulLibrary;        // kernels/matmul_library.h
struct RunSettings;          // bench/run/settings.h
enum class AttentionKernel;  // bench/counting/kernel_choice.h
enum class Pin;              // bench/machine/pinning.h

/// Exit codes of the program (see README).
enum ExitCode {
  kDone = 0,
  kCheckFailed = 1,
  kBadInput = 2,
  kNoAnswer = 3,
  kProgramFault = 4,
  kNotPossibleHere = 5
};

/// What is run and with which kernels, as words; the benchmark binaries take the same.
struct WorkloadOptions {
  std::string model = "gpt2-xl";
  std::optional<int64_t> context;  // absent: the model's context_length
  int64_t batch = 1;
  std::optional<int64_t> layers;   // absent: all, or as many as fit
  std::optional<int64_t> threads;  // absent: DefaultThreads()
  std::string matmul = "packed";
  std::string attention = "fused";
  std::string pin = "none";
};
/// What a sweep changes beside --matmul, as lists: "1,2,4", "128:1024:x2"; empty: the default.
struct SweepOptions {
  std::string context, batch = "1", threads;
};
/// Every combination of the lists and of the names in `workload.matmul`, in that order; at most 64.
/// Throws InputError.
std::vector<WorkloadOptions> PointsOf(const WorkloadOptions& workload, const SweepOptions& sweep);

/// The same, checked, the names resolved. Throws InputError.
RunSettings ParseWorkload(const WorkloadOptions& options);

/// The threads asked for, or DefaultThreads(). Throws InputError outside 1 to all processors.
int CheckedThreads(const std::optional<int64_t>& threads);

/// "none" or "cores". Throws InputError, with a suggestion, for another word.
Pin ParsePin(const std::string& name);
inline constexpr char kPinHelp[] =
    "bind each thread to a physical core of its own, performance cores first: cores; or none";

/// Says which libraries "all" leaves out since they are absent, where the list `matmuls` holds
/// "all". To be called once nothing in the input can be wrong any more: an error is one line.
void PrintLeftOut(const std::string& matmuls, std::ostream& err);

/// The product backend of that name. Throws InputError, with a suggestion, for one that this build
/// does not know, and CannotMeasure for a library that cannot be loaded here.
const MatmulBackend<float>& ParseMatmul(const std::string& name);

/// Why a library of products cannot be used and which package provides it: one line.
std::string AbsenceOf(const MatmulLibrary& library);

/// Throws InputError, with a suggestion, unless it is "fused" or "reference".
AttentionKernel ParseAttention(const std::string& name);

}  // namespace flopledger
