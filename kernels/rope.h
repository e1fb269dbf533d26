// Rotary position embedding (Su et al. 2021, RoFormer, §3.4): the first 2·pairs components of each
// query and key head turn pair by pair, by an angle that grows with the position; the rest of a
// head stays as it is. How fast each pair turns is the model's matter (model/rope.h).
#pragma once

#include <cmath>
#include <span>

#include "kernels/attention.h"
#include "kernels/tensor.h"

namespace flopledger {

/// Which components of a head make pair j.
enum class RopeLayout {
  kHalves,    // j and pairs + j, as GPT-NeoX and Llama's checkpoints have it
  kAdjacent,  // 2j and 2j + 1, as in the paper and in GPT-J
};

/// The rotation's cosines and sines, computed in double before anything is timed.
template <class Scalar>
struct RopeTable {
  Matrix<Scalar> cosine, sine;  // [positions, pairs]
  RopeLayout layout = RopeLayout::kHalves;

  RopeTable() = default;
  RopeTable(int64_t positions, int64_t pairs, RopeLayout pair_layout = RopeLayout::kHalves)
      : cosine(positions, pairs), sine(positions, pairs), layout(pair_layout) {}

  int64_t pairs() const { return cosine.cols(); }

  /// Sets the row of `position`: pair j turns by position · frequencies[j], and its length is
  /// multiplied by `magnitude`. frequencies: [pairs], radians a position.
  void Set(int64_t position, std::span<const double> frequencies, double magnitude = 1) {
    FL_CHECK(static_cast<int64_t>(frequencies.size()) == pairs(), frequencies.size(), pairs());
    for (int64_t j = 0; j < pairs(); ++j) {
      const double angle = static_cast<double>(position) * frequencies[static_cast<std::size_t>(j)];
      cosine.view()(position, j) = Scalar(magnitude * std::cos(angle));
      sine.view()(position, j) = Scalar(magnitude * std::sin(angle));
    }
  }
};

/// In place: turns every query and key head of qkv [B·T, (NH + 2·NKV)·HS] by its row's position,
/// which is `past` for the first row of a sequence. Executes six FLOPs a pair.
template <class Scalar>
void ApplyRope(const AttentionShape& shape, const RopeTable<Scalar>& table, MatrixView<Scalar> qkv,
               int64_t past = 0);

}  // namespace flopledger
