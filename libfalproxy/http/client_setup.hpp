// client_setup.hpp: from a client's options, or from settings, to what its parts are made with.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "falproxy/catalog.hpp"
#include "falproxy/client.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/runner.hpp"

namespace falproxy::inline v0 {

using Accounts = std::vector<std::vector<Secret>>;

/// What the parts of a client are made with.
struct Setup {
  Accounts accounts;
  std::vector<CatalogModel> models = {};
  std::map<std::string, std::string> pinned = {};
  KeyRing::Options keys = {};
  Catalog::Options catalog = {};
  Runner::Options runner = {};
  RequestLimits limits = {};
};

/// Errors: invalid_settings, with the option.
[[nodiscard]] Result<Setup> setup_of(const ClientOptions& options);
/// The same, with the setting.
[[nodiscard]] Result<Setup> setup_of(const Settings& settings, const ModelSettingsMap& models);

}  // namespace falproxy::inline v0
