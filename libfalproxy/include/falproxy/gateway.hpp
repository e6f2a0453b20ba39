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
#include "falproxy/media.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/translate.hpp"
#include "falproxy/transport.hpp"

namespace falproxy {

/// What happened to one fal job of a request.
struct JobReceipt {
  std::string fal_request_id;
  std::string endpoint;
  std::size_t key_slot = 0;
  int submits = 0;  ///< attempts to submit, the accepted one included
  bool accepted = false;
  bool cancelled = false;  ///< a cancel was sent
  bool abandoned = false;  ///< it runs on at fal without anyone waiting
  std::optional<double> billable_units = std::nullopt;  ///< x-fal-billable-units
  std::chrono::microseconds submit{0}, queue{0}, inference{0}, result{0};
};

/// What a request cost, and where its time went. Server-Timing, the log line, metrics and the
/// status page are written from it.
struct Receipt {
  std::string requested_model;
  std::string served_model;  ///< another one where a fallback served
  std::vector<JobReceipt> jobs;
  std::vector<translate::Note> notes;
  bool recovered = false;  ///< the answer is that of an earlier, repeated request
  int images = 0;
  std::size_t answer_bytes = 0;
  std::chrono::microseconds map{0}, upload{0}, submit{0}, queue{0}, inference{0}, result{0},
      media{0}, total{0};
};
[[nodiscard]] std::string server_timing(const Receipt& receipt);

/// Hears of a request while it runs. Called from the threads that run its jobs, one call at a time.
class Progress {
 public:
  virtual ~Progress() = default;
  virtual void queued(std::optional<int> position) { (void)position; }
  virtual void running() {}
  /// Only where fal's own /stream is used.
  virtual void partial_image(openai::ImageEvent event) { (void)event; }
};

/// The circumstances of one call.
struct CallContext {
  TimePoint deadline = {};
  std::stop_token stop = {};
  std::string client = {};  ///< the access key's name: part of what makes a repeat a repeat
  std::string idempotency_key = {};  ///< header Idempotency-Key
  int retry_count = 0;               ///< header x-stainless-retry-count
  /// The client may silently send the same request again (an x-stainless-* header or
  /// Idempotency-Key is there): its answer is kept for recovery_window. Where false, only answers
  /// without pictures in them are.
  bool may_repeat = true;
  /// Says that the client has left; from any thread. A job whose deadline passes then goes on for
  /// `repeat_hold`, since clients that time out send the same request again.
  std::function<bool()> client_left = {};
  Milliseconds repeat_hold{0};
  Progress* progress = nullptr;
};

struct Outcome {
  Result<openai::ImageResponse> response;
  Receipt receipt;
};

/// Thread-safe; a call blocks its thread until the request is answered.
class ImageGateway {
 public:
  struct Parts {
    Transport& transport;
    Clock& clock;
    Executor& executor;
    const Codecs& codecs;
    KeyRing& keys;
    Catalog& catalog;
    const media::MaskConverter* masks = nullptr;
    std::function<double()> random;  ///< in [0, 1)
    std::function<void(std::string_view)> debug =
        {};  ///< DEBUG_MODE: lines without secrets and base64; empty: off
  };
  struct Options {
    fal::Addresses fal = {};
    fal::MediaHosts media_hosts = {};
    Completion completion = Completion::stream;
    int max_upstream_streams = 1000;
    int max_submit_attempts = 4;
    OnDisconnect on_disconnect = OnDisconnect::cancel;
    std::chrono::seconds recovery_window{120};
    std::size_t recovery_bytes = 256u << 20;  ///< of finished answers kept for a repeat
    std::size_t max_download_bytes = 64u << 20;
    std::size_t max_result_bytes = 256u << 20;
    ImageUpload image_upload = ImageUpload::storage;
    std::chrono::seconds upload_ttl{3600};
    std::string default_model = {};
    translate::Options translate = {};
  };

  ImageGateway(Parts parts, Options options);
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
    std::uint64_t repeated =
        0;  ///< attempts that were refused or did not arrive, and were followed by another
    std::uint64_t accepted = 0;   ///< jobs that fal took
    std::uint64_t results = 0;    ///< jobs whose result was fetched
    std::uint64_t cancels = 0;    ///< jobs for which a cancel was sent and answered
    std::uint64_t failures = 0;   ///< jobs that fal refused for good, or that failed
    std::uint64_t abandoned = 0;  ///< jobs that fal has or may have, and that nobody waits for
    std::uint64_t recovered = 0;  ///< requests that were attached to an earlier one's jobs
    std::uint64_t upstream_faults =
        0;  ///< exchanges with fal that brought no answer, or an answer of 400 or more
    int streams_held = 0;  ///< now
  };
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
