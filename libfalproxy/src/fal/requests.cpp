#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/fmt.hpp"
#include "base/unix_time.hpp"
#include "falproxy/fal.hpp"

namespace falproxy::inline v0::fal {
namespace {

std::string authorization(const Secret& key) { return "Key " + std::string(key.reveal()); }

HttpRequest get(std::string url, const Secret& key, std::string accept) {
  HttpRequest request{.method = "GET", .url = std::move(url)};
  request.headers.reserve(2);
  request.headers.add("Authorization", authorization(key));
  request.headers.add("Accept", std::move(accept));
  return request;
}

HttpRequest post_json(std::string url, const Secret& key, Body body, std::string accept,
                      const FalPreferences& preferences) {
  HttpRequest request{.method = "POST", .url = std::move(url), .body = std::move(body)};
  const HttpHeaders wishes = preference_headers(preferences);
  request.headers.reserve(4 + wishes.size());
  request.headers.add("Authorization", authorization(key));
  request.headers.add("Content-Type", "application/json");
  request.headers.add("Accept", std::move(accept));
  for (const auto& [name, value] : wishes) request.headers.add(name, value);
  return request;
}

std::string lifecycle_of(const FalPreferences& preferences) {
  constexpr std::string_view names[] = {"allow", "hide", "forbid"};
  std::string members;
  if (preferences.output_expiration.has_value()) {
    members =
        fmt::format(R"("expiration_duration_seconds":{})", preferences.output_expiration->count());
  }
  if (preferences.output_access.has_value()) {
    const std::string_view name = names[static_cast<std::size_t>(*preferences.output_access)];
    members += fmt::format(R"({}"initial_acl":{{"default":"{}","rules":[]}})",
                           members.empty() ? "" : ",", name);
  }
  return members.empty() ? members : "{" + members + "}";
}

constexpr const char* json_type = "application/json";
constexpr const char* event_stream_type = "text/event-stream";

// `suffix` goes to the end of the path, before a query.
std::string with_path_suffix(const std::string& url, std::string_view suffix) {
  const std::size_t query = url.find('?');
  std::string extended = url.substr(0, query);
  extended += suffix;
  if (query != std::string::npos) extended += url.substr(query);
  return extended;
}

}  // namespace

HttpHeaders preference_headers(const FalPreferences& preferences) {
  HttpHeaders headers;
  if (preferences.queue_priority.has_value()) {
    const bool low = *preferences.queue_priority == QueuePriority::low;
    headers.add("X-Fal-Queue-Priority", low ? "low" : "normal");
  }
  if (!preferences.runner_hint.empty()) {
    headers.add("X-Fal-Runner-Hint", preferences.runner_hint);
  }
  if (preferences.disable_fallback) headers.add("x-app-fal-disable-fallback", "true");
  if (std::string lifecycle = lifecycle_of(preferences); !lifecycle.empty()) {
    headers.add("X-Fal-Object-Lifecycle-Preference", std::move(lifecycle));
  }
  return headers;
}

HttpRequest submit_request(const Addresses& fal, const EndpointId& endpoint, const Secret& key,
                           Body input, const SubmitOptions& options) {
  HttpRequest request = post_json(fal.queue + "/" + endpoint.str(), key, std::move(input),
                                  json_type, options.preferences);
  if (const double wanted = options.start_timeout_seconds.value_or(0); wanted >= 1.1) {
    const auto tenths = static_cast<std::int64_t>(std::min(wanted, 1e9) * 10);
    std::string seconds = std::to_string(tenths / 10);
    if (tenths % 10 != 0) seconds.append(".").append(std::to_string(tenths % 10));
    request.headers.add("X-Fal-Request-Start-Timeout", std::move(seconds));
  }
  return request;
}

HttpRequest run_request(const Addresses& fal, const EndpointId& endpoint, const Secret& key,
                        Body input, const FalPreferences& preferences) {
  return post_json(fal.run + "/" + endpoint.str(), key, std::move(input), json_type, preferences);
}

HttpRequest stream_request(const Addresses& fal, const EndpointId& endpoint, const Secret& key,
                           Body input, const FalPreferences& preferences) {
  std::string url = fal.run + "/" + endpoint.str();
  if (!endpoint.str().ends_with("/stream")) url += "/stream";
  return post_json(std::move(url), key, std::move(input), event_stream_type, preferences);
}

HttpRequest pricing_request(const Addresses& fal, std::span<const std::string> endpoints,
                            const Secret& key) {
  std::string url = fal.api + "/models/pricing";
  char sign = '?';
  for (const std::string& endpoint : endpoints)
    url.append(1, std::exchange(sign, '&')).append("endpoint_id=").append(endpoint);
  return get(std::move(url), key, json_type);
}

HttpRequest usual_cost_request(const Addresses& fal, const std::string& endpoint,
                               const Secret& key) {
  const Json call = Json::object({{"call_quantity", 1}});
  const Json asked = Json::object(
      {{"estimate_type", "historical_api_price"}, {"endpoints", Json::object({{endpoint, call}})}});
  return post_json(fal.api + "/models/pricing/estimate", key, Body(asked.dump()), json_type, {});
}

HttpRequest bills_request(const Addresses& fal, std::span<const std::string> fal_request_ids,
                          const Secret& key) {
  std::string url = fal.api + "/models/billing-events";
  char sign = '?';
  for (const std::string& id : fal_request_ids)
    url.append(1, std::exchange(sign, '&')).append("request_id=").append(percent_encode(id));
  return get(std::move(url), key, json_type);
}

HttpRequest balance_request(const Addresses& fal, const Secret& key) {
  return get(fal.api + "/account/billing?expand=credits", key, json_type);
}

HttpRequest forget_request(const Addresses& fal, std::string_view fal_request_id,
                           const Secret& key) {
  HttpRequest request = get(
      fal.api + "/models/requests/" + percent_encode(fal_request_id) + "/payloads", key, json_type);
  request.method = "DELETE";
  request.headers.add("Idempotency-Key", std::string(fal_request_id));
  return request;
}

HttpRequest history_request(const Addresses& fal, std::string_view endpoint, WallTime since,
                            const Secret& key) {
  return get(fmt::format("{}/models/requests/by-endpoint?endpoint_id={}&start={}&limit=100&expand="
                         "payloads",
                         fal.api, percent_encode(endpoint, "/"), percent_encode(iso_time(since))),
             key, json_type);
}

Result<std::vector<PastRequest>> read_history(const Json& answer) {
  const Json items = answer["items"];
  if (!items.is_array())
    return Error{ErrorKind::upstream_failed, "fal's answer holds no list of requests."};
  std::vector<PastRequest> all;
  for (const Json& item : items.elements()) {
    const std::string_view id = item["request_id"].as_string().value_or("");
    if (!id.empty()) all.push_back({std::string(id), item["json_input"]});
  }
  return all;
}

HttpRequest status_request(const Submitted& job, const Secret& key) {
  return get(job.status_url, key, json_type);
}

HttpRequest status_stream_request(const Submitted& job, const Secret& key) {
  return get(with_path_suffix(job.status_url, "/stream"), key, event_stream_type);
}

HttpRequest result_request(const Submitted& job, const Secret& key) {
  return get(job.response_url, key, json_type);
}

HttpRequest cancel_request(const Submitted& job, const Secret& key) {
  HttpRequest request = get(job.cancel_url, key, json_type);
  request.method = "PUT";
  return request;
}

HttpRequest schema_request(const Addresses& fal, const EndpointId& endpoint) {
  const char* separator = fal.schema.find('?') == std::string::npos ? "?" : "&";
  return {.method = "GET",
          .url = fal.schema + separator + "endpoint_id=" + percent_encode(endpoint.str(), "/"),
          .headers = {{"Accept", json_type}}};
}

}  // namespace falproxy::inline v0::fal
