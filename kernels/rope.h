// Rotary position embedding (Su et al. 2021, RoFormer, §3.4), in the half-split layout of Llama:
// component j of a head turns together with component j + HS/2.
#pragma once

#include <cmath>

#include "kernels/attention.h"

namespace flopledger {

/// The rotation angles' cosines and sines, computed once in double before anything is timed.
template <class Scalar>
struct RopeTable {
  Matrix<Scalar> cosine, sine;  // [T, HS/2]

  RopeTable() = default;
  /// Angle of position t and component j: t · theta^(−2j/HS). head_size must be even.
  RopeTable(int64_t context, int64_t head_size, double theta)
      : cosine(context, head_size / 2), sine(context, head_size / 2) {
    FL_CHECK(head_size % 2 == 0, head_size);
    for (int64_t t = 0; t < context; ++t) {
      for (int64_t j = 0; j < head_size / 2; ++j) {
        const double angle =
            static_cast<double>(t) *
            std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(head_size));
        cosine.view()(t, j) = Scalar(std::cos(angle));
        sine.view()(t, j) = Scalar(std::sin(angle));
      }
    }
  }
};

/// In place: turns every query and key head of qkv [B·T, (NH + 2·NKV)·HS] by its row's position,
/// which is `past` for the first row of a sequence.
template <class Scalar>
void ApplyRope(const AttentionShape& shape, const RopeTable<Scalar>& table, MatrixView<Scalar> qkv,
               int64_t past = 0) {
  const int64_t half = shape.head_size / 2;
  const int64_t heads = shape.num_heads + shape.num_kv_heads;  // values do not turn
#pragma omp parallel for
  for (int64_t r = 0; r < qkv.rows; ++r) {
    const Scalar* cosine = table.cosine.view().row(past + r % shape.context);
    const Scalar* sine = table.sine.view().row(past + r % shape.context);
    for (int64_t h = 0; h < heads; ++h) {
      Scalar* first = qkv.row(r) + h * shape.head_size;
      Scalar* second = first + half;
      for (int64_t j = 0; j < half; ++j) {
        const Scalar x = first[j], y = second[j];
        first[j] = x * cosine[j] - y * sine[j];
        second[j] = y * cosine[j] + x * sine[j];
      }
    }
  }
}

}  // namespace flopledger
