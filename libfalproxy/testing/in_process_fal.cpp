#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "falproxy/body_source.hpp"
#include "falproxy/fal_desk.hpp"

namespace falproxy::inline v0::testing {
namespace {

/// What the desk has said of one request, and the caller has not heard.
struct Waiting {
  std::optional<HttpHead> head;
  std::deque<std::string> bytes;
  std::size_t drip_bytes = 0;
  Milliseconds drip_tick{0};
  bool over = false;
  bool broken = false;
};

TransportError cancelled() { return {TransportFault::cancelled, "stopped"}; }

constexpr std::string_view elsewhere_url = "https://elsewhere.test";

}  // namespace

struct InProcessFal::Impl final : public DeskWires,
                                  private Timeline,
                                  public std::enable_shared_from_this<Impl> {
  explicit Impl(VirtualClock& given) : clock(given) {}

  // DeskWires
  void reply(ExchangeId exchange, DeskReply reply) override {
    std::string body = reply.body.str();
    const bool cut = reply.cut_after && *reply.cut_after < body.size();
    if (cut) body.resize(*reply.cut_after);
    begin(exchange, std::move(reply));
    send(exchange, body);
    change(exchange, [&](Waiting& its) { (cut ? its.broken : its.over) = true; });
  }
  void begin(ExchangeId exchange, DeskReply head) override {
    change(exchange, [&](Waiting& its) {
      its.head = HttpHead{head.status, std::move(head.headers)};
      its.drip_bytes = head.drip_bytes;
      its.drip_tick = head.drip_tick;
    });
  }
  void send(ExchangeId exchange, std::string_view bytes) override {
    change(exchange, [&](Waiting& its) {
      const std::size_t step = its.drip_bytes > 0 ? its.drip_bytes : bytes.size();
      for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size())))
        its.bytes.emplace_back(bytes.substr(0, step));
    });
  }
  void end(ExchangeId exchange) override {
    change(exchange, [](Waiting& its) { its.over = true; });
  }
  void drop(ExchangeId exchange, bool) override {
    change(exchange, [](Waiting& its) { its.broken = true; });
  }
  [[nodiscard]] bool alive(ExchangeId exchange) const override {
    const std::lock_guard lock(mutex);
    const auto found = waiting.find(exchange);
    return found != waiting.end() && !found->second.broken;
  }
  void count(DeskStats&) const override {}

  // Timeline: what is planned does nothing once the desk is gone.
  [[nodiscard]] TimePoint now() const override { return clock.now(); }
  [[nodiscard]] WallTime wall_now() const override { return clock.wall_now(); }
  void at(TimePoint then, std::function<void()> call) override {
    clock.at(then, [self = weak_from_this(), call = std::move(call)] {
      if (const auto alive = self.lock()) call();
    });
  }

  void open(DeskOptions options) {
    desk = FalDesk::create(std::move(options), *this, encoder).value();
    desk->connect(*this, {"https", std::string(queue_url.substr(8)), std::string(elsewhere_url)});
  }

  /// Of exchanges that are still there.
  template <class F>
  void change(ExchangeId exchange, F f) {
    const std::lock_guard lock(mutex);
    if (const auto found = waiting.find(exchange); found != waiting.end()) f(found->second);
  }

  /// Hands on what there is. None: the exchange goes on.
  [[nodiscard]] std::optional<Result<Done, TransportError>> hand_on(ExchangeId exchange,
                                                                    bool with_body, bool& heard,
                                                                    ResponseSink& sink) {
    Waiting news;
    change(exchange, [&](Waiting& its) {
      news.head = std::exchange(its.head, std::nullopt);
      if (its.drip_bytes == 0) {
        news.bytes.swap(its.bytes);
      } else if (!its.bytes.empty()) {
        news.bytes.push_back(std::move(its.bytes.front()));
        its.bytes.pop_front();
        clock.at(clock.now() + its.drip_tick, [] {});  // step() ends there
      }
      news.over = its.over && its.bytes.empty();
      news.broken = its.broken && its.bytes.empty();
    });
    heard = news.head.has_value() || !news.bytes.empty();
    if (news.head && !sink.head(*std::move(news.head))) return cancelled();
    for (const std::string& bytes : news.bytes) {
      if (with_body && !sink.data(bytes)) return cancelled();
    }
    if (news.over) return Done{};
    if (news.broken) return TransportError{TransportFault::interrupted, "the connection broke"};
    return std::nullopt;
  }

  [[nodiscard]] Result<Done, TransportError> wait(ExchangeId exchange, const HttpRequest& request,
                                                  TimePoint deadline, const std::stop_token& stop,
                                                  ResponseSink& sink) {
    TimePoint limit = deadline;
    while (true) {
      bool heard = true;
      if (auto end = hand_on(exchange, request.method != "HEAD", heard, sink)) return *end;
      if (heard && request.max_silence.count() > 0)
        limit = std::min(deadline, clock.now() + request.max_silence);
      if (stop.stop_requested()) return cancelled();
      if (clock.now() >= limit) return TransportError{TransportFault::timed_out, "too late"};
      clock.step(limit, stop);
    }
  }

  VirtualClock& clock;
  const PlainPngEncoder encoder;
  std::unique_ptr<FalDesk> desk;
  mutable std::mutex mutex;
  ExchangeId next = 1;
  std::map<ExchangeId, Waiting> waiting;
};

InProcessFal::InProcessFal(VirtualClock& clock, DeskOptions options)
    : impl_(std::make_shared<Impl>(clock)) {
  impl_->open(std::move(options));
}
InProcessFal::~InProcessFal() = default;
fal::Addresses InProcessFal::addresses() {
  return {std::string(queue_url), std::string(run_url), std::string(schema_url),
          std::string(rest_url), std::string(queue_url).append("/v1")};
}

FalDesk& InProcessFal::desk() noexcept { return *impl_->desk; }

Result<Done, TransportError> InProcessFal::send(const HttpRequest& request, TimePoint deadline,
                                                std::stop_token stop, ResponseSink& sink) {
  const std::optional<Url> url = Url::parse(request.url);
  const std::string origin = url ? url->origin() : std::string();
  if (origin != queue_url && origin != run_url && origin != elsewhere_url)
    return TransportError{TransportFault::unreachable, "no such host", true};
  const DeskHost host = origin == run_url         ? DeskHost::run
                        : origin == elsewhere_url ? DeskHost::elsewhere
                                                  : DeskHost::main;
  DeskRequest asked = DeskRequest::to(host, request.method, url->target);
  asked.headers = request.headers;
  asked.body = request.body.str();
  if (request.source != nullptr) {
    asked.body += request.source->read(0, static_cast<std::size_t>(request.source->size()));
  }
  const FalDesk::Admission admission = impl_->desk->admit(asked);
  if (admission == FalDesk::Admission::reset || admission == FalDesk::Admission::close)
    return TransportError{TransportFault::interrupted, "the connection broke"};
  ExchangeId exchange = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    exchange = impl_->next++;
    impl_->waiting.try_emplace(exchange);
  }
  impl_->desk->serve(exchange, std::move(asked));
  auto end = impl_->wait(exchange, request, deadline, stop, sink);
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->waiting.erase(exchange);
  }
  if (!end) impl_->desk->gone(exchange);
  return end;
}

}  // namespace falproxy::inline v0::testing
