// access.hpp: the way between Json and nlohmann::json, for falproxy's own sources.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "falproxy/json.hpp"

namespace falproxy::inline v0 {

struct Json::Access {
  /// Valid as long as `json`, or any other Json of the same tree.
  [[nodiscard]] static const nlohmann::json& raw(const Json& json) noexcept {
    static const nlohmann::json null;
    return json.node_ == nullptr ? null : *static_cast<const nlohmann::json*>(json.node_.get());
  }
  [[nodiscard]] static Json wrap(nlohmann::json value) {
    return Json(Node{std::make_shared<const nlohmann::json>(std::move(value))});
  }
  /// A part of the tree that `root` belongs to.
  [[nodiscard]] static Json part(const Json& root, const nlohmann::json& child) {
    return Json(Node{std::shared_ptr<const void>(root.node_, &child)});
  }
};

/// Json::parse for sources that go on with nlohmann's own type.
[[nodiscard]] Result<nlohmann::json> parse_raw(std::string_view text, JsonLimits limits = {});

/// The member of an object; null: it has none, the member is null, or `object` is no object.
[[nodiscard]] const nlohmann::json* member_of(const nlohmann::json& object, std::string_view name);
/// Of a member that is a string; empty for everything else.
[[nodiscard]] std::string text_of(const nlohmann::json& object, std::string_view name);

/// Json::as_integer for nlohmann's own type.
[[nodiscard]] std::optional<std::int64_t> as_integer(const nlohmann::json& value) noexcept;

/// Where the JSON string ends whose content begins at `begin`: its closing quote; npos: nowhere.
[[nodiscard]] std::size_t find_string_end(std::string_view text, std::size_t begin) noexcept;

/// True for ASCII without an escape: the same within a JSON string and outside.
[[nodiscard]] bool stands_for_itself(std::string_view text) noexcept;

/// `text` as a JSON string, quotes included. As Json::dump, in one step where nothing needs an
/// escape.
[[nodiscard]] std::string json_string(std::string_view text);

/// As Json::dump.
[[nodiscard]] std::string dump_raw(const nlohmann::json& value, int indent = -1);

}  // namespace falproxy::inline v0
