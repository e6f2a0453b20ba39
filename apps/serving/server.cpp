#include "serving/server.hpp"

#include <fcntl.h>
#include <httplib.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <latch>
#include <optional>
#include <system_error>
#include <utility>

#include "base/finally.hpp"
#include "base/fmt.hpp"
#include "serving/parking.hpp"
#include "serving/request.hpp"

namespace falproxy::serving {
namespace {

// Before the others have their turn.
constexpr int accepts_a_turn = 64;
// Descriptors and memory come back when requests end.
constexpr Milliseconds shortage_pause{100};
// A fault of one connection is gone with it. One that stays must not take a whole processor.
constexpr int patient_for = 16;
constexpr Milliseconds stubborn_pause{10};
constexpr Seconds tell_interval{10};

// The request that runs on this fiber: httplib hands its handlers its own request only.
Request& running() noexcept { return *static_cast<Request*>(Reactor::current()->local()); }

// The request as httplib wants it: for "/r", whatever it is for, and without a body, which handlers
// read from ours. It waits by itself.
class HttplibStream final : public httplib::Stream {
 public:
  explicit HttplibStream(Request& request) noexcept
      : request_(request),
        line_(request.head().method == "HEAD" ? "HEAD /r HTTP/1.1\r\n\r\n"
                                              : "GET /r HTTP/1.1\r\n\r\n") {}

  [[nodiscard]] bool is_readable() const override { return true; }
  [[nodiscard]] bool wait_readable() const override { return true; }
  [[nodiscard]] bool wait_writable() const override { return request_.is_writable(); }
  ssize_t read(char* to, std::size_t size) override {
    const std::size_t n = line_.copy(to, size);
    line_.remove_prefix(n);
    return static_cast<ssize_t>(n);
  }
  ssize_t write(const char* data, std::size_t size) override {
    return request_.write_some({data, size}) ? static_cast<ssize_t>(size) : -1;
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  [[nodiscard]] socket_t socket() const override { return INVALID_SOCKET; }
  [[nodiscard]] time_t duration() const override { return 0; }

 private:
  Request& request_;
  std::string_view line_;
};

// The piece of `body` that holds `offset`, from there on.
std::string_view piece_at(const Body& body, std::size_t offset) noexcept {
  for (const Piece& piece : body.pieces()) {
    if (offset < piece.bytes.size()) return piece.bytes.substr(offset);
    offset -= piece.bytes.size();
  }
  return {};
}

// httplib calls it outside of its try blocks.
httplib::ContentProviderWithoutLength provider_of(Request& request,
                                                  std::function<void(Request&)> stream) {
  return [&request, stream = std::move(stream)](std::size_t, httplib::DataSink& sink) {
    try {
      stream(request);
    } catch (...) {
      return false;  // its head is out: all that can be said is that it ends too early
    }
    const std::optional<std::uint64_t>& length = request.response.length;
    if (length.has_value() && request.streamed() != *length) request.cut();
    if (!request.is_writable()) return false;
    sink.done();
    return true;
  };
}

void fill(httplib::Response& to, Request& request, Response response) {
  to.status = response.status;
  const std::string& type = response.content_type;
  if (response.stream) {
    auto provider = provider_of(request, std::exchange(response.stream, nullptr));
    if (request.head().minor_version == 1 && !response.length.has_value()) {
      to.set_chunked_content_provider(type, std::move(provider));
    } else {
      // It ends with the connection, unless its length is told.
      to.set_content_provider(type, std::move(provider));
    }
  } else {
    const std::size_t size = response.body.size();
    to.set_content_provider(size, type,
                            [body = std::exchange(response.body, {})](
                                std::size_t offset, std::size_t, httplib::DataSink& sink) {
                              const std::string_view bytes = piece_at(body, offset);
                              return sink.write(bytes.data(), bytes.size());
                            });
  }
  response.body = {};
  request.response = std::move(response);
}

// Of the fields that httplib sets, those that say how long the body is; the others are ours.
ssize_t write_head(httplib::Stream& stream, httplib::Headers& fields) {
  Request& request = running();
  const int status = request.response.status;
  std::string framing;
  for (const char* name : {"Content-Length", "Transfer-Encoding"}) {
    const auto field = fields.find(name);
    if (field != fields.end() && status != 204 && status != 304)
      append_field(framing, name, field->second);
  }
  if (const auto& length = request.response.length; length.has_value() && framing.empty())
    append_field(framing, "Content-Length", std::to_string(*length));
  std::string text;
  text.reserve(512);
  request.append_head(text, framing);
  return stream.write(text.data(), text.size());
}

Error not_found(const Request& request) {
  const RequestHead& head = request.head();
  const std::string_view path = head.path().substr(0, 200);
  if (!request.match.path_known) {
    return {.kind = ErrorKind::unknown_url,
            .message = fmt::format("Unknown request URL: {} {}. Please check the URL for typos.",
                                   head.method.substr(0, 20), path)};
  }
  return {
      .kind = ErrorKind::method_not_allowed,
      .message = fmt::format("Not allowed to {} on {}. (HINT: Perhaps you meant to use a different "
                             "HTTP method?)",
                             head.method.substr(0, 20), path)};
}

std::string address_text(const Server::Options& options, std::uint16_t port) {
  return Url{"http", options.host, port, "/"}.origin();
}

// httplib does not tell what was wrong with a name, and errno is then whatever it was.
Error cannot_listen(const Server::Options& options, int fault) {
  const bool of_the_port = fault == EADDRINUSE || fault == EACCES;
  const bool of_the_address = fault == EADDRNOTAVAIL || fault == EAFNOSUPPORT;
  return {
      .kind = ErrorKind::invalid_settings,
      .message = fmt::format("cannot listen on {}: {}; {}", address_text(options, options.port),
                             of_the_port || of_the_address ? std::generic_category().message(fault)
                                                           : "this machine has no such address",
                             of_the_port ? "choose another port, or stop what listens there"
                                         : "write an address of this machine, such as 0.0.0.0"),
      .field = of_the_port ? "PORT" : "HOST"};
}

}  // namespace

void append_status_line(std::string& out, int status) {
  out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
  out.append(httplib::status_message(status)).append("\r\n");
}

// httplib::Server has functions of these names.
using ServerOptions = Server::Options;

// httplib's accept loop and stop are out of reach: here is ours, on the first reactor, which no
// errno ends.
struct Server::Impl final : private httplib::Server, public Watcher, private Alarm {
  Impl(ServerOptions options, Application& application, std::vector<Route> routes,
       const Reactors& reactors);
  ~Impl() override;

  // Of httplib
  [[nodiscard]] bool bind();
  [[nodiscard]] bool serve(Request& request);
  [[nodiscard]] bool admit(Request& request, httplib::Response& response);

  // The first reactor
  void start();
  void stop();
  void ready(std::uint32_t epoll_events) override;
  void ring() override;
  void give(int accepted);
  [[nodiscard]] Parking& whose_turn();
  void let_go_idle();
  void fail(int fault);

  /// On each reactor's thread; comes back when it was done everywhere.
  void on_all(const std::function<void(Parking&)>& call);
  [[nodiscard]] Reactor& first() const noexcept { return parkings.front()->reactor(); }

  const Router router;
  House house;
  std::vector<std::unique_ptr<Parking>> parkings;
  int listener = -1;
  std::uint16_t port = 0;
  std::size_t next = 0;  // whose turn it is
  int faults_in_a_row = 0;
  std::uint64_t told = 0;
  TimePoint tell_at;
};

Server::Impl::Impl(ServerOptions options, Application& application, std::vector<Route> routes,
                   const Reactors& reactors)
    : router(std::move(routes)),
      house{.options = std::move(options),
            .application = application,
            .serve = [this](Request& request) { return serve(request); }} {
  for (const std::unique_ptr<Reactor>& reactor : reactors)
    parkings.push_back(std::make_unique<Parking>(*reactor, house));
  house.parkings = parkings.size();
  // Not SO_REUSEPORT: a second server on the same port is to fail, not to get half of the
  // connections.
  set_socket_options(
      [](socket_t socket) { httplib::set_socket_opt(socket, SOL_SOCKET, SO_REUSEADDR, 1); });
  set_header_writer(write_head);
  set_pre_routing_handler([this](const httplib::Request&, httplib::Response& response) {
    return admit(running(), response) ? HandlerResponse::Unhandled : HandlerResponse::Handled;
  });
  set_exception_handler(
      [this](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
        running().refuse_reads();
        fill(response, running(),
             house.application.refuse(
                 &running(), {.kind = ErrorKind::internal, .message = "falproxy failed."}));
      });
  // No regular expression: httplib's overflow a fiber's stack.
  Get("/:r", [](const httplib::Request&, httplib::Response& response) {
    Request& request = running();
    fill(response, request, request.route()->handler(request));
  });
}

Server::Impl::~Impl() {
  if (listener >= 0) ::close(listener);
}

// From here on it counts as running for httplib's providers, which would end an answer otherwise.
bool Server::Impl::bind() {
  const std::string& host = house.options.host;
  const std::uint16_t wanted = house.options.port;
  errno = 0;
  port = wanted;
  if (wanted == 0) port = static_cast<std::uint16_t>(std::max(0, bind_to_any_port(host)));
  if (wanted != 0 ? !bind_to_port(host, wanted) : port == 0) return false;
  listener = svr_sock_;
  return ::fcntl(listener, F_SETFL, O_NONBLOCK) == 0;
}

// On the request's fiber. True: the connection may stay.
bool Server::Impl::serve(Request& request) {
  request.match = router.find(request.head().method, request.head().path());
  HttplibStream stream(request);
  bool closed = false;
  bool sent = false;
  const Finally tell([&] {
    if (!sent && request.response.undelivered) safely(request.response.undelivered);
  });
  sent = process_request(stream, {}, 0, {}, 0, false, closed, nullptr, nullptr) && request.flush();
  return sent && request.stays() && !house.draining.load();
}

// False: it is answered before its body is read.
bool Server::Impl::admit(Request& request, httplib::Response& response) {
  if (request.match.route != nullptr) return true;
  Response refusal = house.application.refuse(&request, not_found(request));
  if (request.match.path_known)
    append_field(refusal.fields, "Allow", router.allowed_methods(request.head().path()));
  fill(response, request, std::move(refusal));
  return false;
}

void Server::Impl::start() {
  if (!first().watch(listener, EPOLLIN, *this)) first().set(*this, TimePoint());  // try again
}

void Server::Impl::stop() {
  first().cancel(*this);
  first().unwatch(listener);
  ::close(std::exchange(listener, -1));  // who still waits to be accepted hears at once
}

void Server::Impl::ready(std::uint32_t) {
  for (int i = 0; i < accepts_a_turn && listener >= 0 && !is_set(); ++i) {
    const int accepted = house.options.accept(listener);
    if (accepted >= 0) {
      faults_in_a_row = 0;
      give(accepted);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno != EINTR) {
      fail(errno);
    }
  }
}

void Server::Impl::give(int accepted) {
  const int on = 1;
  ::setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  house.accepted.fetch_add(1, std::memory_order_relaxed);
  Parking& parking = whose_turn();
  if (&parking.reactor() == Reactor::current()) return parking.adopt(accepted);
  if (!safely([&] { parking.reactor().post([&parking, accepted] { parking.adopt(accepted); }); }))
    ::close(accepted);
}

// If there is no more room, it is the turn of one that can let an idle connection go for it.
Parking& Server::Impl::whose_turn() {
  if (house.open.load() >= house.options.max_connections) {
    const auto able =
        std::ranges::find_if(parkings, [](const auto& parking) { return parking->has_idle(); });
    if (able != parkings.end()) return **able;
  }
  return *parkings[next++ % parkings.size()];
}

void Server::Impl::let_go_idle() {
  for (const auto& parking : parkings)
    parking->reactor().post([&parking] { static_cast<void>(parking->let_go_longest_idle()); });
}

void Server::Impl::fail(int fault) {
  const std::uint64_t failures = house.not_accepted.fetch_add(1) + 1;
  const TimePoint now = steady_now();
  if (house.options.warn && now >= tell_at) {
    tell_at = now + tell_interval;
    house.options.warn(fmt::format(
        "a connection could not be accepted: {} ({} since the last such line); "
        "the server goes on",
        std::generic_category().message(fault), failures - std::exchange(told, failures)));
  }
  const bool shortage = fault == EMFILE || fault == ENFILE || fault == ENOBUFS || fault == ENOMEM;
  if (shortage) let_go_idle();
  if (!shortage && ++faults_in_a_row < patient_for) return;
  // The kernel goes on saying that somebody waits.
  static_cast<void>(first().watch(listener, 0, *this));
  first().set(*this, now + (shortage ? shortage_pause : stubborn_pause));
}

void Server::Impl::ring() {
  const bool watched = first().watch(listener, EPOLLIN, *this);
  ready(EPOLLIN);
  if (!watched && !is_set()) first().set(*this, steady_now() + shortage_pause);
}

void Server::Impl::on_all(const std::function<void(Parking&)>& call) {
  std::latch done(static_cast<std::ptrdiff_t>(parkings.size()));
  for (const auto& parking : parkings) {
    parking->reactor().post([&call, &done, &parking] {
      call(*parking);
      done.count_down();
    });
  }
  done.wait();
}

std::string local_origin(std::string scheme, std::string host, std::uint16_t port) {
  if (host == "0.0.0.0" || host == "::" || host == "*") host = "127.0.0.1";
  return Url{std::move(scheme), std::move(host), port, "/"}.origin();
}

int accept_socket(int listener) {
  return ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Server>> Server::create(Options options, Application& application,
                                               std::vector<Route> routes,
                                               const Reactors& reactors) {
  if (reactors.empty()) {
    return Error{.kind = ErrorKind::invalid_settings,
                 .message = "the system gives no epoll or no thread"};
  }
  auto impl = std::make_unique<Impl>(std::move(options), application, std::move(routes), reactors);
  // On "::" IPv4 is served, too; a machine without IPv6 has no such address.
  const bool any = impl->house.options.host == "*";
  if (any) impl->house.options.host = "::";
  bool bound = impl->bind();
  if (!bound && any && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
    impl->house.options.host = "0.0.0.0";
    bound = impl->bind();
  }
  if (!bound) return cannot_listen(impl->house.options, errno);
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::~Server() {
  drain();
  while (impl_->house.open.load() > 0) {
    impl_->on_all([](Parking& parking) {
      parking.close_parked();
      parking.stop_requests(true);
    });
    std::this_thread::sleep_for(Milliseconds(1));
  }
  impl_->on_all([](Parking&) {});  // what the last round buried is gone
}

void Server::start() {
  impl_->first().post([impl = impl_.get()] { impl->start(); });
}

std::uint16_t Server::port() const noexcept { return impl_->port; }
std::string Server::address() const { return address_text(impl_->house.options, impl_->port); }

void Server::drain() {
  if (impl_->house.draining.exchange(true)) return;
  impl_->on_all([impl = impl_.get()](Parking& parking) {
    if (&parking == impl->parkings.front().get()) impl->stop();
    parking.drain();
  });
}

void Server::stop_requests() {
  impl_->on_all([](Parking& parking) { parking.stop_requests(false); });
}

Server::Counters Server::counters() const noexcept {
  const House& house = impl_->house;
  return {.accepted = house.accepted.load(),
          .not_accepted = house.not_accepted.load(),
          .open = house.open.load(),
          .busy = house.busy.load()};
}

}  // namespace falproxy::serving
