// The processes of one launch, and what they tell each other beside the numbers of a pass. The
// first leads: it reads the flags of Google Benchmark, prints and writes. The others follow its
// orders, so that all do the same passes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "model/collectives.h"

namespace flopledger {

/// Several ranks, as one of them sees them.
struct Team {
  Link& link;
  std::string host;        // this rank's
  int64_t hosts = 1;       // that the ranks are on
  int64_t ranks_here = 1;  // on this rank's host
  // The launcher's own sum over ranks, in place: what ours is compared with.
  std::function<void(std::span<float>)> library_sum = {};

  bool leads() const { return link.shard().rank == 0; }
};

/// The first rank's text, at every rank.
std::string Broadcast(Link& link, const std::string& text);

/// The texts of all ranks at the first, in their order; nothing at the others.
std::vector<std::string> Gather(Link& link, const std::string& text);

/// Returns once every rank has called it.
void Barrier(Link& link);

/// What the others are to do next, of which of the settings that run side by side.
struct Order {
  enum class Kind : int64_t {
    kPrepare,
    kTime,
    kTimeAgain,
    kPass,
    kStop,
    kCount,
    kWait,
    kTrace,
    kDecode,
    kEnd
  };
  Kind kind = Kind::kEnd;
  int64_t run = 0;
  int64_t argument = 0;  // repetitions of kDecode, passes of kTimeAgain, how kPrepare counts
};

/// The leader's side. Ends the others' work when it goes, unless they wait for it within a pass.
class Leader {
 public:
  explicit Leader(Link& link) : link_(link) {}
  ~Leader();
  Leader(const Leader&) = delete;
  Leader& operator=(const Leader&) = delete;

  void Send(const Order& order);
  /// Between these two, an exception leaves the others where they are.
  void BeginWork() { at_work_ = true; }
  void EndWork() { at_work_ = false; }

 private:
  Link& link_;
  bool at_work_ = false;
};

/// The others' side: waits for an order.
Order NextOrder(Link& link);

}  // namespace flopledger
