#include "kernels/rope.h"

#include "kernels/counted.h"

namespace flopledger {

template <class Scalar>
void ApplyRope(const AttentionShape& shape, const RopeTable<Scalar>& table, MatrixView<Scalar> qkv,
               int64_t past) {
  const int64_t pairs = table.pairs();
  const int64_t heads = shape.num_heads + shape.num_kv_heads;  // values do not turn
  FL_CHECK(2 * pairs <= shape.head_size, pairs, shape.head_size);
  const auto turn = [](Scalar& first, Scalar& second, const Scalar& cosine, const Scalar& sine) {
    const Scalar x = first, y = second;
    first = x * cosine - y * sine;
    second = y * cosine + x * sine;
  };
#pragma omp parallel for
  for (int64_t r = 0; r < qkv.rows; ++r) {
    const Scalar* cosine = table.cosine.view().row(past + r % shape.context);
    const Scalar* sine = table.sine.view().row(past + r % shape.context);
    for (int64_t h = 0; h < heads; ++h) {
      Scalar* head = qkv.row(r) + h * shape.head_size;
      if (table.layout == RopeLayout::kHalves) {
        for (int64_t j = 0; j < pairs; ++j) turn(head[j], head[pairs + j], cosine[j], sine[j]);
      } else {
        for (int64_t j = 0; j < pairs; ++j) turn(head[2 * j], head[2 * j + 1], cosine[j], sine[j]);
      }
    }
  }
}

#define FLOPLEDGER_INSTANTIATE(Scalar)                                             \
  template void ApplyRope<Scalar>(const AttentionShape&, const RopeTable<Scalar>&, \
                                  MatrixView<Scalar>, int64_t)

FLOPLEDGER_INSTANTIATE(float);
FLOPLEDGER_INSTANTIATE(double);
FLOPLEDGER_INSTANTIATE(Counted<float>);

}  // namespace flopledger
