// model_documents.hpp: OpenAPI documents of made-up models, as fal writes them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace falproxy::inline v0::testing {

/// The document of `endpoint` with the given input properties (JSON text); the answer holds
/// `images`.
[[nodiscard]] inline std::string model_document(
    std::string_view endpoint, std::string_view properties = R"({"prompt":{"type":"string"}})",
    std::string_view output =
        R"({"images":{"type":"array","items":{"type":"object","properties":{"url":{"type":"string"}}}}})") {
  using nlohmann::json;
  const auto refer = [](const char* name) {
    return json{{"content",
                 {{"application/json",
                   {{"schema", {{"$ref", std::string("#/components/schemas/") + name}}}}}}}};
  };
  const std::string path = "/" + std::string(endpoint);
  json document = {
      {"openapi", "3.0.4"},
      {"info",
       {{"title", "Queue OpenAPI for " + std::string(endpoint)},
        {"version", "1.0.0"},
        {"x-fal-metadata", {{"endpointId", endpoint}, {"category", "text-to-image"}}}}},
      {"servers", json::array({{{"url", "https://queue.fal.run"}}})}};
  document["components"]["schemas"] = {
      {"QueueStatus", {{"type", "object"}}},
      {"ModelInput",
       {{"type", "object"}, {"title", "Input"}, {"properties", json::parse(properties)}}},
      {"ModelOutput",
       {{"type", "object"}, {"title", "Output"}, {"properties", json::parse(output)}}}};
  document["paths"][path + "/requests/{request_id}/status"]["get"]["responses"]["200"] =
      refer("QueueStatus");
  document["paths"][path + "/requests/{request_id}/cancel"]["put"]["responses"]["200"] =
      json::object();
  document["paths"][path]["post"]["requestBody"] = refer("ModelInput");
  document["paths"][path]["post"]["responses"]["200"] = refer("QueueStatus");
  document["paths"][path + "/requests/{request_id}"]["get"]["responses"]["200"] =
      refer("ModelOutput");
  return document.dump();
}

}  // namespace falproxy::inline v0::testing
