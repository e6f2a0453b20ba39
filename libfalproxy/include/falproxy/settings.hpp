// settings.hpp: from .env text, an environment and a models file to typed settings, with every
// fault listed at once.
//
// Pure: files and the environment are read by the caller. docs/settings.md lists each setting with
// its default.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/json.hpp"
#include "falproxy/result.hpp"
#include "falproxy/secret.hpp"
#include "falproxy/vocabulary.hpp"

namespace falproxy {

/// One thing that is wrong with the configuration, or looks so. Printed as `file:line: VARIABLE:
/// message; mend`.
struct SettingsFault {
  std::string file = {};  ///< empty: the environment
  int line = 0;           ///< 1-based; 0: no line
  std::string variable = {};
  std::string message = {};  ///< never holds a secret's value
  std::string mend = {};     ///< what to write instead
  bool operator==(const SettingsFault&) const = default;
};
[[nodiscard]] std::string to_string(const SettingsFault& fault);

struct EnvEntry {
  std::string name;
  std::string value;
  int line = 0;
  bool operator==(const EnvEntry&) const = default;
};

/// A .env file, read as npm's dotenv (18.0) reads it. Of lines with the same name only the last is
/// kept.
struct EnvFile {
  std::string file = {};  ///< its path, for messages; set it also where there is no such file yet
  std::vector<EnvEntry> entries = {};
  std::vector<SettingsFault> warnings =
      {};  ///< e.g. an unquoted value that holds '#', a line that is ignored
};
/// Never fails: what dotenv ignores is ignored, with a warning.
[[nodiscard]] EnvFile parse_env(std::string_view text, std::string file);

enum class OnDisconnect { cancel, keep };
enum class ImageUpload { storage, inline_data };
enum class NsfwResults { leave_out, pass };
enum class LogFormat { text, json };

/// One entry of SUPPORTED_MODELS: `name:endpoint` or `name:endpoint+edit-endpoint`. The name is all
/// before the first ':'.
struct ModelRoute {
  std::string name;           ///< no blank, comma, colon or control character; unique
  std::string endpoint;       ///< a well-formed fal endpoint id, in its normal form
  std::string edit_endpoint;  ///< empty: none
  bool operator==(const ModelRoute&) const = default;
};

/// What MODELS_FILE says of one model. Every member may be absent.
struct ModelSettings {
  std::vector<std::pair<std::string, Json>> defaults =
      {};  ///< native fields, sent unless the request says otherwise
  std::vector<std::pair<std::string, Json>> overrides = {};  ///< native fields, always sent
  std::optional<ResponseFormat> response_format = std::nullopt;
  std::optional<Completion> completion = std::nullopt;
  std::string edit = {};  ///< endpoint id for edits, variations and generations with images
  std::optional<MaskConvention> mask = std::nullopt;
  std::vector<std::string> fallback = {};  ///< names of configured models, in order
  std::string schema = {};                 ///< a local file, relative to the models file
  bool stream = false;                     ///< use fal's own /stream for streamed requests
  bool operator==(const ModelSettings&) const = default;
};
using ModelSettingsMap = std::map<std::string, ModelSettings>;  ///< by the model's name
/// Reads the JSON of MODELS_FILE. An unknown key is a fault. `file` is for the messages. With
/// `models`, what both say must agree: each name is configured, fallbacks too, and an edit endpoint
/// is not given twice.
[[nodiscard]] Result<ModelSettingsMap, std::vector<SettingsFault>> parse_models_file(
    std::string_view text, const std::string& file,
    std::optional<std::span<const ModelRoute>> models = std::nullopt);

struct AccessKey {
  std::string name;  ///< for logs and metrics; "default" for CUSTOM_ACCESS_KEY
  Secret key;
  bool operator==(const AccessKey&) const = default;
};

struct RateLimit {
  int requests = 0;
  std::chrono::seconds per{60};
  bool operator==(const RateLimit&) const = default;
};

/// Every setting, with its default.
struct Settings {
  // The three that are needed.
  std::vector<AccessKey> access_keys = {};        ///< CUSTOM_ACCESS_KEY, ACCESS_KEYS
  std::vector<std::vector<Secret>> ai_keys = {};  ///< AI_KEYS: accounts, each with its keys
  std::vector<ModelRoute> models = {};            ///< SUPPORTED_MODELS, in order

  // The server.
  std::string host = "0.0.0.0";
  std::uint16_t port = 8000;  ///< 0: any free one
  bool debug_mode = false;
  LogFormat log_format = LogFormat::text;
  std::vector<std::string> cors_allow_origins = {"*"};  ///< as browsers write them; empty: none
  bool public_models = false;
  bool playground = true;
  std::string metrics_host = "127.0.0.1";
  std::uint16_t metrics_port = 0;  ///< 0: none
  std::chrono::seconds shutdown_grace{30};
  std::chrono::seconds keepalive{0};  ///< KEEPALIVE_SECONDS; 0: off
  int max_in_flight = 8000;
  int max_in_flight_per_key = 0;  ///< 0: no limit
  std::optional<RateLimit> rate_limit = std::nullopt;
  std::size_t max_body_bytes = 128u << 20;
  std::size_t max_body_memory = 1u << 30;

  // Requests.
  std::string default_model = {};  ///< empty: the first of `models`
  std::optional<ResponseFormat> default_response_format = std::nullopt;
  bool strict_parameters = false;
  int max_images_per_request = 10;
  NsfwResults nsfw_results = NsfwResults::leave_out;
  std::chrono::seconds request_timeout{600};
  OnDisconnect on_disconnect = OnDisconnect::cancel;
  std::chrono::seconds recovery_window{120};
  std::size_t max_upload_bytes = 50'000'000;
  ImageUpload image_upload = ImageUpload::storage;
  std::chrono::seconds upload_ttl{3600};
  bool allow_any_model = false;
  std::string models_file = {};  ///< empty: none

  // fal. Addresses are http(s) URLs without a slash at the end; the list of hosts is well-formed.
  std::string fal_queue_url = "https://queue.fal.run";
  std::string fal_run_url = "https://fal.run";
  std::string fal_schema_url = "https://fal.ai/api/openapi/queue/openapi.json";
  std::string fal_rest_url = "https://rest.fal.ai";
  std::string fal_media_hosts = "fal.media,*.fal.media,storage.googleapis.com";
  Completion completion = Completion::stream;
  int max_upstream_streams = 1000;
  int max_submit_attempts = 4;
  int max_jobs_per_account = 0;  ///< 0: no limit
  std::size_t max_download_bytes = 64u << 20;
  std::string ssl_cert_file = {};  ///< PEM; empty: the system's

  // Documents.
  std::optional<std::string> schema_cache_dir =
      std::nullopt;  ///< none: the default place; "none": no cache
  std::chrono::hours schema_ttl{24};

  bool operator==(const Settings&) const = default;
};

/// A variable of `environment` wins over the same one in `env`; a blank value counts as none.
/// Unknown variables are ignored. On failure: every fault, those of the environment first, then in
/// order of lines.
[[nodiscard]] Result<Settings, std::vector<SettingsFault>> read_settings(
    const EnvFile& env, const std::map<std::string, std::string>& environment);

/// The warnings of parse_env, and one for each name in the file that is no setting but nearly one
/// (`SUPORTED_MODELS`).
[[nodiscard]] std::vector<SettingsFault> settings_warnings(const EnvFile& env);

/// A setting as docs/settings.md lists it.
struct SettingInfo {
  std::string_view name;
  std::string_view standard;  ///< the default, as it would be written; empty: none
  std::string_view meaning;   ///< one line
  bool needed = false;
};
/// Every setting, those that are needed first. The views are literals.
[[nodiscard]] std::span<const SettingInfo> all_settings() noexcept;

}  // namespace falproxy
