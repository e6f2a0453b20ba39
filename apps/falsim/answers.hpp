// answers.hpp: answers on their way out, and what the fault that struck a request does to them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>

#include "event_loop.hpp"
#include "falsim.hpp"
#include "http_server.hpp"

namespace falsim {

[[nodiscard]] inline std::string dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

class Answers {
 public:
  explicit Answers(EventLoop& loop) : loop_(loop) {}
  void connect(HttpServer& server) { server_ = &server; }

  /// The answer to `exchange` will suffer what `fault` says of delay, drip, cut and wire.
  void bend(ExchangeId exchange, const Fault& fault);
  /// The client has left.
  void forget(ExchangeId exchange) { bends_.erase(exchange); }

  void reply(ExchangeId exchange, Reply reply);
  void json(ExchangeId exchange, int status, const nlohmann::json& body,
            std::string_view request_id, Headers extra = {});
  /// A request error in fal's flat form.
  void problem(ExchangeId exchange, int status, std::string_view detail,
               std::string_view request_id, std::string_view error_type = {});

  /// text/event-stream. False: the client is gone, or a fault has ended or silenced the stream.
  bool open_events(ExchangeId exchange, std::string_view request_id);
  bool event(ExchangeId exchange, const nlohmann::json& data);
  bool comment(ExchangeId exchange);
  void close_events(ExchangeId exchange);

 private:
  struct Bend {
    Milliseconds delay{0};
    Pace pace = {};
    std::optional<std::size_t> cut_after = std::nullopt;
    Wire wire = Wire::none;
  };
  void reply_now(ExchangeId exchange, Reply reply, const Bend& bend);
  [[nodiscard]] Wire wire_of(ExchangeId exchange) const;

  EventLoop& loop_;
  HttpServer* server_ = nullptr;
  std::unordered_map<ExchangeId, Bend> bends_;
};

}  // namespace falsim
