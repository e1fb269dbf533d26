#include "analysis/regression/gate_schedule.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>
#include <utility>

#include "analysis/text/stats.h"

namespace flopledger {

std::optional<RatioEstimate> EstimateOf(const std::vector<BlockRatio>& blocks,
                                        const GateRule& rule) {
  if (blocks.size() < 2) return std::nullopt;
  std::vector<double> log_ratios;
  for (const BlockRatio& block : blocks) log_ratios.push_back(block.cost);
  RatioEstimate estimate = EstimateRatio(log_ratios, rule.confidence);
  if (const auto moved = MovedSentinel(blocks, rule)) {
    const double factor = std::exp(std::abs(std::log(*moved)));
    estimate.widened = factor - 1;
    estimate.lower /= factor;
    estimate.upper *= factor;
  }
  return estimate;
}

std::optional<double> MovedSentinel(const std::vector<BlockRatio>& blocks, const GateRule& rule) {
  if (blocks.empty()) return std::nullopt;
  double sum = 0;
  for (const BlockRatio& block : blocks) sum += block.sentinel;
  const double ratio = std::exp(sum / static_cast<double>(blocks.size()));
  if (std::abs(ratio - 1) <= rule.sentinel_limit) return std::nullopt;
  return ratio;
}

std::string ExplainRow(const GateRow& row, const GateRule& rule, bool higher_is_better) {
  const auto shown = [&](const std::vector<BlockRatio>& blocks) {
    const auto estimate = EstimateOf(blocks, rule);
    return estimate && higher_is_better ? Inverse(*estimate) : estimate;
  };
  const auto estimate = shown(row.blocks);
  if (!estimate) {
    return fmt::format("{} {}: {} finished block{}; an interval needs two.", NameOf(row.decision),
                       row.name, row.blocks.size(), row.blocks.size() == 1 ? "" : "s");
  }
  std::string remark;
  if (const auto fresh = shown(row.fresh)) {
    const char* said = row.phase == RowPhase::kConfirm   ? "Not yet confirmed"
                       : row.decision == Decision::kFail ? "Again"
                                                         : "Not confirmed";
    remark = fmt::format("{} on {} fresh blocks: {:.3f} [{:.3f}, {:.3f}].", said, fresh->blocks,
                         fresh->ratio, fresh->lower, fresh->upper);
  }
  for (const auto* blocks : {&row.blocks, &row.fresh}) {
    const auto moved = MovedSentinel(*blocks, rule);
    if (!moved) continue;
    if (!remark.empty()) remark += ' ';
    remark += fmt::format(
        "The sentinel, the same code beside both, ran at {:.3f} of its speed beside B: the "
        "interval is widened by as much.",
        *moved);
    break;
  }
  return Explain(row.name, row.decision, *estimate, rule, remark);
}

GateSchedule::GateSchedule(const GateRule& rule, std::vector<std::string> rows, uint64_t seed)
    : rule_(rule), random_(seed) {
  for (std::string& name : rows) rows_.push_back({.name = std::move(name)});
  BeginBlock();
}

std::optional<SlotRequest> GateSchedule::Next() const {
  if (active_.empty()) return std::nullopt;
  const bool outer = slot_ == 0 || slot_ == 3;  // ABBA, or BAAB
  return SlotRequest{
      .candidate = outer == candidate_first_, .block = block_, .slot = slot_, .rows = active_};
}

void GateSchedule::Feed(const SlotResult& result) {
  if (result.costs.size() != active_.size()) throw std::logic_error("not the rows asked for");
  const double sign = Next()->candidate ? 0.5 : -0.5;  // two slots of each
  for (std::size_t i = 0; i < active_.size(); ++i) {
    if (!result.costs[i]) rows_[active_[i]].broke_off = true;
    log_ratio_[i] += sign * std::log(result.costs[i].value_or(1));
  }
  if (result.sentinel) sentinel_log_ratio_ += sign * std::log(*result.sentinel);
  if (++slot_ == 4) EndBlock();
}

void GateSchedule::BeginBlock() {
  slot_ = 0;
  candidate_first_ = (random_() >> 63) != 0;
  active_.clear();
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].phase != RowPhase::kDecided) active_.push_back(i);
  }
  log_ratio_.assign(active_.size(), 0);
  sentinel_log_ratio_ = 0;
}

void GateSchedule::EndBlock() {
  for (std::size_t i = 0; i < active_.size(); ++i) {
    GateRow& row = rows_[active_[i]];
    if (row.broke_off) {
      row.phase = RowPhase::kDecided;
      row.decision = Decision::kNotComparable;
      continue;
    }
    auto& blocks = row.phase == RowPhase::kConfirm ? row.fresh : row.blocks;
    blocks.push_back({.cost = log_ratio_[i], .sentinel = sentinel_log_ratio_});
    Advance(row);
  }
  ++block_;
  BeginBlock();
}

void GateSchedule::Advance(GateRow& row) {
  const auto most = static_cast<std::size_t>(rule_.most_blocks);
  const auto decide = [&](const std::vector<BlockRatio>& blocks) {
    return Decide(*EstimateOf(blocks, rule_), rule_.budget);
  };
  if (row.phase == RowPhase::kConfirm) {
    if (row.fresh.size() < row.blocks.size()) return;
    if (decide(row.fresh) == Decision::kFail) {
      row.decision = Decision::kFail;
      row.phase = RowPhase::kDecided;
      return;
    }
    if (row.blocks.size() >= most) {
      row.phase = RowPhase::kDecided;  // inconclusive, with the fresh blocks beside
      return;
    }
    row.blocks.insert(row.blocks.end(), row.fresh.begin(), row.fresh.end());
    row.fresh.clear();
    row.phase = RowPhase::kMore;
  }
  const auto target =
      row.phase == RowPhase::kFirst ? static_cast<std::size_t>(rule_.first_blocks) : most;
  if (row.blocks.size() < target) return;
  switch (decide(row.blocks)) {
    case Decision::kPass:
      row.decision = Decision::kPass;
      row.phase = RowPhase::kDecided;
      return;
    case Decision::kFail: row.phase = RowPhase::kConfirm; return;
    default: row.phase = row.blocks.size() < most ? RowPhase::kMore : RowPhase::kDecided;
  }
}

}  // namespace flopledger
