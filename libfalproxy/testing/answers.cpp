#include "answers.hpp"

#include <utility>

namespace falproxy::inline v0::testing {

Wire Answers::wire_of(ExchangeId exchange) const {
  const auto bend = bends_.find(exchange);
  return bend == bends_.end() ? Wire::none : bend->second.wire;
}

void Answers::reply_now(ExchangeId exchange, DeskReply reply, const Fault& bend) {
  switch (bend.wire) {
    case Wire::reset:
      return wires_->drop(exchange, true);
    case Wire::close:
      return wires_->drop(exchange, false);
    case Wire::silence:
      return;
    default:
      break;
  }
  reply.drip_bytes = bend.drip_bytes;
  reply.drip_tick = bend.drip_tick;
  reply.cut_after = bend.cut_after;
  wires_->reply(exchange, std::move(reply));
}

void Answers::reply(ExchangeId exchange, DeskReply reply) {
  const auto found = bends_.find(exchange);
  if (found == bends_.end()) return wires_->reply(exchange, std::move(reply));
  const Fault bend = found->second;
  bends_.erase(found);
  if (bend.delay.count() == 0) return reply_now(exchange, std::move(reply), bend);
  timeline_.at(timeline_.now() + bend.delay,
               [this, exchange, reply, bend] { reply_now(exchange, reply, bend); });
}

void Answers::json(ExchangeId exchange, int status, const nlohmann::json& body,
                   std::string_view request_id, HttpHeaders extra) {
  extra.add("content-type", "application/json");
  if (!request_id.empty()) extra.add("x-fal-request-id", std::string(request_id));
  reply(exchange,
        DeskReply{.status = status, .headers = std::move(extra), .body = Body(dump(body))});
}

void Answers::problem(ExchangeId exchange, int status, std::string_view detail,
                      std::string_view request_id, std::string_view error_type) {
  nlohmann::json body = {{"detail", detail}};
  HttpHeaders headers;
  if (!error_type.empty()) {
    body["error_type"] = error_type;
    headers.add("x-fal-error-type", std::string(error_type));
  }
  json(exchange, status, body, request_id, std::move(headers));
}

bool Answers::open_events(ExchangeId exchange, std::string_view request_id) {
  DeskReply head{.headers = {{"content-type", "text/event-stream"}, {"cache-control", "no-cache"}}};
  head.headers.add("x-fal-request-id", std::string(request_id));
  if (const auto bend = bends_.find(exchange); bend != bends_.end()) {
    head.drip_bytes = bend->second.drip_bytes;
    head.drip_tick = bend->second.drip_tick;
  }
  switch (wire_of(exchange)) {
    case Wire::reset:
    case Wire::close:
      wires_->drop(exchange, wire_of(exchange) == Wire::reset);
      return false;
    case Wire::silence:
      return false;
    default:
      wires_->begin(exchange, head);
      return wires_->alive(exchange);
  }
}

bool Answers::event(ExchangeId exchange, const nlohmann::json& data) {
  wires_->send(exchange, "data: " + dump(data) + "\n\n");
  switch (wire_of(exchange)) {
    case Wire::stream_dies:
      wires_->drop(exchange, true);
      return false;
    case Wire::stream_ends:
      close_events(exchange);
      return false;
    case Wire::stream_stalls:
      return false;
    default:
      return wires_->alive(exchange);
  }
}

bool Answers::comment(ExchangeId exchange, std::string_view text) {
  return bytes(exchange, ": " + std::string(text) + "\n\n");
}

bool Answers::bytes(ExchangeId exchange, std::string_view bytes) {
  wires_->send(exchange, bytes);
  return wires_->alive(exchange);
}

void Answers::close_events(ExchangeId exchange) {
  bends_.erase(exchange);
  wires_->end(exchange);
}

}  // namespace falproxy::inline v0::testing
