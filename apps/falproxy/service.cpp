#include "service.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "alerts.hpp"
#include "base/fmt.hpp"
#include "base/random.hpp"
#include "bills.hpp"
#include "callbacks.hpp"
#include "chores.hpp"
#include "disk_store.hpp"
#include "door.hpp"
#include "earlier_runs.hpp"
#include "ending.hpp"
#include "falproxy/budgets.hpp"
#include "falproxy/http_transport.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "falproxy/options.hpp"
#include "falproxy/runner.hpp"
#include "media_store/folder_store.hpp"
#include "media_store/media_keeper.hpp"
#include "media_store/s3_store.hpp"
#include "metrics.hpp"
#include "native_jobs.hpp"
#include "prices.hpp"
#include "process.hpp"
#include "routes.hpp"
#include "serving/offload.hpp"
#include "serving/reactor.hpp"
#include "serving/server.hpp"
#include "sound_converter.hpp"
#include "spools.hpp"
#include "state.hpp"
#include "stored_keys.hpp"
#include "tracing/span_exporter.hpp"
#include "tracing/traced_runs.hpp"
#include "tracing/traced_transport.hpp"
#ifdef FALPROXY_WITH_PNG
#include "falproxy/png_masks.hpp"
#endif

namespace falproxy::app {
namespace {

// fal is asked so often to delete the files of a request.
constexpr int forget_attempts = 3;
constexpr Seconds forget_pause{5}, longest_forget{20};
// For the files of MEDIA_STORE.
constexpr std::size_t file_threads = 2;
// After the grace: for cancelling at fal, and then for what fal no longer is waited for to end.
constexpr Milliseconds cancel_time{3'200};
constexpr Milliseconds last_time{1'000};
constexpr Milliseconds least_farewell{400}, longest_farewell{1'000};
// For the spans that are left.
constexpr Milliseconds span_time{300};
static_assert(cancel_time + least_farewell + span_time + last_time < Service::longest_end);

std::function<double()> jitter() {
  return [random = std::make_shared<Random>()] { return random->share(); };
}

Log::Options log_options(const Settings& settings, bool colours) {
  return {.format = settings.log_format,
          .level = settings.debug_mode ? LogLevel::debug : LogLevel::info,
          .colours = colours};
}

// What is opened before there is a log says nothing until then.
class LateLog {
 public:
  void become(LogLine line) {
    const std::lock_guard lock(mutex_);
    line_ = std::move(line);
  }
  void line(LogLevel level, std::string_view text) const {
    const std::lock_guard lock(mutex_);
    if (line_) line_(level, text);
  }

 private:
  mutable std::mutex mutex_;
  LogLine line_;
};

}  // namespace

struct Service::Impl {
  // What is there only if somebody wants traces.
  struct Tracing {
    Tracing(OtelSettings otel, Transport& upstream, Impl& of)
        : tracer(std::move(otel)),
          transport(upstream, tracer, runner_options(of.settings).fal),
          runs(tracer),
          exporter({.tracer = tracer,
                    .transport = upstream,
                    .clock = of.clock,
                    .executor = of.pool,
                    .log = of.log_line()}) {}
    static std::unique_ptr<Tracing> make(OtelSettings otel, Transport& upstream, Impl& of) {
      if (otel.endpoint.empty()) return nullptr;
      return std::make_unique<Tracing>(std::move(otel), upstream, of);
    }

    Tracer tracer;
    TracedTransport transport;
    TracedRuns runs;
    SpanExporter exporter;
  };

  Impl(Configuration configuration, Options options, const Capacity& room,
       std::unique_ptr<EndingWaiter> waits, std::unique_ptr<HttpTransport> to_fal, State noting)
      : settings(std::move(configuration.settings)),
        proxies(configuration.proxies.describe()),
        aws(std::move(configuration.aws)),
        otel(std::move(configuration.otel)),
        log(log_options(settings, options.colours), std::move(options.write_log)),
        memory(settings.max_body_memory),
        reactors(serving::make_reactors({.max_fibers = room.fibers})),
        waiter(std::move(waits)),
        upstream(std::move(to_fal)),
        tracing(Tracing::make(otel, *upstream, *this)),
        transport(tracing ? &tracing->transport : static_cast<Transport*>(upstream.get())),
        state(std::move(noting)),
        spools(state.trouble.empty() && options.environment != nullptr
                   ? state_directory(settings.state_dir, *options.environment)
                   : std::nullopt,
               pool, settings.max_body_memory, log_line()),
        store(open_store(options.environment)),
        catalog({.transport = *transport,
                 .clock = clock,
                 .executor = pool,
                 .store = store.get(),
                 .random = jitter(),
                 .log = log_line()},
                catalog_options(settings), std::move(configuration.models), configuration.pinned),
        keys(settings.ai_keys, shared_key_ring_options(settings), jitter()),
        alerts(*transport, clock, log_line(), std::string(settings.alert_url.reveal())),
        budgets({.clock = clock,
                 .store = *state.spending,
                 .log = log_line(),
                 .alert = [this](const SpendingAlert& alert) { alerts.add(alert); },
                 .settled =
                     [this](SettledJob job) {
                       if (job.cost)
                         metrics.add_cost(job.payer.client, label_of(job.payer.model), *job.cost);
                       bills.add(std::move(job));
                     },
                 .is_shared = state.peers != nullptr}),
        bills({.transport = *transport,
               .clock = clock,
               .store = *state.spending,
               .budgets = budgets,
               .log = log_line(),
               .alert = [this](const SpendingAlert& alert) { alerts.add(alert); },
               .corrected =
                   [this](const Payer& payer, Usd difference) {
                     metrics.add_correction(payer.client, label_of(payer.model), difference);
                   },
               .peers = state.peers}),
        stored_keys(clock, *state.spending),
        prices({.transport = *transport,
                .clock = clock,
                .store = *state.spending,
                .budgets = budgets,
                .log = log_line()}),
        runner(
            {.transport = *transport,
             .clock = clock,
             .executor = pool,
             .codecs = codecs,
             .keys = keys,
             .catalog = catalog,
             .masks = masks(),
             .random = jitter(),
             .memory = &memory,
             .state = state.store.get(),
             .log = log_line(),
             .purse = &budgets,
             .account_locked =
                 [this](std::string what) {
                   alerts.add(
                       {.kind = SpendingAlert::Kind::account_locked, .message = std::move(what)});
                 },
             .observer = tracing ? &tracing->runs : nullptr,
             .peers = state.peers,
             .unfollowed = [this](RunRecord record) { earlier_runs.take_up(std::move(record)); }},
            runner_options_with_debug(settings)),
        keeper(make_keeper()),
        native_jobs({.runner = runner,
                     .store = *state.store,
                     .budgets = budgets,
                     .background = background,
                     .codecs = codecs,
                     .queue_url = [this] { return door.rules()->settings.fal_queue_url; },
                     .peers = state.peers}),
        earlier_runs({.runner = runner,
                      .store = *state.store,
                      .peers = state.peers,
                      .clock = clock,
                      .background = background,
                      .native_jobs = native_jobs,
                      .media = keeper.get(),
                      .count = [this](const std::string& owner) { return door.follow(owner); },
                      .log = log_line()}),
        callbacks({.runner = runner,
                   .transport = *transport,
                   .clock = clock,
                   .codecs = codecs,
                   .background = background,
                   .media = keeper.get(),
                   .log = log_line()},
                  settings),
        door({.runner = runner,
              .catalog = catalog,
              .keys = keys,
              .codecs = codecs,
              .executor = pool,
              .background = background,
              .end_is_untold = [this] { callbacks.wake(); },
              .metrics = metrics,
              .log = log,
              .memory = memory,
              .spools = spools,
              .budgets = budgets,
              .spending = *state.spending,
              .users = users,
              .stored_keys = stored_keys,
              .media = keeper.get(),
              .native_jobs = native_jobs,
              .store = *state.store,
              .state = [this] { return state.status(); },
              .gauges = [this] { return gauges(); },
              .tracer = tracing ? &tracing->tracer : nullptr,
              .peers = state.peers},
             settings),
        chores({.clock = clock,
                .pool = pool,
                .upstream = *upstream,
                .catalog = catalog,
                .runner = runner,
                .state = state,
                .budgets = budgets,
                .bills = bills,
                .prices = prices,
                .stored_keys = stored_keys,
                .alerts = alerts,
                .earlier_runs = earlier_runs,
                .callbacks = callbacks,
                .media = keeper.get(),
                .spans = tracing ? &tracing->exporter : nullptr,
                .keys_changed = [this] { door.keys_changed(); },
                .busy = [this] { return server->counters().busy; },
                .log = log_line()}) {
    budgets.set_rows(settings.keys);
    prices.reload(settings);
    bills.reload(settings);
  }

  LogLine log_line() {
    return [this](LogLevel level, std::string_view text) { log.line(level, std::string(text)); };
  }

  std::function<void(std::string_view)> log_at(LogLevel level) {
    return [this, level](std::string_view text) { log.line(level, std::string(text)); };
  }

  // A model's name in the metrics: only the operator's have one there.
  std::string label_of(const std::string& model) {
    const std::shared_ptr<const Rules> rules = door.rules();
    const Settings& now = rules->settings;
    const bool known =
        std::ranges::find(now.models, model, &ModelRoute::name) != now.models.end() ||
        std::ranges::find(now.chat_models, model, &ChatRoute::name) != now.chat_models.end();
    return known ? model : "other";
  }

  KeyRing::Options shared_key_ring_options(const Settings& from) const {
    KeyRing::Options made = key_ring_options(from);
    made.peers = state.peers;
    return made;
  }

  Runner::Options runner_options_with_debug(const Settings& from) {
    Runner::Options made = runner_options(from);
    made.plan.converted_sounds = SoundConverter::made();
    if (from.debug_mode) made.debug = log_at(LogLevel::debug);
    return made;
  }

  std::unique_ptr<DiskStore> open_store(const Environment* environment) {
    const auto directory =
        cache_directory(settings.schema_cache_dir, environment ? *environment : Environment());
    if (!directory) return nullptr;
    auto opened = DiskStore::create(*directory, codecs, log_at(LogLevel::warning));
    if (opened) return std::move(opened).value();
    log.line(LogLevel::warning, opened.error().message);
    return nullptr;
  }

  std::unique_ptr<MediaKeeper> make_keeper() {
    if (!settings.media_store) return nullptr;
    files.emplace(file_threads);
    return std::make_unique<MediaKeeper>(
        MediaKeeper::Parts{
            .runner = runner,
            .clock = clock,
            .codecs = codecs,
            .executor = pool,
            .background = background,
            .index = state.media,
            .texts = *state.spending,
            .log = log_line(),
            .quota_of =
                [this](const std::string& owner) {
                  const std::shared_ptr<const Rules> rules = door.rules();
                  const KeyRules* const row = rules->access.rules_of(owner);
                  return row != nullptr ? row->media_quota : std::nullopt;
                },
            .forget_at_fal = [this](const std::string& id,
                                    const std::stop_token& stop) { forget_at_fal(id, stop); },
            .make_store = [this, place = *settings.media_store] { return make_store(place); }},
        *settings.media_store);
  }

  // On a fiber. Without FAL_ADMIN_KEY fal keeps what it has.
  void forget_at_fal(const std::string& id, const std::stop_token& stop) {
    const std::shared_ptr<const Rules> rules = door.rules();
    const Settings& now = rules->settings;
    if (now.fal_admin_key.empty() || !asks_for_prices(now)) return;
    const HttpRequest request = fal::forget_request(fal_addresses(now), id, now.fal_admin_key);
    std::string fault;
    for (int attempt = 0; attempt < forget_attempts; ++attempt) {
      if (attempt > 0 && !clock.sleep_until(clock.now() + forget_pause, stop)) break;
      const auto got = fetch(*transport, request, clock.now() + longest_forget, stop, 64u << 10);
      // 404: fal has nothing of it.
      if (got && (got->head.status < 300 || got->head.status == 404)) return;
      fault = got ? fmt::format("it answers {}", got->head.status) : got.error().message;
      if (got && got->head.status < 500 && got->head.status != 429) break;
    }
    log.line(LogLevel::warning,
             fmt::format("fal has not deleted the files of the request {}: {}", id, fault));
  }

  Result<std::shared_ptr<MediaStore>> make_store(const MediaPlace& place) {
    if (!place.is_folder()) {
      // Not in a trace, as what a file is called opens it.
      auto bucket = S3Store::create(place, aws, *upstream, clock);
      if (!bucket) return std::move(bucket).error();
      return std::shared_ptr<MediaStore>(*std::move(bucket));
    }
    std::optional<Result<std::unique_ptr<FolderStore>>> folder;
    files->run_blocking(
        [&] { folder.emplace(FolderStore::create(place.folder, *files, state.peers != nullptr)); });
    if (!*folder) return std::move(*folder).error();
    return std::shared_ptr<MediaStore>(**std::move(folder));
  }

  static const media::MaskConverter* masks() {
#ifdef FALPROXY_WITH_PNG
    static const PngMasks png;
    return &png;
#else
    return nullptr;
#endif
  }

  Gauges gauges() const {
    Gauges gauges;
    const serving::Server::Counters connections = server->counters();
    gauges.connections_open = connections.open;
    gauges.connections_busy = connections.busy;
    gauges.connections_accepted = connections.accepted;
    gauges.connections_not_accepted = connections.not_accepted;
    for (const auto& reactor : reactors) gauges.fibers += reactor->fibers();
    gauges.pool_waiting = pool.waiting();
    const HttpTransport::Counters to_fal = upstream->counters();
    gauges.upstream_connections = to_fal.connections_opened;
    gauges.upstream_requests = to_fal.requests;
    gauges.upstream_idle = to_fal.idle;
    gauges.log_lines_dropped = log.dropped();
    gauges.runs = runner.counters();
    gauges.accounts = keys.status(clock.now());
    gauges.documents = catalog.status();
    gauges.state = state.status();
    if (state.peers != nullptr) gauges.replicas = state.peers->count();
    if (keeper != nullptr) gauges.media = keeper->status();
    gauges.balance = bills.balance();
    if (tracing != nullptr) gauges.traces = tracing->tracer.status();
    return gauges;
  }

  // What a collector that stands still does not take in time is lost.
  void send_last_spans() {
    if (tracing == nullptr) return;
    tracing->tracer.flush();
    const TimePoint until = clock.now() + span_time;
    while (tracing->tracer.status().waiting > 0 && clock.now() < until)
      std::this_thread::sleep_for(Milliseconds(10));
  }

  // In the order of who needs whom.
  Settings settings;
  const std::string proxies;
  const AwsIdentity aws;
  const OtelSettings otel;
  Log log;
  Metrics metrics;
  MemoryBudget memory;
  EndingClock clock;
  OpensslCodecs codecs;
  serving::Offload pool;
  serving::Reactors reactors;
  std::unique_ptr<EndingWaiter> waiter;
  std::unique_ptr<HttpTransport> upstream;
  std::unique_ptr<Tracing> tracing;
  Transport* const transport;  // what all but the tracing itself uses
  State state;
  Spools spools;
  std::unique_ptr<DiskStore> store;
  Catalog catalog;
  KeyRing keys;
  Alerts alerts;
  Budgets budgets;
  BillKeeper bills;
  StoredKeys stored_keys;
  PriceKeeper prices;
  Runner runner;
  Users users;
  Background background;
  std::optional<serving::Offload> files;  // a slow disk holds up nothing but files
  std::unique_ptr<MediaKeeper> keeper;
  NativeJobs native_jobs;
  EarlierRuns earlier_runs;
  Callbacks callbacks;
  Door door;
  std::unique_ptr<serving::Server> server;
  std::unique_ptr<serving::Server> metrics_server;
  std::atomic<bool> stopped{false};
  Chores chores;
};

Service::Service(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Service::~Service() { stop(Milliseconds(0)); }

Result<std::unique_ptr<Service>> Service::create(Configuration configuration, Options options) {
  const Capacity room = capacity(configuration.settings.max_in_flight, raise_process_limits());
  configuration.settings.max_in_flight = room.in_flight;
  auto waiter = std::make_unique<EndingWaiter>();
  const auto later = std::make_shared<LateLog>();
  const LogLine to_log = [later](LogLevel level, std::string_view text) {
    later->line(level, text);
  };
  auto transport = HttpTransport::create({.ca_file = configuration.settings.ssl_cert_file,
                                          .waiter = waiter.get(),
                                          .proxies = configuration.proxies,
                                          .log = to_log});
  if (!transport) return transport.error();
  const bool is_given = options.state != nullptr;
  Result<State> state = is_given ? Result<State>(state_in(std::move(options.state))) : State();
  if (!is_given) {
    state = open_state(configuration.settings,
                       options.environment ? *options.environment : Environment(), to_log);
  }
  if (!state) return std::move(state).error();
  const std::vector<SettingsFault> warnings = configuration.warnings;
  auto impl =
      std::make_unique<Impl>(std::move(configuration), std::move(options), room, std::move(waiter),
                             std::move(transport).value(), std::move(state).value());
  later->become(impl->log_line());
  const Settings& settings = impl->settings;
  auto server =
      serving::Server::create({.host = settings.host,
                               .port = settings.port,
                               .max_connections = room.connections,
                               .warn = impl->log_at(LogLevel::warning)},
                              impl->door, impl->door.routes(api_routes()), impl->reactors);
  if (!server) return server.error();
  impl->server = std::move(server).value();
  if (settings.metrics_port != 0) {
    auto metrics =
        serving::Server::create({.host = settings.metrics_host,
                                 .port = settings.metrics_port,
                                 .max_connections = 64,
                                 .warn = impl->log_at(LogLevel::warning)},
                                impl->door, impl->door.routes(metrics_routes()), impl->reactors);
    if (!metrics) {
      Error error = std::move(metrics).error();
      if (!error.field.empty()) error.field = "METRICS_" + error.field;
      return error;
    }
    impl->metrics_server = std::move(metrics).value();
  }
  for (const SettingsFault& warning : warnings)
    impl->log.line(LogLevel::warning, to_string(warning));
  if (!room.warning.empty()) impl->log.line(LogLevel::warning, room.warning);
  if (!impl->proxies.empty()) impl->log.line(LogLevel::info, impl->proxies);
  const State& noting = impl->state;
  if (!noting.notice.empty()) impl->log.line(LogLevel::warning, noting.notice);
  if (!noting.trouble.empty()) impl->log.line(LogLevel::error, noting.trouble);
  impl->log.line(LogLevel::info, "runs are noted in " + noting.place);
  if (impl->tracing != nullptr)
    impl->log.line(LogLevel::info, "traces go to " + impl->otel.endpoint);
  return std::unique_ptr<Service>(new Service(std::move(impl)));
}

void Service::start() {
  Impl& impl = *impl_;
  impl.server->start();
  impl.chores.begin(*impl.reactors.front());
  impl.log.line(LogLevel::info, "listening on " + impl.server->address());
  if (!impl.metrics_server) return;
  impl.metrics_server->start();
  impl.log.line(LogLevel::info, "metrics on " + impl.metrics_server->address() + "/metrics");
}

std::uint16_t Service::port() const noexcept { return impl_->server->port(); }
std::uint16_t Service::metrics_port() const noexcept {
  return impl_->metrics_server ? impl_->metrics_server->port() : 0;
}

void Service::reload(Configuration configuration) {
  Settings& now = impl_->settings;
  Settings next = std::move(configuration.settings);
  if (next.host != now.host || next.port != now.port || next.metrics_host != now.metrics_host ||
      next.metrics_port != now.metrics_port || next.schema_cache_dir != now.schema_cache_dir ||
      next.ssl_cert_file != now.ssl_cert_file || next.state_dir != now.state_dir ||
      next.state_url != now.state_url || next.media_store != now.media_store ||
      configuration.otel != impl_->otel || configuration.proxies.describe() != impl_->proxies) {
    impl_->log.line(
        LogLevel::warning,
        "HOST, PORT, METRICS_HOST, METRICS_PORT, SCHEMA_CACHE_DIR, SSL_CERT_FILE, MEDIA_STORE, "
        "OTEL_..., STATE_DIR, STATE_URL and the proxies change with a restart only");
  }
  next.media_store = now.media_store;  // what keeps files, and what jobs are told, go together
  const Capacity room = capacity(next.max_in_flight, raise_process_limits());
  next.max_in_flight = room.in_flight;
  for (const SettingsFault& warning : configuration.warnings)
    impl_->log.line(LogLevel::warning, to_string(warning));
  if (!room.warning.empty()) impl_->log.line(LogLevel::warning, room.warning);
  const Log::Options log = log_options(next, false);
  impl_->log.reload(log.format, log.level);
  impl_->catalog.reload(catalog_options(next), std::move(configuration.models),
                        configuration.pinned);
  impl_->prices.reload(next);
  impl_->bills.reload(next);
  impl_->alerts.reload(std::string(next.alert_url.reveal()));
  impl_->keys.reload(next.ai_keys, impl_->shared_key_ring_options(next));
  impl_->runner.reload(impl_->runner_options_with_debug(next));
  if (impl_->tracing != nullptr) impl_->tracing->transport.reload(runner_options(next).fal);
  impl_->callbacks.reload(next);
  impl_->door.reload(next);
  now = std::move(next);
}

void Service::stop(Milliseconds grace) {
  Impl& impl = *impl_;
  if (impl.stopped.exchange(true)) return;
  impl.door.drain();
  if (impl.metrics_server) impl.metrics_server->drain();
  impl.server->drain();
  const auto busy = [&] { return impl.server->counters().busy; };
  const auto wait = [&](Milliseconds time) {
    const TimePoint until = impl.clock.now() + time;
    while (busy() > 0 && impl.clock.now() < until) std::this_thread::sleep_for(Milliseconds(10));
  };
  wait(grace);
  const TimePoint cancelled_by = impl.clock.now() + cancel_time;
  if (busy() > 0) {
    impl.server->stop_requests();
    wait(cancel_time);
  }
  if (const std::size_t left = busy(); left > 0) {
    impl.log.line(LogLevel::warning,
                  fmt::format("{} requests are ended without an answer of fal's: what became of "
                              "their jobs is not known",
                              left));
  }
  impl.send_last_spans();
  impl.chores.stop();
  impl.background.stop();
  // Who is in the middle of something tells others so: a bucket that parts of a file go nowhere.
  const auto left = std::chrono::duration_cast<Milliseconds>(cancelled_by - impl.clock.now());
  impl.background.wait_for(std::clamp(left, least_farewell, longest_farewell));
  impl.waiter->end();
  impl.clock.end();
  wait(last_time);
  impl.background.wait();
  impl.chores.wait();
  impl.metrics_server.reset();
}

Log& Service::log() noexcept { return impl_->log; }
const Catalog& Service::catalog() const noexcept { return impl_->catalog; }

}  // namespace falproxy::app
