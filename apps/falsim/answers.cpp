#include "answers.hpp"

#include <utility>

namespace falsim {

void Answers::bend(ExchangeId exchange, const Fault& fault) {
  bends_.insert_or_assign(exchange, Bend{fault.delay, Pace{fault.drip_bytes, fault.drip_tick},
                                         fault.cut_after, fault.wire});
}

Wire Answers::wire_of(ExchangeId exchange) const {
  const auto bend = bends_.find(exchange);
  return bend == bends_.end() ? Wire::none : bend->second.wire;
}

void Answers::reply_now(ExchangeId exchange, Reply reply, const Bend& bend) {
  switch (bend.wire) {
    case Wire::reset:
      return server_->drop(exchange, true);
    case Wire::close:
      return server_->drop(exchange, false);
    case Wire::silence:
      return;
    default:
      break;
  }
  reply.pace = bend.pace;
  reply.cut_after = bend.cut_after;
  server_->reply(exchange, std::move(reply));
}

void Answers::reply(ExchangeId exchange, Reply reply) {
  const auto found = bends_.find(exchange);
  if (found == bends_.end()) return server_->reply(exchange, std::move(reply));
  const Bend bend = found->second;
  bends_.erase(found);
  if (bend.delay.count() == 0) return reply_now(exchange, std::move(reply), bend);
  loop_.at(loop_.now() + bend.delay,
           [this, exchange, reply, bend] { reply_now(exchange, reply, bend); });
}

void Answers::json(ExchangeId exchange, int status, const nlohmann::json& body,
                   std::string_view request_id, Headers extra) {
  extra.emplace_back("content-type", "application/json");
  if (!request_id.empty()) extra.emplace_back("x-fal-request-id", request_id);
  reply(exchange, Reply{.status = status, .headers = std::move(extra), .body = share(dump(body))});
}

void Answers::problem(ExchangeId exchange, int status, std::string_view detail,
                      std::string_view request_id, std::string_view error_type) {
  nlohmann::json body = {{"detail", detail}};
  Headers headers;
  if (!error_type.empty()) {
    body["error_type"] = error_type;
    headers.emplace_back("x-fal-error-type", error_type);
  }
  json(exchange, status, body, request_id, std::move(headers));
}

bool Answers::open_events(ExchangeId exchange, std::string_view request_id) {
  Reply head{.headers = {{"content-type", "text/event-stream"}, {"cache-control", "no-cache"}}};
  head.headers.emplace_back("x-fal-request-id", request_id);
  if (const auto bend = bends_.find(exchange); bend != bends_.end()) head.pace = bend->second.pace;
  switch (wire_of(exchange)) {
    case Wire::reset:
    case Wire::close:
      server_->drop(exchange, wire_of(exchange) == Wire::reset);
      return false;
    case Wire::silence:
      return false;
    default:
      server_->begin(exchange, head);
      return server_->alive(exchange);
  }
}

bool Answers::event(ExchangeId exchange, const nlohmann::json& data) {
  server_->send(exchange, "data: " + dump(data) + "\n\n");
  switch (wire_of(exchange)) {
    case Wire::stream_dies:
      server_->drop(exchange, true);
      return false;
    case Wire::stream_ends:
      close_events(exchange);
      return false;
    case Wire::stream_stalls:
      return false;
    default:
      return server_->alive(exchange);
  }
}

bool Answers::comment(ExchangeId exchange) {
  server_->send(exchange, ": ping\n\n");
  return server_->alive(exchange);
}

void Answers::close_events(ExchangeId exchange) {
  bends_.erase(exchange);
  server_->end(exchange);
}

}  // namespace falsim
