#include "analysis/ledger/ceilings.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "analysis/ledger/json_reader.h"

namespace flopledger {
namespace {

using nlohmann::json;

json ToJson(const Measured& measured) {
  return {{"median", measured.median}, {"mad", measured.mad}};
}

json ToJson(const std::optional<Measured>& measured) {
  return measured ? ToJson(*measured) : json(nullptr);
}

template <class T>
json NumberOrNull(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

Measured ReadMeasured(const JsonReader& in) {
  return {in["median"].Positive(), in["mad"].NonNegative()};
}

std::optional<Measured> ReadMeasuredIfAny(const JsonReader& in, const char* key) {
  const auto value = in.IfAny(key);
  return value ? std::optional(ReadMeasured(*value)) : std::nullopt;
}

}  // namespace

const Ceilings* FindCeilings(std::span<const Ceilings> all, int64_t threads) {
  const auto found = std::ranges::find(all, threads, &Ceilings::threads);
  return found == all.end() ? nullptr : &*found;
}

json ToJson(const Ceilings& ceilings) {
  json fma = json::array(), bandwidth = json::array();
  for (const NamedMeasured& level : ceilings.fma_flops_per_s) {
    fma.push_back({{"simd", level.name}, {"flops_per_s", ToJson(level.value)}});
  }
  for (const LevelBandwidth& level : ceilings.bandwidth) {
    bandwidth.push_back(
        {{"level", level.level},
         {"capacity_bytes", level.capacity_bytes ? json(*level.capacity_bytes) : json(nullptr)},
         {"read_bytes_per_s", ToJson(level.read)},
         {"triad_bytes_per_s", ToJson(level.triad)}});
  }
  return {{"threads", ceilings.threads},
          {"fma", std::move(fma)},
          {"bandwidth", std::move(bandwidth)},
          {"product_flops_per_s", ToJson(ceilings.product_flops_per_s)},
          {"fork_join_s", ToJson(ceilings.fork_join_s)},
          {"exp_s", ToJson(ceilings.exp_s)},
          {"clock_hz", ToJson(ceilings.clock_hz)},
          {"theoretical_flops_per_s", ToJson(ceilings.theoretical_flops_per_s)},
          {"thread_spread", NumberOrNull(ceilings.thread_spread)},
          {"performance_core_flops_per_s", ToJson(ceilings.performance_core_flops_per_s)},
          {"efficiency_core_flops_per_s", ToJson(ceilings.efficiency_core_flops_per_s)},
          {"memory_buffer_bytes", NumberOrNull(ceilings.memory_buffer_bytes)},
          {"memory_buffer_bounded", ceilings.memory_buffer_bounded},
          {"product_drift", NumberOrNull(ceilings.product_drift)}};
}

Ceilings CeilingsFromJson(const JsonReader& in) {
  Ceilings ceilings;
  ceilings.threads = in["threads"].Count();
  in["fma"].ForEach([&](const JsonReader& level) {
    ceilings.fma_flops_per_s.push_back({level["simd"].Text(), ReadMeasured(level["flops_per_s"])});
  });
  in["bandwidth"].ForEach([&](const JsonReader& level) {
    const auto capacity = level.IfAny("capacity_bytes");
    ceilings.bandwidth.push_back(
        {level["level"].Text(), capacity ? std::optional(capacity->Count()) : std::nullopt,
         ReadMeasured(level["read_bytes_per_s"]), ReadMeasured(level["triad_bytes_per_s"])});
  });
  if (ceilings.fma_flops_per_s.empty()) in["fma"].Fail("is empty");
  if (ceilings.bandwidth.empty()) in["bandwidth"].Fail("is empty");
  ceilings.product_flops_per_s = ReadMeasured(in["product_flops_per_s"]);
  ceilings.fork_join_s = ReadMeasured(in["fork_join_s"]);
  ceilings.exp_s = ReadMeasured(in["exp_s"]);
  ceilings.clock_hz = ReadMeasuredIfAny(in, "clock_hz");
  ceilings.theoretical_flops_per_s = ReadMeasuredIfAny(in, "theoretical_flops_per_s");
  ceilings.performance_core_flops_per_s = ReadMeasuredIfAny(in, "performance_core_flops_per_s");
  ceilings.efficiency_core_flops_per_s = ReadMeasuredIfAny(in, "efficiency_core_flops_per_s");
  if (const auto spread = in.IfAny("thread_spread")) ceilings.thread_spread = spread->NonNegative();
  if (const auto bytes = in.IfAny("memory_buffer_bytes")) {
    ceilings.memory_buffer_bytes = bytes->Count();
  }
  if (const auto bounded = in.IfAny("memory_buffer_bounded")) {
    bounded->To(ceilings.memory_buffer_bounded);
  }
  if (const auto drift = in.IfAny("product_drift")) ceilings.product_drift = drift->NonNegative();
  return ceilings;
}

}  // namespace flopledger
