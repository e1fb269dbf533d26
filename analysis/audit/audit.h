// Hand-made claims held against the derivation: right, right under another convention, following
// from another wrong claim, or wrong, with the slip that explains the figure exactly. Arithmetic
// only; what is compared is exact.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/accounting/accounting.h"
#include "analysis/text/figure.h"
#include "model/config.h"

namespace flopledger {

/// What a claim is about. Claims about equal settings are followed through one another.
struct AuditSetting {
  ModelConfig model;
  int64_t context = 1;
  int64_t batch = 1;
  Convention convention = Convention::kMatmul;  // kRuleOfThumb has no single operations
};

struct Claim {
  std::string id, text, quantity;
  Figure figure;
  AuditSetting setting;
  bool id_is_place = false;  // none was given
};

enum class Verdict { kRight, kRightUnder, kFollows, kWrong };
/// "right", "right under another convention", "follows", "wrong".
std::string_view NameOf(Verdict verdict);

/// One slip that turns the derived value into the claimed one.
struct Cause {
  std::string text;
  std::string factor;  // the symbol or term concerned
  // lost, extra, replaced, elementwise, forgotten, twice, outsider, unit, rounding, model
  std::string kind;
  int slips = 1;  // fewer is simpler
};

struct Finding {
  Claim claim;
  Verdict verdict = Verdict::kWrong;
  Exact derived;
  std::string formula;
  std::string convention;  // of kRightUnder
  std::vector<std::string>
      follows;                   // ids of the claims to mend, where this one rests on wrong ones
  std::vector<std::string> via;  // ids of those whose figures stand in this one
  std::vector<Cause> causes;     // the simplest first; none: no slip that we know explains it

  /// The remark for people, one line.
  std::string Remark() const;
};

/// One finding for each claim, in their order. Throws InputError for an unknown quantity.
std::vector<Finding> Audit(const std::vector<Claim>& claims);

/// Claims from JSON: a list of {id, text, quantity, value} or {model, context, batch, convention,
/// claims: […]}; a claim may change the model ("model": a name or an object of keys to change),
/// context, batch or convention for itself. Without an id a claim is called by its place, from 1;
/// "claimed" says the same as "value". Throws InputError, one line, naming `where`.
std::vector<Claim> ParseClaimsJson(std::string_view text, const AuditSetting& setting,
                                   const std::string& where);
/// Claims from CSV with a header: quantity and value; id and text if wanted.
std::vector<Claim> ParseClaimsCsv(std::string_view text, const AuditSetting& setting,
                                  const std::string& where);

}  // namespace flopledger
