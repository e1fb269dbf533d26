// The gate's plan of runs as a pure state machine: it says which binary to run next and for which
// rows, is fed what the run gave, and decides each row. It knows no clock and no process, so that
// its error rates can be simulated.
//
// Every row starts with rule.first_blocks blocks. PASS ends it. FAIL must come again on as many
// fresh blocks. What is inconclusive or does not come again goes on, once, to rule.most_blocks,
// where a FAIL must again be confirmed by as many fresh blocks. Where the sentinel moved beyond its
// limit, intervals are widened by as much before they decide anything.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "analysis/regression/compare.h"

namespace flopledger {

/// One run (a *slot*): which binary, for which rows (by index).
struct SlotRequest {
  bool candidate = false;
  int block = 0;  // counted from 0 over the whole gate
  int slot = 0;   // 0 to 3 in the block
  std::vector<std::size_t> rows;
};

/// What a slot gave: the cost of each requested row, in that order (seconds, or another quantity
/// above 0 of which more is worse; absent where the row failed), and the sentinel's speed around it
/// (in any unit; absent where there is no sentinel).
struct SlotResult {
  std::vector<std::optional<double>> costs;
  std::optional<double> sentinel;
};

/// One block's log ratios B/A: of the row's cost, and of the sentinel's speed (0 without one).
struct BlockRatio {
  double cost = 0;
  double sentinel = 0;
};

enum class RowPhase { kFirst, kMore, kConfirm, kDecided };

struct GateRow {
  std::string name;
  RowPhase phase = RowPhase::kFirst;
  std::vector<BlockRatio> blocks{};  // on which the decision stands
  std::vector<BlockRatio> fresh{};   // that had to repeat a FAIL
  Decision decision = Decision::kInconclusive;
  bool broke_off = false;  // a slot had no cost of it: nothing is decided
};

/// The estimate from these blocks, widened by what the sentinel moved; absent with fewer than two.
std::optional<RatioEstimate> EstimateOf(const std::vector<BlockRatio>& blocks,
                                        const GateRule& rule);
/// B/A of the sentinel's speed over these blocks, where it moved beyond the limit.
std::optional<double> MovedSentinel(const std::vector<BlockRatio>& blocks, const GateRule& rule);
/// The line on a row as it stands: Explain, with what its fresh blocks and the sentinel say. Of a
/// rate (`higher_is_better`, its cost is 1 / rate) in terms of the rate.
std::string ExplainRow(const GateRow& row, const GateRule& rule, bool higher_is_better = false);

class GateSchedule {
 public:
  /// `seed` draws ABBA or BAAB for each block.
  GateSchedule(const GateRule& rule, std::vector<std::string> rows, uint64_t seed);

  /// What to run next; absent when every row is decided.
  std::optional<SlotRequest> Next() const;
  void Feed(const SlotResult& result);

  const std::vector<GateRow>& rows() const { return rows_; }
  int blocks_done() const { return block_; }

 private:
  void BeginBlock();
  void EndBlock();
  void Advance(GateRow& row);

  GateRule rule_;
  std::vector<GateRow> rows_;
  std::mt19937_64 random_;
  int block_ = 0;
  int slot_ = 0;
  bool candidate_first_ = false;
  std::vector<std::size_t> active_;  // rows of the present block
  std::vector<double> log_ratio_;    // of each active row, as far as the block has come
  double sentinel_log_ratio_ = 0;
};

}  // namespace flopledger
