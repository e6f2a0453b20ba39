// fal.hpp: fal.ai's own words: endpoint ids, queue documents, errors, hosts, the status stream,
// storage upload.
//
// Pure values and functions; what they say of fal's behaviour comes from fal's documentation and
// its published clients.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/http.hpp"
#include "falproxy/json.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/secret.hpp"
#include "falproxy/vocabulary.hpp"

/// fal.ai's protocols: the queue, fal.run, storage and their errors, as values. Opens no
/// connection.
namespace falproxy::inline v0::fal {

/// An endpoint such as `fal-ai/flux/dev`, `workflows/owner/name` or `comfy/owner/name`: two to
/// seven segments of letters, digits, '.', '_' and '-'.
class EndpointId {
 public:
  /// The legacy form `12345-name` becomes `12345/name` (fal's own clients do the same).
  /// Errors: invalid_value, with what is wrong.
  [[nodiscard]] static Result<EndpointId> parse(std::string_view text);

  /// What a submit is POSTed to.
  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  /// `[namespace/]owner/alias`: what status, result and cancel addresses are built from.
  [[nodiscard]] std::string_view app() const noexcept {
    return std::string_view(text_).substr(0, app_length_);
  }
  /// In the order of their texts.
  auto operator<=>(const EndpointId&) const = default;

 private:
  EndpointId(std::string text, std::size_t app_length)
      : text_(std::move(text)), app_length_(app_length) {}
  std::string text_;
  std::size_t app_length_ = 0;
};
/// EndpointId::str().
std::ostream& operator<<(std::ostream& out, const EndpointId& id);

/// The base addresses of fal's services, without a trailing slash.
struct Addresses {
  std::string queue = "https://queue.fal.run";  ///< where jobs are submitted, looked at and
                                                ///< cancelled (FAL_QUEUE_URL)
  std::string run =
      "https://fal.run";  ///< one exchange a job, and the models' own /stream (FAL_RUN_URL)
  std::string schema =
      "https://fal.ai/api/openapi/queue/openapi.json";  ///< the documents; `?endpoint_id=` is added
                                                        ///< (FAL_SCHEMA_URL)
  std::string rest =
      "https://rest.fal.ai";  ///< storage; only upload_initiate_request() goes there (FAL_REST_URL)
  std::string api = "https://api.fal.ai/v1";  ///< the platform API: prices (FAL_API_URL)
  bool operator==(const Addresses&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Addresses& addresses);

/// Hosts that images may be fetched from: `host` or `*.host` over https, `http://host:port` for
/// stand-ins.
class MediaHosts {
 public:
  /// No host at all.
  MediaHosts() = default;
  /// `text`: a comma-separated list. Errors: invalid_value naming the entry.
  [[nodiscard]] static Result<MediaHosts> parse(std::string_view text);
  /// By scheme, host and port; `*.host` takes hosts below it, not itself. The path does not matter.
  [[nodiscard]] bool allow(const Url& url) const noexcept;
  bool operator==(const MediaHosts&) const = default;

 private:
  friend std::ostream& operator<<(std::ostream& out, const MediaHosts& hosts);
  struct Rule {
    std::string scheme;
    std::string host;
    std::uint16_t port = 0;
    bool subdomains = false;
    bool operator==(const Rule&) const = default;
  };
  std::vector<Rule> rules_;
};
/// As MediaHosts::parse() reads it.
std::ostream& operator<<(std::ostream& out, const MediaHosts& hosts);

/// True if a key may be sent to `url`: same scheme, host and port as `base`, which the operator
/// configured.
[[nodiscard]] bool same_origin(std::string_view url, std::string_view base);
/// As above, for who asks more than once.
[[nodiscard]] bool same_origin(std::string_view url, const Url& base);

/// True if a key may be sent to `url` for a job of the queue at `base`: same_origin(), or, if
/// `base` is fal's own, https on one of the hosts that fal documents for it: queue.fal.run and its
/// backups queue.falrun.com and falrun.com.
[[nodiscard]] bool is_of_queue(std::string_view url, const Url& base);

/// What the queue answered to a submit.
struct Submitted {
  std::string request_id;  ///< at most 128 letters, digits, '-', '_', '.' and ':', since it becomes
                           ///< part of addresses
  std::string status_url;  ///< for status_request(); its `/stream` for status_stream_request()
  std::string response_url;           ///< for result_request(), once the job is completed
  std::string cancel_url;             ///< for cancel_request()
  std::optional<int> queue_position;  ///< 0-based
  bool operator==(const Submitted&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Submitted& submitted);

/// The addresses of a job as falproxy builds them from `base` and the endpoint's app. None if
/// `request_id` has characters or a length that an id of fal's does not have.
[[nodiscard]] std::optional<Submitted> submitted_as(std::string_view request_id,
                                                    const EndpointId& endpoint,
                                                    std::string_view base);
/// The addresses that fal gives are taken if they are is_of_queue() for `base`; in place of
/// others, and of missing ones, stand those of submitted_as(). Errors: upstream_failed (not the
/// queue's answer).
[[nodiscard]] Result<Submitted> parse_submitted(std::string_view body, const EndpointId& endpoint,
                                                std::string_view base);

/// Where a job stands in the queue: the member `status` of its answers.
enum class QueueState {
  in_queue,     ///< IN_QUEUE: no runner has it yet
  in_progress,  ///< IN_PROGRESS: a runner works on it
  completed,    ///< COMPLETED: ended well or not, see QueueStatus::error; the result can be fetched
  unknown       ///< any other word: fal may add some, and the job is not over
};
/// As written above.
[[nodiscard]] std::string_view name_of(QueueState value) noexcept;

/// What the queue says of a job, as one answer of `/status` or one event of `/status/stream`.
struct QueueStatus {
  /// Unknown: a word that is none of the other three.
  QueueState state = QueueState::unknown;
  std::optional<int> queue_position;        ///< 0-based, while in_queue
  std::optional<double> inference_seconds;  ///< metrics.inference_time, once completed
  std::optional<std::string> error;         ///< a COMPLETED that failed
  std::optional<std::string> error_type;    ///< fal's word for the kind of failure, such as
                                            ///< runner_server_error; beside `error`
  bool operator==(const QueueStatus&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const QueueStatus& status);

/// Unknown states and members are tolerated. Errors: upstream_failed.
[[nodiscard]] Result<QueueStatus> parse_status(std::string_view body);

/// What the queue says to a cancel.
enum class CancelAnswer {
  taken,              ///< the job is out of the queue, or its runner is asked to end
  already_completed,  ///< its result can be fetched
  not_found,          ///< the queue does not know the job
  unclear,            ///< any other answer: the job may run on
};
/// As written above.
[[nodiscard]] std::string_view name_of(CancelAnswer value) noexcept;
/// Never fails. `head`: the status counts if the body has none of fal's words.
[[nodiscard]] CancelAnswer parse_cancel(const HttpHead& head, std::string_view body);

/// What an answer of fal's that is no success says of the job, the key and the request.
struct Fault {
  /// Why. The status alone does not tell: fal's types and headers weigh more; docs/errors.md has
  /// answers with their causes.
  enum class Cause {
    invalid_input,    ///< 422 about a field of the input
    content_policy,   ///< content_policy_violation
    no_media,         ///< no_media_generated
    key_refused,      ///< 401 in fal's form
    account_blocked,  ///< 403 locked, exhausted balance, 402, in fal's form
    forbidden,        ///< any other 403 in fal's form
    not_found,        ///< 404: endpoint or request unknown
    busy,             ///< 429
    ingress,          ///< 502, 503, 504 without x-fal-request-id: the queue has not seen it
    request_timeout,  ///< 504 with X-Fal-Request-Timeout-Type: user, or request_timeout
    cancelled,        ///< client_cancelled, client_disconnected
    model_failed,     ///< 5xx and the rest of the model's own
    not_fal,          ///< an answer that is not in fal's form
  };
  Cause cause = Cause::not_fal;  ///< told from status, type, message and headers together
  int status = 0;                ///< of the HTTP answer; 0: the failure stood in a QueueStatus
  std::string type = {};         ///< fal's `error_type`, or `detail[0].type`
  /// fal's words, at most 500 bytes, for the client only if the cause is the input's.
  std::string message = {};
  /// `detail[0].loc` without "body": the property of the input at fault.
  std::vector<std::string> location = {};
  /// Retry-After-Ms, Retry-After or X-RateLimit-Reset, whichever is there first; at most a day.
  std::optional<std::chrono::milliseconds> retry_after = std::nullopt;
  bool retryable = false;       ///< fal said so, or the type is one that fal calls transient
  std::string request_id = {};  ///< x-fal-request-id; empty: the queue has not seen the request
  bool operator==(const Fault&) const = default;
};
/// As above.
[[nodiscard]] std::string_view name_of(Fault::Cause value) noexcept;
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Fault& fault);

/// Reads an answer with a status of 400 or more (or a COMPLETED with `error`). Never fails.
[[nodiscard]] Fault read_fault(const HttpHead& head, std::string_view body);
/// The same for a job that COMPLETED with an `error`.
[[nodiscard]] Fault read_fault(const QueueStatus& status);

/// Reads `text/event-stream` as it arrives, in pieces of any size (WHATWG HTML, 9.2.6; LF, CRLF and
/// CR). Only the data of events is kept; an event larger than `max_event_bytes` ends the reader.
class EventStreamReader {
 public:
  /// `max_event_bytes`: of the data of one event, and of one line.
  explicit EventStreamReader(std::size_t max_event_bytes = 1 << 20) : max_(max_event_bytes) {}
  /// Calls `on_data` with the data of each event that `bytes` completes. False: too large, or
  /// `on_data` said false.
  template <class F>
  bool feed(std::string_view bytes, F&& on_data) {
    while (!bytes.empty()) {
      std::optional<std::string> event = next(bytes);
      if (failed_) return false;
      if (event.has_value() && !on_data(std::string_view(*event))) return false;
    }
    return true;
  }

 private:
  std::optional<std::string> next(
      std::string_view& bytes);  // takes from the front up to the end of one event
  std::optional<std::string> end_of_line();
  std::size_t max_;
  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool at_start_ = true;
  bool skip_lf_ = false;
  bool failed_ = false;
};

// Requests. Each holds the key only in its Authorization header, `Key <id>:<secret>`.

/// What a submit may ask of the queue besides the job.
struct SubmitOptions {
  /// X-Fal-Request-Start-Timeout: until a runner begins, fal's own repeats included; sent only
  /// above 1 s.
  std::optional<double> start_timeout_seconds = std::nullopt;
  FalPreferences preferences = {};  ///< see preference_headers()
  bool operator==(const SubmitOptions&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const SubmitOptions& options);
/// The header fields that say `preferences` to fal; none for what is not set. How often fal repeats
/// a job on its own is left to fal: such repeats are one job, and a 5xx is not billed.
[[nodiscard]] HttpHeaders preference_headers(const FalPreferences& preferences);

/// POST to the queue. The answer is for parse_submitted(), or read_fault() from 400 on. Costs money
/// if fal accepts it: to be sent again only if fal has certainly not taken it.
[[nodiscard]] HttpRequest submit_request(const Addresses& fal, const EndpointId& endpoint,
                                         const Secret& key, Body input,
                                         const SubmitOptions& options);
/// POST to fal.run: the answer is the result itself. Nothing of it can be cancelled or fetched
/// again.
[[nodiscard]] HttpRequest run_request(const Addresses& fal, const EndpointId& endpoint,
                                      const Secret& key, Body input,
                                      const FalPreferences& preferences = {});
/// fal's own `/stream` of a model.
[[nodiscard]] HttpRequest stream_request(const Addresses& fal, const EndpointId& endpoint,
                                         const Secret& key, Body input,
                                         const FalPreferences& preferences = {});
/// GET: the prices of at most `most_priced` endpoints, for read_prices(). Free, and safe to repeat.
[[nodiscard]] HttpRequest pricing_request(const Addresses& fal,
                                          std::span<const std::string> endpoints,
                                          const Secret& key);
/// Of one pricing_request().
inline constexpr std::size_t most_priced = 50;
/// POST: what one call of an endpoint took on average, for read_usual_cost(). Free, and safe to
/// repeat.
[[nodiscard]] HttpRequest usual_cost_request(const Addresses& fal, const std::string& endpoint,
                                             const Secret& key);
/// GET: what at most `most_billed` requests were billed, for read_bills(). `key` has to be an
/// administrator's. Free, and safe to repeat.
[[nodiscard]] HttpRequest bills_request(const Addresses& fal,
                                        std::span<const std::string> fal_request_ids,
                                        const Secret& key);
/// Of one bills_request().
inline constexpr std::size_t most_billed = 50;
/// GET: what is left on the account, for read_balance(). Free, and safe to repeat.
[[nodiscard]] HttpRequest balance_request(const Addresses& fal, const Secret& key);
/// DELETE: fal forgets what a request sent and brought, its files too. `key` has to be an
/// administrator's. Safe to repeat.
[[nodiscard]] HttpRequest forget_request(const Addresses& fal, std::string_view fal_request_id,
                                         const Secret& key);
/// GET: what the account has asked of an endpoint since then, with what it sent, the newest first;
/// for read_history(). Free, and safe to repeat.
[[nodiscard]] HttpRequest history_request(const Addresses& fal, std::string_view endpoint,
                                          WallTime since, const Secret& key);
/// One request of the account.
struct PastRequest {
  std::string request_id = {};  ///< fal's
  Json input = {};              ///< what it was submitted with; null: fal does not say
  bool operator==(const PastRequest&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const PastRequest& request);
/// What fal's `GET /models/requests/by-endpoint` answers. Errors: upstream_failed, if it is no such
/// answer.
[[nodiscard]] Result<std::vector<PastRequest>> read_history(const Json& answer);
/// GET: one document for parse_status(). Free, and safe to repeat.
[[nodiscard]] HttpRequest status_request(const Submitted& job, const Secret& key);
/// GET: an event stream whose events are documents for parse_status(); it ends with the job.
[[nodiscard]] HttpRequest status_stream_request(const Submitted& job, const Secret& key);
/// GET: the model's output, or an answer for read_fault().
[[nodiscard]] HttpRequest result_request(const Submitted& job, const Secret& key);
/// PUT: fal takes a job out of its queue; one that runs may still complete, and be billed. The
/// answer is for parse_cancel().
[[nodiscard]] HttpRequest cancel_request(const Submitted& job, const Secret& key);
/// GET: the model's OpenAPI document. Public: it takes no key.
[[nodiscard]] HttpRequest schema_request(const Addresses& fal, const EndpointId& endpoint);

/// POST: a link to a file of fal's that opens it for `lifetime` (a week at most), whoever may have
/// it otherwise. The key is one of the account whose job made the file. A query of `url` is left
/// out.
[[nodiscard]] HttpRequest sign_request(const Addresses& fal, const Secret& key,
                                       std::string_view url, std::chrono::seconds lifetime);
/// The link. Errors: upstream_failed; upstream_untrusted_url, if it is on no host of `media`.
[[nodiscard]] Result<std::string> parse_signed(std::string_view body, const MediaHosts& media);

/// Storage upload: initiate (with the key), then PUT the bytes to `upload_url` (without it), then
/// use `file_url`.
[[nodiscard]] HttpRequest upload_initiate_request(const Addresses& fal, const Secret& key,
                                                  std::string_view content_type,
                                                  std::string_view file_name,
                                                  std::chrono::seconds lifetime);
/// Where one file goes, and where it is found afterwards.
struct UploadTarget {
  std::string upload_url;  ///< takes one PUT; signed, so that no key is sent there
  std::string file_url;  ///< public: whoever has the address may fetch it, until the lifetime ends
  bool operator==(const UploadTarget&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const UploadTarget& target);
/// Errors: upstream_failed; upstream_untrusted_url if `upload_url` is neither on a media host
/// nor of `fal.rest`'s own origin.
[[nodiscard]] Result<UploadTarget> parse_upload_target(std::string_view body, const Addresses& fal,
                                                       const MediaHosts& media);
/// Carries no key: `upload_url` is signed.
[[nodiscard]] HttpRequest upload_request(const UploadTarget& target, std::string_view content_type,
                                         Body bytes);

}  // namespace falproxy::inline v0::fal
