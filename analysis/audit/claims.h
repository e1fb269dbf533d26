// Claims: figures that someone wrote down, each with the quantity and the setting that it is about.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analysis/audit/setting.h"
#include "analysis/text/figure.h"

namespace flopledger {

struct Claim {
  std::string id, text, quantity;
  Figure figure;
  AuditSetting setting;
  bool id_is_place = false;            // none was given
  std::vector<Figure> other_readings;  // of an ambiguous value, less likely than `figure`
  std::string unreadable;              // why the value is no figure; empty: it is one
};

/// Claims from JSON: a list of {id, text, quantity, value} or an object with `claims` and what they
/// share: model, context, batch, convention, dtype, kv_dtype, activations, from_context, memory,
/// peak, mfu, step_time, tokens_per_s, steps. A claim may change these for itself ("model": a name
/// or an object of keys to change). Without an id a claim is called by its place, from 1; "claimed"
/// says the same as "value". A value that is no figure makes its claim unreadable. Throws
/// InputError, one line, naming `where`, for everything else that is wrong.
std::vector<Claim> ParseClaimsJson(std::string_view text, const AuditSetting& setting,
                                   const std::string& where);

/// Claims from CSV with a header: quantity and value, and any other key of a claim.
std::vector<Claim> ParseClaimsCsv(std::string_view text, const AuditSetting& setting,
                                  const std::string& where);

/// The setting with one of our conventions in it or another tool's. Throws InputError.
void SetConvention(AuditSetting& setting, std::string_view name, const std::string& where);

}  // namespace flopledger
