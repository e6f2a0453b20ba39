// configuration.hpp: from files and the environment to what each room of the library is made with.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/catalog.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/gateway.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/translate.hpp"

namespace falproxy::app {

using Environment = std::map<std::string, std::string>;
/// The process's own.
[[nodiscard]] Environment process_environment();

/// Everything that was configured, as of one moment; serve swaps a whole one in at SIGHUP.
struct Configuration {
  Settings settings = {};
  std::vector<CatalogModel> models = {};  ///< SUPPORTED_MODELS, with what MODELS_FILE says of each
  std::map<std::string, std::string> pinned = {};  ///< text of ModelSettings::schema, by model name
  std::vector<SettingsFault> warnings = {};
};

/// Reads the .env file, MODELS_FILE and the documents that it names. `env_file`: none means `.env`,
/// which need not be there. `otherwise`: variables that count where neither of both sets them.
/// Paths in settings are relative to the working directory, `schema` in MODELS_FILE to that file.
/// Errors: every fault.
[[nodiscard]] Result<Configuration, std::vector<SettingsFault>> load_configuration(
    const std::optional<std::string>& env_file, const Environment& environment,
    const Environment& otherwise = {});

[[nodiscard]] fal::Addresses fal_addresses(const Settings& settings);
[[nodiscard]] Catalog::Options catalog_options(const Settings& settings);
[[nodiscard]] KeyRing::Options key_ring_options(const Settings& settings);
[[nodiscard]] translate::Options translate_options(const Settings& settings);
[[nodiscard]] openai::RequestLimits request_limits(const Settings& settings);
[[nodiscard]] ImageGateway::Options gateway_options(const Settings& settings);

/// The whole of a file. Errors: invalid_settings with the system's reason.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

}  // namespace falproxy::app
