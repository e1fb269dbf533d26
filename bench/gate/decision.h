// From what was timed to the report on every row.
#pragma once

#include "analysis/regression/gate_report.h"
#include "bench/gate/pilot.h"
#include "bench/gate/timing.h"

namespace flopledger {

/// Adds a report on each timed row, then those that the pilot settled, and concludes.
void ReportRows(const GateSettings& settings, const Pilot& pilot, const Timing& timing,
                GateReport& report);

/// Where exact counters changed: those rows FAIL, and no other was timed.
void ReportExact(const Pilot& pilot, GateReport& report);

}  // namespace flopledger
