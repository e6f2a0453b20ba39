#include "falproxy/http_transport.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/retry.hpp"
#include "connection.hpp"
#include "exchange.hpp"
#include "http1.hpp"
#include "local_trouble.hpp"
#include "resolver.hpp"
#include "tls.hpp"
#include "tunnel.hpp"

namespace falproxy::inline v0 {
namespace {

TimePoint now() { return std::chrono::steady_clock::now(); }

// RFC 9110, 9.2.1: what may be repeated without asking. Everything else is put on the wire at most
// once.
bool is_safe(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

std::string certificate_file(const std::string& option) {
  if (!option.empty()) return option;
  const char* environment = std::getenv("SSL_CERT_FILE");
  return environment == nullptr ? std::string() : std::string(environment);
}

TransportError error_of(TransportFault fault, std::string message, bool nothing_sent) {
  return TransportError{fault, std::move(message), nothing_sent};
}

}  // namespace

struct HttpTransport::Impl {
  // What is kept about one scheme, host and port. Never removed: a process talks to few.
  struct Origin {
    struct Idle {
      std::unique_ptr<Connection> connection;
      TimePoint since;
    };
    TlsSessionSlot tls_session;
    std::deque<Idle> idle;  // the longest idle first
  };
  using Failure = std::optional<TransportError>;

  explicit Impl(Options from)
      : options(std::move(from)),
        waiter(options.waiter ? *options.waiter : poll),
        resolver(waiter),
        trouble(options.log) {}

  Origin& origin_of(const std::string& name);
  std::unique_ptr<Connection> take_idle(Origin& origin, std::chrono::nanoseconds max_age);
  void give_back(Origin& origin, std::unique_ptr<Connection> connection);
  Result<std::unique_ptr<Connection>, TransportError> open(const Url& url, Origin& origin,
                                                           TimePoint deadline,
                                                           const std::stop_token& stop);
  Result<Done, IoError> secure(Connection& connection, const Proxy* proxy, const Url& url,
                               Origin& origin, const TlsContext& context, TimePoint deadline);
  Result<const TlsContext*, TransportError> tls();
  void drop_expired(Origin& origin, TimePoint at, std::vector<Origin::Idle>& dropped) const;

  const Options options;
  PollWaiter poll;
  SocketWaiter& waiter;
  Resolver resolver;
  LocalTrouble trouble;
  std::mutex tls_mutex;
  std::unique_ptr<TlsContext> tls_context;  // outlives the connections

  std::mutex mutex;
  std::map<std::string, Origin, std::less<>> origins;
  std::atomic<std::uint64_t> opened{0};
  std::atomic<std::uint64_t> requests{0};
};

HttpTransport::Impl::Origin& HttpTransport::Impl::origin_of(const std::string& name) {
  const std::lock_guard lock(mutex);
  return origins[name];
}

void HttpTransport::Impl::drop_expired(Origin& origin, TimePoint at,
                                       std::vector<Origin::Idle>& dropped) const {
  while (!origin.idle.empty() && at - origin.idle.front().since >= options.max_idle) {
    dropped.push_back(std::move(origin.idle.front()));
    origin.idle.pop_front();
  }
}

// The one used last: it is the least likely to be stale, and the others can grow old.
std::unique_ptr<Connection> HttpTransport::Impl::take_idle(Origin& origin,
                                                           std::chrono::nanoseconds max_age) {
  while (true) {
    std::vector<Origin::Idle> dropped;  // closed after the lock is gone
    std::unique_ptr<Connection> connection;
    {
      const std::lock_guard lock(mutex);
      const TimePoint at = now();
      drop_expired(origin, at, dropped);
      if (origin.idle.empty() || at - origin.idle.back().since >= max_age) return nullptr;
      connection = std::move(origin.idle.back().connection);
      origin.idle.pop_back();
    }
    if (connection->is_quiet()) return connection;
  }
}

void HttpTransport::Impl::give_back(Origin& origin, std::unique_ptr<Connection> connection) {
  std::vector<Origin::Idle> dropped;
  const std::lock_guard lock(mutex);
  const TimePoint at = now();
  for (auto& [name, other] : origins) drop_expired(other, at, dropped);
  origin.idle.push_back({std::move(connection), at});
  if (origin.idle.size() > options.max_idle_per_host) {
    dropped.push_back(std::move(origin.idle.front()));
    origin.idle.pop_front();
  }
}

// Made when first needed: a system's certificates take tens of milliseconds to read.
Result<const TlsContext*, TransportError> HttpTransport::Impl::tls() {
  const std::lock_guard lock(tls_mutex);
  if (tls_context == nullptr) {
    Result<std::unique_ptr<TlsContext>> made =
        TlsContext::create(certificate_file(options.ca_file));
    if (!made) return error_of(TransportFault::unreachable, made.error().message, true);
    tls_context = *std::move(made);
  }
  return tls_context.get();
}

Result<std::unique_ptr<Connection>, TransportError> HttpTransport::Impl::open(
    const Url& url, Origin& origin, TimePoint deadline, const std::stop_token& stop) {
  const TimePoint connect_deadline = std::min(deadline, now() + options.connect_timeout);
  const Proxy* proxy = options.proxies.find(url);
  const auto failure = [&](bool timed_out, std::string what) {
    const bool late = timed_out && connect_deadline == deadline;
    return error_of(late ? TransportFault::timed_out : TransportFault::unreachable,
                    "cannot connect to " + url.host + ": " + std::move(what), true);
  };
  const std::string on_the_way =
      proxy == nullptr ? "" : "the proxy " + proxy->address() + " of " + proxy->setting + ": ";
  const Result<std::vector<Address>, Resolver::Failure> addresses =
      proxy == nullptr ? resolver.resolve(url.host, url.port, connect_deadline, stop)
                       : resolver.resolve(proxy->host, proxy->port, connect_deadline, stop);
  if (!addresses) {
    if (!stop.stop_requested()) trouble.tell(addresses.error().what);
    return failure(addresses.error().timed_out, on_the_way + addresses.error().what);
  }
  Result<std::unique_ptr<Connection>, IoError> connection =
      Connection::open(*addresses, connect_deadline, stop, waiter);
  if (!connection) {
    trouble.tell_if_local(connection.error().system_error, connection.error().what);
    return failure(connection.error().fault == IoFault::timed_out,
                   on_the_way + connection.error().what);
  }
  opened.fetch_add(1, std::memory_order_relaxed);
  if (url.scheme == "https") {
    Result<const TlsContext*, TransportError> context = tls();
    if (!context) return std::move(context).error();
    const std::stop_callback wake(stop, [&] { (*connection)->shut_down(); });
    Result<Done, IoError> secured =
        secure(**connection, proxy, url, origin, **context, connect_deadline);
    if (!secured) return failure(secured.error().fault == IoFault::timed_out, secured.error().what);
  }
  return *std::move(connection);
}

Result<Done, IoError> HttpTransport::Impl::secure(Connection& connection, const Proxy* proxy,
                                                  const Url& url, Origin& origin,
                                                  const TlsContext& context, TimePoint deadline) {
  Result<Done, IoError> done =
      proxy == nullptr ? Done{} : open_tunnel(connection, *proxy, url, deadline);
  if (done) done = connection.start_tls(context, url.host, origin.tls_session, deadline);
  if (!done) trouble.tell_if_local(done.error().system_error, done.error().what);
  return done;
}

Result<std::unique_ptr<HttpTransport>> HttpTransport::create(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  // What the operator named is checked at once; the system's own certificates can wait until they
  // are needed.
  if (const std::string file = certificate_file(impl->options.ca_file); !file.empty()) {
    Result<std::unique_ptr<TlsContext>> tls = TlsContext::create(file);
    if (!tls) return std::move(tls).error();
    impl->tls_context = *std::move(tls);
  }
  return std::unique_ptr<HttpTransport>(new HttpTransport(std::move(impl)));
}

HttpTransport::HttpTransport(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
HttpTransport::~HttpTransport() = default;

Result<Done, TransportError> HttpTransport::send(const HttpRequest& request, TimePoint deadline,
                                                 std::stop_token stop, ResponseSink& sink) {
  impl_->requests.fetch_add(1, std::memory_order_relaxed);
  const std::optional<Url> url = Url::parse(request.url);
  if (!url)
    return error_of(TransportFault::unreachable,
                    "the URL of the request is not an absolute http or https URL", true);
  const std::string name = url->origin();
  const Proxy* proxy = url->scheme == "http" ? impl_->options.proxies.find(*url) : nullptr;
  const Result<std::string, http1::Malformed> head =
      http1::write_request_head(request, *url, name, proxy);
  if (!head) return error_of(TransportFault::unreachable, head.error().what, true);

  Impl::Origin& origin = impl_->origin_of(name);
  const bool safe = is_safe(request.method);
  const std::chrono::nanoseconds max_age =
      safe ? impl_->options.max_idle
           : std::min(impl_->options.max_idle, impl_->options.max_submit_idle);

  Retry retry(retry_policies::connection, now(), deadline);
  while (true) {
    if (stop.stop_requested()) {
      return error_of(TransportFault::cancelled, "stopped before anything was sent", true);
    }
    if (now() >= deadline) {
      return error_of(TransportFault::timed_out, "no time is left for " + url->host, true);
    }
    std::unique_ptr<Connection> connection =
        retry.attempt() == 1 ? impl_->take_idle(origin, max_age) : nullptr;
    const bool reused = connection != nullptr;
    if (!reused) {
      Result<std::unique_ptr<Connection>, TransportError> opened =
          impl_->open(*url, origin, deadline, stop);
      if (!opened) {
        if (stop.stop_requested())
          return error_of(TransportFault::cancelled, "stopped while connecting", true);
        return std::move(opened).error();
      }
      connection = *std::move(opened);
    }

    ExchangeEnd end;
    {
      const std::stop_callback wake(stop, [&] { connection->shut_down(); });
      end = run_exchange(*connection, *head, request, proxy != nullptr, deadline, sink);
    }
    if (const std::string shortage = connection->take_shortage(); !shortage.empty())
      impl_->trouble.tell(url->host + ": " + shortage);
    if (end.reusable && !stop.stop_requested()) impl_->give_back(origin, std::move(connection));
    if (end.kind == ExchangeEnd::Kind::complete) return Done{};
    if (stop.stop_requested())
      return error_of(TransportFault::cancelled, "stopped", end.nothing_sent);
    const std::string what = url->host + ": " + end.what;
    switch (end.kind) {
      case ExchangeEnd::Kind::refused:
        return error_of(TransportFault::cancelled, "the receiver ended it", false);
      case ExchangeEnd::Kind::proxy_refused:
        return error_of(TransportFault::unreachable, refusal_of(*proxy, *url, 407), true);
      case ExchangeEnd::Kind::timed_out:
        return error_of(TransportFault::timed_out, what, end.nothing_sent);
      case ExchangeEnd::Kind::complete:
      case ExchangeEnd::Kind::interrupted:
        break;
    }
    impl_->trouble.tell_if_local(end.system_error, what);
    // The other side had closed the idle connection before it could see this request.
    const bool unseen = reused && !end.answer_began && (safe || end.nothing_sent);
    if (unseen && retry.next(now()).has_value()) continue;
    return error_of(end.nothing_sent ? TransportFault::unreachable : TransportFault::interrupted,
                    what, end.nothing_sent);
  }
}

void HttpTransport::read_certificates() { static_cast<void>(impl_->tls()); }

HttpTransport::Counters HttpTransport::counters() const {
  Counters counters;
  counters.connections_opened = impl_->opened.load(std::memory_order_relaxed);
  counters.requests = impl_->requests.load(std::memory_order_relaxed);
  std::vector<Impl::Origin::Idle> dropped;
  const std::lock_guard lock(impl_->mutex);
  for (auto& [name, origin] : impl_->origins) {
    impl_->drop_expired(origin, now(), dropped);
    counters.idle += origin.idle.size();
  }
  return counters;
}

}  // namespace falproxy::inline v0
