// Decoding under the clock: tokens one at a time after a prompt, with a key/value cache. Each token
// reads every weight and the cache, so its ceiling is the memory's bandwidth.
#pragma once

#include <cstdint>
#include <string>

#include "analysis/ledger/decode_figures.h"
#include "analysis/text/table.h"
#include "bench/machine/progress.h"
#include "bench/run/settings.h"
#include "bench/run/verify.h"
#include "model/forward.h"

namespace flopledger {

struct DecodeResult {
  DecodeFigures figures;      // without samples where it was interrupted before one was whole
  Verification verification;  // of the first token's every op
};

/// Bytes that decoding takes beside the weights: the cache, and the buffers of prompt and step.
int64_t DecodeBytes(const RunSettings& settings, int64_t layers);

/// Computes the prompt untimed, verifies the first token, then decodes settings.decode tokens as
/// often as `repetitions` says; fewer where it is interrupted.
DecodeResult Decode(const RunSettings& settings, int64_t layers, const Weights<float>& weights,
                    int repetitions, Progress& progress);

/// A row an operation, and the total: of all tokens, and of a step.
Table DecodeTable(const DecodeFigures& figures);
/// A line on the whole.
std::string Sentence(const DecodeResult& result);

}  // namespace flopledger
