// keywords.hpp: what one schema says of itself, without following it anywhere.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "falproxy/schema.hpp"

namespace falproxy::schema {

/// Whether that member is true.
[[nodiscard]] bool flag(const nlohmann::json& node, std::string_view name);
/// The strings of a list; they live as long as `node`.
[[nodiscard]] std::vector<std::string_view> names_in(const nlohmann::json& node,
                                                     std::string_view keyword);

/// All keywords that need no other schema: words, types, values, bounds, limits.
[[nodiscard]] Field read_keywords(const nlohmann::json& node);
/// The bytes that it copies, roughly.
[[nodiscard]] std::size_t weight_of_keywords(const nlohmann::json& node);

/// Those of `order` (x-fal-order-properties) first, for the order of the keys is random between
/// fetches; then the required ones, then by name.
void put_in_order(std::vector<Field>& properties, const std::vector<std::string_view>& order);

}  // namespace falproxy::schema
