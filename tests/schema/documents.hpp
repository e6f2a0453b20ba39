// documents.hpp: writes OpenAPI documents the way fal does, for the tests of this room and of those
// above it.
#pragma once

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/fmt.hpp"
#include "falproxy/profile.hpp"
#include "falproxy/schema.hpp"

namespace documents {

/// A queue document of `endpoint` whose body and result refer to the schemas Input and Output among
/// `schemas`.
inline std::string of(std::string_view endpoint, const nlohmann::json& schemas,
                      std::string_view category = "text-to-image") {
  const auto refer = [](std::string_view name) {
    return nlohmann::json{
        {"content",
         {{"application/json",
           {{"schema", {{"$ref", fmt::format("#/components/schemas/{}", name)}}}}}}}};
  };
  const std::string path = fmt::format("/{}", endpoint);
  nlohmann::json document = {
      {"openapi", "3.0.4"},
      {"info",
       {{"title", "Queue"},
        {"version", "1.0.0"},
        {"x-fal-metadata", {{"endpointId", endpoint}, {"category", category}}}}},
      {"components", {{"schemas", schemas}}}};
  auto& paths = document["paths"];
  paths[path + "/requests/{request_id}/status"]["get"]["responses"]["200"] = refer("QueueStatus");
  paths[path + "/requests/{request_id}/cancel"]["put"]["responses"]["200"] =
      nlohmann::json::object();
  paths[path]["post"]["requestBody"] = refer("Input");
  paths[path]["post"]["responses"]["200"] = refer("QueueStatus");
  paths[path + "/requests/{request_id}"]["get"]["responses"]["200"] = refer("Output");
  return document.dump();
}

/// As above, from the text of the Input's schema and of other schemas beside it.
inline std::string with_input(std::string_view input, std::string_view others = "{}") {
  nlohmann::json schemas = nlohmann::json::parse(others);
  schemas["Input"] = nlohmann::json::parse(input);
  if (!schemas.contains("Output"))
    schemas["Output"] = nlohmann::json::parse(R"({"type": "object"})");
  return of("some/model", schemas);
}

inline falproxy::schema::ModelSchema analyzed(std::string_view document) {
  auto model = falproxy::schema::analyze(document);
  if (!model) FAIL(fmt::format("{} at {}", model.error().message, model.error().field));
  return *model;
}

inline falproxy::profile::Profile profiled(std::string_view document) {
  auto profile = falproxy::profile::read_profile(document);
  if (!profile) FAIL(fmt::format("{} at {}", profile.error().message, profile.error().field));
  return **profile;
}

/// The one property of an Input, `property` being its schema.
inline falproxy::schema::Field field(std::string_view property, std::string_view others = "{}") {
  const auto model = analyzed(with_input(
      fmt::format(R"({{"type": "object", "properties": {{"field": {}}}}})", property), others));
  REQUIRE(model.inputs.size() == 1);
  return model.inputs[0];
}

inline std::vector<std::string> names(const std::vector<falproxy::schema::Field>& fields) {
  std::vector<std::string> all;
  for (const auto& one : fields) all.push_back(one.name);
  return all;
}

inline std::vector<std::string> texts(const std::vector<falproxy::Json>& values) {
  std::vector<std::string> all;
  for (const auto& value : values) all.push_back(value.dump());
  return all;
}

}  // namespace documents
