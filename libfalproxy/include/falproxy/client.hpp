// client.hpp: pictures of any fal model for programs, without a server. Of falproxy::http.
//
//   falproxy::Client fal({.keys = {"id:secret"}});
//   const auto made = fal.generate({.model = "fal-ai/flux/dev",
//                                   .prompt = "a lighthouse",
//                                   .size = "1024x768",
//                                   .output_format = "png"});
//   if (!made) return std::cerr << made.error().message << '\n', 1;
//   const auto saved = made->artifacts[0].save("lighthouse.png");
//
// start() does the same without waiting, and Call::cancel() takes it back.
#pragma once

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/json.hpp"
#include "falproxy/log.hpp"
#include "falproxy/media.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/print.hpp"
#include "falproxy/proxies.hpp"
#include "falproxy/result.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::inline v0 {

/// What a program wants of a model. A text that is empty was not said: the model's default counts.
struct ImageWish {
  std::string model = {};   ///< a fal endpoint id, or a configured name; empty: the default model
  std::string prompt = {};  ///< needed, unless there are images
  /// Pictures: 1 to 10, or to MAX_IMAGES_PER_REQUEST after Client::open().
  int n = 1;
  std::string size = {};     ///< "1024x768" in pixels, "16:9" or "auto"
  std::string quality = {},  ///< as OpenAI's, or the model's own words
      style = {},            ///< the same
      background = {},       ///< the same
      output_format = {};    ///< "png", "jpeg", "webp", or the model's own
  /// To edit, or to go by; at most 16, each of at most 50 MiB (MAX_UPLOAD_BYTES after
  /// Client::open()).
  std::vector<InputFile> images = {};
  std::optional<InputFile> mask = std::nullopt;           ///< of the first image
  std::vector<std::pair<std::string, Json>> native = {};  ///< the model's own fields: seed, ...
  bool operator==(const ImageWish&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ImageWish& wish);
/// The picture in a file, for ImageWish::images. Errors: unsupported_file (it cannot be read).
[[nodiscard]] Result<InputFile> picture_from_file(const std::string& path);
/// The same of bytes that are there already.
[[nodiscard]] InputFile picture_from_bytes(std::string bytes, std::string name = {});

/// A file, and what it is.
struct Content {
  std::shared_ptr<const std::string> bytes;  ///< never null
  std::string content_type;                  ///< by its first bytes: "image/png"
  std::optional<media::Dimensions> pixels;   ///< of a picture that tells
  /// The same bytes, whoever owns them.
  bool operator==(const Content& other) const noexcept;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Content& content);

/// One thing that a model made. Cheap to copy; copies share what was fetched. Thread-safe.
class Artifact {
 public:
  /// Fetches the bytes at an address.
  using Fetch =
      std::function<Result<std::shared_ptr<const std::string>>(const std::string& address)>;

  /// What came as bytes.
  [[nodiscard]] static Artifact of(std::string bytes);
  /// What stands at an address, until fal drops it.
  [[nodiscard]] static Artifact at(std::string address, Fetch fetch);

  /// Where it can be had without a key; empty: it came as bytes.
  [[nodiscard]] const std::string& address() const noexcept;
  /// Fetched the first time that somebody asks, which blocks for a minute at most. Errors:
  /// download_failed, upstream_untrusted_url (not on ClientOptions::media_hosts), cancelled (its
  /// Client is gone).
  [[nodiscard]] Result<Content> content() const;
  /// Writes content() to a file. Errors: those, and invalid_value with the system's reason.
  [[nodiscard]] Result<Done> save(const std::string& path) const;
  /// The same address; of what came as bytes, the same bytes. Fetches nothing.
  bool operator==(const Artifact& other) const noexcept;

 private:
  friend std::ostream& operator<<(std::ostream& out, const Artifact& artifact);
  struct State;
  explicit Artifact(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Artifact& artifact);

/// What came of a wish.
struct Made {
  std::vector<Artifact> artifacts = {};  ///< one at least
  std::vector<plan::Note> notes = {};    ///< what could not be done as it was asked for
  Receipt receipt = {};                  ///< times, fal's request ids, billable units
  /// Why there are fewer than were asked for.
  std::optional<Error> shortfall = std::nullopt;
  /// Of the Notes their fields count, in any order.
  bool operator==(const Made& other) const noexcept;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Made& made);

/// Where a call stands.
struct CallProgress {
  /// What happened.
  enum class Stage {
    accepted,  ///< fal took a job of it
    queued,    ///< a job waits at fal
    running    ///< a runner began with a job
  };
  Stage stage = Stage::accepted;                  ///< what happened just now
  std::optional<int> position = std::nullopt;     ///< queued: 0-based, if fal says
  std::vector<std::string> fal_request_ids = {};  ///< accepted: of the jobs so far
  bool operator==(const CallProgress&) const = default;
};
/// As written above.
[[nodiscard]] std::string_view name_of(CallProgress::Stage value) noexcept;
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const CallProgress& progress);

/// How one call is to go.
struct CallOptions {
  /// Called from the call's thread, one at a time; must not throw.
  std::function<void(const CallProgress&)> on_progress = {};
  /// The same, once and last, whatever became of the call.
  std::function<void(Result<Made>)> on_done = {};
  Milliseconds timeout{0};    ///< then its jobs are cancelled; 0: it takes as long as it takes
  std::stop_token stop = {};  ///< the same as Call::cancel()
};

/// A call that was started. Cheap to copy; letting it go does not end the call. Thread-safe.
class Call {
 public:
  /// Returns at once. The job is cancelled at fal, and the call ends with `cancelled`; if its
  /// result was there first, with that.
  void cancel() const;
  /// Blocks until the call has ended. on_done may still be running. Errors: as of generate().
  [[nodiscard]] Result<Made> wait() const;
  /// None: it has not ended.
  [[nodiscard]] std::optional<Result<Made>> result() const;

 private:
  friend class Client;
  struct State;
  explicit Call(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

/// What a Client asks. A program's own, in place of fal: for tests, or to log and to count what
/// passes through another one. Thread-safe.
class ClientConnection {
 public:
  virtual ~ClientConnection() = default;
  /// Begins and returns at once. `options.on_done` is set; it is called once, from any thread, also
  /// before this returns. `options.stop` ends the call.
  virtual void start(ImageWish wish, CallOptions options) = 0;
  /// What would be sent. Errors: as those of a call.
  [[nodiscard]] virtual Result<plan::Plan> plan(ImageWish wish) = 0;
};

/// What a Client is made of. Only `keys` is needed.
struct ClientOptions {
  /// fal keys, `id:secret`, each of an account of its own; keys of one account in one text, with
  /// '|' between them.
  std::vector<std::string> keys = {};
  fal::Addresses fal = {};  ///< where fal is
  /// Where pictures may be fetched from, as FAL_MEDIA_HOSTS has it.
  std::string media_hosts = "fal.media,*.fal.media,storage.googleapis.com";
  int max_calls = 1000;                         ///< at once; one more fails with `overloaded`
  std::size_t max_download_bytes = 1u << 30;    ///< of one picture
  Proxies proxies = {};                         ///< as HttpTransport::Options has them
  std::string ca_file = {};                     ///< the same
  const media::MaskConverter* masks = nullptr;  ///< PngMasks; null: masks go as they are
  LogLine log = {};                             ///< keys that fal refuses, documents, this machine
  /// @{
  /// Parts of the program's own, which outlive the Client; null: its own. With a clock of the
  /// program's, documents are fetched when they are needed, and never anew.
  Transport* transport = nullptr;
  Clock* clock = nullptr;
  Executor* executor = nullptr;
  /// @}

  /// As the process's environment says, with the defaults for all else. FAL_KEY is the key, as in
  /// fal's own clients, or FAL_KEY_ID and FAL_KEY_SECRET are; FAL_QUEUE_URL, FAL_RUN_URL,
  /// FAL_SCHEMA_URL, FAL_REST_URL, FAL_MEDIA_HOSTS and SSL_CERT_FILE are as docs/settings.md has
  /// them. Blank is as good as not there. Not while another thread sets variables.
  [[nodiscard]] static ClientOptions from_environment();
};

/// Any number of calls at once, each on a thread of its own while it runs. Nothing is kept for
/// repeats; a document is fetched when its model is first asked, and kept fresh. Cheap to copy:
/// copies share all. When the last of them goes, the calls that still run are cancelled and waited
/// for: some ten seconds if fal does not answer, half a minute if a result is paid for and late.
/// Thread-safe.
class Client {
 public:
  /// If the options cannot be used, each call says why.
  explicit Client(const ClientOptions& options);
  /// As the program falproxy is configured. `models`: what MODELS_FILE says. Errors:
  /// invalid_settings.
  [[nodiscard]] static Result<Client> open(const Settings& settings,
                                           const ModelSettingsMap& models = {},
                                           ClientOptions parts = {});
  /// For tests and decorators.
  explicit Client(std::shared_ptr<ClientConnection> connection)
      : connection_(std::move(connection)) {}

  /// Blocks until the pictures are there. Errors: as docs/errors.md lists them.
  [[nodiscard]] Result<Made> generate(ImageWish wish, CallOptions options = {}) const;
  /// Returns at once.
  Call start(ImageWish wish, CallOptions options = {}) const;
  /// What generate() would send, without sending it; fetches the model's document if need be.
  /// Errors: as of generate().
  [[nodiscard]] Result<plan::Plan> plan(ImageWish wish) const;

 private:
  std::shared_ptr<ClientConnection> connection_;
};

}  // namespace falproxy::inline v0
