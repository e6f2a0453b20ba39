// fal_desk.hpp: a stand-in for fal.ai without sockets: queue, fal.run, model documents, storage and
// media. Of falproxy::testing.
//
//   falproxy::testing::VirtualClock clock;
//   falproxy::testing::InProcessFal fal(clock, {.job_time = std::chrono::seconds(30)});
//   ... give `fal` to a runner for its Transport, `clock` for its Clock, and ask it ...
//   fal.desk().stats().submits == 1
//
// What it does follows fal's documentation and its published clients; docs/falsim.md says where it
// had to guess. apps/falsim puts the same desk on sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/fal.hpp"
#include "falproxy/fal_faults.hpp"
#include "falproxy/http.hpp"
#include "falproxy/picture_encoder.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/test_doubles.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::inline v0::testing {

/// Where an input that breaks the model's document is refused.
enum class Validation {
  result,  ///< as fal does: the queue takes everything, and the 422 shows when the result is
           ///< fetched
  submit,  ///< at once
};
/// As written above.
[[nodiscard]] std::string_view name_of(Validation value) noexcept;

/// How the desk behaves while nothing goes wrong.
struct DeskOptions {
  std::vector<std::string> keys = {};  ///< `id:secret`; empty: every well-formed key is good
  int slots_per_key = 0;       ///< jobs of one key that run at once; the others wait; 0: no limit
  Milliseconds queue_time{0};  ///< before a job starts
  Milliseconds job_time{300};  ///< from its start to its end
  Milliseconds ping_interval{15'000};          ///< between comments on held streams
  Validation validation = Validation::result;  ///< when bad input is refused
  bool bundled_models = true;                  ///< plays the models that come with it
  std::string schemas = {};  ///< a folder of documents, `<endpoint with / as __>.json`; they win
                             ///< over the bundled ones
  std::vector<std::string> streaming = {"fal-ai/flux/dev"};  ///< models that have fal's own /stream
  int stream_partials = 2;                                   ///< events of /stream before the last
  std::size_t picture_bytes = 0;  ///< every PNG is padded to at least that size; 0: as it comes
  std::uint64_t random_seed = 1;  ///< of the faults that strike by chance
  int percent_discount = 0;       ///< taken off in bills, and not told before
  double balance = 100;           ///< of the account, in US dollars
};

/// A submit (or a run) as it arrived.
struct SeenSubmit {
  std::string request_id;  ///< empty if it was refused
  std::string endpoint;    ///< the whole id
  std::string key;         ///< the whole key: tests compare it
  std::string input;       ///< the body
  HttpHeaders headers;     ///< as they came
  int status = 0;          ///< what it was answered; 0: the connection was broken
  bool operator==(const SeenSubmit&) const = default;
};
/// For people, in one line, without the key.
std::ostream& operator<<(std::ostream& out, const SeenSubmit& submit);

/// A file that was uploaded.
struct SeenUpload {
  std::string content_type;  ///< of the initiate
  std::string bytes;         ///< of the upload
  std::string lifecycle;     ///< X-Fal-Object-Lifecycle of the initiate
  bool operator==(const SeenUpload&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const SeenUpload& upload);

/// The account book. Counts since the start or the last reset, but for those that say "now".
struct DeskStats {
  std::uint64_t requests = 0;         ///< whole ones
  std::uint64_t connections = 0;      ///< accepted; 0 without sockets
  std::size_t connections_open = 0;   ///< now
  std::uint64_t broken_requests = 0;  ///< not HTTP/1.1

  std::uint64_t submits = 0;          ///< jobs taken in by the queue
  std::uint64_t submits_refused = 0;  ///< answered with 400 or more
  std::uint64_t runs = 0;             ///< jobs of fal.run and /stream
  std::uint64_t runs_abandoned = 0;   ///< of those, how many clients left before the end
  std::size_t in_queue = 0;           ///< now
  std::size_t in_progress = 0;        ///< now
  std::size_t most_in_progress = 0;   ///< at once
  std::uint64_t completed = 0;        ///< with a result
  std::uint64_t failed = 0;           ///< with an error
  std::uint64_t cancelled = 0;        ///< jobs that ended by a cancel
  std::uint64_t results_fetched = 0;  ///< jobs whose result, good or bad, was fetched at least once
  std::uint64_t result_requests = 0;  ///< for results, each counted
  std::uint64_t results_too_early = 0;  ///< of those, how many came before the end
  std::uint64_t status_polls = 0;       ///< status requests, without streams
  std::uint64_t streams = 0;            ///< status/stream requests
  std::size_t streams_open = 0;         ///< now
  std::uint64_t cancels_late = 0;       ///< of jobs that had ended
  std::uint64_t cancels_unknown = 0;    ///< of jobs that there are not

  std::uint64_t document_requests = 0;  ///< for models' documents
  std::uint64_t uploads = 0;            ///< whole files
  std::uint64_t media_requests = 0;     ///< for pictures and uploaded files
  std::uint64_t unknown_paths = 0;      ///< answered with 404

  /// Requests that carried a key to a place that needs none: media, uploads, documents, the other
  /// host.
  std::vector<std::string> misplaced_keys = {};
  std::uint64_t foreign_keys = 0;  ///< requests for a job with another key than its submit's
  std::uint64_t elsewhere = 0;     ///< requests to the host that nobody should call
  std::map<std::string, std::uint64_t> unknown_inputs =
      {};  ///< properties that no document knows, `endpoint#name`
  std::map<std::string, std::uint64_t> requests_by_key = {};  ///< by key id (the part before ':')
  std::map<std::string, std::uint64_t> faults = {};  ///< how often each fault struck, by name
  std::vector<std::string> forgotten = {};           ///< request ids whose payloads were deleted
  bool operator==(const DeskStats&) const = default;
};
/// As to_json().
std::ostream& operator<<(std::ostream& out, const DeskStats& stats);
/// As `GET /_falsim/stats` gives it.
[[nodiscard]] std::string to_json(const DeskStats& stats);

/// By which of the desk's addresses a request came in.
enum class DeskHost {
  main,       ///< queue, documents, storage and media
  run,        ///< fal.run
  elsewhere,  ///< the host that nobody should call; faults put it into answers
};
/// As written above.
[[nodiscard]] std::string_view name_of(DeskHost value) noexcept;

/// A request at the desk.
struct DeskRequest {
  std::string method;              ///< upper case
  std::string path;                ///< as sent, without the query
  std::string query;               ///< as sent, without '?'
  HttpHeaders headers;             ///< as they came
  std::string body;                ///< decoded from transfer coding
  DeskHost host = DeskHost::main;  ///< where it came in

  /// `target`: path and query, as sent. Headers and body are to be added.
  [[nodiscard]] static DeskRequest to(DeskHost host, std::string_view method,
                                      std::string_view target);
  /// The first value of that name, in any case; empty: none.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
  /// The decoded value of a query parameter; none: absent.
  [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const;
  bool operator==(const DeskRequest&) const = default;
};
/// For people, in one line: method, path and host.
std::ostream& operator<<(std::ostream& out, const DeskRequest& request);

/// An answer on its way out, and what is to go wrong with its bytes.
struct DeskReply {
  int status = 200;          ///< of HTTP
  HttpHeaders headers = {};  ///< without those that say how long the body is
  Body body = {};            ///< left out if the request is a HEAD
  std::optional<std::size_t> cut_after =
      std::nullopt;            ///< bytes of the body; then the connection breaks
  std::size_t drip_bytes = 0;  ///< at most so many each drip_tick; 0: no limit
  Milliseconds drip_tick{10};  ///< between drips
  bool operator==(const DeskReply&) const = default;
};
/// For people, in one line: status and body.
std::ostream& operator<<(std::ostream& out, const DeskReply& reply);

/// One request that waits for its answer. A stale one is harmless: whatever is done to it does
/// nothing.
using ExchangeId = std::uint64_t;

/// How the desk's answers leave it. Called while the desk is locked, from the thread that called
/// the desk or runs its timeline. They must not wait.
class DeskWires {
 public:
  virtual ~DeskWires() = default;
  /// A whole answer.
  virtual void reply(ExchangeId exchange, DeskReply reply) = 0;
  /// An answer in pieces: the head now, then send() as often as there is something, then end().
  virtual void begin(ExchangeId exchange, DeskReply head) = 0;
  /// More of the body.
  virtual void send(ExchangeId exchange, std::string_view bytes) = 0;
  /// The body is whole.
  virtual void end(ExchangeId exchange) = 0;
  /// Ends the connection without another byte; `reset`: with RST in place of FIN.
  virtual void drop(ExchangeId exchange, bool reset) = 0;
  /// The client is still there.
  [[nodiscard]] virtual bool alive(ExchangeId exchange) const = 0;
  /// Fills in what is known of connections, since the start.
  virtual void count(DeskStats& stats) const = 0;
};

/// Thread-safe.
class FalDesk {
 public:
  /// What the desk calls itself in the addresses that it gives out.
  struct Names {
    std::string scheme;          ///< "http" or "https"
    std::string main_authority;  ///< host:port, for clients that send no Host
    std::string elsewhere;       ///< origin of the host that nobody should call
  };
  /// What becomes of a request whose head has come.
  enum class Admission {
    read,  ///< the body is read; `100 Continue` is sent to a client that waits for it
    read_without_notice,  ///< the body is read; a client that waits for `100 Continue` waits in
                          ///< vain
    reset,                ///< the connection is reset before the body is read
    close,                ///< the connection is closed before the body is read
  };

  /// `timeline` and `encoder` outlive the desk, and the timeline runs nothing of it afterwards.
  /// Errors: invalid_settings (a folder that cannot be read), invalid_document (naming the file).
  [[nodiscard]] static Result<std::unique_ptr<FalDesk>> create(DeskOptions options,
                                                               Timeline& timeline,
                                                               const PictureEncoder& encoder);
  ~FalDesk();
  FalDesk(const FalDesk&) = delete;
  FalDesk& operator=(const FalDesk&) = delete;
  /// Before the first request. `wires` outlive the desk.
  void connect(DeskWires& wires, Names names);

  /// Asked when the head has come, and the body has not.
  [[nodiscard]] Admission admit(const DeskRequest& head);
  /// The whole request. It is answered now or later, through the wires. `exchange`: not used
  /// before.
  void serve(ExchangeId exchange, DeskRequest request);
  /// The client left before the answer was whole.
  void gone(ExchangeId exchange);

  [[nodiscard]] DeskStats stats() const;  ///< the account book as it stands
  void reset_stats();                     ///< begins the account book anew
  /// The last 10,000 submits and runs, oldest first.
  [[nodiscard]] std::vector<SeenSubmit> submits() const;
  /// The file behind an address that storage gave out; none: never uploaded.
  [[nodiscard]] std::optional<SeenUpload> upload(std::string_view file_url) const;
  /// The ids of every model, sorted.
  [[nodiscard]] std::vector<std::string> endpoints() const;
  /// A document as it is served; none: no such model.
  [[nodiscard]] std::optional<std::string> document(std::string_view endpoint) const;

  void add_fault(Fault fault);  ///< from the next request on, after those that are there
  void clear_faults();          ///< jobs that were struck stay so
  /// For jobs from now on.
  void set_times(Milliseconds queue_time, Milliseconds job_time);

 private:
  struct Impl;
  explicit FalDesk(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// As written above.
[[nodiscard]] std::string_view name_of(FalDesk::Admission value) noexcept;

/// A Transport whose other end is a FalDesk, in the time of a VirtualClock: a job of a minute takes
/// none. Thread-safe; with one caller at a time every run is the same but for request ids.
class InProcessFal final : public Transport {
 public:
  /// `clock` outlives it. Precondition: the folder of `options`, if there is one, is sound.
  explicit InProcessFal(VirtualClock& clock, DeskOptions options = {});
  ~InProcessFal() override;
  InProcessFal(const InProcessFal&) = delete;
  InProcessFal& operator=(const InProcessFal&) = delete;

  /// For the settings of what is tested.
  static constexpr std::string_view queue_url = "https://queue.fal.test";
  static constexpr std::string_view run_url = "https://run.fal.test";  ///< of fal.run
  static constexpr std::string_view schema_url =
      "https://queue.fal.test/api/openapi/queue/openapi.json";  ///< of models' documents
  static constexpr std::string_view rest_url = queue_url;       ///< of storage
  static constexpr std::string_view media_hosts = queue_url;    ///< where pictures and files are
  [[nodiscard]] static fal::Addresses addresses();              ///< all of them

  /// Sends to no other host: `unreachable`, with nothing sent. Waiting moves the clock.
  [[nodiscard]] Result<Done, TransportError> send(const HttpRequest& request, TimePoint deadline,
                                                  std::stop_token stop,
                                                  ResponseSink& sink) override;
  /// To set faults and to read the account book.
  [[nodiscard]] FalDesk& desk() noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace falproxy::inline v0::testing
