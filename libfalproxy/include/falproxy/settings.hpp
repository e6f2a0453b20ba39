// settings.hpp: from .env text, an environment and a models file to typed settings, with every
// fault listed at once.
//
// Pure: files and the environment are read by the caller. docs/settings.md lists each setting with
// its default.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/json.hpp"
#include "falproxy/money.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/secret.hpp"
#include "falproxy/vocabulary.hpp"

namespace falproxy::inline v0 {

/// One thing that is wrong with the configuration, or looks so. Printed as `file:line: VARIABLE:
/// message; mend`.
struct SettingsFault {
  std::string file = {};      ///< empty: the environment
  int line = 0;               ///< 1-based; 0: no line
  std::string variable = {};  ///< the setting, or the path in MODELS_FILE ("flux-dev.mask"); empty:
                              ///< the line is no assignment
  std::string message = {};   ///< never holds a secret's value
  std::string mend = {};      ///< what to write instead
  /// But for `message` and `mend`.
  bool operator==(const SettingsFault& other) const noexcept {
    return file == other.file && line == other.line && variable == other.variable;
  }
};
/// As to_string().
std::ostream& operator<<(std::ostream& out, const SettingsFault& fault);
/// One line, without a line break at its end.
[[nodiscard]] std::string to_string(const SettingsFault& fault);

/// One NAME=value of a .env file.
struct EnvEntry {
  /// As written: letters, digits, '_', '.' and '-'; not checked against the settings.
  std::string name;
  std::string value;      ///< without quotes, `\n` and `\r` expanded if it stood in double quotes
  int line = 0;           ///< 1-based, of the name
  std::string file = {};  ///< that the value was read from, for messages; empty: the .env file
  bool operator==(const EnvEntry&) const = default;
};

/// A .env file, read as npm's dotenv (18.0) reads it. Of lines with the same name only the last is
/// kept.
struct EnvFile {
  std::string file = {};  ///< its path, for messages; set it also if there is no such file yet
  std::vector<EnvEntry> entries = {};  ///< in order of lines
  /// E.g. an unquoted value that holds '#', a line that is ignored.
  std::vector<SettingsFault> warnings = {};
  bool operator==(const EnvFile&) const = default;
};
/// Never fails: what dotenv ignores is ignored, with a warning.
[[nodiscard]] EnvFile parse_env(std::string_view text, std::string file);

/// The environment as settings are read from it.
struct TidyEnvironment {
  std::map<std::string, std::string> variables = {};  ///< for read_settings()
  std::vector<SettingsFault> warnings = {};           ///< of what was changed or looks odd
  bool operator==(const TidyEnvironment&) const = default;
};
/// `variables` as they were meant, with a warning for each that is changed. Only settings and the
/// addresses of proxies are looked at: a value wholly in one pair of quotes loses them (docker's
/// --env-file keeps quotes), and a port that is a Kubernetes service link
/// (`METRICS_PORT=tcp://10.0.0.1:9090`) is left out.
[[nodiscard]] TidyEnvironment tidy_environment(std::map<std::string, std::string> variables);
/// True if `value` was wholly in one pair of quotes, which it has lost.
bool unwrap_quotes(std::string& value);

/// What becomes of a job whose client leaves: ON_DISCONNECT.
enum class OnDisconnect {
  cancel,  ///< it is cancelled at fal, once nobody waits for it
  keep     ///< it is finished, for a repeat within RECOVERY_WINDOW_SECONDS
};
/// As written above.
[[nodiscard]] std::string_view name_of(OnDisconnect value) noexcept;

/// How a picture of a request reaches fal: IMAGE_UPLOAD.
enum class ImageUpload {
  storage,     ///< fal's storage, which is public, for UPLOAD_TTL_SECONDS
  inline_data  ///< `inline`, which is its name: a data URI in the job's input
};
/// As written above.
[[nodiscard]] std::string_view name_of(ImageUpload value) noexcept;

/// What becomes of pictures that the model itself marked: NSFW_RESULTS.
enum class NsfwResults {
  leave_out,  ///< the others are answered; if none is left, content_policy
  pass        ///< they are answered, with a Note
};
/// As written above.
[[nodiscard]] std::string_view name_of(NsfwResults value) noexcept;

/// How a request is logged: LOG_FORMAT.
enum class LogFormat {
  text,  ///< a line for people
  json   ///< one JSON object on a line
};
/// As written above.
[[nodiscard]] std::string_view name_of(LogFormat value) noexcept;

/// Who may have the files that are kept: `access` of MEDIA_STORE.
enum class MediaAccess {
  open,         ///< `public`, which is its name: whoever has the address
  signed_link,  ///< `signed`, which is its name: whoever has the address, for a time
  key           ///< who sends the access key whose file it is
};
/// As written above.
[[nodiscard]] std::string_view name_of(MediaAccess value) noexcept;

/// Where the files of answers are kept: MEDIA_STORE.
struct MediaPlace {
  std::string folder = {};    ///< `dir:`; empty: it is a bucket
  std::string bucket = {};    ///< `s3://`; empty: it is a folder
  std::string prefix = {};    ///< of the names in the bucket, without a slash at the end
  std::string endpoint = {};  ///< an origin; empty: Amazon's, of the region
  std::string region = {};    ///< empty: AWS_REGION, else us-east-1
  bool virtual_host = false;  ///< the bucket stands in the host's name
  std::chrono::days ttl{30};  ///< `ttl_days`: how long a file is kept; 0: without an end
  std::size_t max_bytes = 50'000'000'000;  ///< of all files together; the oldest go first
  MediaAccess access = MediaAccess::open;  ///< who may have them
  std::chrono::hours link_life{7 * 24};    ///< `link_hours`, of MediaAccess::signed_link
  bool operator==(const MediaPlace&) const = default;

  [[nodiscard]] bool is_folder() const noexcept { return bucket.empty(); }  ///< else a bucket
  /// What fal keeps is not public either.
  [[nodiscard]] bool is_private() const noexcept { return access != MediaAccess::open; }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const MediaPlace& place);

/// Where several replicas keep what they share: STATE_URL.
struct StateAddress {
  /// A machine that is asked.
  struct Host {
    std::string name = {};      ///< a name or an address, without brackets
    std::uint16_t port = 6379;  ///< 26379 of a Sentinel, unless it is written
    bool operator==(const Host&) const = default;
  };
  std::vector<Host> hosts = {};         ///< one; of Sentinels, all that were named; none: `socket`
  std::string socket = {};              ///< `unix:`, the path of a socket; empty: `hosts`
  std::string master = {};              ///< what the Sentinels call it; empty: there are none
  bool tls = false;                     ///< `rediss://`
  std::string user = {};                ///< empty: the default one
  Secret password = {};                 ///< empty: none
  int database = 0;                     ///< its number
  std::chrono::milliseconds bound{25};  ///< `bound_ms`: what takes longer has failed
  bool operator==(const StateAddress&) const = default;
};
/// With the port, as it is written in STATE_URL.
std::ostream& operator<<(std::ostream& out, const StateAddress::Host& host);
/// For people, in one line, without user and password.
std::ostream& operator<<(std::ostream& out, const StateAddress& address);

/// One entry of SUPPORTED_MODELS: `name:endpoint` or `name:endpoint+edit-endpoint`. The name is all
/// before the first ':'.
struct ModelRoute {
  /// No blank, comma, colon or control character; unique. With '*', which stands for any
  /// characters, it is a pattern.
  std::string name;
  std::string endpoint;       ///< a well-formed fal endpoint id, in its normal form
  std::string edit_endpoint;  ///< empty: none
  bool operator==(const ModelRoute&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ModelRoute& route);

/// One entry of LLM_MODELS: `name:upstream-id`, or an id of the router's that is its own name.
struct ChatRoute {
  /// As ModelRoute::name; no name of SUPPORTED_MODELS.
  std::string name;
  std::string upstream;  ///< the router's id; empty: the name that was asked for
  bool operator==(const ChatRoute&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ChatRoute& route);

/// How an answer of chat shows a picture: CHAT_IMAGES.
enum class ChatImages {
  automatic,  ///< `auto`: `images` alone for who asks for them in `modalities`, else `both`
  images,     ///< the member `images`
  markdown,   ///< Markdown in `content`
  both        ///< both
};
/// As written above.
[[nodiscard]] std::string_view name_of(ChatImages value) noexcept;

/// What MODELS_FILE says of one model. Every member may be absent.
struct ModelSettings {
  /// Native fields, sent unless the request says otherwise.
  std::vector<std::pair<std::string, Json>> defaults = {};
  std::vector<std::pair<std::string, Json>> overrides = {};      ///< native fields, always sent
  std::optional<ResponseFormat> response_format = std::nullopt;  ///< none: DEFAULT_RESPONSE_FORMAT
  std::optional<Completion> completion = std::nullopt;           ///< none: FAL_COMPLETION
  Teaching taught = {};    ///< `inputs` and `outputs`: what its names mean
  std::string edit = {};   ///< endpoint id for edits, variations and generations with images
  std::string remix = {};  ///< endpoint id for requests with a video, which is made anew
  std::optional<MaskConvention> mask = std::nullopt;  ///< none: told from the model's document
  std::vector<std::string> fallback = {};             ///< names of configured models, in order
  std::string schema = {};                            ///< a local file, relative to the models file
  bool stream = false;      ///< use fal's own /stream for streamed requests
  bool own_app = false;     ///< a serverless app of the account, whose jobs fal does not count
  FalPreferences fal = {};  ///< said to fal with each of the model's jobs
  bool operator==(const ModelSettings&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ModelSettings& settings);
using ModelSettingsMap = std::map<std::string, ModelSettings>;  ///< by the model's name
/// Reads the JSON of MODELS_FILE. An unknown key is a fault. `file` is for the messages. With
/// `models`, what both say must agree: each name is configured, fallbacks too, and an edit endpoint
/// is not given twice. Errors: every fault that was found, in the order of the file.
[[nodiscard]] Result<ModelSettingsMap, std::vector<SettingsFault>> parse_models_file(
    std::string_view text, const std::string& file,
    std::optional<std::span<const ModelRoute>> models = std::nullopt);

/// A key that clients send, with the name that stands for it in everything that is written.
struct AccessKey {
  std::string name;  ///< for logs and metrics; "default" for CUSTOM_ACCESS_KEY
  Secret key;        ///< compared by Secret::matches()
  bool operator==(const AccessKey&) const = default;
};

/// So many requests in so much time, for each access key.
struct RateLimit {
  int requests = 0;              ///< at least 1
  std::chrono::seconds per{60};  ///< 60 for `60/min`, 1 for `5/s`
  bool operator==(const RateLimit&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const RateLimit& limit);

/// What becomes of a job whose price is not known beforehand: `unknown_price` in KEYS_FILE.
enum class UnknownPrice {
  refuse,  ///< it is not submitted
  allow,   ///< it counts once its cost is known
  assume   ///< KeyRules::assumed_cost is taken for it
};
/// As written above.
[[nodiscard]] std::string_view name_of(UnknownPrice value) noexcept;

/// One row of KEYS_FILE: a key, and what it may do. Members that are absent limit nothing.
struct KeyRules {
  std::string name = {};  ///< "default": CUSTOM_ACCESS_KEY's; "*": of all keys together
  Secret key = {};        ///< empty: the name's key is another setting's
  std::optional<Budget> budget = std::nullopt;  ///< none: no limit
  std::vector<std::string> models = {};         ///< names of models, or patterns; empty: every one
  std::optional<RateLimit> rate_limit = std::nullopt;  ///< none: RATE_LIMIT
  std::optional<int> max_in_flight = std::nullopt;     ///< none: MAX_IN_FLIGHT_PER_KEY
  std::optional<Day> expires = std::nullopt;           ///< from that day on it is no key
  /// If the row says nothing: `refuse` with a budget or `max_job_cost`, else `allow`.
  UnknownPrice unknown_price = UnknownPrice::allow;
  Usd assumed_cost = {};          ///< of a job, for UnknownPrice::assume
  bool allow_state_loss = false;  ///< `on_state_loss`: go on, though what was spent is forgotten
  std::optional<Usd> max_job_cost = std::nullopt;  ///< none: no limit
  Usd llm_reserve = {50'000'000};  ///< of a call of a chat model, until its cost is known
  std::string user_header = {};    ///< the field that names who asks; empty: the request's `user`
  /// `media_quota`: of the files that are kept for it, the oldest of which go first; none: no limit
  /// of its own.
  std::optional<std::uint64_t> media_quota = std::nullopt;
  bool operator==(const KeyRules&) const = default;
};
/// Reads the JSON of KEYS_FILE; rows without a key have a name of `others`, which holds those of
/// CUSTOM_ACCESS_KEY and ACCESS_KEYS. An unknown member is a fault. `file` is for the messages.
/// Errors: every fault that was found, in the order of the file.
[[nodiscard]] Result<std::vector<KeyRules>, std::vector<SettingsFault>> parse_keys_file(
    std::string_view text, const std::string& file, const std::vector<AccessKey>& others);
/// One such row, which an operator sent: `name` and the members of KEYS_FILE. Errors: the first
/// fault, whose `field` is the member: invalid_value.
[[nodiscard]] Result<KeyRules> parse_key_rules(const std::string& name, const Json& members);
/// The members of a row as parse_key_rules() reads them, but for the key.
[[nodiscard]] Json to_json(const KeyRules& rules);

/// Every setting, with its default.
struct Settings {
  // The three that are needed.
  /// CUSTOM_ACCESS_KEY, ACCESS_KEYS; one at least, if there is no KEYS_FILE.
  std::vector<AccessKey> access_keys = {};
  std::vector<std::vector<Secret>> ai_keys = {};  ///< AI_KEYS: accounts, each with its keys
  std::vector<ModelRoute> models = {};            ///< SUPPORTED_MODELS, in order

  // The server.
  std::string host = "0.0.0.0";  ///< HOST: an address, without brackets; "*": all there are
  std::uint16_t port = 8000;     ///< 0: any free one
  bool debug_mode = false;       ///< DEBUG_MODE: payloads are logged, without keys and base64
  LogFormat log_format = LogFormat::text;               ///< LOG_FORMAT
  std::string keys_file = {};                           ///< KEYS_FILE; empty: none
  std::vector<KeyRules> keys = {};                      ///< of `keys_file`, once it was read
  Secret admin_key = {};                                ///< ADMIN_KEY; empty: none
  std::vector<std::string> cors_allow_origins = {"*"};  ///< as browsers write them; empty: none
  bool public_models = false;               ///< PUBLIC_MODELS: GET /v1/models needs no key
  bool playground = true;                   ///< PLAYGROUND: the page at /playground is served
  std::string metrics_host = "127.0.0.1";   ///< METRICS_HOST: where metrics_port listens, as host
  std::uint16_t metrics_port = 0;           ///< 0: none
  std::chrono::seconds shutdown_grace{30};  ///< SHUTDOWN_GRACE_SECONDS, for requests in flight
  std::chrono::seconds keepalive{0};        ///< KEEPALIVE_SECONDS; 0: off
  int max_in_flight = 8000;                 ///< MAX_IN_FLIGHT: one more gets 503
  int max_in_flight_per_key = 0;            ///< 0: no limit
  std::optional<RateLimit> rate_limit = std::nullopt;  ///< RATE_LIMIT; none: no limit
  std::size_t max_body_bytes = 128u << 20;             ///< MAX_BODY_BYTES, of one request
  std::size_t max_body_memory = 1u << 30;              ///< MAX_BODY_MEMORY, of all requests at once

  // Requests.
  std::string default_model = {};  ///< empty: the first of `models`
  /// DEFAULT_RESPONSE_FORMAT, in order; a plain `url` or `b64_json` has the pattern `*`.
  std::vector<ResponseFormatRule> default_response_format = {};
  bool strict_parameters = false;   ///< STRICT_PARAMETERS
  int max_images_per_request = 10;  ///< MAX_IMAGES_PER_REQUEST, whatever field asks for them
  NsfwResults nsfw_results = NsfwResults::leave_out;  ///< NSFW_RESULTS
  std::chrono::seconds request_timeout{600};  ///< REQUEST_TIMEOUT_SECONDS; then jobs are cancelled
  OnDisconnect on_disconnect = OnDisconnect::cancel;  ///< ON_DISCONNECT
  /// RECOVERY_WINDOW_SECONDS; 0: a repeat is a new request.
  std::chrono::seconds recovery_window{120};
  /// KEYED_RECOVERY_SECONDS: the same of requests with an Idempotency-Key.
  std::chrono::seconds keyed_recovery{3600};
  std::size_t max_upload_bytes = 50'000'000;        ///< MAX_UPLOAD_BYTES, of one picture
  ImageUpload image_upload = ImageUpload::storage;  ///< IMAGE_UPLOAD
  bool keep_metadata = false;                       ///< KEEP_METADATA: EXIF and its like, too
  std::chrono::seconds upload_ttl{3600};            ///< UPLOAD_TTL_SECONDS
  bool allow_any_model = false;             ///< ALLOW_ANY_MODEL: endpoint ids are models, too
  std::string models_file = {};             ///< empty: none
  std::vector<ChatRoute> chat_models = {};  ///< LLM_MODELS, in order
  /// CHAT_TASK_MODEL: one of `chat_models`; empty: chores are answered without a model.
  std::string chat_task_model = {};
  ChatImages chat_images = ChatImages::automatic;  ///< CHAT_IMAGES
  bool fal_native = true;                          ///< FAL_NATIVE: fal's own API is served, too

  // fal. Addresses are http(s) URLs without a slash at the end; the list of hosts is well-formed.
  std::string fal_queue_url = "https://queue.fal.run";                           ///< FAL_QUEUE_URL
  std::string fal_run_url = "https://fal.run";                                   ///< FAL_RUN_URL
  std::string fal_schema_url = "https://fal.ai/api/openapi/queue/openapi.json";  ///< FAL_SCHEMA_URL
  std::string fal_rest_url = "https://rest.fal.ai";                              ///< FAL_REST_URL
  std::string fal_api_url = "https://api.fal.ai/v1";  ///< FAL_API_URL; see asks_for_prices()
  Secret fal_admin_key = {};  ///< FAL_ADMIN_KEY, for bills and the like; empty: none
  /// FAL_MEDIA_HOSTS, for fal::MediaHosts::parse().
  std::string fal_media_hosts = "fal.media,*.fal.media,storage.googleapis.com";
  Completion completion = Completion::stream;  ///< FAL_COMPLETION
  int max_upstream_streams = 1000;             ///< MAX_UPSTREAM_STREAMS; beyond it jobs are polled
  int max_submit_attempts = 4;                 ///< MAX_SUBMIT_ATTEMPTS, of one job
  int max_jobs_per_account = 0;                ///< 0: no limit
  std::size_t max_download_bytes = 64u << 20;  ///< MAX_DOWNLOAD_BYTES, of one picture for b64_json
  std::string ssl_cert_file = {};              ///< PEM; empty: the system's

  // Kept files.
  std::optional<MediaPlace> media_store = std::nullopt;  ///< MEDIA_STORE; none: nothing is kept
  std::string public_url =
      {};  ///< PUBLIC_URL, without a slash at the end; empty: as a request says

  // Money.
  std::string prices_file = {};  ///< PRICES_FILE; empty: none
  PriceTable prices = {};        ///< of `prices_file`, once it was read
  Secret alert_url = {};         ///< ALERT_URL, as it may hold a key; empty: none
  Usd alert_balance = {
      10'000'000'000};  ///< ALERT_BALANCE_USD: less of fal's account is told; 0: never

  // Documents.
  /// None: the default place; "none": no cache.
  std::optional<std::string> schema_cache_dir = std::nullopt;
  std::chrono::hours schema_ttl{24};  ///< SCHEMA_TTL_HOURS

  // State.
  /// STATE_DIR, as it was written; none: the default place; "none": what runs is forgotten with the
  /// process.
  std::optional<std::string> state_dir = std::nullopt;
  std::optional<StateAddress> state_url = std::nullopt;  ///< STATE_URL; none: one process
  bool require_state = false;  ///< REQUIRE_STATE; then `state_dir` is not "none"
  bool keep_prompts = false;   ///< KEEP_PROMPTS: in the records of runs that outlive their request
  /// CALLBACK_HOSTS, for fal::MediaHosts::parse(); empty: nobody is called back.
  std::string callback_hosts = {};

  bool operator==(const Settings&) const = default;
};

/// Reads the JSON of PRICES_FILE. `file` is for the messages. Errors: every fault that was found,
/// in the order of the file.
[[nodiscard]] Result<PriceTable, std::vector<SettingsFault>> parse_prices_file(
    std::string_view text, const std::string& file);
/// Whether fal's platform API is asked: not for who works with a stand-in for fal's queue and names
/// none for it, so that keys go nowhere else.
[[nodiscard]] bool asks_for_prices(const Settings& settings);

/// A variable of `environment` wins over the same one in `env`; a blank value counts as none.
/// Unknown variables are ignored. On failure: every fault, those of the environment first, then in
/// order of lines.
[[nodiscard]] Result<Settings, std::vector<SettingsFault>> read_settings(
    const EnvFile& env, const std::map<std::string, std::string>& environment);

/// The warnings of parse_env, and one for each name in the file that is no setting but nearly one
/// (`SUPORTED_MODELS`).
[[nodiscard]] std::vector<SettingsFault> settings_warnings(const EnvFile& env);
/// Of what was read, but is hardly meant: a fal key that is not `id:secret`, the keys of
/// .env.example, a key of fewer than 16 characters. By position, never by value.
[[nodiscard]] std::vector<SettingsFault> value_warnings(
    const Settings& settings, const EnvFile& env,
    const std::map<std::string, std::string>& environment);

/// A setting as docs/settings.md lists it.
struct SettingInfo {
  std::string_view name;      ///< as in the environment: "MAX_BODY_BYTES"
  std::string_view standard;  ///< the default, as it would be written; empty: none
  std::string_view meaning;   ///< one line
  bool needed = false;  ///< without it falproxy does not start; CUSTOM_ACCESS_KEY may be left out
                        ///< beside ACCESS_KEYS or KEYS_FILE
  bool secret = false;  ///< it holds keys, and may be given as NAME_FILE=path instead
  bool operator==(const SettingInfo&) const = default;
};
/// Its name.
std::ostream& operator<<(std::ostream& out, const SettingInfo& info);
/// Every setting, those that are needed first. The views are literals.
[[nodiscard]] std::span<const SettingInfo> all_settings() noexcept;

}  // namespace falproxy::inline v0
