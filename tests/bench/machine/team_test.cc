// Ranks that tell each other texts and orders.
#include "bench/machine/team.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/support/thread_link.h"

namespace flopledger {
namespace {

TEST(Team, BroadcastsAndGathersTexts) {
  for (const int64_t ranks : {2, 3, 5}) {
    RunRanks(ranks, [&](ThreadLink& link) {
      const int64_t rank = link.shard().rank;
      for (const std::string text : {"", "one", "a\nb"}) {
        EXPECT_EQ(Broadcast(link, rank == 0 ? text : "mine"), text);
        const auto all = Gather(link, text + std::to_string(rank));
        ASSERT_EQ(static_cast<int64_t>(all.size()), rank == 0 ? ranks : 0);
        for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], text + std::to_string(i));
      }
    });
  }
}

TEST(Team, ABarrierWaitsForAll) {
  for (const int64_t ranks : {2, 3, 7}) {
    std::atomic<int64_t> arrived = 0;
    RunRanks(ranks, [&](ThreadLink& link) {
      for (int64_t round = 1; round <= 20; ++round) {
        ++arrived;
        Barrier(link);
        EXPECT_GE(arrived, round * ranks);
        Barrier(link);
      }
    });
  }
}

TEST(Team, TheOthersFollowTheLeaderUntilItGoes) {
  RunRanks(3, [&](ThreadLink& link) {
    if (link.shard().rank == 0) {
      Leader leader(link);
      leader.Send({.kind = Order::Kind::kDecode, .run = 2, .argument = 5});
      return;
    }
    const Order order = NextOrder(link);
    EXPECT_EQ(order.kind, Order::Kind::kDecode);
    EXPECT_EQ(order.run, 2);
    EXPECT_EQ(order.argument, 5);
    EXPECT_EQ(NextOrder(link).kind, Order::Kind::kEnd);
  });
}

}  // namespace
}  // namespace flopledger
