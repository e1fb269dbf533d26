// Where a calibration is kept, and what machine and build it holds for.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "analysis/prediction/predict.h"

namespace flopledger {

/// The facts that a calibration depends on: CPU, processors, SIMD level, compiler and flags, the
/// kernels' sources, versions of libraries.
std::map<std::string, std::string> CalibrationIdentity();

/// calibration.json in CacheDir(); empty where the user has none.
std::string CalibrationPath();

/// Reads the calibration at `path`. Throws InputError where it cannot be read or is none,
/// CannotMeasure where it is of another machine or build.
Calibration LoadCalibration(const std::string& path);

/// That at `path`, or the user's own where `path` is empty. Throws as LoadCalibration does, and
/// CannotMeasure where the user has none yet.
Calibration RequireCalibration(const std::string& path);

/// Makes the folder and writes the calibration, unless its ceilings contradict one another: then
/// nothing is written, and Contradictions says why. Throws InputError where it cannot be written.
std::vector<std::string> SaveCalibration(const std::string& path, const Calibration& calibration);

}  // namespace flopledger
