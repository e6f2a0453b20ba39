#include "falproxy/client.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/random.hpp"
#include "client_setup.hpp"
#include "falproxy/catalog.hpp"
#include "falproxy/http_transport.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "falproxy/system_clock.hpp"
#include "falproxy/thread_executor.hpp"

namespace falproxy::inline v0 {
namespace {

using Bytes = std::shared_ptr<const std::string>;
constexpr Seconds longest_fetch{60};

std::vector<std::pair<std::string, Json>> members_of(const ImageWish& wish) {
  std::vector<std::pair<std::string, Json>> members = wish.native;
  const auto say = [&](const char* name, const std::string& text) {
    if (!text.empty()) members.emplace_back(name, Json::string(text));
  };
  say("model", wish.model);
  say("prompt", wish.prompt);
  say("size", wish.size);
  say("quality", wish.quality);
  say("style", wish.style);
  say("background", wish.background);
  say("output_format", wish.output_format);
  members.emplace_back("n", Json::integer(wish.n));
  members.emplace_back("response_format", Json::string("url"));
  return members;
}

/// Hears of a request for CallOptions::on_progress.
class Listener final : public Progress {
 public:
  explicit Listener(const std::function<void(const CallProgress&)>& told) : told_(told) {}
  void accepted(const Underway& underway) override {
    tell({.stage = CallProgress::Stage::accepted, .fal_request_ids = underway.fal_request_ids});
  }
  void queued(std::optional<int> position) override {
    tell({.stage = CallProgress::Stage::queued, .position = position});
  }
  void running() override { tell({.stage = CallProgress::Stage::running}); }

 private:
  void tell(const CallProgress& progress) const {
    if (told_) told_(progress);
  }
  const std::function<void(const CallProgress&)>& told_;
};

/// All that calls share. It ends with the last one of them, or with its connection, whatever is
/// later.
class Core {
 public:
  Core(const ClientOptions& options, Setup setup, std::unique_ptr<HttpTransport> own)
      : limits_(setup.limits),
        max_calls_(options.max_calls),
        own_transport_(std::move(own)),
        clock_(options.clock != nullptr ? *options.clock : own_clock_),
        transport_(options.transport != nullptr ? *options.transport : *own_transport_),
        executor_(options.executor != nullptr ? *options.executor : own_executor_),
        keys_(std::move(setup.accounts), setup.keys, jitter()),
        catalog_({.transport = transport_,
                  .clock = clock_,
                  .executor = executor_,
                  .random = jitter(),
                  .log = options.log},
                 setup.catalog, std::move(setup.models), setup.pinned),
        runner_({.transport = transport_,
                 .clock = clock_,
                 .executor = executor_,
                 .codecs = codecs_,
                 .keys = keys_,
                 .catalog = catalog_,
                 .masks = options.masks,
                 .random = jitter(),
                 .log = options.log},
                std::move(setup.runner)) {}

  /// False: there are as many as there may be, or the client is gone.
  bool enter() {
    const std::lock_guard lock(mutex_);
    if (closing_.stop_requested() || inside_ >= max_calls_) return false;
    ++inside_;
    return true;
  }
  /// Gives up what enter() gave. Nobody who waits for that goes on to end what `core` still names.
  static void leave(std::shared_ptr<Core> core) {
    Core& left = *core;
    std::unique_lock lock(left.mutex_);
    if (left.orphaned_) return lock.unlock();
    core.reset();
    --left.inside_;
    left.nobody_.notify_all();
  }
  /// Stops the calls and waits until they have ended, but for the one that this is called from.
  void close() {
    closing_.request_stop();
    std::unique_lock lock(mutex_);
    orphaned_ = calling_ == this;
    nobody_.wait(lock, [&] { return inside_ == (orphaned_ ? 1 : 0); });
  }

  void run(const ImageWish& wish, const CallOptions& options) {
    calling_ = this;
    options.on_done(outcome_of(wish, options));
  }

  Result<plan::Plan> plan(const ImageWish& wish) {
    const Result<Wish> request = request_of(wish);
    if (!request) return request.error();
    return runner_.plan(*request, {.stop = closing_.get_token()});
  }

  Result<Bytes> fetch(const std::string& address) {
    const Result<Body> body = runner_.fetch(
        address, {.deadline = clock_.now() + longest_fetch, .stop = closing_.get_token()});
    if (!body) return body.error();
    return std::make_shared<const std::string>(body->str());
  }

  void keep_documents_fresh(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      runner_.forget_expired(clock_.now());
      clock_.sleep_until(catalog_.refresh_due(clock_.now(), stop), stop);
    }
  }

  /// Of itself, for artifacts.
  std::weak_ptr<Core> self;

 private:
  std::function<double()> jitter() {
    return [this] { return random_.share(); };
  }

  Result<Wish> request_of(const ImageWish& wish) const {
    const bool edits = !wish.images.empty() || wish.mask.has_value();
    return openai::make_request(edits ? Intent::edit : Intent::generation,
                                Json::object(members_of(wish)), wish.images, wish.mask, limits_,
                                codecs_);
  }

  Result<Made> outcome_of(const ImageWish& wish, const CallOptions& options) try {
    Result<Wish> request = request_of(wish);
    if (!request) return std::move(request).error();
    std::stop_source stop;
    const auto end = [&stop] { stop.request_stop(); };
    const std::stop_callback left(options.stop, end);
    const std::stop_callback closed(closing_.get_token(), end);
    Listener listener(options.on_progress);
    const bool limited = options.timeout.count() > 0;
    Outcome outcome = runner_.handle(
        *std::move(request),
        {.deadline = limited ? clock_.now() + options.timeout : no_deadline,
         .stop = stop.get_token(),
         .client = std::to_string(calls_.fetch_add(1)),  // no call is another one's repeat
         .may_repeat = false,
         .progress = &listener});
    if (!outcome.response) return std::move(outcome.response).error();
    return made_of(std::move(outcome));
  } catch (...) {  // no memory
    return Error{ErrorKind::internal, "falproxy failed."};
  }

  Result<Made> made_of(Outcome outcome) const {
    Made made{.notes = outcome.receipt.notes, .shortfall = std::move(outcome.shortfall)};
    made.receipt = std::move(outcome.receipt);
    for (const Product& product : *outcome.response) {
      std::string text = product.content.str();
      const auto uri = media::parse_data_uri(text);
      if (product.is_address && !uri.has_value()) {
        made.artifacts.push_back(Artifact::at(std::move(text), fetch_of_artifacts()));
        continue;
      }
      std::optional<std::string> bytes =
          codecs_.decode_base64(uri.has_value() ? uri->base64 : std::string_view(text));
      if (!bytes.has_value()) {
        return Error{.kind = ErrorKind::upstream_failed,
                     .message = "The model gave an image in a form that is not known.",
                     .submitted = true};
      }
      made.artifacts.push_back(Artifact::of(*std::move(bytes)));
    }
    return made;
  }

  [[nodiscard]] Artifact::Fetch fetch_of_artifacts() const {
    return [weak = self](const std::string& address) -> Result<Bytes> {
      std::shared_ptr<Core> core = weak.lock();
      if (core == nullptr || !core->enter())
        return Error{ErrorKind::cancelled, "The client is gone, or busy; fetch " + address};
      Result<Bytes> fetched = core->fetch(address);
      leave(std::move(core));
      return fetched;
    };
  }

  static thread_local const Core* calling_;

  const RequestLimits limits_;
  const int max_calls_;
  Random random_;
  std::atomic<std::uint64_t> calls_{0};
  const OpensslCodecs codecs_;
  SystemClock own_clock_;
  ThreadExecutor own_executor_;
  const std::unique_ptr<HttpTransport> own_transport_;
  Clock& clock_;
  Transport& transport_;
  Executor& executor_;
  KeyRing keys_;
  Catalog catalog_;
  Runner runner_;
  std::stop_source closing_;
  std::mutex mutex_;
  std::condition_variable nobody_;
  int inside_ = 0;
  bool orphaned_ = false;  // its connection went in a call, which is the last
};

thread_local const Core* Core::calling_ = nullptr;

class FalConnection final : public ClientConnection {
 public:
  FalConnection(std::shared_ptr<Core> core, bool refreshes) : core_(std::move(core)) {
    core_->self = core_;
    if (!refreshes) return;
    try {
      refreshing_ = std::jthread(
          [core = core_.get()](const std::stop_token& stop) { core->keep_documents_fresh(stop); });
    } catch (const std::system_error&) {
      // Without a thread documents are fetched when they are needed.
    }
  }
  ~FalConnection() override {
    refreshing_ = std::jthread();
    core_->close();
  }
  FalConnection(const FalConnection&) = delete;
  FalConnection& operator=(const FalConnection&) = delete;

  void start(ImageWish wish, CallOptions options) override {
    if (!core_->enter()) return options.on_done(busy());
    auto work =
        std::make_shared<std::pair<ImageWish, CallOptions>>(std::move(wish), std::move(options));
    try {
      std::thread([core = core_, work]() mutable {
        core->run(work->first, work->second);
        work.reset();
        Core::leave(std::move(core));
      }).detach();
    } catch (const std::system_error&) {
      work->second.on_done(busy());
      Core::leave(core_);
    }
  }
  Result<plan::Plan> plan(ImageWish wish) override { return core_->plan(wish); }

 private:
  static Error busy() {
    return {ErrorKind::overloaded, "Too many calls at once: wait until some of them have ended."};
  }

  const std::shared_ptr<Core> core_;
  std::jthread refreshing_;
};

/// Of a client whose options cannot be used.
class NoConnection final : public ClientConnection {
 public:
  explicit NoConnection(Error why) : why_(std::move(why)) {}
  void start(ImageWish, CallOptions options) override { options.on_done(why_); }
  Result<plan::Plan> plan(ImageWish) override { return why_; }

 private:
  const Error why_;
};

Result<std::shared_ptr<ClientConnection>> connect(const ClientOptions& options,
                                                  Result<Setup> setup) {
  if (!setup) return setup.error();
  std::unique_ptr<HttpTransport> transport;
  if (options.transport == nullptr) {
    auto made = HttpTransport::create(
        {.ca_file = options.ca_file, .proxies = options.proxies, .log = options.log});
    if (!made) return made.error();
    transport = *std::move(made);
  }
  // A model is whatever fal has; the program decides when to ask again.
  setup->catalog.allow_any_model = true;
  setup->runner.recovery_window = Seconds(0);
  setup->runner.on_disconnect = OnDisconnect::cancel;
  return std::shared_ptr<ClientConnection>(std::make_shared<FalConnection>(
      std::make_shared<Core>(options, *std::move(setup), std::move(transport)),
      options.clock == nullptr));
}

}  // namespace

struct Call::State {
  explicit State(std::stop_token outer) : left(std::move(outer), [this] { stop.request_stop(); }) {}

  std::stop_source stop;
  std::mutex mutex;
  std::condition_variable ended;
  std::optional<Result<Made>> made;
  std::stop_callback<std::function<void()>> left;
};

void Call::cancel() const { state_->stop.request_stop(); }

Result<Made> Call::wait() const {
  std::unique_lock lock(state_->mutex);
  state_->ended.wait(lock, [&] { return state_->made.has_value(); });
  return *state_->made;
}

std::optional<Result<Made>> Call::result() const {
  const std::lock_guard lock(state_->mutex);
  return state_->made;
}

Client::Client(const ClientOptions& options) {
  auto connection = connect(options, setup_of(options));
  connection_ = connection ? *std::move(connection)
                           : std::make_shared<NoConnection>(std::move(connection).error());
}

Result<Client> Client::open(const Settings& settings, const ModelSettingsMap& models,
                            ClientOptions parts) {
  if (parts.ca_file.empty()) parts.ca_file = settings.ssl_cert_file;
  auto connection = connect(parts, setup_of(settings, models));
  if (!connection) return std::move(connection).error();
  return Client(*std::move(connection));
}

Result<Made> Client::generate(ImageWish wish, CallOptions options) const {
  return start(std::move(wish), std::move(options)).wait();
}

Call Client::start(ImageWish wish, CallOptions options) const {
  const auto state = std::make_shared<Call::State>(std::exchange(options.stop, {}));
  options.stop = state->stop.get_token();
  options.on_done = [state, told = std::exchange(options.on_done, {})](Result<Made> made) {
    {
      const std::lock_guard lock(state->mutex);
      if (state->made.has_value()) return;
      state->made = made;
    }
    state->ended.notify_all();
    if (told) told(std::move(made));
  };
  connection_->start(std::move(wish), std::move(options));
  return Call(state);
}

Result<plan::Plan> Client::plan(ImageWish wish) const { return connection_->plan(std::move(wish)); }

}  // namespace falproxy::inline v0
