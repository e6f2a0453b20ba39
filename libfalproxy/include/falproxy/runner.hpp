// runner.hpp: a Runner takes one Wish from asked to made: document, mapping, jobs, files.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
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
#include "falproxy/memory_budget.hpp"
#include "falproxy/observer.hpp"
#include "falproxy/peers.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/print.hpp"
#include "falproxy/product.hpp"
#include "falproxy/purse.hpp"
#include "falproxy/result.hpp"
#include "falproxy/run_status.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/state_store.hpp"
#include "falproxy/transport.hpp"
#include "falproxy/wish.hpp"

namespace falproxy::inline v0 {

/// What happened to one fal job of a request.
struct JobReceipt {
  std::string fal_request_id;  ///< what fal's support asks for; empty: fal never named one
  /// The fal endpoint id that it was sent to: the model's own, or its edit endpoint.
  std::string endpoint;
  /// KeyLease::slot() of the key of its last attempt; never the key itself.
  std::size_t key_slot = 0;
  /// Why it failed, in the words of the transport or of fal, if there are any; for the operator
  /// only.
  std::string fault = {};
  int submits = 0;         ///< attempts to submit, the accepted one included
  bool resumed = false;    ///< an earlier process had submitted it, and it was followed
  bool accepted = false;   ///< fal took it, so it may be billed, whatever came of it
  bool cancelled = false;  ///< a cancel was sent
  bool abandoned = false;  ///< it runs on at fal without anyone waiting
  std::optional<double> billable_units = std::nullopt;  ///< x-fal-billable-units
  std::optional<Usd> estimate = std::nullopt;  ///< before it ran; none: not known, or no Purse
  std::optional<Usd> cost = std::nullopt;      ///< none: not known, or no Purse
  std::chrono::microseconds submit{0},  ///< until fal took it, attempts and back-off included
      queue{0},      ///< waiting for a key here, and at fal before a runner began
      inference{0},  ///< fal's metrics.inference_time, else as long as it was seen to run
      result{0};     ///< from its end to its result in hand
  /// But for the words of `fault`: of those only whether there are any.
  bool operator==(const JobReceipt& other) const noexcept;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const JobReceipt& receipt);

/// What a request cost, and where its time went. Server-Timing, the log line, metrics and the
/// status page are written from it.
///
/// Times that jobs have, too (submit to result), are those of the job that took longest, summed
/// over the models that were tried.
struct Receipt {
  /// As the client wrote it; empty: none, so the default model was meant.
  std::string requested_model;
  std::string served_model;          ///< another one if a fallback served
  std::vector<JobReceipt> jobs;      ///< in the order of the plan; none if no job was begun
  std::vector<plan::Note> notes;     ///< for the header `x-falproxy-notes`
  bool recovered = false;            ///< the answer is that of an earlier, repeated request
  int images = 0;                    ///< in the answer; 0 if it failed
  std::size_t answer_bytes = 0;      ///< of the pictures in it: addresses or base64
  std::chrono::microseconds map{0},  ///< waiting for the document, and making the plan
      upload{0},                     ///< giving addresses to the pictures of the request
      submit{0},                     ///< see JobReceipt
      queue{0},                      ///< see JobReceipt
      inference{0},                  ///< see JobReceipt
      result{0},                     ///< see JobReceipt
      media{0},                      ///< fetching and wrapping pictures of the answer
      total{0};  ///< in the runner; of a recovered answer: this request's own wait
  bool operator==(const Receipt&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Receipt& receipt);
/// What the jobs cost together; none: of one of them it is not known, or there are none.
[[nodiscard]] std::optional<Usd> cost_of(const Receipt& receipt) noexcept;
/// The header Server-Timing (W3C): `map;dur=1.5, ...`, in milliseconds; phases of no time are left
/// out.
[[nodiscard]] std::string server_timing(const Receipt& receipt);

/// Hears of a request while it runs. Called from the threads that run its jobs, one call at a time.
class Progress {
 public:
  virtual ~Progress() = default;
  /// fal took one more job. If fal is not asked through its queue, it comes late or not at all.
  virtual void accepted([[maybe_unused]] const Underway& underway) {}
  /// A job waits at fal, or its place changed; `position`: 0-based, none if fal does not say.
  virtual void queued([[maybe_unused]] std::optional<int> position) {}
  /// A runner began with a job; may come once for each job.
  virtual void running() {}
  /// A file that is not finished, the `index`th (from 0) of one job; only if fal's own /stream is
  /// used.
  virtual void preview([[maybe_unused]] const Product& product, [[maybe_unused]] int index) {}
  /// One of the files of a wish that is streamed, as soon as its job is done. `more`: other jobs
  /// are not done.
  virtual void completed([[maybe_unused]] const Product& product, [[maybe_unused]] bool more) {}
};

/// The circumstances of one call.
struct CallContext {
  /// Of the whole call, fallbacks included; jobs that run then are cancelled.
  TimePoint deadline = no_deadline;
  std::stop_token stop = {};  ///< requested if the client leaves or the server stops;
                              ///< Options::on_disconnect decides
  std::string client = {};    ///< the access key's name: part of what makes a repeat a repeat
  /// Whom the client asks for, for reports; empty: what the wish says (Wish::user).
  std::string user = {};
  /// Whether the client may have a model, by the name asked for; empty: every one.
  std::function<bool(std::string_view)> may_use = {};
  std::string idempotency_key = {};  ///< header Idempotency-Key
  int retry_count = 0;               ///< header x-stainless-retry-count
  /// The client may silently send the same request again (an x-stainless-* header or
  /// Idempotency-Key is there): what its jobs brought is kept for recovery_window. If it is false,
  /// then once the client has its answer only small results are kept, and only the last thousand of
  /// them.
  bool may_repeat = true;
  /// Says that the client has left; from any thread. An equal request of the same client is then
  /// attached to this one. A job whose deadline passes goes on for `repeat_hold`, since clients
  /// that time out send the same request again.
  std::function<bool()> client_left = {};
  Milliseconds repeat_hold{0};   ///< see client_left; 0: the deadline holds
  Progress* progress = nullptr;  ///< null: nobody listens; must outlive the call
  /// The run goes on without the request, to its end or until Runner::cancel(); null: it does not.
  /// `deadline`, `client_left` and `repeat_hold` do not count then, and if `stop` is requested, fal
  /// goes on with its jobs. Must outlive the call.
  const LaterRun* later = nullptr;
};

/// What became of one request.
struct Outcome {
  /// Of the errors, Error::submitted tells that it may have been billed.
  Result<std::vector<Product>> response;  ///< in order; never empty
  Receipt receipt;                        ///< filled in as far as the request came, on failure too
  /// Of an answer with fewer pictures than were asked for: what became of one of the others, if
  /// it failed.
  std::optional<Error> shortfall = std::nullopt;
  /// To be called, once, if the answer could not be handed on: an equal request then finds it, as
  /// if its client had left before. Empty: there is nothing to find. The runner outlives it. Any
  /// thread.
  std::function<void()> undelivered = {};
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Outcome& outcome);

/// What became of the runs that an earlier process had left open.
struct Recovered {
  std::size_t found = 0;         ///< in the store
  std::size_t completed = 0;     ///< made something
  std::size_t failed = 0;        ///< made nothing
  std::size_t cancelled = 0;     ///< nobody asked for them, and they had not begun
  std::size_t uncertain = 0;     ///< were being submitted: nobody knows whether fal has them
  std::size_t found_at_fal = 0;  ///< of those that were being submitted, and fal has them
  std::size_t left = 0;          ///< still run at fal
  bool operator==(const Recovered&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Recovered& recovered);

/// A request that goes to fal as its client wrote it.
struct ForwardedRequest {
  HttpRequest request = {};  ///< without Authorization
  /// Forwarded::account of an earlier one, whose key alone will do; empty: whose turn it is.
  std::string account = {};
  /// Against MAX_JOBS_PER_ACCOUNT, as long as it takes, or Forwarded::place is held.
  bool counted = true;
  bool operator==(const ForwardedRequest&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ForwardedRequest& request);

/// What became of it.
struct Forwarded {
  std::string account = {};  ///< KeyLease::fingerprint() of the key that fal has answered
  /// For who submits a job, and holds on to it until the job ends; null: it was not counted.
  std::shared_ptr<const KeyLease> place = nullptr;
  bool operator==(const Forwarded&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Forwarded& forwarded);

/// Thread-safe; a call blocks its thread until the request is answered.
class Runner {
 public:
  /// What the runner works with. Everything that is referred to must outlive it.
  struct Parts {
    Transport& transport;  ///< for fal, its storage and its CDN
    Clock& clock;          ///< for deadlines, back-off and `created`
    Executor& executor;    ///< runs the jobs, uploads and downloads of one request side by side
    const Codecs& codecs;  ///< for request digests, data URIs and b64_json
    KeyRing& keys;         ///< one lease for each job and upload
    Catalog& catalog;      ///< the models and their documents
    const media::MaskConverter* masks = nullptr;  ///< null: masks go as they came, with a Note
    /// In [0, 1), for jitter and for seeds; called from several threads at once. Empty: no jitter,
    /// and a seed that a model demands is the same each time.
    std::function<double()> random = {};
    /// Pictures of requests and answers count here as long as they are held; what a job was paid
    /// for is never refused. Null: without a limit.
    MemoryBudget* memory = nullptr;
    /// Where runs are noted before they are paid for, so that a restart finds what fal has of them.
    /// Null: what runs and what was made is forgotten with the process.
    StateStore* state = nullptr;
    /// Keys and accounts that fal refuses, and has again; what an earlier process has left.
    LogLine log = {};
    /// Asked before jobs are submitted, and told what they cost. Null: nobody pays attention.
    Purse* purse = nullptr;
    /// Called when fal takes no more jobs of an account, as it is locked or has no balance; one
    /// sentence for the operator. It does not block. May be empty.
    std::function<void(std::string)> account_locked = {};
    RunObserver* observer = nullptr;  ///< hears of the stages of runs; null: nobody does
    /// Who else works with `state`. Null: nobody.
    Peers* peers = nullptr;
    /// Called with a run that nobody follows, though fal may go on with it: its request's time was
    /// up, and its Idempotency-Key may still ask for it; or fal did not tell recover() of it. To be
    /// followed by follow(). It does not block. Empty: the next process follows it.
    std::function<void(RunRecord)> unfollowed = {};
  };
  /// Taken anew with reload(). If a setting is named, docs/settings.md says more.
  struct Options {
    fal::Addresses fal = {};           ///< where fal is: FAL_QUEUE_URL and its like
    fal::MediaHosts media_hosts = {};  ///< FAL_MEDIA_HOSTS; nothing is fetched from anywhere else
    /// FAL_COMPLETION, if the model's settings name none.
    Completion completion = Completion::stream;
    /// MAX_UPSTREAM_STREAMS, of all requests together; beyond it jobs are polled.
    int max_upstream_streams = 1000;
    int max_submit_attempts = 4;  ///< MAX_SUBMIT_ATTEMPTS of one job; of an upload, too
    OnDisconnect on_disconnect = OnDisconnect::cancel;  ///< ON_DISCONNECT
    /// RECOVERY_WINDOW_SECONDS, from the end of a request; 0: results are not kept.
    std::chrono::seconds recovery_window{120};
    /// KEYED_RECOVERY_SECONDS, from the end of a request that has an Idempotency-Key.
    std::chrono::seconds keyed_recovery{3600};
    /// Of what jobs brought, kept for a repeat; the oldest goes first, and before it what clients
    /// that may not repeat have received (CallContext::may_repeat).
    std::size_t recovery_bytes = 256u << 20;
    std::size_t max_download_bytes = 64u << 20;  ///< MAX_DOWNLOAD_BYTES, of one picture
    /// Of what a job answers, pictures as data URIs included.
    std::size_t max_result_bytes = 256u << 20;
    ImageUpload image_upload = ImageUpload::storage;  ///< IMAGE_UPLOAD
    bool keep_metadata = false;                       ///< KEEP_METADATA
    /// UPLOAD_TTL_SECONDS; 0: as long as fal keeps what names no lifetime.
    std::chrono::seconds upload_ttl{3600};
    std::string default_model = {};  ///< DEFAULT_MODEL; empty: the first of the catalog
    /// fal is asked for jobs that were being submitted when a process ended (Addresses::api).
    bool looks_for_lost_jobs = false;
    /// Files at fal may not be public: each is fetched with a link that fal signs for the account.
    bool opens_files = false;
    plan::Options plan = {};  ///< for plan::make_plan() and plan::Selection
    /// DEBUG_MODE: takes lines without secrets and base64, from several threads at once; empty:
    /// off, and no line is made.
    std::function<void(std::string_view)> debug = {};
  };

  /// Begins nothing: the first call does.
  Runner(Parts parts, Options options);
  /// No call may be running.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// One request, one answer. Every kind of error may come; see docs/errors.md. If some of its
  /// jobs fail, the answer has the pictures of the others. The request is taken by value: its
  /// images are let go as soon as fal has them. It may return later than context.stop is requested:
  /// what was submitted is cancelled at fal first, and a job that a repeat of the same request
  /// waits for is finished.
  [[nodiscard]] Outcome handle(Wish wish, const CallContext& context);
  /// What handle() would send, without sending it. Errors: those of handle() that come before a job
  /// is submitted.
  [[nodiscard]] Result<plan::Plan> plan(const Wish& request, const CallContext& context);
  /// The file behind an address of an answer: from `media_hosts` alone, without a key, at most
  /// max_download_bytes, and again if it is no whole picture. Of `context` only `deadline` and
  /// `stop` count. Errors: upstream_untrusted_url, download_failed, cancelled.
  [[nodiscard]] Result<Body> fetch(const std::string& url, const CallContext& context);

  /// A run of `client` (CallContext::client) that is asked for by its id: one with
  /// CallContext::later or an Idempotency-Key. None: there is no such run, or it is somebody
  /// else's. Errors: overloaded (the store is slow, or fails).
  [[nodiscard]] Result<std::optional<RunStatus>> find(const std::string& client, const RunId& id);
  /// Those of `client`, the newest first, or the oldest: at most `limit` (1 to 1,000) behind
  /// `after`, of one surface or (empty) of every one. Errors: overloaded.
  [[nodiscard]] Result<std::vector<RunStatus>> list(const std::string& client,
                                                    const std::string& surface, std::size_t limit,
                                                    std::optional<RunPlace> after = std::nullopt,
                                                    bool oldest_first = false);
  /// Those of all clients that are under way and are asked for by their id, the newest first: at
  /// most `limit` (1 to 1,000); for the operator. Errors: overloaded.
  [[nodiscard]] Result<std::vector<RunStatus>> under_way(std::size_t limit);
  /// Ends a run that is under way, also at fal, and waits a few seconds for that; if another
  /// process follows it, that one is told. What then became of it; one that has ended stays as it
  /// is. Errors and none: as of find().
  [[nodiscard]] Result<std::optional<RunStatus>> cancel(const std::string& client, const RunId& id);
  /// Forgets a run that has ended; what runs is cancelled before. False: there is none. Errors:
  /// overloaded.
  [[nodiscard]] Result<bool> forget(const std::string& client, const RunId& id);
  /// Runs that have ended, of LaterRun::tells_end, whose end was not told() yet: at most 1,000.
  /// Errors: overloaded.
  [[nodiscard]] Result<std::vector<RunStatus>> untold();
  /// The run's end was told, or nobody can be told. If the store fails, it is among untold() again.
  void told(const RunStatus& status);
  /// The files of a completed run as its request wanted them: base64 is fetched. Errors:
  /// result_expired (fal has one no longer), download_failed, upstream_untrusted_url, cancelled.
  [[nodiscard]] Result<std::vector<Product>> products_of(const RunStatus& status,
                                                         const CallContext& context);
  /// Hands the bytes of the file behind an address of an answer to `take` as they come, from
  /// `media_hosts` alone, without a key, at most max_download_bytes; an address that breaks off is
  /// asked again, and what was handed on is skipped. A data URI is decoded. `take` is called on the
  /// caller's thread, and ends it with false (`cancelled`). Of `context` only `deadline` and `stop`
  /// count. Errors: as fetch().
  [[nodiscard]] Result<Done> relay(const std::string& url, const CallContext& context,
                                   const std::function<bool(std::string_view)>& take);

  /// Hands on what stands behind an address of an answer, as its host answers: head and bytes, of
  /// whatever length, from `media_hosts` alone and without a key. `range`: a field Range, or empty.
  /// Of `context` only `deadline` and `stop` count. Errors: upstream_untrusted_url,
  /// download_failed, cancelled.
  [[nodiscard]] Result<Done> pass_on(const std::string& url, std::string_view range,
                                     const CallContext& context, ResponseSink& sink);

  /// A link to a file of fal's that opens it for `lifetime` (a week at most), though it may not be
  /// public: fal signs it with a key of the account whose job made it. Of `context` only `deadline`
  /// and `stop` count. Errors: upstream_untrusted_url, download_failed, cancelled.
  [[nodiscard]] Result<std::string> link_to(const std::string& url, std::chrono::seconds lifetime,
                                            const CallContext& context);

  /// Sends a request to fal and hands its answer to `sink` as it comes, of whatever status. While
  /// fal refuses it for its key (401, 402, 403, 429), it goes out again with another one, and
  /// nothing is handed on; what may have arrived is never sent again. Of a failure at most 64 KiB
  /// are handed on, without the key. Of `context` only `deadline` and `stop` count. Errors: those
  /// of KeyRing::acquire_or_wait(), and keys_out or keys_resting if fal has refused all keys;
  /// upstream_unreachable; upstream_failed, timed_out and cancelled, with Error::submitted, if
  /// the answer is missing or not whole.
  [[nodiscard]] Result<Forwarded> forward(const ForwardedRequest& request,
                                          const CallContext& context, ResponseSink& sink);

  /// Follows the jobs that an earlier process, which used the same store, has left at fal, until
  /// they end or `stop` is requested (then fal goes on with them). One that somebody may still ask
  /// for by its Idempotency-Key goes to its end; of the others those that fal has not begun ten
  /// seconds later are cancelled, unless OnDisconnect is keep or a repeat has asked for them. For
  /// the owner, once, on a thread of its own, beside handle(). Errors: the store cannot be read,
  /// and nothing was followed; try again.
  [[nodiscard]] Result<Recovered, StoreError> recover(const std::stop_token& stop);
  /// Follows a run that Parts::unfollowed has told of, until it ends, its record expires, or `stop`
  /// is requested (then fal goes on with it). While fal does not tell of it, it is looked at again
  /// and again; `untold` is called the first time. How it stands then; accepted: fal still has it,
  /// or somebody else follows it.
  [[nodiscard]] RunState follow(RunRecord record, const std::stop_token& stop,
                                const std::function<void()>& untold = {});

  /// Counters that never fall; for metrics. Once nothing is in flight, the accounts close:
  /// submits == repeated + results + cancels + failures + abandoned. Jobs that an earlier process
  /// had submitted count as `resumed` alone.
  struct Counters {
    std::uint64_t submits = 0;  ///< attempts to submit
    /// Attempts that were refused or did not arrive, and were followed by another.
    std::uint64_t repeated = 0;
    std::uint64_t accepted = 0;   ///< jobs that fal took
    std::uint64_t results = 0;    ///< jobs whose result was fetched
    std::uint64_t cancels = 0;    ///< jobs for which a cancel was sent and answered
    std::uint64_t failures = 0;   ///< jobs that fal refused for good, or that failed
    std::uint64_t abandoned = 0;  ///< jobs that fal has or may have, and that nobody waits for
    std::uint64_t resumed = 0;    ///< jobs that an earlier process or request left, and followed
    std::uint64_t recovered = 0;  ///< requests that were attached to an earlier one's jobs
    /// Exchanges with fal that brought no answer, or an answer of 400 or more.
    std::uint64_t upstream_faults = 0;
    int streams_held = 0;  ///< now
    bool operator==(const Counters&) const = default;
  };
  /// Read one by one while requests run: sums hold only when nothing is in flight.
  [[nodiscard]] Counters counters() const;

  /// Drops results that were kept for a repeat longer than recovery_window. Cheap; for the owner's
  /// timer, every few seconds.
  void forget_expired(TimePoint now);

  /// New options for requests that begin from now on.
  void reload(Options options);

 private:
  struct Impl;
  template <class F>
  auto with_world(F&& function);
  std::unique_ptr<Impl> impl_;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Runner::Counters& counters);

}  // namespace falproxy::inline v0
