// reader.hpp: resolves the JSON Schemas of an OpenAPI document into Fields.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/schema.hpp"
#include "schema/rule.hpp"

namespace falproxy::inline v0::schema {

/// `pointer` with one more step, escaped as RFC 6901 has it.
[[nodiscard]] std::string step_into(std::string_view pointer, std::string_view step);

/// A node of the document and the JSON Pointer to it.
struct Place {
  const nlohmann::json* node;
  std::string pointer;
};

/// Reads schemas of one document, which must outlive it. After the first failure it is used up.
class Reader {
 public:
  /// Each Field gets its rule out of `rules`; null: none is to be checked against.
  Reader(const nlohmann::json& document, const AnalyzeLimits& limits, RuleBook* rules = nullptr)
      : document_(document), limits_(limits), rules_(rules) {}

  /// The member of an object, none where there is none, it is null, or `place` is no object.
  [[nodiscard]] static std::optional<Place> member(const Place& place, std::string_view name);

  /// Where a chain of plain references ends; none where it leads nowhere or in a circle.
  [[nodiscard]] std::optional<Place> follow(Place place) const;

  [[nodiscard]] Result<Field> read(const Place& place);

 private:
  struct OpenReference {
    std::string_view address;
    std::size_t descents;  // how deep in values the reader was when it followed it
  };

  Field schema(const Place& place);
  Field with_rule(const nlohmann::json& node, Field field);
  Field child(const Place& place);
  Field reference(const Place& ref);
  Field keywords(const Place& place);
  void read_object(const Place& place, Field& field);
  void read_branches(const Place& place, std::string_view keyword, Field& field);
  void spend(std::size_t bytes, const std::string& pointer);
  void fail(const std::string& pointer, std::string message);

  const nlohmann::json& document_;
  AnalyzeLimits limits_;
  RuleBook* rules_;
  std::vector<OpenReference> open_;
  std::size_t depth_ = 0;
  std::size_t descents_ = 0;
  std::size_t unfolded_bytes_ = 0;
  std::optional<Error> fault_;
};

}  // namespace falproxy::inline v0::schema
