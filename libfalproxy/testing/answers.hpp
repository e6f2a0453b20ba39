// answers.hpp: answers on their way out, and what the fault that struck a request does to them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>

#include "falproxy/fal_desk.hpp"

namespace falproxy::inline v0::testing {

[[nodiscard]] inline std::string dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

class Answers {
 public:
  explicit Answers(Timeline& timeline) : timeline_(timeline) {}
  void connect(DeskWires& wires) { wires_ = &wires; }

  /// The answer to `exchange` will suffer what `fault` says of delay, drip, cut and wire.
  void bend(ExchangeId exchange, const Fault& fault) { bends_.insert_or_assign(exchange, fault); }
  /// The client has left.
  void forget(ExchangeId exchange) { bends_.erase(exchange); }

  void reply(ExchangeId exchange, DeskReply reply);
  void json(ExchangeId exchange, int status, const nlohmann::json& body,
            std::string_view request_id, HttpHeaders extra = {});
  /// A request error in fal's flat form.
  void problem(ExchangeId exchange, int status, std::string_view detail,
               std::string_view request_id, std::string_view error_type = {});

  /// text/event-stream. False: the client is gone, or a fault has ended or silenced the stream.
  bool open_events(ExchangeId exchange, std::string_view request_id);
  bool event(ExchangeId exchange, const nlohmann::json& data);
  bool comment(ExchangeId exchange, std::string_view text = "ping");
  /// Bytes of a stream as they are. False: the client is gone.
  bool bytes(ExchangeId exchange, std::string_view bytes);
  void close_events(ExchangeId exchange);

 private:
  void reply_now(ExchangeId exchange, DeskReply reply, const Fault& bend);
  [[nodiscard]] Wire wire_of(ExchangeId exchange) const;

  Timeline& timeline_;
  DeskWires* wires_ = nullptr;
  std::unordered_map<ExchangeId, Fault> bends_;
};

}  // namespace falproxy::inline v0::testing
