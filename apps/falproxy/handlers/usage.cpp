// What was spent: /v1/falproxy/usage.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/enum_names.hpp"
#include "base/fmt.hpp"
#include "base/handed.hpp"
#include "handlers/handlers.hpp"
#include "paging.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {

using serving::Response;

namespace {

using nlohmann::ordered_json;

constexpr NamedValue<SpendingBy> groups[] = {{"day", SpendingBy::day},
                                             {"key", SpendingBy::key},
                                             {"model", SpendingBy::model},
                                             {"user", SpendingBy::user}};
// If no time is asked for.
constexpr Day usual_days = 30;
constexpr Seconds longest_wait{5};

std::string parameter(const Call& call, std::string_view name) {
  return query_value(call.request.head().target, name);
}

Error wrong(std::string_view field, std::string_view mend) {
  return {.kind = ErrorKind::invalid_value,
          .message = fmt::format("Invalid '{}': write {}.", field, mend),
          .field = std::string(field)};
}

Result<SpendingQuery> query_of(const Call& call) {
  const Day today = day_of(std::chrono::system_clock::now());
  SpendingQuery query{.first = today - usual_days + 1, .last = today};
  constexpr const char* day = "a date such as 2026-11-29, or seconds of Unix time";
  for (const auto& [name, into] : {std::pair("start", &query.first), {"end", &query.last}}) {
    const std::string text = parameter(call, name);
    if (text.empty()) continue;
    const std::optional<Day> parsed = parse_day(text);
    if (!parsed) return wrong(name, day);
    *into = *parsed;
  }
  if (query.first > query.last) return wrong("start", "a day that is not after 'end'");
  const std::string by = parameter(call, "group_by");
  if (!by.empty()) {
    const std::optional<SpendingBy> group = value_in(groups, by);
    if (!group) return wrong("group_by", "day, key, model or user");
    query.by = *group;
  }
  if (!call.caller.is_operator) query.key = call.caller.client;
  return query;
}

std::string name_in(const Spending& row, SpendingBy by) {
  switch (by) {
    case SpendingBy::day:
      return date_text(row.day);
    case SpendingBy::key:
      return row.key;
    case SpendingBy::model:
      return row.model;
    case SpendingBy::user:
      return row.user;
  }
  return {};
}

std::string json_of(const std::vector<Spending>& rows, SpendingBy by) {
  ordered_json data = ordered_json::array();
  for (const Spending& row : rows) {
    data.push_back({{std::string(name_of(by)), name_in(row, by)},
                    {"requests", row.requests},
                    {"failures", row.failures},
                    {"artifacts", row.artifacts},
                    {"units", ordered_json::parse(row.units.to_string())},
                    {"cost_usd", ordered_json::parse(row.cost.to_string())},
                    {"unpriced_jobs", row.unpriced},
                    {"corrected_usd", ordered_json::parse(row.corrected.to_string())}});
  }
  const ordered_json list = {{"object", "list"}, {"data", std::move(data)}};
  return list.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// A name from outside must be no formula to a spreadsheet.
std::string csv_cell(const std::string& text) {
  std::string cell = "\"";
  if (!text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos)
    cell += '\'';
  for (const char c : text) cell.append(c == '"' ? 2 : 1, c);
  return cell + "\"";
}

std::string csv_of(const std::vector<Spending>& rows, SpendingBy by) {
  std::string text = fmt::format(
      "{},requests,failures,artifacts,units,cost_usd,unpriced_jobs,corrected_usd\r\n", name_of(by));
  for (const Spending& row : rows) {
    text += fmt::format("{},{},{},{},{},{},{},{}\r\n", csv_cell(name_in(row, by)), row.requests,
                        row.failures, row.artifacts, row.units.to_string(), row.cost.to_string(),
                        row.unpriced, row.corrected.to_string());
  }
  return text;
}

}  // namespace

Response show_usage(Call& call) {
  const Result<SpendingQuery> query = query_of(call);
  if (!query) return call.fail(query.error());
  const std::string format = parameter(call, "format");
  if (!format.empty() && format != "json" && format != "csv")
    return call.fail(wrong("format", "json or csv"));
  serving::FiberClock clock;
  const TimePoint until = clock.now() + longest_wait;
  const Handed<Result<std::vector<Spending>, StoreError>> found;
  call.door.parts().spending.sum(*query, until, found.callback());
  const std::optional<Result<std::vector<Spending>, StoreError>> rows = found.wait(clock, until);
  if (!rows || !*rows) {
    return call.fail({.kind = ErrorKind::overloaded,
                      .message = "What was spent cannot be looked up now. Try again."});
  }
  const bool csv = format == "csv";
  std::string text;
  call.door.parts().executor.run_blocking(
      [&] { text = csv ? csv_of(**rows, query->by) : json_of(**rows, query->by); });
  return {.content_type = csv ? "text/csv; charset=utf-8" : "application/json",
          .fields = "Cache-Control: no-store\r\n",
          .body = Body(std::move(text))};
}

}  // namespace falproxy::app
