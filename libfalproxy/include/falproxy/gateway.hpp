// gateway.hpp: ImageGateway takes one image request from parsed to answered: document, mapping,
// jobs, pictures.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/catalog.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/log.hpp"
#include "falproxy/media.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/translate.hpp"
#include "falproxy/transport.hpp"

namespace falproxy {

/// What happened to one fal job of a request.
struct JobReceipt {
  std::string fal_request_id;  ///< what fal's support asks for; empty: fal never named one
  /// The fal endpoint id that it was sent to: the model's own, or its edit endpoint.
  std::string endpoint;
  /// KeyLease::slot() of the key of its last attempt; never the key itself.
  std::size_t key_slot = 0;
  /// Why it failed, in the words of the transport or of fal, where there are any; for the operator
  /// only.
  std::string fault = {};
  int submits = 0;         ///< attempts to submit, the accepted one included
  bool accepted = false;   ///< fal took it, so it may be billed, whatever came of it
  bool cancelled = false;  ///< a cancel was sent
  bool abandoned = false;  ///< it runs on at fal without anyone waiting
  std::optional<double> billable_units = std::nullopt;  ///< x-fal-billable-units
  std::chrono::microseconds submit{0},  ///< until fal took it, attempts and back-off included
      queue{0},      ///< waiting for a key here, and at fal before a runner began
      inference{0},  ///< fal's metrics.inference_time, else as long as it was seen to run
      result{0};     ///< from its end to its result in hand
};

/// What a request cost, and where its time went. Server-Timing, the log line, metrics and the
/// status page are written from it.
///
/// Times that jobs have, too (submit to result), are those of the job that took longest, summed
/// over the models that were tried.
struct Receipt {
  /// As the client wrote it; empty: none, so the default model was meant.
  std::string requested_model;
  std::string served_model;            ///< another one where a fallback served
  std::vector<JobReceipt> jobs;        ///< in the order of the plan; none where no job was begun
  std::vector<translate::Note> notes;  ///< for the header `x-falproxy-notes`
  bool recovered = false;              ///< the answer is that of an earlier, repeated request
  int images = 0;                      ///< in the answer; 0 where it failed
  std::size_t answer_bytes = 0;        ///< of the pictures in it: addresses or base64
  std::chrono::microseconds map{0},    ///< waiting for the document, and making the plan
      upload{0},                       ///< giving addresses to the pictures of the request
      submit{0},                       ///< see JobReceipt
      queue{0},                        ///< see JobReceipt
      inference{0},                    ///< see JobReceipt
      result{0},                       ///< see JobReceipt
      media{0},                        ///< fetching and wrapping pictures of the answer
      total{0};  ///< in the gateway; of a recovered answer: this request's own wait
};
/// The header Server-Timing (W3C): `map;dur=1.5, ...`, in milliseconds; phases of no time are left
/// out.
[[nodiscard]] std::string server_timing(const Receipt& receipt);

/// Hears of a request while it runs. Called from the threads that run its jobs, one call at a time.
class Progress {
 public:
  virtual ~Progress() = default;
  /// A job waits at fal, or its place changed; `position`: 0-based, none where fal does not say.
  virtual void queued([[maybe_unused]] std::optional<int> position) {}
  /// A runner began with a job; may come once for each job.
  virtual void running() {}
  /// Only where fal's own /stream is used.
  virtual void partial_image([[maybe_unused]] const openai::ImageEvent& event) {}
};

/// The circumstances of one call.
struct CallContext {
  /// Of the whole call, fallbacks included; jobs that run then are cancelled.
  TimePoint deadline = {};
  std::stop_token stop = {};  ///< requested where the client leaves or the server stops;
                              ///< Options::on_disconnect decides
  std::string client = {};    ///< the access key's name: part of what makes a repeat a repeat
  std::string idempotency_key = {};  ///< header Idempotency-Key
  int retry_count = 0;               ///< header x-stainless-retry-count
  /// The client may silently send the same request again (an x-stainless-* header or
  /// Idempotency-Key is there): its answer is kept for recovery_window. Where false, only answers
  /// without pictures in them are, and the last thousand of those.
  bool may_repeat = true;
  /// Says that the client has left; from any thread. A job whose deadline passes then goes on for
  /// `repeat_hold`, since clients that time out send the same request again.
  std::function<bool()> client_left = {};
  Milliseconds repeat_hold{0};   ///< see client_left; 0: the deadline holds
  Progress* progress = nullptr;  ///< null: nobody listens; must outlive the call
};

/// What became of one request.
struct Outcome {
  /// Of the errors, Error::submitted tells that it may have been billed.
  Result<openai::ImageResponse> response;
  Receipt receipt;  ///< filled in as far as the request came, on failure too
};

/// Thread-safe; a call blocks its thread until the request is answered.
class ImageGateway {
 public:
  /// What the gateway works with. Everything that is referred to must outlive it.
  struct Parts {
    Transport& transport;  ///< for fal, its storage and its CDN
    Clock& clock;          ///< for deadlines, back-off and `created`
    Executor& executor;    ///< runs the jobs, uploads and downloads of one request side by side
    const Codecs& codecs;  ///< for request digests, data URIs and b64_json
    KeyRing& keys;         ///< one lease for each job and upload
    Catalog& catalog;      ///< the models and their documents
    const media::MaskConverter* masks = nullptr;  ///< null: masks go as they came, with a Note
    std::function<double()> random;  ///< in [0, 1), for jitter; called from several threads at once
    LogLine log = {};                ///< keys and accounts that fal refuses, and has again
  };
  /// Taken anew with reload(). Where a setting is named, docs/settings.md says more.
  struct Options {
    fal::Addresses fal = {};           ///< where fal is: FAL_QUEUE_URL and its like
    fal::MediaHosts media_hosts = {};  ///< FAL_MEDIA_HOSTS; nothing is fetched from anywhere else
    /// FAL_COMPLETION, where the model's settings name none.
    Completion completion = Completion::stream;
    /// MAX_UPSTREAM_STREAMS, of all requests together; beyond it jobs are polled.
    int max_upstream_streams = 1000;
    int max_submit_attempts = 4;  ///< MAX_SUBMIT_ATTEMPTS of one job; of an upload, too
    OnDisconnect on_disconnect = OnDisconnect::cancel;  ///< ON_DISCONNECT
    /// RECOVERY_WINDOW_SECONDS, from the end of a request; 0: answers are not kept.
    std::chrono::seconds recovery_window{120};
    /// Of finished answers kept for a repeat; the oldest goes first, and before it those of clients
    /// that may not repeat (CallContext::may_repeat).
    std::size_t recovery_bytes = 256u << 20;
    std::size_t max_download_bytes = 64u << 20;  ///< MAX_DOWNLOAD_BYTES, of one picture
    /// Of what a job answers, pictures as data URIs included.
    std::size_t max_result_bytes = 256u << 20;
    ImageUpload image_upload = ImageUpload::storage;  ///< IMAGE_UPLOAD
    /// UPLOAD_TTL_SECONDS; 0: as long as fal keeps what names no lifetime.
    std::chrono::seconds upload_ttl{3600};
    std::string default_model = {};     ///< DEFAULT_MODEL; empty: the first of the catalog
    translate::Options translate = {};  ///< for translate::to_fal() and translate::merge()
    /// DEBUG_MODE: takes lines without secrets and base64, from several threads at once; empty:
    /// off, and no line is made.
    std::function<void(std::string_view)> debug = {};
  };

  /// Begins nothing: the first call does.
  ImageGateway(Parts parts, Options options);
  /// No call may be running.
  ~ImageGateway();
  ImageGateway(const ImageGateway&) = delete;
  ImageGateway& operator=(const ImageGateway&) = delete;

  /// One request, one answer. Every kind of error may come; see docs/errors.md. The request is
  /// taken by value: its images are let go as soon as fal has them. It may return later than
  /// context.stop is requested: what was submitted is cancelled at fal first, and a job that a
  /// repeat of the same request waits for is finished.
  [[nodiscard]] Outcome handle(openai::ImageRequest request, const CallContext& context);
  /// What handle() would send, without sending it.
  [[nodiscard]] Result<translate::FalPlan> plan(const openai::ImageRequest& request,
                                                const CallContext& context);

  /// Counters that never fall; for metrics. Once nothing is in flight, the accounts close:
  /// submits == repeated + results + cancels + failures + abandoned.
  struct Counters {
    std::uint64_t submits = 0;  ///< attempts to submit
    /// Attempts that were refused or did not arrive, and were followed by another.
    std::uint64_t repeated = 0;
    std::uint64_t accepted = 0;   ///< jobs that fal took
    std::uint64_t results = 0;    ///< jobs whose result was fetched
    std::uint64_t cancels = 0;    ///< jobs for which a cancel was sent and answered
    std::uint64_t failures = 0;   ///< jobs that fal refused for good, or that failed
    std::uint64_t abandoned = 0;  ///< jobs that fal has or may have, and that nobody waits for
    std::uint64_t recovered = 0;  ///< requests that were attached to an earlier one's jobs
    /// Exchanges with fal that brought no answer, or an answer of 400 or more.
    std::uint64_t upstream_faults = 0;
    int streams_held = 0;  ///< now
  };
  /// Read one by one while requests run: sums hold only when nothing is in flight.
  [[nodiscard]] Counters counters() const;

  /// Drops answers that were kept for a repeat longer than recovery_window. Cheap; for the owner's
  /// timer, every few seconds.
  void forget_expired(TimePoint now);

  /// New options for requests that begin from now on.
  void reload(Options options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy
