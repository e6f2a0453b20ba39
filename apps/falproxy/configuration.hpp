// configuration.hpp: from files and the environment to what each room of the library is made with.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/catalog.hpp"
#include "falproxy/proxies.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"
#include "media_store/aws_signature.hpp"
#include "tracing/otel_settings.hpp"

namespace falproxy::app {

using Environment = std::map<std::string, std::string>;
/// The process's own, to be taken once: in the process's memory the values of settings that hold
/// keys, and of proxies' addresses that hold a password, are overwritten, so that /proc/PID/environ
/// does not show them.
[[nodiscard]] Environment take_process_environment();

/// Everything that was configured, as of one moment; serve swaps a whole one in at SIGHUP.
struct Configuration {
  Settings settings = {};
  std::vector<CatalogModel> models = {};  ///< SUPPORTED_MODELS, with what MODELS_FILE says of each
  std::map<std::string, std::string> pinned = {};  ///< text of ModelSettings::schema, by model name
  /// HTTPS_PROXY and its like: no settings of falproxy's, but read where those are.
  Proxies proxies = {};
  /// AWS_ACCESS_KEY_ID and its like, for MEDIA_STORE in a bucket: no settings of falproxy's either.
  AwsIdentity aws = {};
  /// OTEL_EXPORTER_OTLP_ENDPOINT and its like, for traces: OpenTelemetry's.
  OtelSettings otel = {};
  std::vector<SettingsFault> warnings = {};
};

/// Reads the .env file, the files that AI_KEYS_FILE and its like name, MODELS_FILE and the
/// documents that it names. `env_file`: none means `.env`, which need not be there. `otherwise`:
/// variables that count where neither of both sets them. Paths in settings are relative to the
/// working directory, `schema` in MODELS_FILE to that file. Errors: every fault.
[[nodiscard]] Result<Configuration, std::vector<SettingsFault>> load_configuration(
    const std::optional<std::string>& env_file, const Environment& environment,
    const Environment& otherwise = {});

/// The whole of a file. Errors: invalid_settings with the system's reason.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

}  // namespace falproxy::app
