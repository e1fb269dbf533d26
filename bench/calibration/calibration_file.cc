#include "bench/calibration/calibration_file.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "bench/machine/files.h"
#include "bench/machine/machine.h"
#include "kernels/matmul_library.h"
#include "model/json.h"

namespace flopledger {

nlohmann::json CalibrationIdentity() {
  const nlohmann::json environment = DescribeEnvironment();
  nlohmann::json identity;
  for (const char* fact : {"cpu", "cpu_family", "cpu_model", "architecture", "processors", "simd",
                           "compiler", "flags", "build_type", "kernels", "eigen"}) {
    identity[fact] = environment.at(fact);
  }
  identity["libraries"] = nlohmann::json::object();
  for (const MatmulLibrary& library : MatmulLibraries()) {
    if (!library.load().usable()) continue;
    identity["libraries"][std::string(library.backend.name)] = library.load().version;
  }
  return identity;
}

std::string CalibrationPath() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && *cache != '\0')
    return fmt::format("{}/flopledger/calibration.json", cache);
  if (home != nullptr && *home != '\0')
    return fmt::format("{}/.cache/flopledger/calibration.json", home);
  return "";
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

void SaveCalibration(const std::string& path, const Calibration& calibration) {
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code error;  // WriteWhole says what is wrong
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  WriteWhole(path, ToJson(calibration).dump(1) + "\n");
}

}  // namespace flopledger
