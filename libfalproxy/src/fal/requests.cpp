#include <algorithm>
#include <cstdint>

#include "falproxy/fal.hpp"

namespace falproxy::fal {
namespace {

std::string authorization(const Secret& key) { return "Key " + std::string(key.reveal()); }

HttpRequest get(std::string url, const Secret& key, std::string accept) {
  HttpRequest request{.method = "GET", .url = std::move(url)};
  request.headers.reserve(2);
  request.headers.add("Authorization", authorization(key));
  request.headers.add("Accept", std::move(accept));
  return request;
}

HttpRequest post_json(std::string url, const Secret& key, Body body, std::string accept) {
  HttpRequest request{.method = "POST", .url = std::move(url), .body = std::move(body)};
  request.headers.reserve(4);
  request.headers.add("Authorization", authorization(key));
  request.headers.add("Content-Type", "application/json");
  request.headers.add("Accept", std::move(accept));
  return request;
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

HttpRequest submit_request(const Addresses& fal, const EndpointId& endpoint, const Secret& key,
                           Body input, const SubmitOptions& options) {
  HttpRequest request =
      post_json(fal.queue + "/" + endpoint.str(), key, std::move(input), json_type);
  if (const double wanted = options.start_timeout_seconds.value_or(0); wanted >= 1.1) {
    const auto tenths = static_cast<std::int64_t>(std::min(wanted, 1e9) * 10);
    std::string seconds = std::to_string(tenths / 10);
    if (tenths % 10 != 0) seconds.append(".").append(std::to_string(tenths % 10));
    request.headers.add("X-Fal-Request-Timeout", std::move(seconds));
  }
  return request;
}

HttpRequest run_request(const Addresses& fal, const EndpointId& endpoint, const Secret& key,
                        Body input) {
  return post_json(fal.run + "/" + endpoint.str(), key, std::move(input), json_type);
}

HttpRequest stream_request(const Addresses& fal, const EndpointId& endpoint, const Secret& key,
                           Body input) {
  std::string url = fal.run + "/" + endpoint.str();
  if (!endpoint.str().ends_with("/stream")) url += "/stream";
  return post_json(std::move(url), key, std::move(input), event_stream_type);
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

}  // namespace falproxy::fal
