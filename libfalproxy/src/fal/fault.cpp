#include <algorithm>
#include <cmath>

#include "base/decimal.hpp"
#include "base/http_date.hpp"
#include "base/text.hpp"
#include "falproxy/fal.hpp"

namespace falproxy::inline v0::fal {
namespace {

using Cause = Fault::Cause;

constexpr std::size_t max_message = 500;

// What a body of any of fal's shapes says: {detail: text | [{loc, msg, type}]}, {error_type},
// {error: text | {...}}, {status}, {message}.
struct Said {
  bool fal_form = false;
  /// As fal speaks of keys and accounts: {detail: text} or {error: {type}}. A proxy's
  /// {"message": "Unauthorized"} is neither.
  bool of_accounts = false;
  std::string type = {};
  std::string message = {};
  std::vector<std::string> location = {};
};

// One line without control characters, cut at a character's end.
std::string presentable(std::string_view text) {
  std::string line(trim(text));
  std::ranges::replace_if(
      line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; }, ' ');
  if (line.size() > max_message) {
    std::size_t end = max_message;
    while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;
    line.resize(end);
  }
  return line;
}

std::string text_of(const Json& object, std::string_view name) {
  const std::optional<Json> member = object.find(name);
  if (!member.has_value()) return {};
  return std::string(member->as_string().value_or(""));
}

std::vector<std::string> location_of(const Json& item) {
  std::vector<std::string> location;
  const std::optional<Json> loc = item.find("loc");
  if (!loc.has_value()) return location;
  for (std::size_t i = 0; i < std::min<std::size_t>(loc->size(), 16); ++i) {
    const Json part = loc->at(i);
    const std::string word(part.as_string().value_or(""));
    if (i == 0 && word == "body") continue;
    location.push_back(part.is_string() ? word.substr(0, 100) : part.dump());
  }
  return location;
}

// Of several complaints the one that decides: the content policy before any other, else the first.
Json deciding_complaint(const Json& detail) {
  for (std::size_t i = 0; i < detail.size(); ++i) {
    if (text_of(detail.at(i), "type") == "content_policy_violation") return detail.at(i);
  }
  return detail.at(0);
}

Said read_body(std::string_view body) {
  Said said;
  const Result<Json> json = Json::parse(body);
  if (!json || !json->is_object()) return said;
  for (const std::string_view name :
       {"detail", "error_type", "error", "status", "message", "type"}) {
    said.fal_form = said.fal_form || json->find(name).has_value();
  }
  const Json detail = json->find("detail").value_or(Json());
  const Json error = json->find("error").value_or(Json());
  const Json complaint = detail.is_array()    ? deciding_complaint(detail)
                         : detail.is_object() ? detail
                                              : error;

  const auto first_of = [](std::initializer_list<std::string> candidates) {
    for (const std::string& candidate : candidates) {
      if (!candidate.empty()) return candidate;
    }
    return std::string();
  };
  said.type = first_of({text_of(*json, "error_type"), text_of(complaint, "type"),
                        text_of(complaint, "code"), text_of(*json, "type")});
  said.message =
      first_of({std::string(detail.as_string().value_or("")), text_of(complaint, "msg"),
                text_of(complaint, "message"), std::string(error.as_string().value_or("")),
                text_of(*json, "message"), text_of(*json, "status")});
  said.location = location_of(complaint);
  said.of_accounts = detail.is_string() || !text_of(error, "type").empty();
  return said;
}

bool is_one_of(std::string_view type, std::initializer_list<std::string_view> types) {
  return std::ranges::find(types, type) != types.end();
}

std::vector<std::string> words_in(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : to_lower(text)) {
    if (is_alnum(c) || c == '_') {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

// Whether fal says that an account is locked or has no balance: "User is locked. Reason: TOP_UP.",
// "Exhausted balance. Top up your balance ...". Whole phrases: a request that is "blocked", a
// feature that is locked and a "balanced" light say nothing of an account.
bool speaks_of_lock_or_balance(std::string_view message) {
  const std::vector<std::string> words = words_in(message);
  const auto word = [&](std::size_t i) {
    return i < words.size() ? std::string_view(words[i]) : std::string_view();
  };
  const auto skip = [&](std::size_t i, std::initializer_list<std::string_view> fillers) {
    while (is_one_of(word(i), fillers)) ++i;
    return word(i);
  };
  const auto is_short = [](std::string_view text) {
    return is_one_of(
        text, {"exhausted", "insufficient", "depleted", "negative", "empty", "zero", "low", "no"});
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (word(i) == "top_up") return true;
    if (word(i) == "top" && word(i + 1) == "up" &&
        skip(i + 2, {"your", "the", "account"}) == "balance")
      return true;
    if (is_short(word(i)) && skip(i + 1, {"account", "user"}) == "balance") return true;
    if (word(i) == "balance" &&
        is_short(skip(i + 1, {"is", "was", "has", "been", "too", "fully", "currently"})))
      return true;
    if (is_one_of(word(i), {"user", "account", "team", "organization"}) &&
        skip(i + 1, {"is", "was", "has", "been", "currently", "temporarily"}) == "locked")
      return true;
  }
  return false;
}

// What the type says by itself, whatever the status is.
std::optional<Cause> cause_by_type(std::string_view type) {
  if (type == "content_policy_violation") return Cause::content_policy;
  if (type == "no_media_generated") return Cause::no_media;
  if (type == "request_timeout") return Cause::request_timeout;
  if (is_one_of(type, {"client_cancelled", "client_disconnected"})) return Cause::cancelled;
  if (type == "concurrent_requests_limit") return Cause::busy;
  return std::nullopt;
}

// The model's own failures, which some models answer with a status below 500.
bool is_model_failure(std::string_view type) {
  return type.starts_with("runner_") ||
         is_one_of(type, {"internal_server_error", "internal_error", "generation_timeout",
                          "startup_timeout", "downstream_service_error",
                          "downstream_service_unavailable"});
}

// "Runner and timeout errors are typically transient" (fal's documentation of errors).
bool is_transient(std::string_view type) {
  return type.starts_with("runner_") ||
         is_one_of(type, {"request_timeout", "startup_timeout", "internal_error",
                          "concurrent_requests_limit"});
}

Cause cause_of(int status, const Said& said, bool has_request_id, bool user_timeout) {
  if (user_timeout) return Cause::request_timeout;
  if (status == 401) return said.of_accounts ? Cause::key_refused : Cause::not_fal;
  if (status == 402) return said.of_accounts ? Cause::account_blocked : Cause::not_fal;
  if (const std::optional<Cause> cause = cause_by_type(said.type)) return *cause;
  switch (status) {
    case 403:
      if (!said.fal_form) return Cause::not_fal;
      return speaks_of_lock_or_balance(said.message) ? Cause::account_blocked : Cause::forbidden;
    case 404:
    case 405:
      return Cause::not_found;
    case 429:
      return Cause::busy;
    case 499:
      return Cause::cancelled;
    case 502:
    case 503:
    case 504:
      if (!has_request_id) return Cause::ingress;
      break;
    default:
      break;
  }
  if (is_model_failure(said.type)) return Cause::model_failed;
  if (!said.fal_form) return Cause::not_fal;
  return status == 400 || status == 422 ? Cause::invalid_input : Cause::model_failed;
}

std::optional<double> number(std::string_view text) {
  text = trim(text);
  double value = 0;
  const auto [end, fault] = read_decimal(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

// Nothing below zero or beyond a day is believed.
std::optional<std::chrono::milliseconds> believable(double milliseconds) {
  if (!(milliseconds >= 0) || milliseconds > 24.0 * 3600 * 1000) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(milliseconds)));
}

// Seconds from the answer's own Date to `then`.
std::optional<double> seconds_until(const HttpHeaders& headers, std::chrono::sys_seconds then) {
  const auto date = headers.find("Date");
  if (!date.has_value()) return std::nullopt;
  const auto now = parse_http_date(*date);
  if (!now.has_value()) return std::nullopt;
  return std::max(0.0, static_cast<double>((then - *now).count()));
}

std::optional<std::chrono::milliseconds> retry_after_of(const HttpHeaders& headers) {
  if (const auto text = headers.find("Retry-After-Ms")) {
    if (const auto value = number(*text)) return believable(*value);
  }
  if (const auto text = headers.find("Retry-After")) {
    if (const auto value = number(*text)) return believable(*value * 1000);
    if (const auto date = parse_http_date(*text)) {
      if (const auto seconds = seconds_until(headers, *date)) return believable(*seconds * 1000);
    }
  }
  if (const auto text = headers.find("X-RateLimit-Reset")) {
    const auto value = number(*text);
    if (!value.has_value()) return std::nullopt;
    constexpr double looks_like_a_date = 1e9;  // seconds since 1970, as several gateways write it
    if (*value < looks_like_a_date) return believable(*value * 1000);
    if (*value > 1e11) return std::nullopt;
    const std::chrono::sys_seconds then{std::chrono::seconds(static_cast<std::int64_t>(*value))};
    if (const auto seconds = seconds_until(headers, then)) return believable(*seconds * 1000);
  }
  return std::nullopt;
}

// X-Fal-Retryable, which one revision of the documentation calls X-Fal-Needs-Retry.
std::optional<bool> said_retryable(const HttpHeaders& headers) {
  for (const std::string_view name : {"X-Fal-Retryable", "X-Fal-Needs-Retry"}) {
    const auto value = headers.find(name);
    if (!value.has_value()) continue;
    const std::string word = to_lower(trim(*value));
    return word == "1" || word == "true" || word == "yes";
  }
  return std::nullopt;
}

}  // namespace

Fault read_fault(const HttpHead& head, std::string_view body) {
  Said said = read_body(body);
  if (const auto type = head.headers.find("X-Fal-Error-Type");
      type.has_value() && !trim(*type).empty()) {
    said.fal_form = true;
    // The platform's type of a request error; a model's own type in the body says more.
    if (said.type.empty()) said.type = std::string(trim(*type));
  }
  const std::string request_id(head.headers.find("x-fal-request-id").value_or(""));
  const bool user_timeout = head.headers.find("X-Fal-Request-Timeout-Type") == "user";

  Fault fault;
  fault.status = head.status;
  fault.type = presentable(said.type).substr(0, 100);
  fault.message = presentable(said.message);
  fault.location = std::move(said.location);
  fault.request_id = presentable(request_id).substr(0, 128);
  fault.cause = cause_of(head.status, said, !request_id.empty(), user_timeout);
  fault.retry_after = retry_after_of(head.headers);
  const bool by_kind =
      fault.cause == Cause::busy || fault.cause == Cause::ingress || is_transient(said.type);
  fault.retryable = !user_timeout && said_retryable(head.headers).value_or(by_kind);
  return fault;
}

Fault read_fault(const QueueStatus& status) {
  Fault fault;
  fault.type = presentable(status.error_type.value_or("")).substr(0, 100);
  fault.message = presentable(status.error.value_or(""));
  fault.cause = cause_by_type(fault.type).value_or(Cause::model_failed);
  fault.retryable = is_transient(fault.type);
  return fault;
}

}  // namespace falproxy::inline v0::fal
