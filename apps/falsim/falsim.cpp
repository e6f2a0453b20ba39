#include "falsim.hpp"

#include <csignal>
#include <future>
#include <thread>
#include <utility>

#include "documents.hpp"
#include "event_loop.hpp"
#include "http_server.hpp"
#include "service.hpp"
#include "tls.hpp"

namespace falsim {
namespace {

std::string authority_of(const std::string& host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string::npos;
  const std::string shown = host == "0.0.0.0" ? "127.0.0.1"
                            : host == "::"    ? "[::1]"
                            : v6              ? "[" + host + "]"
                                              : host;
  return shown + ":" + std::to_string(port);
}

}  // namespace

struct Falsim::Impl {
  Impl(FalsimOptions given, Models loaded, std::unique_ptr<EventLoop> made)
      : options(std::move(given)),
        models(std::move(loaded)),
        loop(std::move(made)),
        service(*loop, options, models),
        server(*loop, service) {}
  ~Impl() {
    if (thread.joinable()) loop->stop();
  }

  [[nodiscard]] falproxy::Result<falproxy::Done> open();
  /// Runs `ask` on the loop's thread and returns what it returns.
  template <class F>
  auto on_loop(F ask) -> decltype(ask()) {
    std::promise<decltype(ask())> promise;
    auto future = promise.get_future();
    loop->post([&] { promise.set_value(ask()); });
    return future.get();
  }

  FalsimOptions options;
  Models models;
  std::optional<TlsIdentity> tls;
  std::unique_ptr<EventLoop> loop;
  Service service;
  HttpServer server;
  std::string main_url, run_url, elsewhere_url, authority_pem;
  std::jthread thread;  // last: it ends before what it uses
};

falproxy::Result<falproxy::Done> Falsim::Impl::open() {
  ssl_ctx_st* context = nullptr;
  if (options.tls != Tls::none) {
    falproxy::Result<TlsIdentity> made = TlsIdentity::make(options.tls);
    if (!made) return made.error();
    tls = *std::move(made);
    context = tls->context();
    authority_pem = tls->authority_pem();
  }
  const std::string scheme = context == nullptr ? "http" : "https";
  const auto listen = [&](std::uint16_t port, std::string& url,
                          std::string* authority) -> falproxy::Result<falproxy::Done> {
    const falproxy::Result<std::uint16_t> bound = server.listen(options.host, port, context);
    if (!bound) return bound.error();
    const std::string at = authority_of(options.host, *bound);
    url = scheme + "://" + at;
    if (authority != nullptr) *authority = at;
    return falproxy::Done{};
  };
  std::string main_authority;
  if (auto opened = listen(options.port, main_url, &main_authority); !opened) return opened;
  if (auto opened = listen(options.run_port, run_url, nullptr); !opened) return opened;
  if (auto opened = listen(0, elsewhere_url, nullptr); !opened) return opened;
  service.connect(server, {scheme, elsewhere_url, main_authority});
  thread = std::jthread([this] {
    // OpenSSL writes to its sockets without MSG_NOSIGNAL; the signal would come to this thread.
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    loop->run();
  });
  return falproxy::Done{};
}

falproxy::Result<Falsim> Falsim::start(FalsimOptions options) {
  falproxy::Result<Models> models = Models::load(options.bundled_models, options.schemas);
  if (!models) return models.error();
  falproxy::Result<std::unique_ptr<EventLoop>> loop = EventLoop::create();
  if (!loop) return loop.error();
  auto impl = std::make_unique<Impl>(std::move(options), *std::move(models), *std::move(loop));
  if (auto opened = impl->open(); !opened) return opened.error();
  return Falsim(std::move(impl));
}

Falsim::Falsim(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Falsim::Falsim(Falsim&&) noexcept = default;
Falsim& Falsim::operator=(Falsim&&) noexcept = default;
Falsim::~Falsim() = default;

const std::string& Falsim::url() const noexcept { return impl_->main_url; }
const std::string& Falsim::run_url() const noexcept { return impl_->run_url; }
std::string Falsim::schema_url() const {
  return impl_->main_url + "/api/openapi/queue/openapi.json";
}
const std::string& Falsim::elsewhere_url() const noexcept { return impl_->elsewhere_url; }
const std::string& Falsim::authority_pem() const noexcept { return impl_->authority_pem; }

std::string Falsim::env() const {
  return "FAL_QUEUE_URL=" + queue_url() + "\nFAL_RUN_URL=" + run_url() +
         "\nFAL_SCHEMA_URL=" + schema_url() + "\nFAL_REST_URL=" + rest_url() +
         "\nFAL_MEDIA_HOSTS=" + media_hosts() + "\n";
}

std::vector<std::string> Falsim::endpoints() const {
  std::vector<std::string> ids;
  for (const auto& [endpoint, model] : impl_->models.all()) ids.push_back(endpoint);
  return ids;
}

std::optional<std::string> Falsim::document(std::string_view endpoint) const {
  const Model* model = impl_->models.find(endpoint);
  return model == nullptr ? std::nullopt : std::optional(*model->text());
}

FalsimStats Falsim::stats() const {
  return impl_->on_loop([this] { return impl_->service.stats(); });
}

void Falsim::reset_stats() {
  impl_->on_loop([this] { return impl_->service.reset_stats(), true; });
}

bool Falsim::wait_for(const std::function<bool(const FalsimStats&)>& satisfied,
                      Milliseconds within) const {
  const auto end = std::chrono::steady_clock::now() + within;
  while (!satisfied(stats())) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(Milliseconds(2));
  }
  return true;
}

std::vector<SeenSubmit> Falsim::submits() const {
  return impl_->on_loop([this] {
    const std::deque<SeenSubmit>& seen = impl_->service.desk().submits();
    return std::vector<SeenSubmit>(seen.begin(), seen.end());
  });
}

std::optional<SeenUpload> Falsim::upload(std::string_view file_url) const {
  return impl_->on_loop([&] {
    const SeenUpload* seen = impl_->service.storage().find(file_url);
    return seen == nullptr ? std::nullopt : std::optional(*seen);
  });
}

void Falsim::add_fault(Fault fault) {
  impl_->on_loop([&] { return impl_->service.faults().add(std::move(fault)), true; });
}
void Falsim::clear_faults() {
  impl_->on_loop([this] { return impl_->service.faults().clear(), true; });
}
void Falsim::set_times(Milliseconds queue_time, Milliseconds job_time) {
  impl_->on_loop([&] { return impl_->service.desk().set_times(queue_time, job_time), true; });
}

}  // namespace falsim
