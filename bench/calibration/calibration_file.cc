#include "bench/calibration/calibration_file.h"

#include <fmt/format.h>

#include <filesystem>

#include "analysis/prediction/contradictions.h"
#include "bench/machine/cache_dir.h"
#include "bench/machine/files.h"
#include "bench/machine/machine.h"
#include "kernels/matmul_library.h"
#include "model/json.h"

namespace flopledger {

std::map<std::string, std::string> CalibrationIdentity() {
  auto identity = FactsUsed(DescribeMachine(), kCalibrated);
  if (const auto processors = ProcessorsOfMachine()) {
    identity["processors"] = fmt::to_string(*processors);
  } else {  // a rank sees those that it is bound to
    for (const char* fact : {"processors", "physical_cores", "efficiency_cores"}) {
      identity.erase(fact);
    }
  }
  for (const MatmulLibrary& library : MatmulLibraries()) {
    if (library.load().usable()) {
      identity[fmt::format("library {}", library.backend.name)] = library.load().version;
    }
  }
  return identity;
}

std::string CalibrationPath() {
  const std::string folder = CacheDir();
  return folder.empty() ? "" : folder + "/calibration.json";
}

Calibration LoadCalibration(const std::string& path) {
  Calibration calibration = CalibrationFromJson(ParseJson(ReadTextFile(path), path), path);
  const std::string difference = WhyNotFor(calibration, CalibrationIdentity());
  if (!difference.empty()) {
    throw CannotMeasure(fmt::format(
        "{}: is of another machine or build: {}; run 'flopledger calibrate'", path, difference));
  }
  return calibration;
}

Calibration RequireCalibration(const std::string& path) {
  if (!path.empty()) return LoadCalibration(path);
  const std::string own = CalibrationPath();
  std::error_code ignored;
  if (own.empty() || !std::filesystem::exists(own, ignored)) {
    throw CannotMeasure("this machine is not calibrated: run 'flopledger calibrate'");
  }
  return LoadCalibration(own);
}

std::vector<std::string> SaveCalibration(const std::string& path, const Calibration& calibration) {
  std::vector<std::string> contradictions = Contradictions(calibration.ceilings);
  if (!contradictions.empty()) return contradictions;
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code error;  // WriteWhole says what is wrong
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  WriteWhole(path, ToJson(calibration).dump(1) + "\n");
  return {};
}

}  // namespace flopledger
