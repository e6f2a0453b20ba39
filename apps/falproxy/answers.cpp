#include "answers.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "falproxy/json.hpp"
#include "falproxy/openai.hpp"
#include "log.hpp"
#include "serving/head.hpp"

namespace falproxy::app {

using serving::append_field;

namespace {

bool is_well_formed_id(std::string_view id) noexcept {
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
  append_field(fields, "Access-Control-Allow-Methods",
               "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  append_field(fields, "Access-Control-Allow-Headers",
               is_name_list(asked) ? asked : "authorization, content-type");
  append_field(fields, "Access-Control-Max-Age", "86400");
  append_field(fields, "Vary", "Access-Control-Request-Headers");
}

std::string request_id(const RequestHead* head, Random& random) {
  if (head != nullptr) {
    const std::string_view own = head->find("x-request-id").value_or("");
    if (is_well_formed_id(own)) return std::string(own);
  }
  return fmt::format("req_{:016x}{:016x}", random.next(), random.next());
}

void append_safe_field(std::string& fields, std::string_view name, std::string_view value) {
  fields.append(name).append(": ");
  std::ranges::copy_if(value, std::back_inserter(fields),
                       [](char c) { return c >= 0x20 && c != 0x7f; });
  fields.append("\r\n");
}

Facts facts_of(const Receipt& receipt) {
  Facts facts;
  facts.reserve(9);
  facts.emplace_back("Server-Timing", server_timing(receipt));
  facts.emplace_back("openai-processing-ms",
                     std::to_string(std::chrono::floor<Milliseconds>(receipt.total).count()));
  if (receipt.recovered) facts.emplace_back("Idempotent-Replayed", "true");
  if (!receipt.served_model.empty()) facts.emplace_back("x-falproxy-model", receipt.served_model);
  if (!receipt.notes.empty())
    facts.emplace_back("x-falproxy-notes", plan::header_value(receipt.notes));
  if (std::string ids = fal_request_ids(receipt, ", "); !ids.empty())
    facts.emplace_back("x-fal-request-id", std::move(ids));
  if (const std::optional<double> units = billable_units(receipt))
    facts.emplace_back("x-fal-billable-units", fmt::format("{:g}", *units));
  if (const std::optional<Usd> cost = cost_of(receipt))
    facts.emplace_back("x-falproxy-cost-usd", cost->to_string());
  return facts;
}

void append_facts(std::string& fields, const Facts& facts) {
  for (const auto& [name, value] : facts) append_safe_field(fields, name, value);
}

std::string comment_of(const Facts& facts) {
  std::string comment;
  for (const auto& [name, value] : facts) {
    std::string field;
    append_safe_field(field, name, value);
    comment.append(": ").append(trim(field)).append("\n");
  }
  return comment.append("\n");
}

void append_underway(std::string& fields, const Underway& underway) {
  append_safe_field(fields, "x-falproxy-model", underway.model);
  if (!underway.notes.empty())
    append_safe_field(fields, "x-falproxy-notes", plan::header_value(underway.notes));
  std::string ids;
  for (const std::string& id : underway.fal_request_ids)
    ids.append(ids.empty() ? "" : ", ").append(id);
  if (!ids.empty()) append_safe_field(fields, "x-fal-request-id", ids);
}

bool speaks_fal(std::string_view route) noexcept { return route.starts_with("/fal/"); }

Body fal_error(const Error& error) {
  return Body(Json::object({{"detail", cut(error.message, 4096)}}).dump());
}

bool repeats_all(std::string_view user_agent) noexcept { return user_agent.starts_with("ai/"); }

serving::Response error_answer(const Error& error, std::string_view model, bool once,
                               Medium makes) {
  openai::ErrorRow row = openai::describe(error.kind);
  if (error.submitted && row.status > 407 && once) row.status = 400;
  serving::Response answer{.status = row.status,
                           .body = Body(openai::write_error(error, model, makes))};
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
