// Figures as people write them: each spelling's value and what its digits may stand for.
#include "analysis/text/figure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/input_error.h"

namespace flopledger {
namespace {

struct Spelling {
  const char* text;
  Unit unit;
  double value, half;  // half of what the last digit may stand for; 0: exact
};

const Spelling kSpellings[] = {
    {"1,557,611,200", Unit::kParameters, 1557611200, 0},
    {"1557611200", Unit::kParameters, 1557611200, 0},
    {"1 557 611 200", Unit::kParameters, 1557611200, 0},
    {"1 557 611 200", Unit::kParameters, 1557611200, 0},  // narrow no-break spaces
    {"1'557'611'200", Unit::kParameters, 1557611200, 0},
    {"1.557.611.200", Unit::kParameters, 1557611200, 0},
    {"1_557_611_200", Unit::kParameters, 1557611200, 0},
    {"1{,}557{,}611{,}200", Unit::kParameters, 1557611200, 0},
    {"1,557,611,200 parameters", Unit::kParameters, 1557611200, 0},
    {"1.56B", Unit::kParameters, 1.56e9, 5e6},
    {"1.56 billion", Unit::kParameters, 1.56e9, 5e6},
    {"1.56bn", Unit::kParameters, 1.56e9, 5e6},
    {"1,56 billion", Unit::kParameters, 1.56e9, 5e6},
    {"1557.6 million params", Unit::kParameters, 1557.6e6, 5e4},
    {"124M", Unit::kParameters, 124e6, 5e5},
    {"about 1.5 billion parameters", Unit::kParameters, 1.5e9, 5e7},
    {"~1,600", Unit::kParameters, 1600, 50},
    {"roughly 500 GB", Unit::kBytes, 500e9, 50e9},
    {"approx. 4 GB", Unit::kBytes, 4e9, 5e8},
    {"3.5T", Unit::kFlops, 3.5e12, 5e10},
    {"3.5 trillion", Unit::kFlops, 3.5e12, 5e10},
    {"3.5 teraFLOPs", Unit::kFlops, 3.5e12, 5e10},
    {"3.5 TFLOPs", Unit::kFlops, 3.5e12, 5e10},
    {"3.5 TF", Unit::kFlops, 3.5e12, 5e10},
    {"3.5 T FLOPs", Unit::kFlops, 3.5e12, 5e10},
    {"4,512.7 GFLOPs", Unit::kFlops, 4512.7e9, 5e7},
    {"4.512,7 GFLOPs", Unit::kFlops, 4512.7e9, 5e7},
    {"13.9 PFLOP", Unit::kFlops, 13.9e15, 5e13},
    {"4.5 × 10^12", Unit::kFlops, 4.5e12, 5e10},
    {"4.5 x 10^12", Unit::kFlops, 4.5e12, 5e10},
    {"4.5*10^12", Unit::kFlops, 4.5e12, 5e10},
    {"4.5 * 10**12", Unit::kFlops, 4.5e12, 5e10},
    {"4.5·10¹²", Unit::kFlops, 4.5e12, 5e10},
    {"$4.5 \\times 10^{12}$", Unit::kFlops, 4.5e12, 5e10},
    {"4.5e12", Unit::kFlops, 4.5e12, 5e10},
    {"4.5E+12 FLOPs", Unit::kFlops, 4.5e12, 5e10},
    {"≈ 4.51e12", Unit::kFlops, 4.51e12, 5e9},
    {"1753 GMACs", Unit::kFlops, 3506e9, 1e9},
    {"1.753 TMACs", Unit::kMacs, 1.753e12, 5e8},
    {"3.506 TFLOPs", Unit::kMacs, 1.753e12, 2.5e8},
    {"6.23 GB", Unit::kBytes, 6.23e9, 5e6},
    {"6.23 gigabytes", Unit::kBytes, 6.23e9, 5e6},
    {"5.80 GiB", Unit::kBytes, 5.8 * (1 << 30), 0.005 * (1 << 30)},
    {"6,230,444,800 B", Unit::kBytes, 6230444800, 0},
    {"6230444800 bytes", Unit::kBytes, 6230444800, 0},
    {"6.23 billion bytes", Unit::kBytes, 6.23e9, 5e6},
    {"6.23B", Unit::kBytes, 6.23e9, 5e6},
    {"26 B", Unit::kBytes, 26e9, 5e8},
    {"600 × 2^20", Unit::kBytes, 600.0 * (1 << 20), 0},
    {"67%", Unit::kPercent, 67, 0.5},
    {"67 percent", Unit::kPercent, 67, 0.5},
    {"57,4 %", Unit::kPercent, 57.4, 0.05},
    {"57,412 %", Unit::kPercent, 57.412, 0.0005},
    {"0.669", Unit::kPercent, 66.9, 0.05},
    {"0,669", Unit::kPercent, 66.9, 0.05},
    {"0.67 %", Unit::kPercent, 0.67, 0.005},
    {"4,850.06 h", Unit::kHours, 4850.06, 0.005},
    {"202 days", Unit::kHours, 202 * 24, 12},
    {"18.0 years", Unit::kDays, 18 * 365, 0.05 * 365},
    {"89.7 ms", Unit::kSeconds, 0.0897, 0.00005},
    {"33x", Unit::kRatio, 33, 0.5},
    {"33-fold", Unit::kRatio, 33, 0.5},
    {"×33.1", Unit::kRatio, 33.1, 0.05},
    {"12.5k tokens/s", Unit::kTokensPerSecond, 12500, 50},
    {"511 FLOPs/byte", Unit::kFlopsPerByte, 511, 0.5},
};

TEST(Figure, ReadsWhatPeopleWrite) {
  for (const auto& [text, unit, value, half] : kSpellings) {
    SCOPED_TRACE(text);
    const Figure figure = ParseFigure(text, unit, "test");
    EXPECT_DOUBLE_EQ(figure.value.convert_to<double>(), value);
    const Exact width = (figure.high - figure.low) / 2;
    EXPECT_DOUBLE_EQ(width.convert_to<double>(), half);
  }
}

TEST(Figure, AShareWithoutASignMayBeEither) {
  const std::vector<Figure> readings = FigureReadings("0.5", Unit::kPercent, "test");
  ASSERT_EQ(readings.size(), 2u);
  EXPECT_EQ(readings[0].value, 50);
  EXPECT_EQ(readings[1].value, Exact(1) / 2);
  EXPECT_EQ(FigureReadings("0.5 %", Unit::kPercent, "test").size(), 1u);
  EXPECT_EQ(FigureReadings("1", Unit::kPercent, "test").size(), 1u);
}

TEST(Figure, RefusesWhatIsOnlyPartlyUnderstood) {
  const std::pair<const char*, Unit> bad[] = {
      {"many", Unit::kFlops},     {"", Unit::kFlops},
      {"-3", Unit::kFlops},       {"1,55,76,112", Unit::kFlops},
      {"1.2.3", Unit::kFlops},    {"12 34", Unit::kFlops},
      {"1 2345", Unit::kFlops},   {"3 GB", Unit::kFlops},
      {"3 TFLOPs", Unit::kBytes}, {"3 parsecs", Unit::kFlops},
      {"1e30", Unit::kFlops},     {"1-2 GB", Unit::kBytes},
      {"5 + 3", Unit::kFlops},    {"8.5 GB per layer", Unit::kBytes},
      {"3^4", Unit::kFlops},      {"50 GB", Unit::kPercent},
      {"1,557,61", Unit::kFlops}};
  for (const auto& [text, unit] : bad) {
    EXPECT_THROW(ParseFigure(text, unit, "test"), InputError) << text;
  }
  EXPECT_TRUE(HasUnit("80 GB"));
  EXPECT_FALSE(HasUnit("80"));
}

}  // namespace
}  // namespace flopledger
