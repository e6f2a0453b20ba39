// falsim.hpp: a stand-in for fal.ai on loopback: queue, fal.run, model documents, storage and
// media.
//
//   falproxy::Result<falsim::Falsim> sim = falsim::Falsim::start({.job_time =
//   std::chrono::milliseconds(200)}); settings.fal_queue_url = sim->queue_url();
//   ... make requests ...
//   sim->stats().submits == 1
//
// It runs on one thread of its own, on free ports of 127.0.0.1, and makes real PNG files of the
// size that was asked for. What it does follows fal's documentation and its published clients;
// docs/falsim.md says where it had to guess.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/result.hpp"

namespace falsim {

using Milliseconds = std::chrono::milliseconds;

/// How falsim speaks, and what is wrong with its certificate.
enum class Tls {
  none,         ///< plain http
  valid,        ///< for localhost, 127.0.0.1 and ::1, signed by Falsim::authority_pem()
  expired,      ///< the same, since yesterday
  wrong_host,   ///< signed by the authority, for another name
  self_signed,  ///< for the right names, signed by nobody
};

/// Where an input that breaks the model's document is refused.
enum class Validation {
  result,  ///< as fal does: the queue takes everything, and the 422 shows when the result is
           ///< fetched
  submit,  ///< at once
};

struct FalsimOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;      ///< queue, documents, storage and media; 0: a free one
  std::uint16_t run_port = 0;  ///< fal.run; 0: a free one
  Tls tls = Tls::none;

  std::vector<std::string> keys = {};  ///< `id:secret`; empty: every well-formed key is good
  int slots_per_key = 0;  ///< jobs of one key that run at once; the others wait; 0: no limit
  Milliseconds queue_time{0};
  Milliseconds job_time{300};
  Milliseconds ping_interval{15'000};  ///< between comments on held streams
  Validation validation = Validation::result;

  bool bundled_models = true;
  std::string schemas = {};  ///< a folder of documents, `<endpoint with / as __>.json`; they win
                             ///< over the bundled ones
  std::vector<std::string> streaming = {"fal-ai/flux/dev"};  ///< models that have fal's own /stream
  int stream_partials = 2;                                   ///< events of /stream before the last
  std::size_t picture_bytes = 0;  ///< every PNG is padded to at least that size; 0: as it comes
  std::uint64_t random_seed = 1;  ///< of the faults that strike by chance
};

/// What a request is for.
enum class Step {
  any,
  submit,  ///< POST {queue}/{id}
  status,
  status_stream,
  result,
  cancel,
  run,           ///< POST {run}/{id}
  model_stream,  ///< POST {run}/{id}/stream
  document,
  upload_initiate,
  upload,  ///< PUT of the bytes
  media,
};

/// What becomes of the connection.
enum class Wire {
  none,
  reset_unread,   ///< reset after the head of the request, before its body is read
  close_unread,   ///< closed there
  ignore_expect,  ///< `Expect: 100-continue` is never answered; the body is read when it comes
  reset,          ///< reset in place of the answer
  close,          ///< closed in place of the answer
  silence,        ///< no answer, and the connection stays
  stream_dies,    ///< of a stream: reset after its first event
  stream_ends,    ///< of a stream: ended as if all were well after its first event
  stream_stalls,  ///< of a stream: not a byte after its first event
};

/// An answer in place of falsim's own.
struct Answer {
  int status = 500;
  std::string body = {};
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
  bool from_fal = true;  ///< with x-fal-request-id, which the ingress does not send
  bool operator==(const Answer&) const = default;
};

/// What is different about a job whose submit the fault struck.
struct JobChange {
  std::optional<Milliseconds> queue_time = std::nullopt;
  std::optional<Milliseconds> job_time = std::nullopt;
  std::string error = {};  ///< it ends COMPLETED with this text
  std::string error_type = {};
  std::optional<Answer> result = std::nullopt;  ///< in place of the result
  bool ignores_cancel = false;                  ///< a cancel is accepted, but the job goes on
  bool elsewhere_status = false;  ///< its addresses name a host that nobody should call
  bool elsewhere_result = false;
  bool elsewhere_cancel = false;
  bool elsewhere_images = false;
  bool operator==(const JobChange&) const = default;
};

/// One thing that goes wrong. A request is met by the first fault that fits it.
struct Fault {
  std::string name = {};  ///< for the account book

  // Whom it strikes; empty: everybody.
  Step step = Step::any;
  std::string key = {};
  std::string endpoint = {};
  std::string prompt = {};  ///< a part of the job's prompt

  // How often.
  int skip = 0;         ///< the first so many that fit are spared
  int times = -1;       ///< at most so many are struck; -1: no limit
  double chance = 1.0;  ///< of each that fits

  // What happens.
  std::optional<Answer> answer = std::nullopt;  ///< given at once: the request does nothing
  Wire wire = Wire::none;
  bool processed =
      true;  ///< with Wire::reset, close and silence: the request does its work all the same
  Milliseconds delay{0};       ///< before the answer
  std::size_t drip_bytes = 0;  ///< of the answer every drip_tick; 0: as fast as it goes
  Milliseconds drip_tick{10};
  std::optional<std::size_t> cut_after =
      std::nullopt;               ///< bytes of the body; then the connection is reset
  JobChange job = {};             ///< with Step::submit, run and model_stream
  bool elsewhere_upload = false;  ///< with Step::upload_initiate: the upload address is elsewhere

  /// A fault by its name, such as "rate_limited"; docs/falsim.md lists them. None: no such name.
  [[nodiscard]] static std::optional<Fault> preset(std::string_view name);
  [[nodiscard]] static std::vector<std::string> preset_names();
  bool operator==(const Fault&) const = default;
};

/// A submit (or a run) as it arrived.
struct SeenSubmit {
  std::string request_id;  ///< empty where it was refused
  std::string endpoint;
  std::string key;  ///< the whole key: tests compare it
  std::string input;
  std::vector<std::pair<std::string, std::string>> headers;
  int status = 0;  ///< what it was answered; 0: the connection was broken
};

struct SeenUpload {
  std::string content_type;
  std::string bytes;
  std::string lifecycle;  ///< X-Fal-Object-Lifecycle of the initiate
};

/// The account book. Counts since the start or the last reset, but for those that say "now".
struct FalsimStats {
  std::uint64_t requests = 0;
  std::uint64_t connections = 0;
  std::size_t connections_open = 0;   ///< now
  std::uint64_t broken_requests = 0;  ///< not HTTP/1.1

  std::uint64_t submits = 0;          ///< jobs taken in by the queue
  std::uint64_t submits_refused = 0;  ///< answered with 400 or more
  std::uint64_t runs = 0;             ///< jobs of fal.run and /stream
  std::uint64_t runs_abandoned = 0;   ///< of those, how many clients left before the end
  std::size_t in_queue = 0;           ///< now
  std::size_t in_progress = 0;        ///< now
  std::size_t most_in_progress = 0;
  std::uint64_t completed = 0;        ///< with a result
  std::uint64_t failed = 0;           ///< with an error
  std::uint64_t cancelled = 0;        ///< jobs that ended by a cancel
  std::uint64_t results_fetched = 0;  ///< jobs whose result, good or bad, was fetched at least once
  std::uint64_t result_requests = 0;
  std::uint64_t results_too_early = 0;
  std::uint64_t status_polls = 0;
  std::uint64_t streams = 0;       ///< status/stream requests
  std::size_t streams_open = 0;    ///< now
  std::uint64_t cancels_late = 0;  ///< of jobs that had ended
  std::uint64_t cancels_unknown = 0;

  std::uint64_t document_requests = 0;
  std::uint64_t uploads = 0;
  std::uint64_t media_requests = 0;
  std::uint64_t unknown_paths = 0;

  /// Requests that carried a key to a place that needs none: media, uploads, documents, the other
  /// host.
  std::vector<std::string> misplaced_keys = {};
  std::uint64_t foreign_keys = 0;  ///< requests for a job with another key than its submit's
  std::uint64_t elsewhere = 0;     ///< requests to the host that nobody should call
  std::map<std::string, std::uint64_t> unknown_inputs =
      {};  ///< properties that no document knows, `endpoint#name`
  std::map<std::string, std::uint64_t> requests_by_key = {};  ///< by key id (the part before ':')
  std::map<std::string, std::uint64_t> faults = {};  ///< how often each fault struck, by name
};
[[nodiscard]] std::string to_json(const FalsimStats& stats);

/// A running stand-in. Every function may be called from any thread. It stops when it is destroyed.
class Falsim {
 public:
  /// Errors: invalid_settings (an address that cannot be had, a folder or document that cannot be
  /// read).
  [[nodiscard]] static falproxy::Result<Falsim> start(FalsimOptions options = {});
  Falsim(Falsim&&) noexcept;
  Falsim& operator=(Falsim&&) noexcept;
  ~Falsim();

  [[nodiscard]] const std::string& url() const noexcept;  ///< `http://127.0.0.1:PORT`
  [[nodiscard]] const std::string& queue_url() const noexcept { return url(); }
  [[nodiscard]] const std::string& run_url() const noexcept;
  [[nodiscard]] std::string schema_url() const;
  [[nodiscard]] const std::string& rest_url() const noexcept { return url(); }
  [[nodiscard]] const std::string& media_hosts() const noexcept { return url(); }
  /// The host that nobody should call; faults put it into answers.
  [[nodiscard]] const std::string& elsewhere_url() const noexcept;
  /// The authority to trust; for SSL_CERT_FILE. Empty with Tls::none.
  [[nodiscard]] const std::string& authority_pem() const noexcept;
  /// The five addresses as lines of a .env file.
  [[nodiscard]] std::string env() const;
  /// The ids of every model, sorted.
  [[nodiscard]] std::vector<std::string> endpoints() const;
  /// A document as it is served; none: no such model.
  [[nodiscard]] std::optional<std::string> document(std::string_view endpoint) const;

  [[nodiscard]] FalsimStats stats() const;
  void reset_stats();
  /// Looks at the account book until `satisfied` or until `within` has passed; returns whether it
  /// was.
  [[nodiscard]] bool wait_for(const std::function<bool(const FalsimStats&)>& satisfied,
                              Milliseconds within = Milliseconds(10'000)) const;
  /// The last 10,000 submits and runs, oldest first.
  [[nodiscard]] std::vector<SeenSubmit> submits() const;
  /// The file behind an address that storage gave out; none: never uploaded.
  [[nodiscard]] std::optional<SeenUpload> upload(std::string_view file_url) const;

  void add_fault(Fault fault);
  void clear_faults();
  /// For jobs from now on.
  void set_times(Milliseconds queue_time, Milliseconds job_time);

 private:
  struct Impl;
  explicit Falsim(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace falsim
