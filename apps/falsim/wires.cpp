#include "wires.hpp"

#include <algorithm>
#include <future>
#include <optional>

#include "serving/head.hpp"
#include "sim_wire.hpp"

namespace falsim {

using falproxy::TimePoint;
using falproxy::serving::FiberClock;
using falproxy::serving::Request;
using falproxy::serving::Response;

namespace {

constexpr std::size_t max_body_bytes = 512u << 20;

Response respond(DeskReply& reply) {
  Response response{.status = reply.status, .content_type = {}, .body = std::move(reply.body)};
  for (const auto& [name, value] : reply.headers)
    falproxy::serving::append_field(response.fields, name, value);
  return response;
}

SimWire& wire_of(Request& request) { return static_cast<SimWire&>(request.wire()); }

}  // namespace

void ReactorTimeline::at(TimePoint then, std::function<void()> call) {
  if (stopped_) return;
  const auto place = planned_.emplace(then, std::move(call));
  if (place != planned_.begin()) return;
  reactor_.cancel(*this);
  reactor_.set(*this, then);
}

void ReactorTimeline::ring() {
  while (!planned_.empty() && planned_.begin()->first <= now()) {
    const auto call = std::move(planned_.extract(planned_.begin()).mapped());
    call();
  }
  if (planned_.empty()) return;
  reactor_.cancel(*this);
  reactor_.set(*this, planned_.begin()->first);
}

void ReactorTimeline::stop() {
  std::promise<void> stopped;
  reactor_.post([&] {
    stopped_ = true;
    planned_.clear();
    reactor_.cancel(*this);
    stopped.set_value();
  });
  stopped.get_future().wait();
}

/// A request on its fiber, and what the desk has said that is not sent yet.
class Wires::Visit {
 public:
  Visit(Wires& wires, Request& request) : wires_(wires), request_(request), id_(wires.next_++) {
    wires_.waiting_.emplace(id_, this);
  }
  ~Visit() {
    if (wires_.waiting_.erase(id_) > 0 && !over_) wires_.desk_.gone(id_);
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  [[nodiscard]] ExchangeId id() const noexcept { return id_; }

  // The desk, on whatever fiber it runs.
  void take(std::optional<DeskReply> reply, bool streams, std::string_view bytes, bool over) {
    if (reply) reply_ = std::move(reply);
    streams_ = streams;
    bytes_ += bytes;
    over_ = over;
    tell();
  }
  void drop(bool reset) {
    over_ = true;
    dropped_ = reset ? Drop::reset : Drop::close;
    tell();
  }

  // Its own fiber.
  [[nodiscard]] Response answer() {
    while (!reply_ && dropped_ == Drop::no && wait()) {
    }
    if (!reply_) {
      wire_of(request_).drop(dropped_ == Drop::reset);
      return {};
    }
    wire_of(request_).begin_answer(*reply_);
    Response response = respond(*reply_);
    if (streams_) response.stream = [this](Request&) { stream(); };
    return response;
  }

 private:
  enum class Drop { no, close, reset };

  void stream() {
    bool goes_on = request_.write({});  // the head does not wait for the first event
    while (goes_on && !(over_ && bytes_.empty()))
      goes_on = bytes_.empty() ? wait() : request_.write(falproxy::Body(std::exchange(bytes_, {})));
    if (!goes_on || dropped_ != Drop::no) wire_of(request_).drop(dropped_ == Drop::reset);
  }
  void tell() { said_.request_stop(); }
  /// Until the desk says more. False: the client has left.
  [[nodiscard]] bool wait() {
    said_ = {};
    const std::stop_callback leave(request_.stop(), [this] { tell(); });
    FiberClock().sleep_until(TimePoint::max(), said_.get_token());
    return !request_.stop().stop_requested();
  }

  Wires& wires_;
  Request& request_;
  const ExchangeId id_;
  std::optional<DeskReply> reply_;
  std::string bytes_;
  bool streams_ = false;
  bool over_ = false;
  Drop dropped_ = Drop::no;
  std::stop_source said_;  // more, since it waits
};

Response Wires::answer(Request& request, DeskHost host) {
  const falproxy::serving::RequestHead& head = request.head();
  auto asked = falproxy::testing::DeskRequest::to(host, head.method, head.target);
  for (const auto& [name, value] : head.fields)
    asked.headers.add(std::string(name), std::string(value));
  switch (desk_.admit(asked)) {
    case FalDesk::Admission::reset:
      wire_of(request).drop(true);
      return {};
    case FalDesk::Admission::close:
      wire_of(request).drop(false);
      return {};
    case FalDesk::Admission::read_without_notice:
      wire_of(request).ignore_expect();
      break;
    case FalDesk::Admission::read:
      break;
  }
  const auto read = request.read_body(max_body_bytes, [&](std::string_view bytes) {
    asked.body += bytes;
    return true;
  });
  if (!read) return refuse(nullptr, read.error());
  const auto visit = std::make_shared<Visit>(*this, request);
  desk_.serve(visit->id(), std::move(asked));
  request.kept = visit;
  return visit->answer();
}

falproxy::Result<std::uint16_t> Wires::listen(const std::string& address, std::uint16_t port,
                                              ssl_ctx_st* tls, DeskHost host) {
  std::vector<falproxy::serving::Route> routes;
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
    routes.push_back({.method = method,
                      .pattern = "*rest",
                      .handler = [this, host](Request& request) { return answer(request, host); },
                      .name = {}});
  }
  falproxy::serving::Server::Options options{.host = address, .port = port};
  options.wire = [tls](int socket) { return std::make_unique<SimWire>(socket, tls); };
  auto server =
      falproxy::serving::Server::create(std::move(options), *this, std::move(routes), reactors_);
  if (!server) return server.error();
  servers_.push_back(*std::move(server));
  return servers_.back()->port();
}

void Wires::start() {
  for (const auto& server : servers_) server->start();
}

Wires::Visit* Wires::find(ExchangeId exchange) const {
  const auto found = waiting_.find(exchange);
  return found == waiting_.end() ? nullptr : found->second;
}

void Wires::reply(ExchangeId exchange, DeskReply reply) {
  if (Visit* visit = find(exchange)) visit->take(std::move(reply), false, {}, true);
}
void Wires::begin(ExchangeId exchange, DeskReply head) {
  if (Visit* visit = find(exchange)) visit->take(std::move(head), true, {}, false);
}
void Wires::send(ExchangeId exchange, std::string_view bytes) {
  if (Visit* visit = find(exchange)) visit->take(std::nullopt, true, bytes, false);
}
void Wires::end(ExchangeId exchange) {
  if (Visit* visit = find(exchange)) visit->take(std::nullopt, true, {}, true);
}
void Wires::drop(ExchangeId exchange, bool reset) {
  if (Visit* visit = find(exchange)) visit->drop(reset);
}

void Wires::count(DeskStats& stats) const {
  stats.connections = 0;
  stats.connections_open = 0;
  for (const auto& server : servers_) {
    const falproxy::serving::Server::Counters counters = server->counters();
    stats.connections += counters.accepted;
    stats.connections_open += counters.open;
  }
  stats.broken_requests = broken_requests_;
}

Response Wires::refuse(Request* request, const falproxy::Error& error) {
  if (request != nullptr)
    return {.status = 404, .body = falproxy::Body(R"({"detail":"Not Found"})")};
  ++broken_requests_;
  return {
      .status = 400, .content_type = "text/plain", .body = falproxy::Body(error.message + "\n")};
}

}  // namespace falsim
