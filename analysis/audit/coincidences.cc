#include "analysis/audit/coincidences.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace flopledger {
namespace {

class CoincidenceFinder {
 public:
  CoincidenceFinder(const Claim& claim, const Catalogue& catalogue)
      : claim_(claim), derived_(catalogue.Find(claim.quantity)->value) {}

  std::vector<Coincidence> All() {
    const std::string& name = claim_.quantity;
    const bool of_flops = !name.starts_with("params.") && !name.starts_with("memory.") &&
                          !name.starts_with("share.params.") && !name.starts_with("size.");
    if (of_flops) {
      OurConventions();
      Tools();
    }
    ActivationLists();
    return std::move(found_);
  }

 private:
  void Try(const AuditSetting& setting, std::string_view convention, std::string text) {
    const Catalogue other(setting);
    const Quantity* quantity = other.Find(claim_.quantity);
    if (quantity == nullptr || quantity->value == derived_) return;
    if (!claim_.figure.Covers(quantity->value)) return;
    found_.push_back({std::string(convention), std::move(text)});
  }

  void OurConventions() {
    AuditSetting setting = claim_.setting;
    setting.tool = nullptr;
    for (const ConventionInfo& info : Conventions()) {
      setting.convention = info.value;
      setting.pairs = CausalPairs::kKept;
      Try(setting, info.name, fmt::format("equals what the convention {} gives", info.name));
      if (info.value != Convention::kCausal) continue;
      setting.pairs = CausalPairs::kHalf;
      Try(setting, info.name, "equals what half the square gives (causal by T²/2)");
    }
  }

  void Tools() {
    AuditSetting setting = claim_.setting;
    setting.convention = Convention::kMatmul;
    for (const OtherTool& tool : OtherTools()) {
      setting.tool = &tool;
      Try(setting, tool.name,
          fmt::format("equals what {}'s formula gives (convention {})", tool.title, tool.name));
    }
  }

  void ActivationLists() {
    if (claim_.quantity.find("training") == std::string::npos &&
        !claim_.quantity.starts_with("batch.")) {
      return;
    }
    constexpr std::pair<ActivationList, const char*> kLists[] = {{ActivationList::k2025, "2025"},
                                                                 {ActivationList::k2026, "2026"},
                                                                 {ActivationList::kFused, "fused"},
                                                                 {ActivationList::kFull, "full"}};
    AuditSetting setting = claim_.setting;
    for (const auto& [list, name] : kLists) {
      setting.activations = list;
      Try(setting, name,
          fmt::format("equals what another list of activations gives (activations {})", name));
    }
  }

  const Claim& claim_;
  Exact derived_;
  std::vector<Coincidence> found_;
};

}  // namespace

std::vector<Coincidence> CoincidencesOf(const Claim& claim, const Catalogue& catalogue) {
  return CoincidenceFinder(claim, catalogue).All();
}

}  // namespace flopledger
