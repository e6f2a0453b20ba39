#include "service.hpp"

#include <atomic>
#include <optional>
#include <random>
#include <stop_token>
#include <thread>
#include <utility>

#include "connection/front.hpp"
#include "disk_store.hpp"
#include "falproxy/gateway.hpp"
#include "falproxy/http_transport.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "fibers.hpp"
#include "metrics.hpp"
#include "process_limits.hpp"
#include "server/operator_tasks.hpp"
#include "server/server.hpp"
#include "workers.hpp"
#ifdef FALPROXY_WITH_PNG
#include "base/fmt.hpp"
#include "falproxy/png_masks.hpp"
#endif

namespace falproxy::app {
namespace {

// How often the list of models is compared with the catalogue.
constexpr Milliseconds models_interval{250};
// What cancelling at fal may take, after the grace.
constexpr Seconds cancel_time{5};

// Jitter for the library: SplitMix64 over a counter, so that threads need no lock.
std::function<double()> random_source() {
  std::random_device device;
  auto state =
      std::make_shared<std::atomic<std::uint64_t>>((std::uint64_t{device()} << 32) | device());
  return [state] {
    std::uint64_t x = state->fetch_add(0x9e3779b97f4a7c15ULL, std::memory_order_relaxed);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<double>((x ^ (x >> 31)) >> 11) * 0x1.0p-53;
  };
}

Log::Options log_options(const Settings& settings, bool colours) {
  return {.format = settings.log_format,
          .level = settings.debug_mode ? LogLevel::debug : LogLevel::info,
          .colours = colours};
}

std::optional<std::string_view> variable(const Environment* environment, const std::string& name) {
  if (environment == nullptr) return std::nullopt;
  const auto found = environment->find(name);
  return found == environment->end() ? std::nullopt
                                     : std::optional<std::string_view>(found->second);
}

}  // namespace

struct Service::Impl {
  Impl(Configuration configuration, Options options, const Capacity& room,
       std::unique_ptr<HttpTransport> to_fal)
      : settings(std::move(configuration.settings)),
        log(log_options(settings, options.colours), std::move(options.write_log)),
        workers({.max_threads = room.threads}),
        fibers(workers, {.max_stacks = room.fibers}),
        transport(std::move(to_fal)),
        store(open_store(options.environment)),
        catalog({.transport = *transport,
                 .clock = clock,
                 .executor = fibers,
                 .store = store.get(),
                 .random = random_source(),
                 .log = log_line()},
                catalog_options(settings), std::move(configuration.models), configuration.pinned),
        keys(settings.ai_keys, key_ring_options(settings), random_source()),
        gateway({.transport = *transport,
                 .clock = clock,
                 .executor = fibers,
                 .codecs = codecs,
                 .keys = keys,
                 .catalog = catalog,
                 .masks = masks(),
                 .random = random_source(),
                 .log = log_line()},
                gateway_options_with_debug(settings)),
        server({.gateway = gateway,
                .catalog = catalog,
                .keys = keys,
                .codecs = codecs,
                .metrics = metrics,
                .log = log,
                .gauges = [this] { return gauges(); }},
               settings),
        metrics_door(server) {}

  LogLine log_line() {
    return [this](LogLevel level, std::string_view text) { log.line(level, std::string(text)); };
  }

  ImageGateway::Options gateway_options_with_debug(const Settings& from) {
    ImageGateway::Options made = gateway_options(from);
    if (from.debug_mode) {
      made.debug = [this](std::string_view text) { log.line(LogLevel::debug, std::string(text)); };
    }
    return made;
  }

  std::unique_ptr<DiskStore> open_store(const Environment* environment) {
    const auto directory =
        cache_directory(settings.schema_cache_dir, variable(environment, "XDG_CACHE_HOME"),
                        variable(environment, "HOME"));
    if (!directory) return nullptr;
    auto opened = DiskStore::create(*directory, codecs, [this](std::string_view text) {
      log.line(LogLevel::warning, std::string(text));
    });
    if (opened) return std::move(opened).value();
    log.line(LogLevel::warning, opened.error().message);
    return nullptr;
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
    const Front::Counters connections = front->counters();
    gauges.connections_open = connections.open;
    gauges.connections_busy = connections.busy;
    gauges.connections_accepted = connections.accepted;
    gauges.fibers = fibers.count();
    gauges.threads = workers.threads();
    gauges.idle_threads = workers.idle_threads();
    const HttpTransport::Counters upstream = transport->counters();
    gauges.upstream_connections = upstream.connections_opened;
    gauges.upstream_requests = upstream.requests;
    gauges.upstream_idle = upstream.idle;
    gauges.log_lines_dropped = log.dropped();
    gauges.gateway = gateway.counters();
    gauges.accounts = keys.status(clock.now());
    gauges.documents = catalog.status();
    return gauges;
  }

  void keep_documents_fresh(const std::stop_token& stop) {
    transport->read_certificates();
    while (!stop.stop_requested()) {
      gateway.forget_expired(clock.now());
      clock.sleep_until(catalog.refresh_due(clock.now(), stop), stop);
    }
  }

  void keep_models_listed(const std::stop_token& stop) {
    std::size_t told = 0;
    while (clock.sleep_until(clock.now() + models_interval, stop)) {
      server.refresh_models();
      const std::size_t usable = server.usable_models();
      if (usable == told) continue;
      told = usable;
      log.line(LogLevel::info,
               fmt::format("{} of {} models have their document", usable, catalog.models().size()));
    }
  }

  // In the order of who needs whom.
  Settings settings;
  Log log;
  Metrics metrics;
  FiberClock clock;
  OpensslCodecs codecs;
  Workers workers;
  Fibers fibers;
  std::unique_ptr<HttpTransport> transport;
  std::unique_ptr<DiskStore> store;
  Catalog catalog;
  KeyRing keys;
  ImageGateway gateway;
  Server server;
  MetricsDoor metrics_door;
  std::unique_ptr<Front> front;
  std::unique_ptr<Front> metrics_front;
  std::jthread refreshing;
  std::jthread listing;
};

Service::Service(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Service::~Service() { stop(Milliseconds(0)); }

Result<std::unique_ptr<Service>> Service::create(Configuration configuration, Options options) {
  const Capacity room = capacity(configuration.settings.max_in_flight, raise_process_limits());
  configuration.settings.max_in_flight = room.in_flight;
  static FiberWaiter waiter;
  auto transport =
      HttpTransport::create({.ca_file = configuration.settings.ssl_cert_file, .waiter = &waiter});
  if (!transport) return transport.error();
  const std::vector<SettingsFault> warnings = configuration.warnings;
  auto impl = std::make_unique<Impl>(std::move(configuration), std::move(options), room,
                                     std::move(transport).value());
  const Settings& settings = impl->settings;
  auto front = Front::create(
      {.host = settings.host, .port = settings.port, .max_connections = room.connections},
      impl->server, impl->workers, impl->fibers);
  if (!front) return front.error();
  impl->front = std::move(front).value();
  if (settings.metrics_port != 0) {
    auto metrics_front = Front::create(
        {.host = settings.metrics_host, .port = settings.metrics_port, .max_connections = 64},
        impl->metrics_door, impl->workers, impl->fibers);
    if (!metrics_front) {
      Error error = std::move(metrics_front).error();
      if (!error.field.empty()) error.field = "METRICS_" + error.field;
      return error;
    }
    impl->metrics_front = std::move(metrics_front).value();
  }
  for (const SettingsFault& warning : warnings)
    impl->log.line(LogLevel::warning, to_string(warning));
  if (!room.warning.empty()) impl->log.line(LogLevel::warning, room.warning);
  return std::unique_ptr<Service>(new Service(std::move(impl)));
}

void Service::start() {
  impl_->front->start();
  if (impl_->metrics_front) impl_->metrics_front->start();
  impl_->refreshing = std::jthread(
      [impl = impl_.get()](const std::stop_token& stop) { impl->keep_documents_fresh(stop); });
  impl_->listing = std::jthread(
      [impl = impl_.get()](const std::stop_token& stop) { impl->keep_models_listed(stop); });
  impl_->log.line(LogLevel::info,
                  fmt::format("listening on http://{}:{}", impl_->settings.host, port()));
  if (impl_->metrics_front) {
    impl_->log.line(LogLevel::info, fmt::format("metrics on http://{}:{}/metrics",
                                                impl_->settings.metrics_host, metrics_port()));
  }
}

std::uint16_t Service::port() const noexcept { return impl_->front->port(); }
std::uint16_t Service::metrics_port() const noexcept {
  return impl_->metrics_front ? impl_->metrics_front->port() : 0;
}

void Service::reload(Configuration configuration) {
  Settings& now = impl_->settings;
  Settings next = std::move(configuration.settings);
  if (next.host != now.host || next.port != now.port || next.metrics_host != now.metrics_host ||
      next.metrics_port != now.metrics_port || next.schema_cache_dir != now.schema_cache_dir ||
      next.ssl_cert_file != now.ssl_cert_file) {
    impl_->log.line(LogLevel::warning,
                    "HOST, PORT, METRICS_HOST, METRICS_PORT, SCHEMA_CACHE_DIR and SSL_CERT_FILE "
                    "change with a restart only");
  }
  const Capacity room = capacity(next.max_in_flight, raise_process_limits());
  next.max_in_flight = room.in_flight;
  for (const SettingsFault& warning : configuration.warnings)
    impl_->log.line(LogLevel::warning, to_string(warning));
  if (!room.warning.empty()) impl_->log.line(LogLevel::warning, room.warning);
  const Log::Options log = log_options(next, false);
  impl_->log.reload(log.format, log.level);
  impl_->catalog.reload(catalog_options(next), std::move(configuration.models),
                        configuration.pinned);
  impl_->keys.reload(next.ai_keys, key_ring_options(next));
  impl_->gateway.reload(impl_->gateway_options_with_debug(next));
  impl_->server.reload(next);
  now = std::move(next);
}

void Service::stop(Milliseconds grace) {
  Impl& impl = *impl_;
  impl.server.drain();
  if (impl.metrics_front) impl.metrics_front->drain();
  impl.front->drain();
  const auto wait = [&](TimePoint until) {
    while (impl.front->counters().busy > 0 && impl.clock.now() < until)
      std::this_thread::sleep_for(Milliseconds(10));
  };
  wait(impl.clock.now() + grace);
  if (impl.front->counters().busy > 0) {
    impl.front->stop_requests();
    wait(impl.clock.now() + cancel_time);
  }
  impl.refreshing = {};
  impl.listing = {};
  impl.metrics_front.reset();
}

Log& Service::log() noexcept { return impl_->log; }
const Catalog& Service::catalog() const noexcept { return impl_->catalog; }

}  // namespace falproxy::app
