#include "analysis/accounting/data_types.h"

#include <algorithm>
#include <string>
#include <vector>

#include "model/checked.h"

namespace flopledger {
namespace {

// Groups of 128 inputs with one 16-bit scale, as GPTQ and AWQ checkpoints have them (Frantar et al.
// 2022; Lin et al. 2023), without zero points.
constexpr int64_t kGroup = 128;
constexpr DataType kTypes[] = {{"f32", 32}, {"bf16", 16},        {"f16", 16},
                               {"f8", 8},   {"int8", 8, kGroup}, {"int4", 4, kGroup}};

}  // namespace

std::span<const DataType> DataTypes() { return kTypes; }

const DataType& F32() { return kTypes[0]; }

const DataType& ParseDataType(std::string_view name, std::string_view flag) {
  const auto found = std::ranges::find(kTypes, name, &DataType::name);
  if (found != std::end(kTypes)) return *found;
  std::vector<std::string> allowed;
  for (const DataType& type : kTypes) allowed.emplace_back(type.name);
  throw InputError(std::string(flag) + ": unknown data type '" + std::string(name) + "'" +
                   Suggest(name, allowed));
}

const DataType* DataTypeOfConfig(std::string_view name) {
  if (name.starts_with("torch.")) name.remove_prefix(6);
  const auto named = [](std::string_view type) {
    return &*std::ranges::find(kTypes, type, &DataType::name);
  };
  if (std::ranges::find(kTypes, name, &DataType::name) != std::end(kTypes)) return named(name);
  if (name == "float32" || name == "float") return named("f32");
  if (name == "bfloat16") return named("bf16");
  if (name == "float16" || name == "half") return named("f16");
  if (name.starts_with("float8")) return named("f8");
  return nullptr;
}

int64_t StoredBytes(const DataType& type, int64_t rows, int64_t length, bool is_vector) {
  constexpr int64_t kScaleBytes = 2;
  if (type.group == 0) return CheckedMul(rows, length, type.bits / 8);
  if (is_vector) return CheckedMul(rows, length, kScaleBytes);
  const int64_t row = CheckedAdd(CeilDiv(CheckedMul(length, type.bits), int64_t{8}),
                                 CheckedMul(kScaleBytes, CeilDiv(length, type.group)));
  return CheckedMul(rows, row);
}

}  // namespace flopledger
