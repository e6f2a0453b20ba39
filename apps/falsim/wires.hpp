// wires.hpp: a desk behind the server of apps/serving: each request on a fiber, which waits for
// what the desk says.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/fal_desk.hpp"
#include "serving/server.hpp"

struct ssl_ctx_st;

namespace falsim {

using falproxy::testing::DeskHost;
using falproxy::testing::DeskReply;
using falproxy::testing::DeskStats;
using falproxy::testing::ExchangeId;
using falproxy::testing::FalDesk;

/// The time of one reactor, on whose thread everything but post() and stop() is called.
class ReactorTimeline final : public falproxy::testing::Timeline, private falproxy::serving::Alarm {
 public:
  explicit ReactorTimeline(falproxy::serving::Reactor& reactor) : reactor_(reactor) {}
  [[nodiscard]] falproxy::TimePoint now() const override { return falproxy::serving::steady_now(); }
  [[nodiscard]] falproxy::WallTime wall_now() const override {
    return std::chrono::system_clock::now();
  }
  void at(falproxy::TimePoint then, std::function<void()> call) override;
  /// Before it, or what it calls, is destroyed: nothing is called any more.
  void stop();

 private:
  void ring() override;

  falproxy::serving::Reactor& reactor_;
  bool stopped_ = false;
  std::multimap<falproxy::TimePoint, std::function<void()>> planned_;
};

/// Everything but count() is called on the thread of one reactor.
class Wires final : public falproxy::testing::DeskWires, public falproxy::serving::Application {
 public:
  Wires(FalDesk& desk, const falproxy::serving::Reactors& reactors)
      : desk_(desk), reactors_(reactors) {}

  /// Listens on one more address, by which requests come to `host`. Returns the port. `tls`: null
  /// for plain http.
  [[nodiscard]] falproxy::Result<std::uint16_t> listen(const std::string& address,
                                                       std::uint16_t port, ssl_ctx_st* tls,
                                                       DeskHost host);
  /// Once, when the desk is connected.
  void start();

  // DeskWires
  void reply(ExchangeId exchange, DeskReply reply) override;
  void begin(ExchangeId exchange, DeskReply head) override;
  void send(ExchangeId exchange, std::string_view bytes) override;
  void end(ExchangeId exchange) override;
  void drop(ExchangeId exchange, bool reset) override;
  [[nodiscard]] bool alive(ExchangeId exchange) const override {
    return waiting_.contains(exchange);
  }
  void count(DeskStats& stats) const override;

  // Application
  falproxy::serving::Response refuse(falproxy::serving::Request* request,
                                     const falproxy::Error& error) override;

 private:
  class Visit;
  [[nodiscard]] falproxy::serving::Response answer(falproxy::serving::Request& request,
                                                   DeskHost host);
  [[nodiscard]] Visit* find(ExchangeId exchange) const;

  FalDesk& desk_;
  const falproxy::serving::Reactors& reactors_;
  std::atomic<std::uint64_t> broken_requests_{0};
  ExchangeId next_ = 1;
  std::map<ExchangeId, Visit*> waiting_;
  std::vector<std::unique_ptr<falproxy::serving::Server>> servers_;  // first to go
};

}  // namespace falsim
