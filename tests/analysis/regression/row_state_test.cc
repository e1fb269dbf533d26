// What is said of a row that cannot be compared.
#include "analysis/regression/row_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flopledger {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

BenchmarkRow Runs(double seconds = 1) {
  BenchmarkRow row;
  row.name = "row";
  row.values["real_time"] = {1, seconds};
  return row;
}
BenchmarkRow Fails(const std::string& message = "wrong") {
  BenchmarkRow row = Runs();
  row.error = message;
  return row;
}
BenchmarkRow Skipped() {
  BenchmarkRow row;
  row.skipped = "no AVX";
  return row;
}

std::string State(const BenchmarkRow* a, const BenchmarkRow* b) {
  const auto verdict = VerdictOnState(a, b);
  return verdict ? std::string(NameOf(verdict->decision)) + ": " + verdict->reason : "compared";
}

TEST(VerdictOnState, NamesWhatEachSideDid) {
  const BenchmarkRow runs = Runs(), fails = Fails(), skipped = Skipped();
  EXPECT_EQ(State(&runs, &runs), "compared");
  EXPECT_EQ(State(nullptr, &runs), "NEW: only in B");
  EXPECT_EQ(State(&runs, nullptr), "MISSING: only in A");
  EXPECT_EQ(State(&runs, &fails), "FAIL: fails in B: wrong");
  EXPECT_EQ(State(&fails, &runs), "NEW: runs in B, fails in A: wrong");
  EXPECT_EQ(State(&fails, &fails), "SKIPPED: fails in both: wrong");
  EXPECT_EQ(State(&skipped, &skipped), "SKIPPED: is skipped in both: no AVX");
  EXPECT_EQ(State(&skipped, &runs), "NEW: runs in B, is skipped in A: no AVX");
  EXPECT_EQ(State(&runs, &skipped), "NOT COMPARABLE: ran in A, is skipped in B: no AVX");
  EXPECT_EQ(State(&skipped, &fails), "NOT COMPARABLE: skipped in A: no AVX; fails in B: wrong");
  const BenchmarkRow other = Fails("also wrong");
  EXPECT_EQ(State(&fails, &other), "SKIPPED: fails in both: A: wrong; B: also wrong");
}

TEST(VerdictOnState, TellsDuplicatesAndWhatCannotBeRead) {
  BenchmarkRow runs = Runs(), duplicate = Runs(), unreadable = Runs();
  duplicate.duplicate_name = true;
  unreadable.unreadable = "time_unit 'h' is not known";
  EXPECT_EQ(State(&runs, &duplicate), "NOT COMPARABLE: two benchmarks of B go by this name");
  EXPECT_EQ(State(&duplicate, &duplicate),
            "NOT COMPARABLE: two benchmarks of A and of B go by this name");
  EXPECT_EQ(State(&unreadable, &runs), "NOT COMPARABLE: A: time_unit 'h' is not known");
  EXPECT_EQ(State(&unreadable, &unreadable), "SKIPPED: in both: time_unit 'h' is not known");
}

TEST(VerdictOnValues, OddInBothIsSkippedInOneNotComparable) {
  const auto verdict = [](double a, double b) {
    const auto found = VerdictOnValues(Runs(a), Runs(b), {});
    return found ? std::string(NameOf(found->decision)) + ": " + found->reason : "compared";
  };
  const double nan = std::nan("");
  EXPECT_EQ(verdict(1, 2), "compared");
  EXPECT_EQ(verdict(0, 0), "SKIPPED: in both: real_time is zero");
  EXPECT_EQ(verdict(nan, nan), "SKIPPED: in both: real_time is not a number");
  EXPECT_EQ(verdict(1, nan), "NOT COMPARABLE: B: real_time is not a number");
  EXPECT_EQ(verdict(-1, 1), "NOT COMPARABLE: A: real_time is negative");
  EXPECT_EQ(verdict(0, nan), "NOT COMPARABLE: A: real_time is zero; B: real_time is not a number");
  const auto lacks = VerdictOnValues(Runs(), Runs(), {.name = "items_per_second"});
  EXPECT_EQ(lacks->decision, Decision::kSkipped);
  EXPECT_EQ(lacks->reason, "in both: has no items_per_second");
}

TEST(MachineDifferences, CountOnlyWhatBothStateAndNotTheFrequencyOfTheMoment) {
  const json a{{"host_name", "h"}, {"num_cpus", 4}, {"mhz_per_cpu", 3000}, {"caches", {1}}};
  EXPECT_THAT(MachineDifferences(a, a, true), IsEmpty());
  EXPECT_THAT(MachineDifferences(a, json::object(), true), IsEmpty());
  json b = a;
  b["mhz_per_cpu"] = 2900;
  EXPECT_THAT(MachineDifferences(a, b, true), IsEmpty());
  b["mhz_per_cpu"] = 1500;
  EXPECT_THAT(MachineDifferences(a, b, true), ElementsAre("mhz_per_cpu: A 3000, B 1500"));
  EXPECT_THAT(MachineDifferences(a, b, false), IsEmpty());
  b["caches"] = json::array();
  b["num_cpus"] = 2;
  EXPECT_THAT(MachineDifferences(a, b, false),
              ElementsAre("num_cpus: A 4, B 2", "caches: A [1], B []"));
}

TEST(LibraryDifference, MattersToRowsWithThreadsAlone) {
  const json old{{"library_version", "v1.8.3"}}, recent{{"library_version", "v1.9.5"}};
  EXPECT_EQ(LibraryDifference(old, old), "");
  EXPECT_EQ(LibraryDifference(json::object(), json::object()), "");
  EXPECT_EQ(LibraryDifference(json::object(), recent), "library_version: A not stated, B v1.9.5");
  const std::string difference = LibraryDifference(old, recent);
  BenchmarkRow threads = Runs();
  threads.has_threads = true;
  EXPECT_EQ(WhyLibraryMatters(Runs(), Runs(), difference), "");
  EXPECT_EQ(WhyLibraryMatters(threads, threads, ""), "");
  EXPECT_THAT(WhyLibraryMatters(threads, threads, difference), HasSubstr("rows with threads"));
}

}  // namespace
}  // namespace flopledger
