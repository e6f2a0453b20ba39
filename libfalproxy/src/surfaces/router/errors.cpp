#include <nlohmann/json.hpp>

#include "base/utf8.hpp"
#include "falproxy/chat_router.hpp"
#include "json/access.hpp"

namespace falproxy::inline v0::router {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t longest_message = 4096;
constexpr std::size_t longest_word = 100;

std::string_view code_of(int status) noexcept {
  switch (status) {
    case 404:
      return "model_not_found";
    case 408:
      return "request_timeout";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_exceeded";
    default:
      return status < 500 ? "invalid_request" : "upstream_failed";
  }
}

std::string_view type_of(int status) noexcept {
  if (status == 429) return "requests";
  return status < 500 ? "invalid_request_error" : "server_error";
}

// fal's `detail` is a text, or a list of faults.
std::string message_in(const json& body, const json& error) {
  if (error.is_string()) return error.get<std::string>();
  if (std::string text = text_of(error, "message"); !text.empty()) return text;
  if (std::string text = text_of(body, "detail"); !text.empty()) return text;
  const json* const detail = member_of(body, "detail");
  if (detail != nullptr && detail->is_array() && !detail->empty())
    return text_of(detail->front(), "msg");
  return {};
}

}  // namespace

std::string write_error(int status, std::string_view body) {
  const Result<json> parsed = parse_raw(body);
  const json answer = parsed ? *parsed : json();
  const json* const member = member_of(answer, "error");
  const json error = member == nullptr ? json() : *member;
  std::string message = cut(message_in(answer, error), longest_message);
  if (message.empty()) message = "The chat model failed at fal.";
  const std::string type = text_of(error, "type");
  const std::string code = text_of(error, "code");
  const std::string param = text_of(error, "param");
  ordered_json object;
  object["message"] = std::move(message);
  object["type"] = type.empty() ? std::string(type_of(status)) : cut(type, longest_word);
  object["param"] = param.empty() ? ordered_json() : ordered_json(cut(param, longest_word));
  object["code"] = code.empty() ? std::string(code_of(status)) : cut(code, longest_word);
  return ordered_json{{"error", std::move(object)}}.dump(-1, ' ', false,
                                                         ordered_json::error_handler_t::replace);
}

}  // namespace falproxy::inline v0::router
