#include "settings/setting_table.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/words.hpp"
#include "settings/lists.hpp"
#include "settings/words.hpp"

namespace falproxy::inline v0 {
namespace {

using Value = SettingValue;

constexpr std::int64_t day_seconds = 86'400;
constexpr std::int64_t week_seconds = 7 * day_seconds;
constexpr std::int64_t year_hours = 8760;
constexpr std::int64_t many = 1'000'000;

// The order is that of docs/settings.md; ACCESS_KEYS comes after CUSTOM_ACCESS_KEY and ADMIN_KEY
// after both, since they look for repeats.
constexpr SettingRow rows[] = {
    // The three that are needed.
    {{"CUSTOM_ACCESS_KEY", "", "the key that clients send, as Authorization: Bearer <key>", true,
      true},
     read_custom_access_key},
    {{"AI_KEYS", "", "fal keys: accounts separated by ',', keys of one account by '|'", true, true},
     read_ai_keys},
    {{"SUPPORTED_MODELS", "", "name:endpoint or name:endpoint+edit-endpoint, separated by ','",
      true},
     read_supported_models},

    // The server.
    {{"HOST", "0.0.0.0", "address to listen on; *: all there are"},
     [](Value& v, Settings& s) { v.host(s.host); }},
    {{"PORT", "8000", "port to listen on; 0: any free one"},
     [](Value& v, Settings& s) { v.whole_number(s.port, 0, 65535); }},
    {{"DEBUG_MODE", "false", "log payloads and what was read from documents"},
     [](Value& v, Settings& s) { v.boolean(s.debug_mode); }},
    {{"LOG_FORMAT", "text", "text or json"},
     [](Value& v, Settings& s) { v.choice(s.log_format, log_formats); }},
    {{"ACCESS_KEYS", "", "more access keys with names for logs and metrics: name=key,name=key",
      false, true},
     read_access_keys},
    {{"KEYS_FILE", "", "JSON file with keys, what they may do and what they may spend"},
     [](Value& v, Settings& s) { s.keys_file = std::string(v.text()); }},
    {{"ADMIN_KEY", "", "the operator's key, for /metrics and the status of all clients", false,
      true},
     read_admin_key},
    {{"CORS_ALLOW_ORIGINS", "*",
      "web origins that may use the server, separated by ','; none: no page may"},
     read_cors_origins},
    {{"PUBLIC_MODELS", "false", "list models without an access key"},
     [](Value& v, Settings& s) { v.boolean(s.public_models); }},
    {{"PLAYGROUND", "true", "serve the page to try it"},
     [](Value& v, Settings& s) { v.boolean(s.playground); }},
    {{"METRICS_PORT", "0", "port for /metrics without a key; 0: none"},
     [](Value& v, Settings& s) { v.whole_number(s.metrics_port, 0, 65535); }},
    {{"METRICS_HOST", "127.0.0.1", "address of METRICS_PORT"},
     [](Value& v, Settings& s) { v.host(s.metrics_host); }},
    {{"SHUTDOWN_GRACE_SECONDS", "30", "how long a stopping server waits for requests in flight"},
     [](Value& v, Settings& s) { v.duration(s.shutdown_grace, 0, day_seconds); }},
    {{"KEEPALIVE_SECONDS", "0",
      "white space sent every so many seconds to keep slow answers open; 0: off"},
     [](Value& v, Settings& s) { v.duration(s.keepalive, 0, 3600); }},
    {{"MAX_IN_FLIGHT", "8000", "requests served at once; more get 503"},
     [](Value& v, Settings& s) { v.whole_number(s.max_in_flight, 1, many); }},
    {{"MAX_IN_FLIGHT_PER_KEY", "0", "the same for each access key, 429; 0: no limit"},
     [](Value& v, Settings& s) { v.whole_number(s.max_in_flight_per_key, 0, many); }},
    {{"RATE_LIMIT", "", "requests per time for each access key, such as 60/min"}, read_rate_limit},
    {{"MAX_BODY_BYTES", "128MiB", "largest request body"},
     [](Value& v, Settings& s) { v.bytes(s.max_body_bytes); }},
    {{"MAX_BODY_MEMORY", "1GiB", "memory for all request bodies at once"},
     [](Value& v, Settings& s) { v.bytes(s.max_body_memory); }},

    // Requests.
    {{"DEFAULT_MODEL", "", "model of requests that name none; else the first of SUPPORTED_MODELS"},
     [](Value& v, Settings& s) { v.word(s.default_model); }},
    {{"DEFAULT_RESPONSE_FORMAT", "",
      "url or b64_json if a request says nothing, or by name: dall-e*=url,*=b64_json"},
     read_default_response_format},
    {{"STRICT_PARAMETERS", "false", "refuse fields that neither OpenAI nor the model knows"},
     [](Value& v, Settings& s) { v.boolean(s.strict_parameters); }},
    {{"MAX_IMAGES_PER_REQUEST", "10", "most images of one request"},
     [](Value& v, Settings& s) { v.whole_number(s.max_images_per_request, 1, 100); }},
    {{"NSFW_RESULTS", "leave_out", "leave_out or pass: images that the model marked"},
     [](Value& v, Settings& s) { v.choice(s.nsfw_results, nsfw_results); }},
    {{"REQUEST_TIMEOUT_SECONDS", "600", "longest time of a request"},
     [](Value& v, Settings& s) { v.duration(s.request_timeout, 1, day_seconds); }},
    {{"ON_DISCONNECT", "cancel", "cancel or keep: the job of a client that leaves"},
     [](Value& v, Settings& s) { v.choice(s.on_disconnect, on_disconnects); }},
    {{"RECOVERY_WINDOW_SECONDS", "120",
      "how long a repeated request finds the paid result; 0: never"},
     [](Value& v, Settings& s) { v.duration(s.recovery_window, 0, day_seconds); }},
    {{"KEYED_RECOVERY_SECONDS", "3600", "the same if the request has an Idempotency-Key; 0: never"},
     [](Value& v, Settings& s) { v.duration(s.keyed_recovery, 0, week_seconds); }},
    {{"MAX_UPLOAD_BYTES", "50MB", "largest uploaded image"},
     [](Value& v, Settings& s) { v.bytes(s.max_upload_bytes); }},
    {{"IMAGE_UPLOAD", "storage", "storage or inline: how uploaded images reach fal"},
     [](Value& v, Settings& s) { v.choice(s.image_upload, image_uploads); }},
    {{"KEEP_METADATA", "false", "leave places, cameras and texts in the images handed to fal"},
     [](Value& v, Settings& s) { v.boolean(s.keep_metadata); }},
    {{"UPLOAD_TTL_SECONDS", "3600", "how long fal keeps uploaded images"},
     [](Value& v, Settings& s) { v.duration(s.upload_ttl, 60, 365 * day_seconds); }},
    {{"ALLOW_ANY_MODEL", "false", "serve fal endpoint ids that are not listed"},
     [](Value& v, Settings& s) { v.boolean(s.allow_any_model); }},
    {{"MODELS_FILE", "", "JSON file with settings of single models"},
     [](Value& v, Settings& s) { s.models_file = std::string(v.text()); }},
    {{"LLM_MODELS", "",
      "chat models of fal's router: name:owner/model or owner/model, separated by ','; *: any"},
     read_chat_models},
    {{"CHAT_TASK_MODEL", "",
      "one of LLM_MODELS for titles and tags of chats with image models; else no model is asked"},
     [](Value& v, Settings& s) { v.word(s.chat_task_model); }},
    {{"CHAT_IMAGES", "auto", "auto, images, markdown or both: how a chat shows images"},
     [](Value& v, Settings& s) { v.choice(s.chat_images, chat_images); }},
    {{"FAL_NATIVE", "true", "serve fal's own API below /fal"},
     [](Value& v, Settings& s) { v.boolean(s.fal_native); }},

    // fal.
    {{"FAL_COMPLETION", "stream", "stream, poll or sync: how the end of a job is learned of"},
     [](Value& v, Settings& s) { v.choice(s.completion, completions); }},
    {{"MAX_UPSTREAM_STREAMS", "1000", "status streams held at once; further requests poll"},
     [](Value& v, Settings& s) { v.whole_number(s.max_upstream_streams, 0, many); }},
    {{"MAX_SUBMIT_ATTEMPTS", "4", "attempts to submit one job, as long as repeating is safe"},
     [](Value& v, Settings& s) { v.whole_number(s.max_submit_attempts, 1, 20); }},
    {{"MAX_JOBS_PER_ACCOUNT", "0", "jobs of one fal account at once; more wait here; 0: no limit"},
     [](Value& v, Settings& s) { v.whole_number(s.max_jobs_per_account, 0, many); }},
    {{"MAX_DOWNLOAD_BYTES", "64MiB", "largest image fetched from fal"},
     [](Value& v, Settings& s) { v.bytes(s.max_download_bytes); }},
    {{"FAL_QUEUE_URL", "https://queue.fal.run", "fal's queue"},
     [](Value& v, Settings& s) { v.address(s.fal_queue_url); }},
    {{"FAL_RUN_URL", "https://fal.run", "fal's synchronous service"},
     [](Value& v, Settings& s) { v.address(s.fal_run_url); }},
    {{"FAL_SCHEMA_URL", "https://fal.ai/api/openapi/queue/openapi.json",
      "models' OpenAPI documents"},
     [](Value& v, Settings& s) { v.address(s.fal_schema_url); }},
    {{"FAL_REST_URL", "https://rest.fal.ai", "fal's storage"},
     [](Value& v, Settings& s) { v.address(s.fal_rest_url); }},
    {{"FAL_API_URL", "https://api.fal.ai/v1", "fal's platform API, for prices"},
     [](Value& v, Settings& s) { v.address(s.fal_api_url); }},
    {{"FAL_ADMIN_KEY", "", "a fal key of scope ADMIN, for bills, the balance and deleting at fal",
      false, true},
     read_fal_admin_key},
    {{"FAL_MEDIA_HOSTS", "fal.media,*.fal.media,storage.googleapis.com",
      "where images may be fetched from: host, *.host or http://host:port"},
     read_media_hosts},
    {{"SSL_CERT_FILE", "", "PEM file of the certificate authorities to trust; else the system's"},
     [](Value& v, Settings& s) { s.ssl_cert_file = std::string(v.text()); }},

    // Kept files.
    {{"MEDIA_STORE", "",
      "where the files of answers are kept: dir:/path or s3://bucket, with ?parameters"},
     read_media_store},
    {{"PUBLIC_URL", "", "what clients call this server, in the addresses of kept files"},
     [](Value& v, Settings& s) { v.address(s.public_url); }},

    // Money.
    {{"PRICES_FILE", "",
      "JSON file with prices that fal does not tell, or that are others for you"},
     [](Value& v, Settings& s) { s.prices_file = std::string(v.text()); }},
    {{"ALERT_URL", "", "where alerts about money are POSTed to, as JSON", false, true},
     read_alert_url},
    {{"ALERT_BALANCE_USD", "10", "an alert tells that less is left on fal's account; 0: none does"},
     read_alert_balance},

    // Documents.
    {{"SCHEMA_CACHE_DIR", "",
      "where documents are kept on disk; none: nowhere; else $XDG_CACHE_HOME/falproxy or "
      "~/.cache/falproxy"},
     [](Value& v, Settings& s) { s.schema_cache_dir = std::string(v.text()); }},
    {{"SCHEMA_TTL_HOURS", "24", "age at which a document is fetched again"},
     [](Value& v, Settings& s) { v.duration(s.schema_ttl, 1, year_hours); }},

    // State.
    {{"STATE_DIR", "",
      "where runs are noted on disk; none: nowhere; else $XDG_STATE_HOME/falproxy or "
      "~/.local/state/falproxy"},
     [](Value& v, Settings& s) {
       s.state_dir = equal_ignoring_case(v.text(), "none") ? "none" : std::string(v.text());
     }},
    {{"KEEP_PROMPTS", "false", "note the prompts of asynchronous requests and videos, too"},
     [](Value& v, Settings& s) { v.boolean(s.keep_prompts); }},
    {{"CALLBACK_HOSTS", "",
      "hosts that X-Falproxy-Callback may name: host, *.host or http://host:port"},
     read_callback_hosts},
    {{"STATE_URL", "",
      "Redis or Valkey that several replicas share: redis://host, rediss://, unix:/path or "
      "redis+sentinel://",
      false, true},
     read_state_url},
    {{"REQUIRE_STATE", "false", "do not serve without STATE_DIR"},
     [](Value& v, Settings& s) { v.boolean(s.require_state); }},
};

constexpr auto infos = [] {
  std::array<SettingInfo, std::size(rows)> all;
  std::ranges::transform(rows, all.begin(), &SettingRow::info);
  return all;
}();

}  // namespace

std::span<const SettingRow> setting_rows() noexcept { return rows; }
std::span<const SettingInfo> all_settings() noexcept { return infos; }

}  // namespace falproxy::inline v0
