#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

namespace flopledger {
namespace {

/// θ^(−2j/D) for each pair j.
std::vector<double> PlainFrequencies(double theta, int64_t dims) {
  std::vector<double> frequencies;
  for (int64_t j = 0; j < dims / 2; ++j) {
    frequencies.push_back(
        std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(dims)));
  }
  return frequencies;
}

/// NTK-aware scaling by the length: the slowest pair turns as if positions were interpolated, the
/// fastest as before.
double DynamicTheta(const RopeScaling& scaling, double theta, int64_t dims, double trained,
                    double length) {
  if (dims <= 2 || length <= trained) return theta;  // one pair turns by 1 whatever θ is
  const double stretch = scaling.factor * length / trained - (scaling.factor - 1);
  return theta * std::pow(stretch, static_cast<double>(dims) / static_cast<double>(dims - 2));
}

/// Llama 3.1: wavelengths beyond trained/low_freq_factor are interpolated, those below
/// trained/high_freq_factor kept, what is between is mixed.
double Llama3Frequency(const RopeScaling& scaling, double trained, double frequency) {
  const double turns = trained * frequency / (2 * std::numbers::pi);  // in the trained context
  const double kept = std::clamp(
      (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor), 0.0,
      1.0);
  return frequency * (kept + (1 - kept) / scaling.factor);
}

/// The pair (as a real number) that turns `turns` times in the trained context.
double PairOfTurns(double turns, double theta, int64_t dims, double trained) {
  return static_cast<double>(dims) * std::log(trained / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(theta));
}

/// YaRN, §3.2: pairs of many turns are kept, those of few interpolated, a ramp between them.
void ScaleByYarn(const RopeScaling& scaling, double theta, double trained,
                 std::vector<double>& frequencies) {
  const auto dims = static_cast<int64_t>(2 * frequencies.size());
  double low = PairOfTurns(scaling.beta_fast, theta, dims, trained);
  double high = PairOfTurns(scaling.beta_slow, theta, dims, trained);
  if (scaling.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dims - 1));
  if (low == high) high += 0.001;  // a step instead of a ramp
  for (std::size_t j = 0; j < frequencies.size(); ++j) {
    const double interpolated = std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0);
    frequencies[j] *= 1 - interpolated + interpolated / scaling.factor;
  }
}

/// YaRN's temperature (§3.4) goes into cosine and sine, and so into the scores twice.
double YarnMagnitude(const RopeScaling& scaling) {
  if (scaling.attention_factor != 0) return scaling.attention_factor;
  const auto temperature = [&](double mscale) {
    return scaling.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(scaling.factor) + 1;
  };
  if (scaling.mscale != 0 && scaling.mscale_all_dim != 0) {
    return temperature(scaling.mscale) / temperature(scaling.mscale_all_dim);
  }
  return temperature(1);
}

/// LongRoPE as Phi-3 has it: the stretch is that of the context, where the trained one is given.
double LongRopeMagnitude(const RopeScaling& scaling, double trained, double context) {
  if (scaling.attention_factor != 0) return scaling.attention_factor;
  const double stretch = scaling.original_context > 0 ? context / trained : scaling.factor;
  return stretch <= 1 ? 1 : std::sqrt(1 + std::log(stretch) / std::log(trained));
}

}  // namespace

RopeRotation RotationOf(const ModelConfig& config, int64_t length) {
  using Kind = RopeScaling::Kind;
  const RopeScaling& scaling = config.rope_scaling;
  const int64_t dims = config.rotated_size();
  const auto context = static_cast<double>(config.context_length);
  const double trained =
      scaling.original_context > 0 ? static_cast<double>(scaling.original_context) : context;
  const double theta =
      scaling.kind == Kind::kDynamic
          ? DynamicTheta(scaling, config.rope_theta, dims, trained, static_cast<double>(length))
          : config.rope_theta;
  RopeRotation rotation{PlainFrequencies(theta, dims)};
  switch (scaling.kind) {
    case Kind::kNone:
    case Kind::kDynamic: break;
    case Kind::kLinear:
      for (double& frequency : rotation.frequencies) frequency /= scaling.factor;
      break;
    case Kind::kLlama3:
      for (double& frequency : rotation.frequencies) {
        frequency = Llama3Frequency(scaling, trained, frequency);
      }
      break;
    case Kind::kYarn:
      ScaleByYarn(scaling, theta, trained, rotation.frequencies);
      rotation.magnitude = YarnMagnitude(scaling);
      break;
    case Kind::kLongRope: {
      const bool is_long = static_cast<double>(length) > trained;
      const std::vector<double>& factors = is_long ? scaling.long_factor : scaling.short_factor;
      for (std::size_t j = 0; j < rotation.frequencies.size(); ++j) {
        rotation.frequencies[j] /= factors.at(j);
      }
      rotation.magnitude = LongRopeMagnitude(scaling, trained, context);
      break;
    }
    case Kind::kUnknown: throw std::logic_error("no formula for this scaling of RoPE");
  }
  return rotation;
}

}  // namespace flopledger
