#include "analysis/ledger/environment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>

#include "analysis/ledger/json_reader.h"

namespace flopledger {
namespace {

using nlohmann::json;

template <class T>
json OrNull(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json OrNull(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

template <class T>
void ReadIfAny(const JsonReader& in, const char* key, std::optional<T>& field) {
  field.reset();
  if (const auto value = in.IfAny(key)) value->To(field.emplace());
}

void ReadIfAny(const JsonReader& in, const char* key, std::string& field) {
  field.clear();
  if (const auto value = in.IfAny(key)) value->To(field);
}

json ToJson(const LibraryFacts& library) {
  return {{"matmul", library.matmul},
          {"available", library.reason.empty()},
          {"version", OrNull(library.version)},
          {"path", OrNull(library.path)},
          {"reason", OrNull(library.reason)}};
}

/// A list of libraries; in older builds an object of those that ran: {"openblas": "version, path"}.
std::vector<LibraryFacts> ReadLibraries(const JsonReader& in) {
  std::vector<LibraryFacts> libraries;
  if (in.value().is_object()) {
    for (const auto& [name, text] : in.value().items()) {
      libraries.push_back(
          {.matmul = name, .version = in[name.c_str()].Text(), .path = {}, .reason = {}});
    }
    return libraries;
  }
  in.ForEach([&](const JsonReader& each) {
    LibraryFacts& library = libraries.emplace_back();
    library.matmul = each["matmul"].Text();
    ReadIfAny(each, "version", library.version);
    ReadIfAny(each, "path", library.path);
    ReadIfAny(each, "reason", library.reason);
  });
  return libraries;
}

json ToJson(const CounterFacts& counters) {
  json events = json::array();
  for (const EventFacts& event : counters.events) {
    events.push_back({{"event", event.event},
                      {"available", !event.reason.has_value()},
                      {"reason", OrNull(event.reason)}});
  }
  json described = {{"microarchitecture", OrNull(counters.microarchitecture)},
                    {"flops_source", OrNull(counters.flops_source)},
                    {"flops_note", OrNull(counters.flops_note)},
                    {"perf_event_paranoid", OrNull(counters.perf_event_paranoid)},
                    {"encoder", counters.encoder},
                    {"events", std::move(events)},
                    {"flops_available", counters.flops_available},
                    {"flops_reason", counters.flops_reason}};
  if (const auto& check = counters.flops_check) {
    described["flops_check"] = {
        {"executed", check->executed}, {"counted", check->counted}, {"trusted", check->passed()}};
  }
  return described;
}

std::optional<CounterFacts> ReadCounters(const JsonReader& in) {
  if (in.value().is_string()) return std::nullopt;  // older builds left a line for people
  CounterFacts counters;
  ReadIfAny(in, "microarchitecture", counters.microarchitecture);
  ReadIfAny(in, "flops_source", counters.flops_source);
  ReadIfAny(in, "flops_note", counters.flops_note);
  ReadIfAny(in, "perf_event_paranoid", counters.perf_event_paranoid);
  ReadIfAny(in, "encoder", counters.encoder);
  in["events"].ForEach([&](const JsonReader& each) {
    EventFacts& event = counters.events.emplace_back();
    event.event = each["event"].Text();
    ReadIfAny(each, "reason", event.reason);
  });
  in["flops_available"].To(counters.flops_available);
  ReadIfAny(in, "flops_reason", counters.flops_reason);
  if (const auto check = in.IfAny("flops_check")) {
    counters.flops_check = {(*check)["executed"].Integer(), (*check)["counted"].NonNegative()};
  }
  return counters;
}

json ToJson(const CalibrationFacts& calibration) {
  json ceilings = json::array();
  for (const Ceilings& each : calibration.ceilings) ceilings.push_back(ToJson(each));
  json described = {{"taken", calibration.taken},
                    {"ceilings", std::move(ceilings)},
                    {"total_by_the_peak_alone_s", OrNull(calibration.total_by_the_peak_alone_s)}};
  if (const auto& speed = calibration.scaled_to) {
    described["scaled_to"] = {{"peak_flops_per_s", speed->peak_flops_per_s},
                              {"product_flops_per_s", speed->product_flops_per_s},
                              {"read_bytes_per_s", speed->read_bytes_per_s}};
  }
  return described;
}

CalibrationFacts ReadCalibration(const JsonReader& in) {
  CalibrationFacts calibration;
  ReadIfAny(in, "taken", calibration.taken);
  in["ceilings"].ForEach(
      [&](const JsonReader& each) { calibration.ceilings.push_back(CeilingsFromJson(each)); });
  if (const auto speed = in.IfAny("scaled_to")) {
    calibration.scaled_to = {(*speed)["peak_flops_per_s"].Positive(),
                             (*speed)["product_flops_per_s"].Positive(),
                             (*speed)["read_bytes_per_s"].Positive()};
  }
  ReadIfAny(in, "total_by_the_peak_alone_s", calibration.total_by_the_peak_alone_s);
  return calibration;
}

json ToJson(const ExtrapolationFacts& facts) {
  return {{"layers_run", facts.layers_run}, {"layers_total", facts.layers_total},
          {"seconds", facts.pass.seconds},  {"low_s", facts.pass.lower},
          {"high_s", facts.pass.upper},     {"confidence", facts.confidence},
          {"drift", OrNull(facts.drift)}};
}

ExtrapolationFacts ReadExtrapolation(const JsonReader& in) {
  ExtrapolationFacts facts;
  facts.layers_run = in["layers_run"].Count();
  facts.layers_total = in["layers_total"].Count();
  facts.pass = {in["seconds"].Positive(), in["low_s"].Positive(), in["high_s"].Positive()};
  facts.confidence = in["confidence"].Positive();
  ReadIfAny(in, "drift", facts.drift);
  return facts;
}

json ToJson(const Disturbance& disturbance) {
  return {{"matmul", disturbance.matmul},
          {"repetition", disturbance.repetition},
          {"reason", disturbance.reason},
          {"replaced", disturbance.replaced}};
}

json ToJson(const RankFacts& facts) {
  json collectives = json::array();
  for (const CollectiveSplit& split : facts.collectives) {
    collectives.push_back(
        {{"op", split.op}, {"waiting_s", split.waiting_s}, {"transfer_s", split.transfer_s}});
  }
  return {{"ranks", facts.ranks}, {"hosts", facts.hosts}, {"collectives", std::move(collectives)}};
}

RankFacts ReadRanks(const JsonReader& in) {
  RankFacts facts;
  facts.ranks = in["ranks"].Count();
  in["hosts"].ForEach([&](const JsonReader& host) { facts.hosts.push_back(host.Text()); });
  in["collectives"].ForEach([&](const JsonReader& row) {
    facts.collectives.push_back({.op = row["op"].Text(),
                                 .waiting_s = row["waiting_s"].NonNegative(),
                                 .transfer_s = row["transfer_s"].NonNegative()});
  });
  return facts;
}

json CachesToJson(const std::vector<CacheFacts>& caches) {
  json list = json::array();
  for (const CacheFacts& cache : caches) {
    list.push_back({{"level", cache.level},
                    {"type", cache.type},
                    {"size", cache.size},
                    {"shared_cpus", cache.shared_cpus},
                    {"instances", OrNull(cache.instances)}});
  }
  return list;
}

void ReadMachine(const JsonReader& in, Environment::Machine& machine) {
  if (const auto caches = in.IfAny("caches")) {
    caches->ForEach([&](const JsonReader& each) {
      CacheFacts& cache = machine.caches.emplace_back();
      cache.level = each["level"].Count();
      ReadIfAny(each, "type", cache.type);
      ReadIfAny(each, "size", cache.size);
      ReadIfAny(each, "shared_cpus", cache.shared_cpus);
      ReadIfAny(each, "instances", cache.instances);
    });
  }
  if (const auto eigen = in.IfAny("eigen_caches")) {
    machine.eigen_caches = {(*eigen)["l1_bytes"].Integer(), (*eigen)["l2_bytes"].Integer(),
                            (*eigen)["l3_bytes"].Integer()};
  }
}

}  // namespace

std::string Summary(const CounterFacts& counters) {
  std::vector<std::string_view> available;
  for (const EventFacts& event : counters.events) {
    if (!event.reason) available.push_back(event.event);
  }
  if (std::ranges::find(available, "instructions") == available.end()) {
    const auto refused = std::ranges::find_if(
        counters.events, [](const EventFacts& event) { return event.reason.has_value(); });
    return "hardware counters: unavailable: " +
           (refused == counters.events.end() ? counters.flops_reason : *refused->reason);
  }
  return fmt::format("hardware counters: {}{}{}", fmt::join(available, ", "),
                     counters.flops_available ? "" : "; no FLOPs: ", counters.flops_reason);
}

int64_t RankFacts::NumHosts() const { return std::ssize(std::set(hosts.begin(), hosts.end())); }

std::map<std::string, std::string> FactsUsed(const Environment& environment, FactUse use) {
  std::map<std::string, std::string> facts;
  ForEachFact(environment, [&](const char* name, const auto& field, unsigned uses) {
    if ((uses & use) != 0 && field) facts[name] = fmt::format("{}", *field);
  });
  return facts;
}

std::string OneLine(const Environment& environment) {
  const Environment::Machine& machine = environment.machine;
  const Environment::Build& build = environment.build;
  const std::string processors =
      machine.processors
          ? fmt::format("{} processor{}", *machine.processors, *machine.processors == 1 ? "" : "s")
          : "an unknown number of processors";
  return fmt::format("{}, {}{}, {}, {} ({})", machine.cpu.value_or("unknown CPU"), processors,
                     machine.virtual_machine.value_or(false) ? " in a virtual machine" : "",
                     build.simd.value_or("unknown SIMD level"),
                     build.compiler.value_or("unknown compiler"),
                     build.build_type.value_or("unknown build type"));
}

json ToJson(const Environment& environment) {
  json described = json::object();
  ForEachFact(environment, [&](const char* name, const auto& field, unsigned) {
    described[name] = OrNull(field);
  });
  const Environment::Machine& machine = environment.machine;
  described["caches"] = CachesToJson(machine.caches);
  if (const auto& eigen = machine.eigen_caches) {
    described["eigen_caches"] = {{"l1_bytes", eigen->l1_bytes},
                                 {"l2_bytes", eigen->l2_bytes},
                                 {"l3_bytes", eigen->l3_bytes}};
  }
  if (const std::string& model = environment.settings.model; !model.empty()) {
    described["model"] = json::parse(model);
  }
  described["matmul_libraries"] = json::array();
  for (const LibraryFacts& library : environment.libraries) {
    described["matmul_libraries"].push_back(ToJson(library));
  }
  if (environment.counters) described["counters"] = ToJson(*environment.counters);
  if (environment.calibration) described["calibration"] = ToJson(*environment.calibration);
  if (environment.extrapolation) described["extrapolation"] = ToJson(*environment.extrapolation);
  if (environment.decode) described["decode"] = ToJson(*environment.decode);
  if (environment.ranks) described["ranks"] = ToJson(*environment.ranks);
  described["disturbances"] = json::array();
  for (const Disturbance& disturbance : environment.disturbances) {
    described["disturbances"].push_back(ToJson(disturbance));
  }
  return described;
}

Environment EnvironmentFromJson(const JsonReader& in) {
  Environment environment;
  ForEachFact(environment,
              [&](const char* name, auto& field, unsigned) { ReadIfAny(in, name, field); });
  ReadMachine(in, environment.machine);
  if (const auto model = in.IfAny("model")) {
    if (!model->value().is_object()) model->FailFound("an object");
    environment.settings.model = model->value().dump();
  }
  if (const auto libraries = in.IfAny("matmul_libraries")) {
    environment.libraries = ReadLibraries(*libraries);
  }
  if (const auto counters = in.IfAny("counters")) environment.counters = ReadCounters(*counters);
  if (const auto facts = in.IfAny("calibration")) environment.calibration = ReadCalibration(*facts);
  if (const auto facts = in.IfAny("extrapolation")) {
    environment.extrapolation = ReadExtrapolation(*facts);
  }
  if (const auto figures = in.IfAny("decode")) environment.decode = DecodeFiguresFromJson(*figures);
  if (const auto facts = in.IfAny("ranks")) environment.ranks = ReadRanks(*facts);
  if (const auto disturbances = in.IfAny("disturbances")) {
    disturbances->ForEach([&](const JsonReader& each) {
      Disturbance& disturbance = environment.disturbances.emplace_back();
      disturbance.matmul = each["matmul"].Text();
      disturbance.repetition = each["repetition"].Count();
      disturbance.reason = each["reason"].Text();
      each["replaced"].To(disturbance.replaced);
    });
  }
  return environment;
}

}  // namespace flopledger
