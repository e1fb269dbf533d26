#include "model/weight_checks.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "model/input_error.h"
#include "model/tensor_names.h"

namespace flopledger {
namespace {

/// "[3, 7]" of an element of a tensor.
std::string Place(const StoredTensor& tensor, int64_t index) {
  std::vector<int64_t> place(tensor.shape.size());
  for (std::size_t i = place.size(); i-- > 0;) {
    place[i] = index % tensor.shape[i];
    index /= tensor.shape[i];
  }
  return ShapeText(place);
}

/// The first stored tensor whose name ends with one of `endings`, or null.
const StoredTensor* FindEnding(const SafetensorsFile& file,
                               std::initializer_list<std::string_view> endings) {
  for (const auto& [name, tensor] : file.tensors()) {
    for (const std::string_view ending : endings) {
      if (name.ends_with(ending)) return &tensor;
    }
  }
  return nullptr;
}

void CheckTied(const SafetensorsFile& file) {
  const StoredTensor* head = FindEnding(file, {"lm_head.weight", "embed_out.weight"});
  const StoredTensor* table = FindEnding(
      file, {"wte.weight", "embed_tokens.weight", "embed_in.weight", "word_embeddings.weight"});
  if (head == nullptr || table == nullptr) return;
  const bool readable = head->dtype != DType::kOther && table->dtype != DType::kOther;
  if (!readable || head->shape != table->shape) return;  // another check names these
  int64_t first = head->size();
#pragma omp parallel for reduction(min : first)
  for (int64_t i = 0; i < head->size(); ++i) {
    if (i < first && head->At(i) != table->At(i)) first = i;
  }
  if (first == head->size()) return;
  throw InputError(fmt::format(
      "{}: the config ties the logits' matrix to the token table, but the stored lm_head differs "
      "from it, first at element {} ({} and {}); set tie_word_embeddings to false, or leave "
      "lm_head out",
      file.path(), Place(*head, first), head->At(first), table->At(first)));
}

}  // namespace

void CheckValues(const ModelConfig& config, const SafetensorsFile& file) {
  for (const auto& [name, tensor] : file.tensors()) {
    if (tensor.dtype == DType::kOther || IsBuffer(name)) continue;
    const int64_t bad = tensor.FirstNotFinite();
    if (bad < 0) continue;
    throw InputError(fmt::format(
        "{}: tensor '{}' has {} at element {}; weights must be finite", file.path(), name,
        std::isnan(tensor.At(bad)) ? "a NaN" : "an infinity", Place(tensor, bad)));
  }
  if (config.tie_embeddings && config.head == Head::kLm) CheckTied(file);
}

}  // namespace flopledger
