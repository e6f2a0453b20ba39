// payload_checker.hpp: says whether a body that is sent to fal is valid against the model's OpenAPI
// document.
//
// Written from the JSON Schema keywords alone, straight on the document, and sharing no code with
// the library: it is there to catch the library's mistakes, so it must not make the same ones.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace payload_checker {

/// Each line begins with the place in the payload ("image_size.width: ...").
struct Report {
  std::vector<std::string>
      faults;  ///< wrong types, values outside an enum or bound, missing members
  std::vector<std::string>
      unknown;  ///< members that no schema names; fal passes over them, but they do nothing

  [[nodiscard]] bool valid() const { return faults.empty(); }
  /// Valid, and every field means something to the model.
  [[nodiscard]] bool clean() const { return faults.empty() && unknown.empty(); }
  /// All lines, for a test's message.
  [[nodiscard]] std::string text() const;
};

/// `payload` against the body of the document's POST (the one to `endpoint` where there are
/// several).
[[nodiscard]] Report check_payload(const nlohmann::json& document, const nlohmann::json& payload,
                                   std::string_view endpoint = {});

/// `value` against one schema within the document.
[[nodiscard]] Report check_value(const nlohmann::json& document, const nlohmann::json& schema,
                                 const nlohmann::json& value, const std::string& place = "value");

}  // namespace payload_checker
