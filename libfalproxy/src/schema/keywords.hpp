// keywords.hpp: what one schema says of itself, without following it anywhere.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "falproxy/schema.hpp"

namespace falproxy::inline v0::schema {

/// Whether that member is true.
[[nodiscard]] bool flag(const nlohmann::json& node, std::string_view name);
/// The strings of a list; they live as long as `node`.
[[nodiscard]] std::vector<std::string_view> names_in(const nlohmann::json& node,
                                                     std::string_view keyword);

/// A count such as maxItems; none where it is not there, or no count.
[[nodiscard]] std::optional<std::size_t> count_of(const nlohmann::json& node,
                                                  std::string_view name);
/// Copies, so that they do not keep the whole document alive.
[[nodiscard]] std::vector<Json> values_in(const nlohmann::json& array);
/// `type`: of a list all that it names. null becomes `nullable`.
void read_types(const nlohmann::json& node, Field& field);
/// The bounds of numbers, texts and arrays.
void read_bounds(const nlohmann::json& node, Field& field);

/// All keywords that need no other schema: words, types, values, bounds, limits.
[[nodiscard]] Field read_keywords(const nlohmann::json& node);
/// The bytes that it copies, roughly.
[[nodiscard]] std::size_t weight_of_keywords(const nlohmann::json& node);

/// Those of `order` (x-fal-order-properties) first, for the order of the keys is random between
/// fetches; then the required ones, then by name.
void put_in_order(std::vector<Field>& properties, const std::vector<std::string_view>& order);

}  // namespace falproxy::inline v0::schema
