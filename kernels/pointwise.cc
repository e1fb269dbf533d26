#include "kernels/pointwise.h"

#include "kernels/activation_rows.h"
#include "kernels/counted.h"

namespace flopledger {

template <class Scalar>
void Embed(const EmbedArgs<Scalar>& args) {
  FL_CHECK(static_cast<int64_t>(args.tokens.size()) == args.y.rows, args.tokens.size(),
           args.y.rows);
  FL_CHECK(args.table.inputs == args.y.cols, args.table.inputs, args.y.cols);
#pragma omp parallel for
  for (int64_t r = 0; r < args.y.rows; ++r) {
    const int64_t token = args.tokens[static_cast<std::size_t>(r)];
    for (int64_t c = 0; c < args.y.cols; ++c) args.y(r, c) = args.table(c, token);
    if (args.scale != 1) AsRow(args.y, r) *= Scalar(args.scale);
    if (args.positions.data != nullptr) AsRow(args.y, r) += AsRow(args.positions, r % args.context);
  }
}

template <class Scalar>
void AddPositions(ConstMatrixView<Scalar> positions, int64_t context, MatrixView<Scalar> y) {
  if (positions.data == nullptr) return;
#pragma omp parallel for
  for (int64_t r = 0; r < y.rows; ++r) AsRow(y, r) += AsRow(positions, r % context);
}

template <class Scalar>
void Activate(Nonlinearity f, MatrixView<Scalar> x) {
#pragma omp parallel for
  for (int64_t r = 0; r < x.rows; ++r) ActivateRow(f, x.row(r), x.cols);
}

template <class Scalar>
void ActivateGate(Nonlinearity f, MatrixView<Scalar> gate, ConstMatrixView<Scalar> up) {
  FL_CHECK(gate.rows == up.rows && gate.cols == up.cols, gate.rows, gate.cols, up.rows, up.cols);
#pragma omp parallel for
  for (int64_t r = 0; r < gate.rows; ++r) {
    GateRow<Scalar>(f, gate.row(r), up.row(r), gate.row(r), gate.cols);
  }
}

template <class Scalar>
void AddResidual(MatrixView<Scalar> x, ConstMatrixView<Scalar> y, double multiplier) {
  FL_CHECK(x.rows == y.rows && x.cols == y.cols, x.rows, x.cols, y.rows, y.cols);
#pragma omp parallel for
  for (int64_t r = 0; r < x.rows; ++r) {
    if (multiplier == 1) {
      AsRow(x, r) += AsRow(y, r);
    } else {
      AsRow(x, r) += Scalar(multiplier) * AsRow(y, r);
    }
  }
}

#define FLOPLEDGER_INSTANTIATE(Scalar)                                                           \
  template void Embed<Scalar>(const EmbedArgs<Scalar>&);                                         \
  template void AddPositions<Scalar>(ConstMatrixView<Scalar>, int64_t, MatrixView<Scalar>);      \
  template void Activate<Scalar>(Nonlinearity, MatrixView<Scalar>);                              \
  template void ActivateGate<Scalar>(Nonlinearity, MatrixView<Scalar>, ConstMatrixView<Scalar>); \
  template void AddResidual<Scalar>(MatrixView<Scalar>, ConstMatrixView<Scalar>, double)

FLOPLEDGER_INSTANTIATE(float);
FLOPLEDGER_INSTANTIATE(double);
FLOPLEDGER_INSTANTIATE(Counted<float>);

}  // namespace flopledger
