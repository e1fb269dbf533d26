// Types of numbers in which weights and KV caches are kept, and the bytes that they take. What the
// kernels compute in is another matter: they are fp32.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace flopledger {

struct DataType {
  std::string_view name;  // what --dtype takes
  int64_t bits = 32;
  /// Numbers that share one scale of 16 bits, counted along a row of inputs; 0: there are no
  /// scales. Weights of one input (gains and biases) are then kept in 16 bits.
  int64_t group = 0;
};

/// f32, bf16, f16, f8, int8, int4.
std::span<const DataType> DataTypes();
const DataType& F32();
/// Throws InputError, with those allowed, for a name that is not in the table. `flag` names the
/// option in the message.
const DataType& ParseDataType(std::string_view name, std::string_view flag);
/// The type that a config means by "bfloat16", "torch.float16", "float8_e4m3fn", …; null where it
/// is none of the table.
const DataType* DataTypeOfConfig(std::string_view name);

/// Bytes of `rows` rows of `length` numbers, rounded up to whole bytes a row; with scales, one for
/// each group or part of one. A row of a vector type (length 1 input) is told by `is_vector`.
int64_t StoredBytes(const DataType& type, int64_t rows, int64_t length, bool is_vector = false);

}  // namespace flopledger
