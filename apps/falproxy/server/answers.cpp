#include "server/answers.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "connection/http_text.hpp"
#include "falproxy/openai.hpp"

namespace falproxy::app {
namespace {

// SplitMix64's finalizer: neighbours become strangers.
std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

bool is_sane_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= 128 && std::ranges::all_of(id, [](char c) {
    return is_alnum(c) || c == '-' || c == '_' || c == '.' || c == ':';
  });
}

// A list of header names, as a browser writes it.
bool is_name_list(std::string_view list) noexcept {
  return !list.empty() && list.size() <= 4096 && std::ranges::all_of(list, [](char c) {
    return is_alnum(c) || c == '-' || c == '_' || c == ',' || c == ' ';
  });
}

std::string expose_line() {
  std::string line = "Access-Control-Expose-Headers: ";
  for (std::size_t i = 0; i < exposed_fields.size(); ++i) {
    line.append(i == 0 ? "" : ", ").append(exposed_fields[i]);
  }
  return line + "\r\n";
}

}  // namespace

Cors::Cors(std::vector<std::string> origins)
    : origins_(std::move(origins)), any_(std::ranges::find(origins_, "*") != origins_.end()) {
  constant_ = any_ ? "Access-Control-Allow-Origin: *\r\n" : "Vary: Origin\r\n";
  constant_ += expose_line();
}

void Cors::append(std::string& fields, const RequestHead* head) const {
  fields.append(constant_);
  if (any_ || head == nullptr) return;
  const std::string_view origin = head->find("origin").value_or("");
  if (std::ranges::find(origins_, origin) != origins_.end())
    append_field(fields, "Access-Control-Allow-Origin", origin);
}

void Cors::append_preflight(std::string& fields, const RequestHead& head) const {
  const std::string_view asked = head.find("access-control-request-headers").value_or("");
  append_field(fields, "Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS");
  append_field(fields, "Access-Control-Allow-Headers",
               is_name_list(asked) ? asked : "authorization, content-type");
  append_field(fields, "Access-Control-Max-Age", "86400");
  append_field(fields, "Vary", "Access-Control-Request-Headers");
}

std::string RequestIds::of(const RequestHead* head) {
  if (head != nullptr) {
    const std::string_view own = head->find("x-request-id").value_or("");
    if (is_sane_id(own)) return std::string(own);
  }
  const std::uint64_t n = next_.fetch_add(0x9e3779b97f4a7c15ULL, std::memory_order_relaxed);
  return fmt::format("req_{:016x}{:016x}", mix(n), mix(~n));
}

void append_safe_field(std::string& fields, std::string_view name, std::string_view value) {
  fields.append(name).append(": ");
  std::ranges::copy_if(value, std::back_inserter(fields),
                       [](char c) { return c >= 0x20 && c != 0x7f; });
  fields.append("\r\n");
}

ErrorAnswer error_answer(const Error& error, std::string_view model) {
  const openai::ErrorRow row = openai::describe(error.kind);
  ErrorAnswer answer{.status = row.status,
                     .code = std::string(row.code),
                     .body = openai::write_error(error, model)};
  std::optional<Milliseconds> retry_after = error.retry_after;
  if (!retry_after && (row.status == 429 || error.kind == ErrorKind::overloaded))
    retry_after = Seconds(1);
  if (retry_after && row.retry) {
    // The SDKs take a wait of more than a minute for none at all.
    const Milliseconds wait = std::clamp<Milliseconds>(*retry_after, Milliseconds(1), Seconds(60));
    append_field(answer.fields, "retry-after",
                 std::to_string(std::chrono::ceil<Seconds>(wait).count()));
    append_field(answer.fields, "retry-after-ms", std::to_string(wait.count()));
  }
  if (!row.retry || error.submitted) append_field(answer.fields, "x-should-retry", "false");
  if (row.status == 401)
    append_field(answer.fields, "WWW-Authenticate", "Bearer realm=\"falproxy\"");
  if (!error.fal_request_id.empty())
    append_safe_field(answer.fields, "x-fal-request-id", error.fal_request_id);
  return answer;
}

}  // namespace falproxy::app
